"""The ground near a drive as images: what is painted and paved where, and how it wears.

Two windows, both parallel to the world's axes: a fine one around the ego's path and a coarse one
around that. Coverages are exact areas, so that an edge lies where bilinear interpolation crosses
one half: crisp close by, and right on average far away.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_trainer.render.coverage import polygon_coverage
from bev_trainer.world.road_map import RoadMap

FloatArray = NDArray[np.float64]
ByteArray = NDArray[np.uint8]

FINE_MARGIN_M, COARSE_MARGIN_M = 54.0, 380.0
FINE_M, COARSE_M = 0.10, 0.5
_MAX_TEXELS = 4096  # along a side
_TRACK_M = 0.78  # of wheels from the middle of a lane


@dataclass(frozen=True)
class Window:
    """A rectangle of the world frame made of square texels.

    Attributes:
        x_min_m: lower edge.
        y_min_m: likewise.
        texel_m: edge length of a texel.
        size_x: texels.
        size_y: likewise.
    """

    x_min_m: float
    y_min_m: float
    texel_m: float
    size_x: int
    size_y: int

    @property
    def x_max_m(self) -> float:
        return self.x_min_m + self.size_x * self.texel_m

    @property
    def y_max_m(self) -> float:
        return self.y_min_m + self.size_y * self.texel_m

    def pixels(self, points_m: FloatArray) -> NDArray[np.int32]:
        """Returns points [n, 2] for OpenCV's drawing, in 1/16 of a texel."""
        places = (points_m - (self.x_min_m, self.y_min_m)) / self.texel_m - 0.5
        return np.rint(places * 16).astype(np.int32)


@dataclass(frozen=True, eq=False)
class GroundTexture:
    """One window.

    Attributes:
        window: where it lies.
        cover: uint8 [Y, X, 4]: coverage by paint, crossings, drivable, sidewalk.
        wear: uint8 [Y', X', 4], of half the resolution: brightness of the surface, 128 as new;
            whether paint is yellow; soil instead of grass; puddles when it rains.
    """

    window: Window
    cover: ByteArray
    wear: ByteArray


def window_around(path_m: FloatArray, margin_m: float, texel_m: float) -> Window:
    """Returns the window that keeps a margin around a path [n, 2]; coarser if it is too large."""
    low = np.floor(path_m.min(axis=0) - margin_m)
    size = np.ceil(path_m.max(axis=0) + margin_m) - low
    texel_m = max(texel_m, float(size.max()) / _MAX_TEXELS)
    # Whole numbers of texels of the tone image, which is half as fine.
    count = 2 * np.ceil(size / (2 * texel_m)).astype(int)
    return Window(float(low[0]), float(low[1]), texel_m, int(count[0]), int(count[1]))


def ground_texture(road_map: RoadMap, window: Window, rng: np.random.Generator) -> GroundTexture:
    """Returns the images of one window; `rng` decides on wear."""
    shape = (window.size_y, window.size_x)
    place = (window.x_min_m, window.y_min_m, window.texel_m, shape)
    yellow = _bytes(polygon_coverage(road_map.yellow_paint, *place))
    cover = np.empty((*shape, 4), np.uint8)
    layers = (road_map.white_paint, road_map.crossing, road_map.drivable, road_map.sidewalk)
    for index, polygons in enumerate(layers):
        cover[..., index] = _bytes(polygon_coverage(polygons, *place))
    cover[..., 0] = cv2.add(cover[..., 0], yellow)
    return GroundTexture(window, cover, _wear(road_map, window, cover, yellow, rng))


def _bytes(share: NDArray[np.float32]) -> ByteArray:
    return np.asarray(cv2.convertScaleAbs(share, alpha=255.0), np.uint8)


def _wear(
    road_map: RoadMap,
    window: Window,
    cover: ByteArray,
    yellow: ByteArray,
    rng: np.random.Generator,
) -> ByteArray:
    """Returns `GroundTexture.wear`: patches, tyre tracks, cracks, dirt along curbs, puddles."""
    half = Window(
        window.x_min_m,
        window.y_min_m,
        2 * window.texel_m,
        window.size_x // 2,
        window.size_y // 2,
    )
    shape = (half.size_y, half.size_x)
    paved = cv2.resize(cover[..., 2:], shape[::-1], interpolation=cv2.INTER_AREA)
    road, walk = (paved[..., index].astype(np.float32) / 255.0 for index in (0, 1))
    marks = np.full(shape, 128, np.uint8)
    _draw_patches(marks, road_map, half, rng)
    _draw_tracks(marks, road_map, half)
    _draw_cracks(marks, road_map, half, rng)
    wear = marks.astype(np.float32) / 128.0
    tone = 1.0 + (wear - 1.0) * road
    for cell_m, depth in ((23.0, 0.16), (6.0, 0.12), (1.3, 0.10)):
        tone *= 1.0 + depth * _noise(shape, cell_m / half.texel_m, rng)
    # Gutters are dark; the curb's stone is light.
    reach = 0.45 / half.texel_m
    edge = cv2.GaussianBlur(road, (0, 0), reach) * cv2.GaussianBlur(walk, (0, 0), reach) * 4.0
    tone *= 1.0 - 0.45 * road * edge
    stone = np.clip(cv2.GaussianBlur(road, (0, 0), 0.16 / half.texel_m) * 4.0, 0.0, 1.0) * walk
    tone *= 1.0 + 0.35 * stone
    broad = _noise(shape, 14.0 / half.texel_m, rng) + 0.5 * _noise(shape, 4.0 / half.texel_m, rng)
    soil = 0.35 + 0.45 * broad
    puddle = np.clip(2.5 * _noise(shape, 5.0 / half.texel_m, rng) - 0.9 + 0.5 * edge, 0.0, 1.0)
    # Bilinear interpolation must not mix white into yellow: the colour reaches beyond the line.
    spread = cv2.dilate(
        cv2.resize(yellow, shape[::-1], interpolation=cv2.INTER_AREA), np.ones((3, 3))
    )
    image = np.empty((*shape, 4), np.uint8)
    image[..., 0] = cv2.convertScaleAbs(tone, alpha=128.0)
    image[..., 1] = np.where(spread > 8, 255, 0)
    image[..., 2] = cv2.convertScaleAbs(np.clip(soil, 0.0, 1.0), alpha=255.0)
    image[..., 3] = cv2.convertScaleAbs(puddle, alpha=255.0)
    return image


def _noise(shape: tuple[int, int], cell: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns smooth noise in about [-1, 1] with bumps of `cell` texels."""
    coarse = [max(int(np.ceil(size / max(cell, 1.0))), 2) for size in shape]
    values = rng.uniform(-1.0, 1.0, coarse).astype(np.float32)
    return np.asarray(cv2.resize(values, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _draw_patches(
    marks: ByteArray, road_map: RoadMap, window: Window, rng: np.random.Generator
) -> None:
    """Repaired rectangles along lanes, and manholes."""
    for lane in road_map.lanes:
        if lane.kind == 'sidewalk':
            continue
        for center, along in _places(lane.centerline_m, 35.0, rng):
            across = np.array([-along[1], along[0]])
            half_length, half_width = rng.uniform(0.8, 6.0), rng.uniform(0.35, 0.5) * lane.width_m
            center = center + across * rng.uniform(-0.5, 0.5)
            corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (half_length, half_width)
            outline = center + corners @ np.stack([along, across])
            value = int(128 * rng.uniform(0.72, 1.16))
            cv2.fillPoly(marks, [window.pixels(outline)], value, cv2.LINE_AA, 4)
            cv2.polylines(marks, [window.pixels(outline)], True, 84, 1, cv2.LINE_AA, 4)
        for center, _ in _places(lane.centerline_m, 60.0, rng):
            radius = round(0.33 / window.texel_m * 16)
            spot = window.pixels(center[None])[0]
            cv2.circle(marks, spot.tolist(), radius, 74, -1, cv2.LINE_AA, 4)


def _draw_tracks(marks: ByteArray, road_map: RoadMap, window: Window) -> None:
    """Darker where wheels roll and oil drips."""
    lines = np.zeros_like(marks)
    for lane in road_map.lanes:
        if lane.kind != 'driving':
            continue
        for offset, value in ((-_TRACK_M, 26), (_TRACK_M, 26), (0.0, 14)):
            line = window.pixels(_shifted(lane.centerline_m, offset))
            width = max(round(0.42 / window.texel_m), 1)
            cv2.polylines(lines, [line], False, value, width, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(lines, (0, 0), 0.22 / window.texel_m)
    cv2.subtract(marks, soft, dst=marks)


def _draw_cracks(
    marks: ByteArray, road_map: RoadMap, window: Window, rng: np.random.Generator
) -> None:
    """Dark, wandering lines, some of them sealed with broad tar."""
    for lane in road_map.lanes:
        if lane.kind == 'sidewalk':
            continue
        for center, along in _places(lane.centerline_m, 16.0, rng):
            turn = rng.normal(0.0, 0.35, 24).cumsum() + np.arctan2(along[1], along[0])
            turn += np.pi / 2 * (rng.uniform() < 0.4)
            steps = np.stack([np.cos(turn), np.sin(turn)], axis=1) * 0.25
            line = center + rng.normal(0, 0.8, 2) + steps.cumsum(axis=0)
            value = int(128 * rng.uniform(0.45, 0.75))
            cv2.polylines(marks, [window.pixels(line)], False, value, 1, cv2.LINE_AA, 4)


def _places(
    line_m: FloatArray, spacing_m: float, rng: np.random.Generator
) -> list[tuple[FloatArray, FloatArray]]:
    """Returns (point, unit direction) at random places, one per `spacing_m` on average."""
    steps = np.diff(line_m, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    total = float(lengths.sum())
    stations = np.sort(rng.uniform(0.0, total, rng.poisson(total / spacing_m)))
    ends = lengths.cumsum()
    index = np.minimum(np.searchsorted(ends, stations), len(steps) - 1)
    share = (stations - (ends[index] - lengths[index])) / lengths[index]
    points = line_m[index] + steps[index] * share[:, None]
    return list(zip(points, steps[index] / lengths[index, None], strict=True))


def _shifted(line_m: FloatArray, offset_m: float) -> FloatArray:
    """Returns a line [n, 2] moved to its left."""
    along = np.gradient(line_m, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    return line_m + offset_m * np.stack([-along[:, 1], along[:, 0]], axis=1)
