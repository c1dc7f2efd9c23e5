"""The ideal camera that a model sees, and the one remap that makes its image."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import CalibrationError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.pose import invert, transform

FloatArray = NDArray[np.float64]
ByteArray = NDArray[np.uint8]

MAX_PINHOLE_FOV_RAD = np.deg2rad(120.0)
# No edge of a pinhole picture may lie further out, where tan(angle) runs away.
MAX_PINHOLE_EDGE_RAD = np.deg2rad(75.0)
REDUCTIONS = (8, 4, 2, 1)

_FOV_TOLERANCE_RAD = 1e-9
_SCALE_TOLERANCE = 1e-3
_OUTSIDE = -2.0
# Of a unit optical axis: below 5 degrees from the vertical "ahead" means nothing.
_MIN_LEVEL_PART = np.sin(np.deg2rad(5.0))


def input_camera(camera: Camera, width: int, height: int, horizon_share: float) -> Camera:
    """Returns the ideal camera, at the same pose, whose width x height image the model sees.

    A pinhole without distortion up to 120 degrees of horizontal field of view, an equidistant
    camera without distortion (distance from the centre = focal length * angle) beyond. Pixels are
    square; the field of view of the source along the row of its principal point fills the width.
    Surplus height is cropped so that the horizon comes to lie at `horizon_share` (0..1) of the
    height, as far as the source reaches; so cameras of any tilt and lens look at the same part of
    the world. A camera that looks straight up or down has no horizon and keeps its middle.
    Missing height is padded, half of it at the top.

    Raises:
        CalibrationError: no pixel on that row or column has a viewing direction.
    """
    left, right = _edge_angles(camera, 0)
    top, bottom = _edge_angles(camera, 1)
    pinhole = right - left <= MAX_PINHOLE_FOV_RAD + _FOV_TOLERANCE_RAD
    pinhole &= max(map(abs, (left, right, top, bottom))) <= MAX_PINHOLE_EDGE_RAD
    if pinhole:
        left, right, top, bottom = np.tan((left, right, top, bottom))
    focal = width / (right - left)
    horizon = _horizon_angle(camera)
    if horizon is None:
        first_row = focal * (top + bottom) / 2 - height / 2
    else:
        horizon = np.clip(horizon, -MAX_PINHOLE_EDGE_RAD, MAX_PINHOLE_EDGE_RAD)
        first_row = focal * (np.tan(horizon) if pinhole else horizon) - horizon_share * height
    surplus = focal * (bottom - top) - height
    if surplus >= 0:
        first_row = np.clip(first_row, focal * top, focal * top + surplus)
    else:
        first_row = focal * top + surplus / 2
    center_u = -0.5 - focal * left
    center_v = -0.5 - first_row
    return replace(
        camera,
        width=width,
        height=height,
        K=np.array([[focal, 0.0, center_u], [0.0, focal, center_v], [0.0, 0.0, 1.0]]),
        distortion=Distortion('none') if pinhole else Distortion('equidistant', (0.0,) * 4),
    )


def _horizon_angle(camera: Camera) -> float | None:
    """Returns how far below the optical axis (rad) the level direction lies; None: nowhere."""
    axis = camera.base_T_camera[:3, 2]
    level = np.array([axis[0], axis[1], 0.0])
    if np.linalg.norm(level) < _MIN_LEVEL_PART:
        return None
    ray = camera.base_T_camera[:3, :3].T @ level
    return float(np.arctan2(ray[1], ray[2]))


def _edge_angles(camera: Camera, axis: int) -> tuple[float, float]:
    """Returns the outermost viewing angles in rad along the principal row (0) or column (1)."""
    size = np.array([camera.width, camera.height])
    center = np.clip(camera.K[:2, 2], 0.0, size - 1.0)
    uv = np.tile(center, (size[axis] + 1, 1))
    uv[:, axis] = np.arange(size[axis] + 1) - 0.5
    rays = camera.rays(uv)
    angles = np.arctan2(rays[:, axis], rays[:, 2])
    angles = angles[np.isfinite(angles)]
    if angles.size < 2:
        raise CalibrationError(
            f"camera '{camera.name}': its lens model gives no viewing direction across the "
            'image; check K and the distortion coefficients'
        )
    return float(angles.min()), float(angles.max())


class ImageRemap:
    """Undistorts, resizes and crops images of one camera to those of another in one remap.

    Both cameras stand at the same place; they may be turned against each other. Bilinear, in
    fixed point (1/32 pixel), on an image that was first averaged over blocks of
    `reduction` x `reduction` pixels, so that shrinking does not alias.

    Attributes:
        source: camera of the images as they arrive.
        target: camera of the images that come out.
        reduction: 1, 2, 4 or 8: by how much the image must be reduced before it is passed in.
        valid: bool [h, w], pixels of the target that the source sees.

    Raises:
        CalibrationError: the cameras stand apart or share no view.
    """

    def __init__(self, source: Camera, target: Camera, reduction: int | None = None) -> None:
        """Builds the table; without `reduction` the largest one that loses no detail is taken."""
        uv, valid = _source_pixels(source, target)
        self.source = source
        self.target = target
        self.reduction = _reduction(uv, valid) if reduction is None else reduction
        self.valid = valid
        self.valid.setflags(write=False)
        self._floor = (source.height // self.reduction, source.width // self.reduction)
        last = np.array([self._floor[1] - 1.0, self._floor[0] - 1.0])
        reduced = np.clip((uv + 0.5) / self.reduction - 0.5, 0.0, last)
        reduced = np.where(valid[..., None], reduced, _OUTSIDE).astype(np.float32)
        self._table = cv2.convertMaps(reduced[..., 0], reduced[..., 1], cv2.CV_16SC2)

    def __call__(self, image: ByteArray) -> ByteArray:
        """Returns uint8 [h, w, 3] from a reduced image uint8 [H / r, W / r, 3]; 0 where not valid.

        H / r and W / r may be rounded either way.
        """
        for axis, size in enumerate((self.source.height, self.source.width)):
            if not self._floor[axis] <= image.shape[axis] <= -(-size // self.reduction):
                raise ValueError(
                    f'image of shape {image.shape} is not one of camera {self.source.name!r} '
                    f'({self.source.width}x{self.source.height}) reduced by {self.reduction}'
                )
        remapped = cv2.remap(
            image, *self._table, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0
        )
        return np.asarray(remapped, dtype=np.uint8)

    def depth(self, depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns float32 [h, w] depth of the target's pixels from that of the source's [H, W].

        Both are what `Camera.rays` of a pixel must be multiplied by to reach the surface, 0 where
        unknown. Each target pixel takes the nearest source pixel: surfaces are never mixed.
        """
        pixel, longer = self._nearest
        return depth_m.ravel()[pixel] * longer

    @cached_property
    def _nearest(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Index of the source pixel nearest to each target pixel, and how much longer its ray is.

        Both [h, w]; the length is 0 where the source does not look.
        """
        source, target = self.source, self.target
        uv, _ = _source_pixels(source, target)
        last = (source.width - 1, source.height - 1)
        pixel = np.clip(np.rint(np.where(self.valid[..., None], uv, 0.0)), 0, last)
        grid = np.meshgrid(np.arange(target.width), np.arange(target.height), indexing='xy')
        longer = np.linalg.norm(source.rays(pixel), axis=-1) / np.linalg.norm(
            target.rays(np.stack(grid, axis=-1)), axis=-1
        )
        u, v = np.moveaxis(pixel.astype(np.int64), -1, 0)
        known = self.valid & np.isfinite(longer)
        return v * source.width + u, np.where(known, longer, 0.0).astype(np.float32)


def _source_pixels(source: Camera, target: Camera) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Returns (uv [h, w, 2] in the source of every target pixel, inside the source [h, w])."""
    source_T_target = invert(source.base_T_camera) @ target.base_T_camera
    if np.abs(source_T_target[:3, 3]).max() > 1e-6:
        raise CalibrationError(
            f"cameras '{source.name}' and '{target.name}' stand apart: no remap fits all depths"
        )
    grid = np.meshgrid(np.arange(target.width), np.arange(target.height), indexing='xy')
    rays = target.rays(np.stack(grid, axis=-1))
    uv, valid = source.project(transform(source_T_target, rays))
    if not valid.any():
        raise CalibrationError(
            f"camera '{source.name}': none of its pixels falls into the {target.width}x"
            f'{target.height} input of the model; check its calibration'
        )
    return uv, valid


def _reduction(uv: FloatArray, valid: NDArray[np.bool_]) -> int:
    """Returns the largest reduction that stays within the typical step between source pixels."""
    uv = np.where(valid[..., None], uv, np.nan)
    steps = [np.linalg.norm(np.diff(uv, axis=axis), axis=-1) for axis in (0, 1)]
    steps = [step[np.isfinite(step)] for step in steps]
    step = min((float(np.median(step)) for step in steps if step.size), default=1.0)
    return next((r for r in REDUCTIONS if r <= step * (1.0 + _SCALE_TOLERANCE)), 1)


class InputRemaps:
    """The remap to the model's input per camera, kept while calibrations stay the same.

    Args:
        width: of the model's input, pixels.
        height: likewise.
        horizon_share: see `input_camera`.
        capacity: remaps kept; those unused for longest go first.
    """

    def __init__(self, width: int, height: int, horizon_share: float, capacity: int = 64) -> None:
        self._size = width, height
        self._horizon_share = horizon_share
        self._capacity = capacity
        self._known: OrderedDict[bytes, ImageRemap] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, camera: Camera) -> ImageRemap:
        """Returns the remap from `camera` to `input_camera(camera)`; safe in several threads.

        Raises:
            CalibrationError: the camera cannot be remapped.
        """
        key = camera.key()
        with self._lock:
            remap = self._known.get(key)
        if remap is None:
            remap = ImageRemap(camera, input_camera(camera, *self._size, self._horizon_share))
        with self._lock:
            self._known[key] = remap
            self._known.move_to_end(key)
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)
        return remap
