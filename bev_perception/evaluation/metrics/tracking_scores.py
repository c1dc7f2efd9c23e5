"""From the tracks of a class to AMOTA, AMOTP and the counts at the best threshold.

Sources: nuScenes' tracking benchmark, after Weng et al. 2020 (A Baseline for 3D Multi-Object
Tracking), as its development kit computes it (`eval/tracking/algo.py`, `evaluate.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bev_perception.evaluation.metrics.clear_mot import (
    MATCH_DISTANCE_M,
    MotCounts,
    added,
    clear_mot,
)
from bev_perception.evaluation.metrics.tracking_scene import TrackFrame
from bev_perception.evaluation.truth.frame import FloatArray

# Thresholds are those at which about these recalls are reached, highest first.
RECALLS = np.linspace(0.1, 1.0, 40).round(12)[::-1]
# The benchmark's frames are so far apart.
_FRAME_S = 0.5
# What a metric is when not even the lowest recall is reached (`tracking_nips_2019.json`).
_WORST_FAF, _WORST_S = 500.0, 20.0


class SceneClass:
    """One class in one scene, which remembers its counts at every threshold that was asked for.

    Args:
        frames: in order of time.
    """

    def __init__(self, frames: Sequence[TrackFrame]) -> None:
        self._frames = frames
        self._box_scores = np.sort(np.concatenate([frame.score for frame in frames]))
        # By how many predicted boxes are below the threshold.
        self._counts: dict[int, MotCounts] = {}
        self.truths = sum(len(frame.true_track) for frame in frames)
        self.tracks = len({track for frame in frames for track in frame.true_track})
        counts, scores = clear_mot(frames, -np.inf)
        self._counts[0] = counts
        self.match_scores = np.array(scores)

    def counts(self, least_score: float) -> MotCounts:
        """Returns the counts when boxes with a lower score are not there."""
        below = int(np.searchsorted(self._box_scores, least_score))
        if below not in self._counts:
            self._counts[below] = clear_mot(self._frames, least_score)[0]
        return self._counts[below]


@dataclass(frozen=True, eq=False)
class ClassTracking:
    """How well a class is tracked.

    Attributes:
        truths: number of true boxes.
        values: by name ('AMOTA', 'IDS', ...); NaN where not defined.
        recall: [n], measured, at the thresholds that are reached, highest first.
        mota: [n], likewise.
    """

    truths: int
    values: Mapping[str, float]
    recall: FloatArray
    mota: FloatArray


def class_tracking(scenes: Sequence[SceneClass]) -> ClassTracking | None:
    """Returns the scores of a class over scenes; None without true objects."""
    truths = sum(scene.truths for scene in scenes)
    if not truths:
        return None
    least_scores = thresholds(np.concatenate([scene.match_scores for scene in scenes]), truths)
    reached = least_scores[~np.isnan(least_scores)].tolist()
    if not reached:
        tracks = sum(scene.tracks for scene in scenes)
        return ClassTracking(truths, _worst(truths, tracks), np.zeros(0), np.zeros(0))
    at = {
        score: added(scene.counts(score) for scene in scenes) for score in dict.fromkeys(reached)
    }
    counts = [at[score] for score in reached]
    mota = np.array([_mota(item) for item in counts])
    missing = len(RECALLS) - len(reached)
    averages = {
        'AMOTA': _mean([_motar(item) for item in counts], missing, 0.0),
        'AMOTP': _mean([_motp(item) for item in counts], missing, MATCH_DISTANCE_M),
    }
    best = counts[int(mota.argmax())]
    recall = np.array([_recall(item) for item in counts])
    return ClassTracking(truths, averages | _values(best), recall, mota)


def thresholds(match_scores: FloatArray, truths: int) -> FloatArray:
    """Returns [40]: least scores at which `RECALLS` are reached; NaN for those that are not.

    Args:
        match_scores: of all boxes that match when all are there.
        truths: number of true boxes.
    """
    if not len(match_scores):
        return np.full(len(RECALLS), np.nan)
    falling = np.sort(match_scores)[::-1]
    recall = np.arange(1, len(falling) + 1) / truths
    found = np.interp(RECALLS[::-1], recall, falling, right=0.0)[::-1]
    return np.where(recall[-1] < RECALLS, np.nan, found)


def _values(best: MotCounts) -> dict[str, float]:
    found_tracks = best.found_tracks or np.nan
    return {
        'MOTA': _mota(best),
        'MOTP': _motp(best),
        'MOTAR': _motar(best),
        'recall': _recall(best),
        'IDS': best.switches,
        'FRAG': best.fragmentations,
        'MT': best.mostly_tracked,
        'ML': best.mostly_lost,
        'TP': best.matches,
        'FP': best.false_positives,
        'FN': best.misses,
        'FAF': 100.0 * best.false_positives / best.frames,
        'TID': _FRAME_S * best.late_frames / found_tracks,
        'LGD': _FRAME_S * best.gap_frames / found_tracks,
    }


def _worst(truths: int, tracks: int) -> dict[str, float]:
    return {
        'AMOTA': 0.0,
        'AMOTP': MATCH_DISTANCE_M,
        'MOTA': 0.0,
        'MOTP': MATCH_DISTANCE_M,
        'MOTAR': 0.0,
        'recall': 0.0,
        # How wrong boxes would be distributed is not known.
        'IDS': np.nan,
        'FRAG': np.nan,
        'MT': 0.0,
        'ML': float(tracks),
        'TP': 0.0,
        'FP': np.nan,
        'FN': float(truths),
        'FAF': _WORST_FAF,
        'TID': _WORST_S,
        'LGD': _WORST_S,
    }


def _mota(counts: MotCounts) -> float:
    wrong = counts.misses + counts.switches + counts.false_positives
    return max(0.0, 1.0 - wrong / counts.truths)


def _motar(counts: MotCounts) -> float:
    """Returns MOTA at a recall: only errors that a lower recall does not explain."""
    if not counts.matches:
        return np.nan
    recall = counts.matches / counts.truths
    wrong = counts.misses + counts.switches + counts.false_positives
    excess = wrong - (1.0 - recall) * counts.truths
    return max(0.0, 1.0 - excess / (recall * counts.truths))


def _motp(counts: MotCounts) -> float:
    found = counts.matches + counts.switches
    return counts.distance_m / found if found else np.nan


def _recall(counts: MotCounts) -> float:
    return (counts.matches + counts.switches) / counts.truths


def _mean(values: Sequence[float], missing: int, worst: float) -> float:
    """Returns the mean over all recalls; the worst value where one is not reached."""
    return float(np.mean([worst] * missing + [worst if np.isnan(v) else v for v in values]))
