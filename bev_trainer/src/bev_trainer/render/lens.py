"""Lenses: which ideal views a distorted camera needs, and how its picture is put together.

A camera without distortion is its own view. A moderate lens needs one wider pinhole view, a
fisheye the faces of a cube, each only as large as the lens looks at it and as fine as its finest
pixel. The picture is then a fixed table: per pixel the place in the atlas its ray goes through.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera
from bev_trainer.render.views import View

FloatArray = NDArray[np.float64]

_WIDEST_SINGLE_TANGENT = 1.9  # of a ray to its view's axis; beyond, a cube is cheaper
_MARGIN_PX = 2.0  # around what the lens looks at, for bilinear interpolation
_MAX_FACE_PX = 8192
_SHARP_SHARE = 0.8  # of the pixels; the rest, where the lens is finest, shares texels

# Optical frames of cube faces in the camera's: columns x, y, z.
_FORWARD = np.eye(3)
_RIGHT = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], float)
_LEFT = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], float)
_DOWN = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
_UP = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float)
_BACK = np.array([[-1, 0, 0], [0, 1, 0], [0, 0, -1]], float)
_CUBE = (_FORWARD, _RIGHT, _LEFT, _DOWN, _UP, _BACK)


@dataclass(frozen=True, eq=False)
class Lens:
    """The views of one camera and the way back from them.

    Attributes:
        camera: of the rig.
        views: not yet placed in an atlas.
        face: int8 [H, W] index of the view that a pixel's ray goes through; -1: no ray. Empty if
            the only view is the picture itself.
        rays: float32 [H, W, 3] of `Camera.rays`; 0 where there is no ray. Empty likewise.
    """

    camera: Camera
    views: tuple[View, ...]
    face: NDArray[np.int8]
    rays: NDArray[np.float32]

    @property
    def is_direct(self) -> bool:
        """Whether the only view is the picture itself."""
        return self.camera.distortion.is_pinhole


@lru_cache(maxsize=16)
def lens_of(camera: Camera, index: int) -> Lens:
    """Returns the views that a camera, number `index` of its rig, is drawn from."""
    if camera.distortion.is_pinhole:
        view = View(index, np.eye(3), np.array(camera.K), camera.width, camera.height)
        return Lens(camera, (view,), np.zeros((0, 0), np.int8), np.zeros((0, 0, 3), 'f4'))
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = camera.rays(np.stack([columns, rows], axis=-1))
    seen = np.asarray(np.isfinite(rays).all(axis=-1), bool)
    rays = np.where(seen[..., None], rays, 0.0)
    frames = (_FORWARD,) if _fits_one_view(rays, seen) else _CUBE
    nearest = np.argmax(np.stack([rays @ frame[:, 2] for frame in frames]), axis=0)
    face = np.where(seen, nearest, -1).astype(np.int8)
    density = _pixels_per_rad(rays, seen)
    used = [i for i in range(len(frames)) if (face == i).any()]
    views = tuple(
        _view(index, frames[i], rays[face == i] @ frames[i], density[face == i]) for i in used
    )
    renumbered = np.full(len(frames) + 1, -1, np.int8)
    renumbered[used] = np.arange(len(used), dtype=np.int8)
    return Lens(camera, views, renumbered[face], rays.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Composition:
    """Table from the pixels of one picture to places in the atlas, at `scale` times its size.

    Attributes:
        nearest: int64 [H, W] flat indices of atlas pixels, for labels.
        map_xy: int16 [H, W, 2], as of `cv2.convertMaps`.
        map_weights: uint16 [H, W].
        depth_scale: float32 [H, W]: the atlas' depth along a view's axis times this is what
            `Camera.rays` must be multiplied by.
        blank: [H, W] whether a pixel has no ray.
    """

    nearest: NDArray[np.int64]
    map_xy: NDArray[np.int16]
    map_weights: NDArray[np.uint16]
    depth_scale: NDArray[np.float32]
    blank: NDArray[np.bool_]


def composition(lens: Lens, placed: tuple[View, ...], atlas_width: int) -> Composition:
    """Returns the table of a lens whose views were placed in an atlas of this width."""
    x, y = (np.zeros(lens.face.shape) for _ in range(2))
    scale = np.ones(lens.face.shape, np.float32)
    nearest = np.zeros(lens.face.shape, np.int64)
    for number, view in enumerate(placed):
        mine = lens.face == number
        local = lens.rays[mine] @ view.camera_R_view
        uv = (local / local[:, 2:]) @ view.K[:2].T
        x[mine], y[mine] = uv[:, 0] + view.x, uv[:, 1] + view.y
        scale[mine] = 1.0 / local[:, 2]
        column, row = np.clip(np.rint(uv), 0, (view.width - 1, view.height - 1)).astype(int).T
        nearest[mine] = (row + view.y) * atlas_width + column + view.x
    xy, weights = cv2.convertMaps(x.astype(np.float32), y.astype(np.float32), cv2.CV_16SC2)
    blank = np.asarray(lens.face < 0)
    return Composition(
        nearest, np.asarray(xy, np.int16), np.asarray(weights, np.uint16), scale, blank
    )


def _fits_one_view(rays: FloatArray, seen: NDArray[np.bool_]) -> bool:
    z = rays[seen][:, 2]
    widest = np.abs(rays[seen][:, :2]).max(axis=1)
    return bool((z > 0).all() and (widest < _WIDEST_SINGLE_TANGENT * z).all())


def _pixels_per_rad(rays: FloatArray, seen: NDArray[np.bool_]) -> FloatArray:
    """Returns [H, W]: how finely the lens resolves directions around each pixel; 0 unseen."""
    units = rays / np.maximum(np.linalg.norm(rays, axis=-1, keepdims=True), 1e-12)
    density = np.zeros(seen.shape)
    for axis in (0, 1):
        steps = np.linalg.norm(np.diff(units, axis=axis), axis=-1)
        both = np.take(seen, range(1, seen.shape[axis]), axis) & np.delete(seen, -1, axis)
        finest = np.where(both, 1.0 / np.maximum(steps, 1e-12), 0.0)
        edge = [(0, 0), (0, 0)]
        for side in ((1, 0), (0, 1)):
            edge[axis] = side
            np.maximum(density, np.pad(finest, edge), out=density)
    return density


def _view(index: int, frame: FloatArray, rays: FloatArray, density: FloatArray) -> View:
    """Returns the smallest view that holds rays [n, 3] (its own frame) and loses little detail."""
    xy = rays[:, :2] / rays[:, 2:]
    # A pinhole of focal length f resolves f / cos(angle) pixels per rad across, more along.
    cosine = rays[:, 2] / np.linalg.norm(rays, axis=1)
    focal = float(np.quantile(density * cosine, _SHARP_SHARE))
    low = np.floor(xy.min(axis=0) * focal - _MARGIN_PX)
    size = np.ceil(xy.max(axis=0) * focal + _MARGIN_PX) - low + 1
    width, height = (int(min(value, _MAX_FACE_PX)) for value in size)
    K = np.array([[focal, 0.0, -low[0]], [0.0, focal, -low[1]], [0.0, 0.0, 1.0]])
    return View(index, frame, K, width, height)
