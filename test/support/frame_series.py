"""Frame sets in memory: every image its own, every pose known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from bev_perception.frame import CameraSample, CameraState, FrameSet
from bev_perception.geometry.pose import pose_from_yaw
from bev_perception.inputs.image import CameraImage
from support.level_camera import level_camera

S = 1_000_000_000
START_NS = 1000 * S
CAMERAS = ('front', 'left', 'rear')
HEADINGS_DEG = {'front': 0.0, 'left': 90.0, 'rear': 180.0}
RIG = {
    name: replace(level_camera(64, 48, 40.0, yaw, position_m=(1.0, 0.2, 1.5)), name=name)
    for name, yaw in HEADINGS_DEG.items()
}


def picture(camera: str, index: int) -> CameraImage:
    """Returns a random raw image that belongs to a camera and an instant."""
    rng = np.random.default_rng([CAMERAS.index(camera), index])
    return CameraImage(rng.integers(0, 256, 64 * 48 * 3, np.uint8), 'rgb8', 64, 48, 192, False)


def frame_at(index: int, stamp_ns: int, epoch: int = 0) -> FrameSet:
    """Returns a set of three cameras on a vehicle in a bend; cameras fire 5 ms apart."""
    samples = tuple(
        CameraSample(
            name, CameraState.USED, '', stamp_ns + 5_000_000 * place, picture(name, index),
            RIG[name],
        )
        for place, name in enumerate(CAMERAS)
    )  # fmt: skip
    pose = pose_from_yaw(100.0 + 0.8 * index, 50.0 - 0.01 * index**2, 0.3, 0.02 * index)
    return FrameSet(stamp_ns, 'base_link', samples, epoch, pose, stamp_ns + 12_000_000, 0.012)


def series(count: int, period_s: float = 0.1, epoch: int = 0) -> Iterator[FrameSet]:
    """Yields frame sets, made one at a time."""
    for index in range(count):
        yield frame_at(index, START_NS + round(index * period_s * S), epoch)


def without(frame: FrameSet, camera: str) -> FrameSet:
    """Returns the set with a camera that could not be decoded from the start."""
    samples = tuple(
        CameraSample(s.name, CameraState.MISSING, 'no image for 3.00 s', 7) if s.name == camera
        else s for s in frame.samples
    )  # fmt: skip
    return replace(frame, samples=samples)


def sample_of(frame: FrameSet, camera: str) -> CameraSample:
    """Returns the sample of a camera."""
    (found,) = (s for s in frame.samples if s.name == camera)
    return found


def assert_untouched(
    clean: FrameSet,
    changed: FrameSet,
    cameras: Sequence[str] = (),
    fields: Sequence[str] = (),
) -> None:
    """Checks that nothing but samples of `cameras` and `fields` of the set differs."""
    assert [s.name for s in changed.samples] == list(CAMERAS)
    for name in ('stamp_ns', 'base_frame', 'epoch', 'last_arrival_ns', 'wait_s'):
        if name not in fields:
            assert getattr(changed, name) == getattr(clean, name), name
    if 'odom_T_base' not in fields:
        assert changed.odom_T_base is clean.odom_T_base
    for old, new in zip(clean.samples, changed.samples, strict=True):
        assert old is new or old.name in cameras
