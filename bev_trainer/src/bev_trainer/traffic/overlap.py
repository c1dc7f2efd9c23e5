"""Finds road users whose boxes stand in one another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from shapely.geometry import Polygon

from bev_trainer.world.classes import SemanticClass
from bev_trainer.world.tracks import Track

FloatArray = NDArray[np.float64]
TOLERATED_M2 = 0.05


def overlapping(tracks: list[Track], times_s: FloatArray) -> dict[tuple[int, int], float]:
    """Returns pairs of positions in `tracks` with their greatest overlap in square metres.

    Only overlaps above `TOLERATED_M2` at one of the times count. Times are samples of the tracks.
    """
    found: dict[tuple[int, int], float] = {}
    reach = max((float(np.hypot(t.length_m, t.width_m)) for t in tracks), default=0.0)
    poses = [np.column_stack([track.x_m, track.y_m, track.yaw_rad]) for track in tracks]
    sizes = np.array([[track.length_m, track.width_m] for track in tracks]).reshape(-1, 2)
    for time_s in times_s.tolist():
        present, rows_at = _present(tracks, time_s)
        places = [poses[i][row] for i, row in zip(present, rows_at, strict=True)]
        rows = np.column_stack([np.reshape(places, (-1, 3)), sizes[present]])
        tree = cKDTree(rows[:, :2])
        pairs = tree.query_pairs(reach, output_type='ndarray') if len(rows) > 1 else []
        for a, b in _touching(rows, np.asarray(pairs, np.int64).reshape(-1, 2)):
            boxes = [Polygon(outline) for outline in _outlines(rows[[a, b]])]
            area = boxes[0].intersection(boxes[1]).area
            key = present[a], present[b]
            if area > max(TOLERATED_M2, found.get(key, 0.0)):
                found[key] = area
    return found


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


def _present(tracks: list[Track], time_s: float) -> tuple[list[int], list[int]]:
    """Returns positions of the tracks that exist at a time, and their samples then."""
    present, rows = [], []
    for index, track in enumerate(tracks):
        row = 0 if track.parked else round((time_s - track.start_s) / track.step_s)
        if 0 <= row < len(track.x_m):
            present.append(index)
            rows.append(row)
    return present, rows


def _touching(rows: FloatArray, pairs: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Returns the pairs of boxes that no axis separates."""
    if not len(pairs):
        return []
    first, second = rows[pairs[:, 0]], rows[pairs[:, 1]]
    gap = second[:, :2] - first[:, :2]
    near = np.hypot(*gap.T) < 0.5 * (np.hypot(*first[:, 3:].T) + np.hypot(*second[:, 3:].T))
    first, second, gap, pairs = first[near], second[near], gap[near], pairs[near]
    apart = np.zeros(len(pairs), bool)
    for own, other in ((first, second), (second, first)):
        turn = other[:, 2] - own[:, 2]
        c, s = np.abs(np.cos(turn)), np.abs(np.sin(turn))
        for axis, (angle, along, across) in enumerate(((0.0, c, s), (np.pi / 2, s, c))):
            way = own[:, 2] + angle
            distance = np.abs(gap[:, 0] * np.cos(way) + gap[:, 1] * np.sin(way))
            reach = 0.5 * (own[:, 3 + axis] + other[:, 3] * along + other[:, 4] * across)
            apart |= distance >= reach
    return [(int(a), int(b)) for a, b in pairs[~apart]]


def _outlines(rows: FloatArray) -> FloatArray:
    """Returns the corners [n, 4, 2] of boxes given as rows of x, y, yaw, length, width."""
    unit = np.array([[0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]])
    local = unit * rows[:, None, 3:]
    c, s = np.cos(rows[:, 2])[:, None], np.sin(rows[:, 2])[:, None]
    turned = [c * local[..., 0] - s * local[..., 1], s * local[..., 0] + c * local[..., 1]]
    return np.stack(turned, -1) + rows[:, None, :2]
