"""Small plane geometry on polylines [n, 2] in metres."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from shapely import set_precision
from shapely.geometry import LineString, MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

FloatArray = NDArray[np.float64]
_STRAIGHT = float(np.cos(np.deg2rad(0.5)))


def lengths(line: FloatArray) -> FloatArray:
    """Returns the path length [n] from the first point to every point."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=-1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def at(line: FloatArray, along_m: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    """Returns points and unit tangents, each [..., 2], at path lengths along a line."""
    s = lengths(line)
    along = np.clip(np.asarray(along_m, float), 0.0, s[-1])
    index = np.clip(np.searchsorted(s, along, side='right') - 1, 0, len(s) - 2)
    step = line[index + 1] - line[index]
    size = np.maximum(s[index + 1] - s[index], 1e-9)
    share = (along - s[index]) / size
    return line[index] + share[..., None] * step, step / size[..., None]


def piece(line: FloatArray, start_m: float, end_m: float) -> FloatArray:
    """Returns the part of a line between two path lengths."""
    s = lengths(line)
    inner = line[(s > start_m + 1e-6) & (s < end_m - 1e-6)]
    return np.concatenate([at(line, start_m)[0][None], inner, at(line, end_m)[0][None]])


def shifted(line: FloatArray, left_m: float) -> FloatArray:
    """Returns a line moved to its left; corners keep the distance by mitring."""
    steps = np.diff(line, axis=0)
    normals = np.stack([-steps[:, 1], steps[:, 0]], -1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    before = np.concatenate([normals[:1], normals])
    after = np.concatenate([normals, normals[-1:]])
    total = before + after
    scale = np.maximum(1.0 + np.sum(before * after, axis=-1, keepdims=True), 0.5)
    return line + left_m * total / scale


def rounded(line: FloatArray, reach_m: float, most_turn_rad: float, points: int) -> FloatArray:
    """Returns a line whose corners are replaced by curves that keep its tangents.

    Args:
        line: [n, 2]; a ring when its last point is its first.
        reach_m: how far before and after a corner its curve begins and ends, at most.
        most_turn_rad: corners that turn more stay as they are.
        points: of each curve.
    """
    ring = bool((line[0] == line[-1]).all())
    ends = (line[-2:-1], line[1:2]) if ring else (line[:1], line[-1:])
    before = np.concatenate([ends[0], line[:-1]]) - line
    after = np.concatenate([line[1:], ends[1]]) - line
    arms = np.stack([before, after], axis=1)
    sizes = np.maximum(np.linalg.norm(arms, axis=-1, keepdims=True), 1e-9)
    reach = np.minimum(reach_m, 0.45 * sizes.min(axis=1))
    first, last = np.moveaxis(line[:, None] + reach[:, None] * arms / sizes, 1, 0)
    cosine = -np.sum(before * after, axis=-1) / sizes.prod(axis=1)[:, 0]
    turns = (cosine > np.cos(most_turn_rad)) & (cosine < _STRAIGHT)
    if not ring:
        turns[[0, -1]] = False
    t = np.linspace(0.0, 1.0, points)[None, :, None]
    curves = (1 - t) ** 2 * first[:, None] + 2 * t * (1 - t) * line[:, None] + t**2 * last[:, None]
    kept = np.where(turns[:, None, None], curves, line[:, None])
    chosen = np.ones((len(line), points), bool)
    chosen[~turns, 1:] = False
    if not ring:
        return np.asarray(kept[chosen])
    body = kept[:-1][chosen[:-1]]
    return np.concatenate([body, body[:1]])


def smooth(line: FloatArray) -> FloatArray:
    """Returns a line or ring without the kinks of curves made of few points."""
    return rounded(line, 3.0, np.deg2rad(40.0), 5)


def ribbon(line: FloatArray, width_m: float) -> BaseGeometry:
    """Returns a line made `width_m` wide, with square ends."""
    return LineString(line).buffer(width_m / 2.0, cap_style='flat', join_style='mitre')


def placed(outline: FloatArray, origin: FloatArray, forward: FloatArray) -> Polygon:
    """Returns a polygon given in (forward, left) of a place, in the world."""
    left = np.array([-forward[1], forward[0]])
    return Polygon(origin + outline[:, :1] * forward + outline[:, 1:] * left)


def merged(parts: Iterable[BaseGeometry]) -> MultiPolygon:
    """Returns the valid union of areas on a grid of 1 mm, in a fixed order, without crumbs."""
    union = set_precision(unary_union(list(parts)), 0.001)
    polygons = [p for p in getattr(union, 'geoms', [union]) if isinstance(p, Polygon)]
    kept = [polygon.normalize() for polygon in polygons if polygon.area > 0.01]
    return MultiPolygon(sorted(kept, key=lambda polygon: polygon.bounds))
