"""Mirrored clips against labels, cameras and ego poses that were mirrored before their use."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from bev_trainer.augment.mirror import (
    MIRRORED,
    mirrored_camera,
    mirrored_clip,
    mirrored_motion,
    mirrored_targets,
    require_mirrorable,
)
from bev_trainer.data.clip import Clip
from bev_trainer.data.drive_clips import DriveClips
from bev_trainer.data.drive_labels import DriveFrame
from bev_trainer.dataset.reader import Drive
from bev_trainer.targets.frame import FrameTargets, frame_targets
from bev_trainer.targets.labels import FrameLabels, ObjectLabels
from bev_trainer.targets.views import view_targets
from numpy.typing import NDArray
from support.drives import SmallDrive
from support.sample_drive.rig import LENSES, make_camera
from support.tiny_model import tiny_config

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.model_input import ImageRemap, input_camera
from bev_perception.geometry.pose import pose_from_yaw
from bev_perception.model.config_sections import FEATURE_STRIDE
from bev_perception.model.memory import MemoryFrames, MemoryKind
from bev_perception.model.parts import create_view_transform

CONFIG = tiny_config()
SWAP = np.array([1.0, -1.0])


@pytest.fixture(scope='module')
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    path = SmallDrive().write(tmp_path_factory.mktemp('drive'))
    with Drive(path) as found:
        yield found


class SeenInMirror:
    """The labels of somebody who looks at the scene in a mirror."""

    def __init__(self, labels: FrameLabels) -> None:
        self._labels = labels

    def objects(self, times_s: tuple[float, ...]) -> ObjectLabels:
        one = self._labels.objects(times_s)
        return dataclasses.replace(
            one,
            center_m=one.center_m * [1.0, -1.0, 1.0],
            yaw_rad=-one.yaw_rad,
            velocity_mps=one.velocity_mps * SWAP,
            path_m=one.path_m * SWAP,
            path_yaw_rad=-one.path_yaw_rad,
        )

    def layer(self, name: str, grid: BevGrid) -> NDArray[np.int8] | None:
        found = self._labels.layer(name, grid)
        return None if found is None else found[::-1]

    def obstacles(self, grid: BevGrid) -> NDArray[np.int8] | None:
        found = self._labels.obstacles(grid)
        return None if found is None else found[::-1]

    def observed(self, grid: BevGrid) -> NDArray[np.bool_]:
        return self._labels.observed(grid)[::-1]

    def depth_m(self, camera: int) -> NDArray[np.float32] | None:
        found = self._labels.depth_m(camera)
        return None if found is None else found[:, ::-1]


def same(one: FrameTargets, other: FrameTargets) -> None:
    for item in dataclasses.fields(FrameTargets):
        first, second = getattr(one, item.name), getattr(other, item.name)
        assert (first is None) == (second is None), item.name
        if first is not None:
            assert first.dtype == second.dtype and first.shape == second.shape, item.name
            np.testing.assert_allclose(
                first.numpy(), second.numpy(), atol=2e-5, rtol=0, err_msg=item.name
            )


def with_views(targets: FrameTargets, labels: FrameLabels, cameras: list[Camera]) -> FrameTargets:
    assert CONFIG.heads.objects is not None
    classes, size = CONFIG.heads.objects.classes, CONFIG.feature_size()
    found = view_targets(labels.objects((0.0,)), cameras, classes, size, FEATURE_STRIDE)
    heatmap, boxes = (torch.from_numpy(array)[None] for array in found)
    return dataclasses.replace(targets, view_heatmap=heatmap, view_boxes=boxes)


def test_every_target_is_that_of_the_mirrored_labels(drive: Drive) -> None:
    # At frame 0 road users stand on the edges of cells, which belong to one side.
    labels = DriveFrame(drive, 5, min_pixels=3)
    bins = np.random.default_rng(0).integers(-1, 16, (3, 6, 8)).astype(np.int16)
    targets = frame_targets(labels, CONFIG, bins)
    wanted = frame_targets(SeenInMirror(labels), CONFIG, np.ascontiguousarray(bins[..., ::-1]))
    shape = CONFIG.input.width, CONFIG.input.height
    cameras = [input_camera(camera, *shape, 0.4) for camera in drive.cameras]
    targets = with_views(targets, labels, cameras)
    wanted = with_views(wanted, SeenInMirror(labels), [mirrored_camera(c) for c in cameras])
    found = mirrored_targets(targets)
    same(found, wanted)
    # The scene tells left from right in every target.
    for name in set(MIRRORED) - {'path_valid'}:
        before, after = getattr(targets, name), getattr(found, name)
        assert before is not None, name
        assert not torch.equal(before.nan_to_num(-7.0), after.nan_to_num(-7.0)), name
    same(mirrored_targets(found), targets)


def test_every_target_there_is_can_be_mirrored() -> None:
    assert set(MIRRORED) == {item.name for item in dataclasses.fields(FrameTargets)}


def odd_cameras() -> list[Camera]:
    lenses = dict(LENSES, strong=Distortion('plumb_bob', (-0.2, 0.05, 0.01, -0.02, 0.0)))
    made = []
    for index, (name, lens) in enumerate(lenses.items()):
        one = make_camera(
            name, 320, 200, 'none', 70.0, (1.0, 0.3 * index, 1.5), 20.0 + 50.0 * index, 6.0
        )
        K = one.K.copy()
        K[0, 1], K[0, 2] = 3.0, K[0, 2] + 11.3
        made.append(dataclasses.replace(one, K=K, distortion=lens))
    return made


@pytest.mark.parametrize('camera', odd_cameras(), ids=lambda one: one.name)
def test_mirrored_points_fall_on_mirrored_pixels(camera: Camera) -> None:
    mirrored = mirrored_camera(camera)
    points = np.random.default_rng(2).uniform([-30, -30, -1], [30, 30, 4], (3000, 3))
    uv, inside = camera.project_base(points)
    found, also_inside = mirrored.project_base(points * [1.0, -1.0, 1.0])
    assert inside.sum() > 100
    np.testing.assert_array_equal(np.isfinite(uv), np.isfinite(found))
    seen = np.isfinite(uv[:, 0])
    np.testing.assert_allclose(found[seen, 0], camera.width - 1 - uv[seen, 0], atol=1e-6)
    np.testing.assert_allclose(found[seen, 1], uv[seen, 1], atol=1e-6)
    np.testing.assert_array_equal(inside, also_inside)
    back = mirrored_camera(mirrored)
    np.testing.assert_allclose(back.K, camera.K, atol=1e-9)
    np.testing.assert_array_equal(back.base_T_camera, camera.base_T_camera)
    assert back.distortion == camera.distortion


@pytest.mark.parametrize('camera', odd_cameras(), ids=lambda one: one.name)
def test_the_input_of_the_mirrored_camera_is_the_mirrored_input(camera: Camera) -> None:
    target = input_camera(camera, 96, 48, 0.4)
    image = np.random.default_rng(3).integers(0, 256, (200, 320, 3), np.uint8)
    image = np.repeat(np.repeat(image[::20, ::20], 20, axis=0), 20, axis=1)
    one = ImageRemap(camera, target, reduction=1)
    other = ImageRemap(mirrored_camera(camera), mirrored_camera(target), reduction=1)
    away = np.abs(
        one(image)[:, ::-1].astype(int) - other(np.ascontiguousarray(image[:, ::-1]))
    ).max(axis=-1)
    assert (away <= 12).mean() > 0.97  # sampled at 1/32 of a pixel
    assert (one.valid[:, ::-1] == other.valid).mean() > 0.999


@pytest.mark.parametrize('kind', ['recurrent', 'ring'])
def test_motion_is_that_of_mirrored_ego_poses(kind: MemoryKind) -> None:
    grid = CONFIG.bev_grid()
    tracks = [MemoryFrames(kind, 1 if kind == 'recurrent' else 3, grid, 2.0) for _ in range(2)]
    flip, pose, moved = np.diag([1.0, -1.0, 1.0, 1.0]), np.eye(4), 0
    rng = np.random.default_rng(1)
    for step in range(30):
        pose = pose @ pose_from_yaw(rng.uniform(0, 4), rng.uniform(-1, 1), 0, rng.uniform(0, 0.1))
        stamp_ns = step * 500_000_000
        motion = tracks[0].step(stamp_ns, pose)
        wanted = tracks[1].step(stamp_ns, flip @ pose @ flip)
        found = mirrored_motion(motion)
        for name in ('read', 'move', 'write', 'gap_s', 'keep'):
            np.testing.assert_allclose(
                getattr(found, name).numpy(), getattr(wanted, name).numpy(), atol=2e-5
            )
        moved += not torch.equal(found.read, motion.read)
    assert moved > 20


def clip_of(drive: Drive) -> tuple[Clip, DriveClips]:
    maker = DriveClips(CONFIG, create_view_transform(CONFIG), cameras=4, min_pixels=3, views=True)
    return maker.clip(drive, [0, 3, 5]), maker


def test_a_clip_mirrored_twice_is_the_clip(drive: Drive) -> None:
    clip, _ = clip_of(drive)
    once = mirrored_clip(clip, clip.matrices)
    twice = mirrored_clip(once, clip.matrices)
    for frame, first, second in zip(clip.frames, once.frames, twice.frames, strict=True):
        assert torch.equal(second.images, frame.images)
        assert torch.equal(first.images, frame.images.flip(-1))
        assert not torch.equal(first.images, frame.images)
        assert torch.equal(first.camera_mask, frame.camera_mask)
        assert first.images.stride() == frame.images.stride()
        assert frame.motion is not None and second.motion is not None
        for item in dataclasses.fields(frame.motion):
            assert torch.equal(getattr(second.motion, item.name), getattr(frame.motion, item.name))
        assert (frame.targets is None) == (second.targets is None)
        if frame.targets is not None and second.targets is not None:
            for item in dataclasses.fields(FrameTargets):
                value, back = getattr(frame.targets, item.name), getattr(second.targets, item.name)
                np.testing.assert_array_equal(back.numpy(), value.numpy(), err_msg=item.name)
    assert sum(frame.targets is not None for frame in once.frames) == 2


def test_mirrored_features_are_lifted_to_the_mirrored_place(drive: Drive) -> None:
    transform = create_view_transform(CONFIG)
    height, width = CONFIG.feature_size()
    size = CONFIG.input.width, CONFIG.input.height
    targets = [input_camera(camera, *size, 0.4) for camera in drive.cameras]
    rng = torch.Generator().manual_seed(0)
    blocks = torch.rand(3, height, width, generator=rng) < 0.8
    valid = [
        np.kron(block.numpy(), np.ones((FEATURE_STRIDE, FEATURE_STRIDE), bool)) for block in blocks
    ]
    context = torch.rand(1, 3, transform.context_channels, height, width, generator=rng)
    assert CONFIG.depth is not None
    depth = torch.rand(1, 3, CONFIG.depth.bins, height, width, generator=rng).softmax(dim=2)
    mask = torch.ones(1, 3, dtype=torch.bool)
    matrices = transform.build(targets, valid)
    mirrored = transform.build(
        [mirrored_camera(target) for target in targets],
        [np.ascontiguousarray(one[:, ::-1]) for one in valid],
    )
    with torch.no_grad():
        bev = transform(context, depth, mask, matrices)
        found = transform(context.flip(-1), depth.flip(-1), mask, mirrored)
    assert bev.abs().sum() > 0 and not torch.allclose(bev, bev.flip(-2), atol=1e-3)
    np.testing.assert_allclose(found.numpy(), bev.flip(-2).numpy(), atol=1e-4)
    assert torch.equal(mirrored.reached, matrices.reached.flip(-2))


def test_grids_that_look_farther_to_one_side_are_refused() -> None:
    require_mirrorable(CONFIG)
    data = CONFIG.model_dump()
    data['heads']['objects']['grid'] |= {'y_m': (-12.0, 10.0)}
    with pytest.raises(ConfigError, match=r'heads\.objects\.grid reaches from -12 to 10 m'):
        require_mirrorable(type(CONFIG).model_validate(data))
    data = CONFIG.model_dump()
    data['grid'] |= {'y_m': (-14.0, 12.0)}
    with pytest.raises(ConfigError, match='grid reaches'):
        require_mirrorable(type(CONFIG).model_validate(data))
