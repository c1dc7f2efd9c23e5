"""Finds road users whose boxes stand in one another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from shapely import area, intersection, polygons

from bev_trainer.world.classes import SemanticClass
from bev_trainer.world.tracks import Track

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.int64]
TOLERATED_M2 = 0.05


def overlapping(tracks: list[Track], times_s: FloatArray) -> dict[tuple[int, int], float]:
    """Returns pairs of positions in `tracks` with their greatest overlap in square metres.

    Only overlaps above `TOLERATED_M2` at one of the times count. Times are samples of the tracks.
    """
    rows = _rows(tracks, times_s)
    reach = float(np.hypot(rows[..., 3], rows[..., 4]).max(initial=0.0))
    firsts: list[IndexArray] = []
    seconds: list[IndexArray] = []
    for column in range(len(times_s)):
        present = np.flatnonzero(np.isfinite(rows[:, column, 0]))
        if len(present) > 1:
            tree = cKDTree(rows[present, column, :2])
            pairs = present[tree.query_pairs(reach, output_type='ndarray')].reshape(-1, 2)
            for side, kept in enumerate((firsts, seconds)):
                kept.append(np.column_stack([pairs[:, side], np.full(len(pairs), column)]))
    if not firsts:
        return {}
    return _greatest(rows, np.concatenate(firsts), np.concatenate(seconds))


def hits(track: Track, others: list[Track], times_s: FloatArray) -> list[int]:
    """Returns the positions in `others` of those whose box overlaps that of one track."""
    rows = _rows([track, *others], times_s)
    away = np.hypot(*np.moveaxis(rows[1:, :, :2] - rows[:1, :, :2], -1, 0))
    reach = np.hypot(rows[0, 0, 3], rows[0, 0, 4]) + np.hypot(rows[1:, :, 3], rows[1:, :, 4])
    second = np.argwhere(away < 0.5 * reach) + np.array([1, 0])
    first = second * np.array([0, 1])
    return sorted(pair[1] - 1 for pair in _greatest(rows, first, second))


def without_overlaps(tracks: list[Track], times_s: FloatArray, kept: set[str]) -> list[Track]:
    """Returns the tracks less those that must go so that no boxes overlap.

    Tracks named in `kept` go last; parked vehicles go before pedestrians, these before vehicles,
    then those of which less is seen, then the later ones.
    """
    pairs = overlapping(tracks, times_s)
    gone: set[int] = set()
    rank = {i: _worth(track, track.name in kept, i) for i, track in enumerate(tracks)}
    while True:
        open_pairs = [pair for pair in pairs if not gone.intersection(pair)]
        if not open_pairs:
            return [track for i, track in enumerate(tracks) if i not in gone]
        involved = sorted({i for pair in open_pairs for i in pair})
        degree = {i: sum(i in pair for pair in open_pairs) for i in involved}
        worst = max(degree.values())
        most = [i for i in involved if degree[i] == worst] if worst > 1 else list(open_pairs[0])
        gone.add(min(most, key=lambda i: rank[i]))


def _worth(track: Track, kept: bool, index: int) -> tuple[bool, int, int, int]:
    kind = 0 if track.parked else 1 if track.object_class == SemanticClass.PEDESTRIAN else 2
    return kept, kind, len(track.x_m), -index


def _rows(tracks: list[Track], times_s: FloatArray) -> FloatArray:
    """Returns [tracks, times, 5]: x, y, yaw (NaN while a track does not exist), length, width."""
    rows = np.full((len(tracks), len(times_s), 5), np.nan)
    for row, track in zip(rows, tracks, strict=True):
        row[:, 3:] = track.length_m, track.width_m
        samples = np.column_stack([track.x_m, track.y_m, track.yaw_rad])
        if track.parked:
            row[:, :3] = samples[0]
            continue
        index = np.rint((times_s - track.start_s) / track.step_s).astype(np.int64)
        there = (index >= 0) & (index < len(samples))
        row[there, :3] = samples[index[there]]
    return rows


def _greatest(
    rows: FloatArray, first: IndexArray, second: IndexArray
) -> dict[tuple[int, int], float]:
    """Returns the greatest overlap by pair of tracks; places are [n, 2] of (track, time)."""
    one, other = rows[first[:, 0], first[:, 1]], rows[second[:, 0], second[:, 1]]
    touching = _touching(one, other)
    one, other = one[touching], other[touching]
    first, second = first[touching], second[touching]
    areas = area(intersection(polygons(_outlines(one)), polygons(_outlines(other))))
    found: dict[tuple[int, int], float] = {}
    for pair, overlap in zip(zip(first[:, 0], second[:, 0], strict=True), areas, strict=True):
        key = int(pair[0]), int(pair[1])
        if overlap > max(TOLERATED_M2, found.get(key, 0.0)):
            found[key] = float(overlap)
    return found


def _touching(first: FloatArray, second: FloatArray) -> NDArray[np.bool_]:
    """Returns for each pair of boxes [n, 5] whether no axis separates them."""
    gap = second[:, :2] - first[:, :2]
    apart = np.hypot(*gap.T) >= 0.5 * (np.hypot(*first[:, 3:].T) + np.hypot(*second[:, 3:].T))
    for own, other in ((first, second), (second, first)):
        turn = other[:, 2] - own[:, 2]
        c, s = np.abs(np.cos(turn)), np.abs(np.sin(turn))
        for axis, (angle, along, across) in enumerate(((0.0, c, s), (np.pi / 2, s, c))):
            way = own[:, 2] + angle
            distance = np.abs(gap[:, 0] * np.cos(way) + gap[:, 1] * np.sin(way))
            reach = 0.5 * (own[:, 3 + axis] + other[:, 3] * along + other[:, 4] * across)
            apart |= distance >= reach
    return ~apart


def _outlines(rows: FloatArray) -> FloatArray:
    """Returns the corners [n, 4, 2] of boxes given as rows of x, y, yaw, length, width."""
    unit = np.array([[0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]])
    local = unit * rows[:, None, 3:]
    c, s = np.cos(rows[:, 2])[:, None], np.sin(rows[:, 2])[:, None]
    turned = [c * local[..., 0] - s * local[..., 1], s * local[..., 0] + c * local[..., 1]]
    return np.stack(turned, -1) + rows[:, None, :2]
