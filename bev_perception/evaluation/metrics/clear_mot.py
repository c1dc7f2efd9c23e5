"""CLEAR MOT: who follows whom through the frames of a scene, at one threshold of the scores.

Sources: Bernardin and Stiefelhagen 2008; nuScenes' development kit (`eval/tracking/`), whose
counting is that of py-motmetrics 1.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from bev_perception.evaluation.metrics.matching import Index, best_matches
from bev_perception.evaluation.metrics.tracking_scene import TrackFrame
from bev_perception.evaluation.truth.frame import FloatArray

MATCH_DISTANCE_M = 2.0
# A track is mostly tracked, mostly lost, when this share of its boxes is found.
_MOSTLY, _HARDLY = 0.8, 0.2

Pairs = list[tuple[int, int]]


class MotCounts(NamedTuple):
    """What is added up over scenes.

    Attributes:
        frames: with a true or predicted box.
        truths: true boxes.
        matches: true boxes whose track keeps its predicted one, or has it for the first time.
        switches: true boxes that are matched by another predicted track than before.
        misses: the other true boxes.
        false_positives: predicted boxes without a true one.
        distance_m: sum over matches and switches.
        mostly_tracked, mostly_lost: number of true tracks.
        fragmentations: times that a track is lost and found again.
        found_tracks: true tracks that are found at all.
        late_frames: sum over these of frames before they are found first.
        gap_frames: sum over these of their longest gaps.
    """

    frames: float = 0.0
    truths: float = 0.0
    matches: float = 0.0
    switches: float = 0.0
    misses: float = 0.0
    false_positives: float = 0.0
    distance_m: float = 0.0
    mostly_tracked: float = 0.0
    mostly_lost: float = 0.0
    fragmentations: float = 0.0
    found_tracks: float = 0.0
    late_frames: float = 0.0
    gap_frames: float = 0.0


def added(counts: Iterable[MotCounts]) -> MotCounts:
    """Returns the sum of the counts of several scenes."""
    rows = list(counts)
    return MotCounts(*np.sum(rows, axis=0).tolist()) if rows else MotCounts()


def clear_mot(frames: Sequence[TrackFrame], least_score: float) -> tuple[MotCounts, list[float]]:
    """Returns (counts, scores of the boxes that match) of one class in one scene.

    In each frame a true track first keeps the predicted one that it was matched with last, as
    long as that is within 2 m; the rest are matched as many as possible, with the least sum of
    distances. A predicted box that is left over near a hidden object does not count.

    Args:
        frames: in order of time.
        least_score: predicted boxes with a lower one are not there.
    """
    partner: dict[int, int] = {}
    history: dict[int, list[bool]] = {}
    scores: list[float] = []
    total = dict.fromkeys(MotCounts._fields, 0.0)
    for frame in frames:
        kept = np.flatnonzero(frame.score >= least_score)
        if not len(kept) and not frame.true_track:
            continue
        distance_m = frame.distance_m[:, kept]
        tracks = [frame.track[row] for row in kept.tolist()]
        old, new = _pairs(frame.true_track, tracks, distance_m, partner)
        switched = [
            partner.get(frame.true_track[row], tracks[column]) != tracks[column]
            for row, column in new
        ]
        partner.update({frame.true_track[row]: tracks[column] for row, column in new})
        pairs, switches = old + new, sum(switched)
        matched = old + [pair for pair, moved in zip(new, switched, strict=True) if not moved]
        scores += [float(frame.score[kept[column]]) for _, column in matched]
        found = {row for row, _ in pairs}
        for row, track in enumerate(frame.true_track):
            history.setdefault(track, []).append(row in found)
        total['frames'] += 1
        total['truths'] += len(frame.true_track)
        total['matches'] += len(matched)
        total['switches'] += switches
        total['misses'] += len(frame.true_track) - len(pairs)
        total['false_positives'] += len(kept) - len(pairs)
        total['false_positives'] -= _on_hidden(frame, kept, {column for _, column in pairs})
        total['distance_m'] += sum(float(distance_m[pair]) for pair in pairs)
    return added([MotCounts(**total), *map(_of_track, history.values())]), scores


def _pairs(
    truth: Sequence[int], found: Sequence[int], distance_m: FloatArray, partner: dict[int, int]
) -> tuple[Pairs, Pairs]:
    """Returns (kept, new) pairs of rows of true and predicted tracks."""
    if not distance_m.size:
        return [], []
    column_of = {track: column for column, track in enumerate(found)}
    old: Pairs = []
    rest_m = distance_m.copy()
    for row, track in enumerate(truth):
        column = column_of.get(partner[track]) if track in partner else None
        if column is not None and rest_m[row, column] < MATCH_DISTANCE_M:
            old.append((row, column))
            rest_m[row, :] = np.inf
            rest_m[:, column] = np.inf
    rows, columns = best_matches(rest_m, MATCH_DISTANCE_M)
    return old, list(zip(rows.tolist(), columns.tolist(), strict=True))


def _on_hidden(frame: TrackFrame, kept: Index, taken: set[int]) -> int:
    """Returns how many predicted boxes that are left over lie on hidden objects, one on each."""
    if not len(frame.hidden_distance_m):
        return 0
    rest = [row for column, row in enumerate(kept.tolist()) if column not in taken]
    return len(best_matches(frame.hidden_distance_m[:, rest], MATCH_DISTANCE_M)[0])


def _of_track(found: Sequence[bool]) -> MotCounts:
    """Returns what a true track adds, from whether it is found in each frame that it is in."""
    seen = np.flatnonzero(found)
    share = len(seen) / len(found)
    if not len(seen):
        return MotCounts(mostly_lost=1.0)
    gaps = np.diff(np.concatenate([[-1], seen, [len(found)]])) - 1
    return MotCounts(
        mostly_tracked=float(share >= _MOSTLY),
        mostly_lost=float(share < _HARDLY),
        fragmentations=float((gaps[1:-1] > 0).sum()),
        found_tracks=1.0,
        late_frames=float(seen[0]),
        gap_frames=float(gaps.max()),
    )
