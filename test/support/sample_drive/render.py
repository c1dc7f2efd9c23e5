"""Pictures of the sample street: one exact ray per pixel, through the real lens model."""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray
from support.sample_drive.paint import (
    HIGHEST_TREE_RAD,
    ground_color,
    plant_trees,
    road_user_color,
    sky_color,
)
from support.sample_drive.world import RoadUser, SampleWorld

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import invert, yaw_of

FloatArray = NDArray[np.floating]
Matrix = NDArray[np.float64]
Window = tuple[slice, slice]

_FARTHEST_GROUND_M = 500.0
_FARTHEST_USER_M = 160.0
_FARTHEST_SHADOW_M = 60.0
_BLOCK_PX = 8
_SHADOW_REACH_M = 0.4
_SHADOW_STRENGTH = 0.5


class SampleRenderer:
    """One camera in the sample street; what depends on the camera alone is computed once.

    Arrays are planar, one contiguous float32 [H, W] per coordinate or colour.
    """

    def __init__(self, world: SampleWorld, camera: Camera) -> None:
        self._world = world
        self._eye = camera.base_T_camera[:3, 3]
        u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        rays = camera.rays(np.stack([u, v], axis=-1)) @ camera.base_T_camera[:3, :3].T
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        axes, angles = _bounding_cones(rays)
        self._block_shape = angles.shape
        self._block_axes = axes.reshape(-1, 3)
        self._block_cos, self._block_sin = np.cos(angles).ravel(), np.sin(angles).ravel()
        self._rays = _planar(rays)
        self._prepare_ground(rays)
        self._prepare_sky()

    def render(self, time_s: float) -> NDArray[np.uint8]:
        """Returns uint8 [H, W, 3] RGB at that time; pixels without a viewing ray are black."""
        odom_T_base = self._world.ego_pose(time_s)
        image = self._open_sky.copy()
        self._paint_background(image.reshape(3, -1), odom_T_base)
        depth = self._ground_depth.copy()
        placed = self._road_users(odom_T_base, time_s)
        for user, base_T_user in placed:
            self._cast_shadow(image, user, base_T_user)
        for user, base_T_user in placed:
            self._paint_road_user(image, depth, user, base_T_user)
        pixels = np.clip(np.rint(image), 0.0, 255.0).astype(np.uint8)
        return np.ascontiguousarray(np.moveaxis(pixels, 0, -1))

    def _road_users(self, odom_T_base: Matrix, time_s: float) -> list[tuple[RoadUser, Matrix]]:
        """Returns the road users near enough to be drawn with base_T_user [4, 4] of each."""
        base_T_odom, road = invert(odom_T_base), self._world.road
        placed = [(user, base_T_odom @ user.pose(road, time_s)) for user in self._world.road_users]
        return [
            (user, pose)
            for user, pose in placed
            if math.hypot(pose[0, 3], pose[1, 3]) < _FARTHEST_USER_M
        ]

    def _prepare_ground(self, rays: Matrix) -> None:
        """Finds where every ray meets the ground, and how much ground one pixel spans there."""
        with np.errstate(divide='ignore', invalid='ignore'):
            reach = np.where(rays[..., 2] < 0.0, -self._eye[2] / rays[..., 2], np.inf)
        reach[reach > _FARTHEST_GROUND_M] = np.inf
        meets = np.isfinite(reach)
        self._ground_depth = np.where(meets, reach, np.inf).astype(np.float32)
        points = self._eye[:2] + np.where(meets, reach, np.nan)[..., None] * rays[..., :2]
        self._ground_xy = _planar(points)
        steps = [np.abs(np.gradient(points, axis=axis)) for axis in (0, 1)]
        spans = np.nan_to_num(steps[0] + steps[1], nan=_FARTHEST_GROUND_M)
        self._paved = np.flatnonzero(meets)
        self._paved_xy = self._ground_xy[:, meets]
        self._paved_spans = _planar(np.maximum(spans, 1e-3))[:, meets]
        self._paved_depth = self._ground_depth[meets]

    def _prepare_sky(self) -> None:
        """Paints what never changes, and finds the rays low enough to meet trees."""
        sky = ~np.isfinite(self._ground_depth) & np.isfinite(self._rays[2])
        self._open_sky = np.zeros(self._rays.shape, np.float32)
        self._open_sky[:, sky] = sky_color(self._rays[:, sky])
        self._rim = np.flatnonzero(sky & (self._rays[2] < math.sin(HIGHEST_TREE_RAD)))
        self._rim_rays = self._rays.reshape(3, -1)[:, self._rim]

    def _paint_background(self, pixels: FloatArray, odom_T_base: Matrix) -> None:
        """Paints ground and trees into pixels [3, H * W] that hold the open sky."""
        for channel, color in zip(pixels, self._paint_ground(odom_T_base), strict=True):
            channel[self._paved] = color
        rim = pixels[:, self._rim]
        plant_trees(rim, self._rim_rays, yaw_of(odom_T_base))
        pixels[:, self._rim] = rim

    def _paint_ground(self, odom_T_base: Matrix) -> FloatArray:
        """Returns [3, n] colours of the ground pixels."""
        road_T_base = (invert(self._world.road.start) @ odom_T_base).astype(np.float32)
        x, y = road_T_base[:2, :2] @ self._paved_xy + road_T_base[:2, 3:]
        s, d = self._world.road.coordinates(x, y)
        return ground_color(s, d, self._paved_spans, self._paved_depth)

    def _cast_shadow(self, image: FloatArray, user: RoadUser, base_T_user: Matrix) -> None:
        """Darkens the ground under and close around a road user."""
        x, y = base_T_user[:2, 3].tolist()
        if math.hypot(x, y) > _FARTHEST_SHADOW_M:
            return
        half_x, half_y = user.size_m[0] / 2, user.size_m[1] / 2
        flat = (user.size_m[0] + 2 * _SHADOW_REACH_M, user.size_m[1] + 2 * _SHADOW_REACH_M, 0.0)
        window = self._window(flat, base_T_user - _lift(user.size_m[2] / 2))
        if window is None:
            return
        rows, columns = window
        dx, dy = self._ground_xy[0, rows, columns] - x, self._ground_xy[1, rows, columns] - y
        along, left = _turn_back(dx, dy, base_T_user)
        beyond_x = np.maximum(np.abs(along) - half_x, 0.0)
        beyond_y = np.maximum(np.abs(left) - half_y, 0.0)
        share = np.fmax(1.0 - np.hypot(beyond_x, beyond_y) / _SHADOW_REACH_M, 0.0)
        image[:, rows, columns] *= 1.0 - _SHADOW_STRENGTH * share

    def _paint_road_user(
        self, image: FloatArray, depth: FloatArray, user: RoadUser, base_T_user: Matrix
    ) -> None:
        """Paints the pixels whose ray meets the box before anything painted so far.

        Entry and exit of each ray by slabs, in the frame of the box, which stands upright.
        """
        window = self._window(user.size_m, base_T_user)
        if window is None:
            return
        rows, columns = window
        eye = (base_T_user[:3, :3].T @ (self._eye - base_T_user[:3, 3])).tolist()
        base_x, base_y, ray_z = self._rays[:, rows, columns]
        rays = (*_turn_back(base_x, base_y, base_T_user), ray_z)
        entries, exits = [], []
        with np.errstate(divide='ignore', invalid='ignore'):
            for at, ray, size in zip(eye, rays, user.size_m, strict=True):
                inverse = 1.0 / ray
                middle, reach = -at * inverse, (size / 2) * np.abs(inverse)
                entries.append(middle - reach)
                exits.append(middle + reach)
            near = np.maximum(np.maximum(entries[0], entries[1]), entries[2])
            far = np.minimum(np.minimum(exits[0], exits[1]), exits[2])
            hit = (near <= far) & (near > 0.0) & (near < depth[rows, columns])
        reached = near[hit]
        hit_rays = np.stack([ray[hit] for ray in rays])
        axis = np.stack([entry[hit] for entry in entries]).argmax(axis=0)
        side = -np.sign(np.take_along_axis(hit_rays, axis[None], axis=0)[0])
        points = np.array(eye, np.float32)[:, None] + reached * hit_rays
        image[:, rows, columns][:, hit] = road_user_color(user, points, axis, side)
        depth[rows, columns][hit] = reached

    def _window(self, size_m: tuple[float, float, float], base_T_center: Matrix) -> Window | None:
        """Returns a window of pixels with all those that can see into a box, None if none.

        The box is covered by a row of spheres, each compared with the cones around the pixels.
        """
        length, width, height = size_m
        count = max(1, round(length / max(width, height)))
        radius_m = math.hypot(length / count, width, height) / 2
        seen = np.zeros(len(self._block_axes), bool)
        for share in (np.arange(count) + 0.5) / count - 0.5:
            offset = base_T_center[:3, 3] + share * length * base_T_center[:3, 0] - self._eye
            distance = float(np.linalg.norm(offset))
            if distance <= radius_m:
                return slice(None), slice(None)
            sin = radius_m / distance
            limit = math.sqrt(1.0 - sin**2) * self._block_cos - sin * self._block_sin
            seen |= self._block_axes @ (offset / distance) >= limit
        blocks = seen.reshape(self._block_shape)
        rows, columns = np.flatnonzero(blocks.any(axis=1)), np.flatnonzero(blocks.any(axis=0))
        if rows.size == 0:
            return None
        return (
            slice(int(rows[0]) * _BLOCK_PX, (int(rows[-1]) + 1) * _BLOCK_PX),
            slice(int(columns[0]) * _BLOCK_PX, (int(columns[-1]) + 1) * _BLOCK_PX),
        )


def _turn_back(x: FloatArray, y: FloatArray, base_T_user: Matrix) -> tuple[FloatArray, FloatArray]:
    """Returns directions of the base frame along and to the left of an upright box."""
    cos, sin = base_T_user[:2, 0].tolist()
    return cos * x + sin * y, cos * y - sin * x


def _lift(height_m: float) -> Matrix:
    """Returns what to add to a pose to raise it."""
    raised = np.zeros((4, 4))
    raised[2, 3] = height_m
    return raised


def _planar(array: Matrix) -> FloatArray:
    """Returns [H, W, C] as contiguous float32 [C, H, W]."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 0), dtype=np.float32)


def _bounding_cones(rays: Matrix) -> tuple[Matrix, Matrix]:
    """Returns axis [h, w, 3] and opening angle [h, w] in rad of cones around blocks of rays.

    NaN where a block has no ray at all.
    """
    height, width = (-(-size // _BLOCK_PX) for size in rays.shape[:2])
    padding = [(0, height * _BLOCK_PX - rays.shape[0]), (0, width * _BLOCK_PX - rays.shape[1])]
    padded = np.pad(rays, [*padding, (0, 0)], constant_values=np.nan)
    blocks = padded.reshape(height, _BLOCK_PX, width, _BLOCK_PX, 3)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)
        axes = np.nanmean(blocks, axis=(1, 3))
        axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
        cosines = np.nanmin(np.sum(blocks * axes[:, None, :, None], axis=-1), axis=(1, 3))
    return axes, np.arccos(np.clip(cosines, -1.0, 1.0))
