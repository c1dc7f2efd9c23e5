"""The live node over DDS and the offline replay give the same frames of the same bag."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.sample_drive.bag import SampleDrive
from support.sample_drive.rig import SampleCamera, camera_ring

from bev_perception.cli.main import main as bev
from bev_perception.frame import BevFrame, CameraState, occupancy_to_int8
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.result_bag import frames_from_bag
from bev_perception.replay.results import decode_grid

pytestmark = pytest.mark.system


def demo(built, bag, out, model):
    """Runs the demo's own code; returns the frames that the node published."""
    from bev_perception.ros.demo import main

    assert main([str(bag), '-o', str(out), '--model', str(model)]) == 0
    with BagReader(out / 'result_bag') as reader:
        return list(frames_from_bag(reader))


def replay(bag, rig, out, model):
    """Runs `bev replay` with the demo's rig; returns its frames by stamp."""
    arguments = ['replay', str(bag), '--rig', str(rig), '-o', str(out), '--model', str(model)]
    assert bev([*arguments, '--pictures']) == 0
    content = json.loads((out / 'results.json').read_text())
    return {frame['stamp_ns']: frame for frame in content['frames']}


def assert_same(live: BevFrame, offline: dict) -> None:
    """Objects to float32, grids to the last per cent, cameras exactly."""
    assert live.frame_id == offline['frame_id']
    assert live.occupancy is not None and live.future_occupancy is not None
    assert live.objects is not None
    cells = occupancy_to_int8(live.occupancy, live.observed)
    np.testing.assert_array_equal(cells, decode_grid(offline['grids']['occupancy']))
    for ahead, encoded in zip(
        live.future_occupancy, offline['grids']['future_occupancy'], strict=True
    ):
        np.testing.assert_array_equal(
            occupancy_to_int8(ahead, live.observed), decode_grid(encoded)
        )
    assert len(live.objects) == len(offline['objects'])
    for mine, other in zip(live.objects, offline['objects'], strict=True):
        assert mine.object_id.hex() == other['object_id']
        assert mine.age_frames == other['age_frames']
        assert [c.name for c in mine.classes] == [c['name'] for c in other['classes']]
        assert mine.velocity_mps is not None
        numbers = [*mine.center_m, *mine.size_m, *mine.velocity_mps, mine.existence_probability]
        expected = [
            *other['center_m'],
            *other['size_m'],
            *other['velocity_mps'],
            other['existence_probability'],
        ]
        np.testing.assert_allclose(numbers, expected, rtol=1e-6, atol=1e-6)
        assert abs(np.exp(1j * mine.yaw_rad) - np.exp(1j * other['yaw_rad'])) < 1e-9
        for path, other_path in zip(mine.trajectories, other['trajectories'], strict=True):
            np.testing.assert_allclose(
                path.positions_m, other_path['positions_m'], rtol=1e-6, atol=1e-6
            )
            assert path.probability == pytest.approx(other_path['probability'], rel=1e-6)
    assert [c.name for c in live.cameras] == [c['name'] for c in offline['cameras']]


def compare(live: list[BevFrame], offline: dict, expected: int, cameras: int) -> None:
    """Every frame that rests on all cameras in both must be the same; nearly all do."""
    whole = [
        frame
        for frame in live
        if frame.stamp_ns in offline and all(c.state is CameraState.USED for c in frame.cameras)
    ]
    assert len(offline) == expected
    assert all(len(frame['cameras']) == cameras for frame in offline.values())
    assert len(whole) == expected, [[c.state.name for c in f.cameras] for f in live]
    for frame in whole:
        assert_same(frame, offline[frame.stamp_ns])


def test_sample_drive(built, tiny_model, tmp_path):
    """Mixed lenses, staggered triggers, raw and compressed images, moving ego vehicle."""
    ring = camera_ring(
        4, 96, 72, ('plumb_bob', 'equidistant', 'none', 'rational_polynomial'), hfov_deg=100.0
    )
    encodings = ('jpeg', 'bgr8', 'mono8', 'bayer_rggb8')
    cameras = tuple(
        SampleCamera(camera, encoding, 0.004 * i)
        for i, (camera, encoding) in enumerate(zip(ring, encodings, strict=True))
    )
    bag = tmp_path / 'drive'
    SampleDrive(cameras, duration_s=4.0, rate_hz=2.0).write(bag)
    out = tmp_path / 'demo'
    live = demo(built, bag, out, tiny_model)
    offline = replay(bag, out / 'rig.yaml', tmp_path / 'replay', tiny_model)
    compare(live, offline, expected=8, cameras=4)
    assert any(frame.objects for frame in live)
    pictures = sorted(p.name for p in (out / 'frames').iterdir())
    assert pictures == sorted(f'{frame.stamp_ns}.png' for frame in live)
    assert pictures == sorted(p.name for p in (tmp_path / 'replay' / 'frames').iterdir())
    summary = json.loads((out / 'summary.json').read_text())
    assert (summary['sets_in'], summary['frames_out'], summary['dropped']) == (8, 8, 0)


@pytest.mark.parametrize(('name', 'frames'), [('dgp_scene_02', 3), ('nuscenes_frame', 1)])
def test_real_recordings(built, tiny_model, real_data, tmp_path, name, frames):
    """Two rigs, nothing written for either but what the rig command produces."""
    bag = real_data / name
    live = demo(built, bag, tmp_path / 'demo', tiny_model)
    offline = replay(bag, tmp_path / 'demo' / 'rig.yaml', tmp_path / 'replay', tiny_model)
    compare(live, offline, expected=frames, cameras=6)
