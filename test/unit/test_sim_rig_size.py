"""Smaller images of a rig: scale and crop by hand, and agreement with the model's own crop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bev_trainer.errors import SimulationError
from bev_trainer.simulate.rig_size import HORIZON_SHARE, horizon_row, sized_rig

from bev_perception.geometry.model_input import input_camera
from bev_perception.geometry.rig_file import RigFile, load_rig_file

RIGS = sorted((Path(__file__).parents[2] / 'config' / 'rigs').glob('*.yaml'))
CAR = load_rig_file(next(path for path in RIGS if path.stem == 'car_6'))


def camera_of(rig: RigFile, name: str):
    return next(entry.camera() for entry in rig.cameras if entry.name == name)


def test_intrinsics_by_hand() -> None:
    full, small = camera_of(CAR, 'front'), camera_of(sized_rig(CAR, (400, 160)), 'front')
    assert (small.width, small.height) == (400, 160)
    assert small.K[0, 0] == pytest.approx(full.K[0, 0] / 4)
    # Pixel centres: (u + 0.5) / 4 - 0.5.
    assert small.K[0, 2] == pytest.approx((full.K[0, 2] + 0.5) / 4 - 0.5)
    # The camera looks 0.5 degrees down: the horizon is f tan(0.5 deg) above the centre.
    horizon = (full.K[1, 2] + 0.5 - full.K[1, 1] * np.tan(np.deg2rad(0.5))) / 4
    first = round(horizon - HORIZON_SHARE * 160)
    assert small.K[1, 2] == pytest.approx((full.K[1, 2] + 0.5) / 4 - 0.5 - first)


@pytest.mark.parametrize('path', RIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize('size', [(352, 128), (704, 256), (480, 270)])
def test_world_stays_where_it_is_in_the_image(path: Path, size: tuple[int, int]) -> None:
    rig = load_rig_file(path)
    rng = np.random.default_rng(3)
    for entry, small_entry in zip(rig.cameras, sized_rig(rig, size).cameras, strict=True):
        full, small = entry.camera(), small_entry.camera()
        assert full is not None and small is not None
        assert small.width == size[0] and small.height <= size[1]
        uv = rng.uniform([0, 0], [small.width - 1, small.height - 1], (50, 2))
        rays = small.rays(uv)
        seen, inside = full.project(rays)
        assert inside.all()
        scale = full.width / small.width
        assert np.allclose((seen[:, 0] + 0.5) / scale - 0.5, uv[:, 0], atol=1e-6)
        shift = (seen[:, 1] + 0.5) / scale - 0.5 - uv[:, 1]
        assert np.allclose(shift, round(shift[0]), atol=1e-6)


@pytest.mark.parametrize('path', RIGS, ids=lambda path: path.stem)
def test_horizon_lies_where_the_model_looks_for_it(path: Path) -> None:
    """Within the rounding of the crop to whole rows."""
    rig = load_rig_file(path)
    for entry in sized_rig(rig, (352, 128)).cameras:
        camera = entry.camera()
        assert camera is not None
        seen_by_model = input_camera(camera, 352, 128, HORIZON_SHARE)
        assert horizon_row(camera) / camera.height == pytest.approx(HORIZON_SHARE, abs=0.01)
        assert horizon_row(seen_by_model) / 128 == pytest.approx(HORIZON_SHARE, abs=0.06)


def test_no_size_keeps_everything() -> None:
    assert sized_rig(CAR, None) == CAR


def test_too_wide_is_refused() -> None:
    with pytest.raises(SimulationError, match=r"'front': 2000 pixels wide.*has 1600"):
        sized_rig(CAR, (2000, 800))


def test_missing_intrinsics_are_refused() -> None:
    bare = CAR.cameras[2].model_copy(update={'intrinsics': None})
    rig = CAR.model_copy(update={'cameras': (*CAR.cameras[:2], bare)})
    with pytest.raises(SimulationError, match=r"'back_right'.*intrinsics and base_T_camera"):
        sized_rig(rig, (352, 128))
