"""Rigs that are built otherwise: input cameras turned, zoomed and shifted, images with them.

A model that knows one rig fails on others by a few degrees of pitch or yaw ("Towards Viewpoint
Robustness in Bird's Eye View Segmentation", Klinghoffer et al., ICCV 2023). A camera that is
turned, or has another lens, shows the same rays from the same place: its image follows from that
of the real one exactly, whatever the depths are. `ImageRemap` makes it in the same pass as the
model's input, so nothing is sampled twice; where the real camera does not look it stays black and
is not valid, as the padding of any input is. Another place of the camera cannot be had that way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field, field_validator
from scipy.spatial.transform import Rotation

from bev_perception.errors import CalibrationError
from bev_perception.evaluation.robustness.seeds import generator
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.model_input import ImageRemap, input_camera
from bev_perception.geometry.pose import pose_from_yaw
from bev_perception.model.config_sections import Count, InputSection, Section, Share

Turn = Annotated[float, Field(ge=0, le=45)]
Zoom = Annotated[float, Field(ge=0.25, le=4)]

_AS_BUILT = -1  # in place of the number of a draw
_LARGEST_NOISE = 3.0  # in standard deviations


class RigAugmentation(Section):
    """How differently the cameras of a rig are mounted; without changes exactly as they are.

    Each camera is turned by itself.

    Attributes:
        share: of the clips; the cameras of the others stay as they are.
        pitch_deg: largest turn about the camera's axis to the right, up or down.
        yaw_deg: largest turn about the vertical of the base, to the left or right.
        roll_deg: largest turn about the optical axis.
        zoom: range of the factor of the focal length, even in its logarithm; below 1 the image
            gets a black frame.
        shift_share: largest shift of the crop, as a share of the image's height, up or down.
        draws: different rigs that are made of each; tables are kept for all of them.
    """

    share: Share = 1.0
    pitch_deg: Turn = 0.0
    yaw_deg: Turn = 0.0
    roll_deg: Turn = 0.0
    zoom: tuple[Zoom, Zoom] = (1.0, 1.0)
    shift_share: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    draws: Count = 16

    @field_validator('zoom')
    @classmethod
    def _in_order(cls, zoom: tuple[float, float]) -> tuple[float, float]:
        if zoom[0] > zoom[1]:
            raise ValueError(f'must be [low, high] with low <= high, got {list(zoom)}')
        return zoom


class CalibrationNoise(Section):
    """How wrong calibrations are that a model is told: standard deviations, cut at three.

    The image stays where it is; only what the model is told of the camera's pose is wrong.

    Attributes:
        position_m: along each axis.
        turn_deg: about each axis.
    """

    position_m: Annotated[float, Field(ge=0, le=1)] = 0.0
    turn_deg: Annotated[float, Field(ge=0, le=10)] = 0.0


@dataclass(frozen=True)
class Mount:
    """How an input camera differs from that of the real camera; by default not at all.

    Attributes:
        pitch_rad: about the camera's axis to the right; positive looks up.
        yaw_rad: about the vertical of the base; positive looks to the left.
        roll_rad: about the optical axis; positive turns the camera clockwise, seen from behind.
        zoom: factor of the focal length.
        shift_share: how much lower the scene lies in the image, as a share of its height.
    """

    pitch_rad: float = 0.0
    yaw_rad: float = 0.0
    roll_rad: float = 0.0
    zoom: float = 1.0
    shift_share: float = 0.0


def draw_mount(augmentation: RigAugmentation, rng: np.random.Generator) -> Mount:
    """Returns a mount at random."""
    pitch, yaw, roll, zoom, shift = rng.uniform(-1.0, 1.0, 5).tolist()
    low, high = np.log(augmentation.zoom)
    return Mount(
        pitch_rad=float(np.deg2rad(augmentation.pitch_deg * pitch)),
        yaw_rad=float(np.deg2rad(augmentation.yaw_deg * yaw)),
        roll_rad=float(np.deg2rad(augmentation.roll_deg * roll)),
        zoom=float(np.exp(low + 0.5 * (zoom + 1.0) * (high - low))),
        shift_share=augmentation.shift_share * shift,
    )


def mounted(target: Camera, mount: Mount) -> Camera:
    """Returns an input camera as it would be if the real one were mounted differently.

    The horizon comes to lie at the row at which it lies for `target`, plus the shift: that is how
    `input_camera` crops. A camera without a horizon in view is turned about its centre.
    """
    if mount == Mount():
        return target
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler('XZ', [mount.pitch_rad, mount.roll_rad]).as_matrix()
    # About the camera's own place, not about the base's.
    upright = pose_from_yaw(0.0, 0.0, 0.0, mount.yaw_rad)[:3, :3]
    pose = target.base_T_camera @ turn
    pose[:3, :3] = upright @ pose[:3, :3]
    K = target.K.copy()
    K[:2, :2] *= mount.zoom
    turned = replace(target, K=K, base_T_camera=pose)
    was, is_now = _horizon_row(target), _horizon_row(turned)
    if was is not None and is_now is not None:
        K[1, 2] += was - is_now
    K[1, 2] += mount.shift_share * target.height
    return replace(turned, K=K)


def misplaced(camera: Camera, noise: CalibrationNoise, rng: np.random.Generator) -> Camera:
    """Returns the camera with an error in its pose; itself without noise."""
    errors = np.clip(rng.standard_normal(6), -_LARGEST_NOISE, _LARGEST_NOISE)
    if not (noise.position_m or noise.turn_deg):
        return camera
    pose = camera.base_T_camera.copy()
    turn = Rotation.from_rotvec(np.deg2rad(noise.turn_deg) * errors[:3]).as_matrix()
    pose[:3, :3] = pose[:3, :3] @ turn
    pose[:3, 3] += noise.position_m * errors[3:]
    return camera.with_pose(pose)


class RigPool:
    """Remaps of the cameras of rigs, as built and in a number of other mounts, each made once.

    A remap takes some 10 to 20 ms to make and one megabyte to keep, so that a pool of draws is
    kept for each camera instead of a new one for each clip. The draws depend on the seed and the
    camera alone: every process has the same ones, in whatever order it meets them.

    Args:
        section: input of the model.
        augmentation: how the mounts are drawn.
        seed: of the pool.
        capacity: remaps kept; those unused for longest go first.
    """

    def __init__(
        self,
        section: InputSection,
        augmentation: RigAugmentation,
        seed: int,
        capacity: int = 384,
    ) -> None:
        self._section, self._augmentation = section, augmentation
        self._seed, self._capacity = seed, capacity
        self._known: OrderedDict[tuple[bytes, int], ImageRemap | None] = OrderedDict()

    def remaps(
        self, cameras: Sequence[Camera], rng: np.random.Generator | None
    ) -> tuple[ImageRemap | None, ...]:
        """Returns a remap per camera to its input camera; None where the calibration is bad.

        A draw that turns a camera away from everything it sees leaves that camera as it is.

        Args:
            cameras: the real ones.
            rng: chooses the draw; None: as built.
        """
        draw = _AS_BUILT
        if rng is not None:
            number, turned = int(rng.integers(self._augmentation.draws)), rng.random()
            draw = number if turned < self._augmentation.share else _AS_BUILT
        return tuple(self._remap(camera, draw) for camera in cameras)

    def _remap(self, camera: Camera, draw: int) -> ImageRemap | None:
        key = camera.key(), draw
        if key not in self._known:
            try:
                self._known[key] = self._made(camera, draw)
            except CalibrationError:
                self._known[key] = None if draw == _AS_BUILT else self._remap(camera, _AS_BUILT)
        self._known.move_to_end(key)
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return self._known[key]

    def _made(self, camera: Camera, draw: int) -> ImageRemap:
        section = self._section
        target = input_camera(camera, section.width, section.height, section.horizon_share)
        if draw != _AS_BUILT:
            rng = generator('rig', self._seed, draw, camera.key().hex())
            target = mounted(target, draw_mount(self._augmentation, rng))
        return ImageRemap(camera, target)


def _horizon_row(camera: Camera) -> float | None:
    """Returns at which row the level direction below or above the optical axis lies."""
    axis = camera.base_T_camera[:3, 2]
    uv, _ = camera.project(camera.base_T_camera[:3, :3].T @ [axis[0], axis[1], 0.0])
    return float(uv[1]) if np.isfinite(uv[1]) else None
