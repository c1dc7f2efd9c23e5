"""Tracks of one scene, by class, as nuScenes' tracking benchmark compares them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.metrics.detection_boxes import Boxes
from bev_perception.evaluation.metrics.matching import Index, center_distances_m
from bev_perception.evaluation.truth.frame import FloatArray


@dataclass(frozen=True, eq=False)
class TrackingRecord:
    """Boxes of a frame that count for tracking, T true and P predicted ones.

    Attributes:
        stamp_ns: int64 [1].
        placed: bool [1]: positions are in the odom frame; else in the base frame.
        true_track: int64 [T], the same for an object in all frames of a scene.
        true_kind: int64 [T], index into `DETECTION_CLASSES`.
        true_xy_m: [T, 2].
        hidden: bool [T]: neither found nor missed.
        track, kind, xy_m: likewise, predicted, [P].
        score: [P].
    """

    stamp_ns: Index
    placed: NDArray[np.bool_]
    true_track: Index
    true_kind: Index
    true_xy_m: FloatArray
    hidden: NDArray[np.bool_]
    track: Index
    kind: Index
    xy_m: FloatArray
    score: FloatArray


def tracking_record(stamp_ns: int, placed: bool, found: Boxes, truth: Boxes) -> TrackingRecord:
    """Returns the record of a frame."""
    found, truth = found.selected(found.counts), truth.selected(truth.counts)
    return TrackingRecord(
        np.array([stamp_ns], np.int64),
        np.array([placed]),
        _track_numbers(truth.objects.track),
        truth.kind,
        truth.objects.center_m[:, :2],
        truth.hidden,
        _track_numbers(found.objects.track),
        found.kind,
        found.objects.center_m[:, :2],
        found.score,
    )


def _track_numbers(names: Sequence[str]) -> Index:
    """Returns int64 [n], a number for each name, the same everywhere."""
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names]
    return np.frombuffer(b''.join(digests), '<i8').astype(np.int64)


@dataclass(frozen=True, eq=False)
class TrackRows:
    """N boxes of a scene, predicted or true.

    Attributes:
        frame: int64 [N], index of the frame.
        track, kind: int64 [N].
        xy_m: [N, 2].
        score: [N]; NaN for true ones.
        hidden: bool [N].
    """

    frame: Index
    track: Index
    kind: Index
    xy_m: FloatArray
    score: FloatArray
    hidden: NDArray[np.bool_]

    def selected(self, rows: NDArray[np.bool_] | Index) -> TrackRows:
        """Returns the boxes of some rows."""
        return TrackRows(
            self.frame[rows], self.track[rows], self.kind[rows], self.xy_m[rows],
            self.score[rows], self.hidden[rows],
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class TrackFrame:
    """One class at one instant, T true and P predicted boxes.

    Attributes:
        true_track: of each true object that counts.
        track: of each predicted one.
        score: [P], of its track.
        distance_m: [T, P].
        hidden_distance_m: [H, P], to hidden objects.
    """

    true_track: tuple[int, ...]
    track: tuple[int, ...]
    score: FloatArray
    distance_m: FloatArray
    hidden_distance_m: FloatArray


def scene_tracks(records: Sequence[TrackingRecord]) -> Mapping[int, tuple[TrackFrame, ...]]:
    """Returns the frames of each class that occurs.

    A track's score is the mean of those of its boxes; holes in tracks, true and predicted, are
    filled between their ends (nuScenes' development kit, `eval/tracking/loaders.py`). Without
    ego poses, holes stay.
    """
    if not records:
        return {}
    found, truth = _with_track_scores(_predicted_rows(records)), _true_rows(records)
    if all(bool(record.placed[0]) for record in records):
        stamps_ns = np.concatenate([record.stamp_ns for record in records])
        found, truth = filled(found, stamps_ns), filled(truth, stamps_ns)
    kinds = np.unique(np.concatenate([found.kind, truth.kind])).tolist()
    return {kind: _frames(found, truth, kind, len(records)) for kind in kinds}


def filled(rows: TrackRows, stamps_ns: Index) -> TrackRows:
    """Returns the boxes and, after them, those that tracks lack between two of their boxes.

    The development kit weighs the two boxes the wrong way round: near the earlier one the filled
    box is near the later one. So it does here. (In the middle, where a single box is missing
    among evenly spaced ones, it makes no difference.)
    """
    made = [rows]
    tracks, first = np.unique(rows.track, return_index=True)
    for track in tracks[np.argsort(first)].tolist():
        own = rows.selected(rows.track == track)
        missing = np.setdiff1d(np.arange(own.frame[0], own.frame[-1] + 1), own.frame)
        if not len(missing):
            continue
        after = np.searchsorted(own.frame, missing)
        left, right = own.selected(after - 1), own.selected(after)
        left_ns, right_ns = stamps_ns[left.frame], stamps_ns[right.frame]
        share = (right_ns - stamps_ns[missing]) / (right_ns - left_ns)
        made.append(
            replace(
                right,
                frame=missing,
                xy_m=(1.0 - share)[:, None] * left.xy_m + share[:, None] * right.xy_m,
                score=(1.0 - share) * left.score + share * right.score,
                hidden=left.hidden | right.hidden,
            )
        )
    return _joined(made)


def _predicted_rows(records: Sequence[TrackingRecord]) -> TrackRows:
    parts = []
    for frame, record in enumerate(records):
        count = len(record.track)
        hidden = np.zeros(count, np.bool_)
        at = np.full(count, frame)
        parts.append(TrackRows(at, record.track, record.kind, record.xy_m, record.score, hidden))
    return _joined(parts)


def _true_rows(records: Sequence[TrackingRecord]) -> TrackRows:
    parts = []
    for frame, record in enumerate(records):
        count = len(record.true_track)
        at, score = np.full(count, frame), np.full(count, np.nan)
        kind, xy_m = record.true_kind, record.true_xy_m
        parts.append(TrackRows(at, record.true_track, kind, xy_m, score, record.hidden))
    return _joined(parts)


def _joined(parts: Sequence[TrackRows]) -> TrackRows:
    return TrackRows(
        np.concatenate([part.frame for part in parts]),
        np.concatenate([part.track for part in parts]),
        np.concatenate([part.kind for part in parts]),
        np.concatenate([part.xy_m for part in parts]),
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.hidden for part in parts]),
    )


def _with_track_scores(rows: TrackRows) -> TrackRows:
    score = rows.score.copy()
    for track in np.unique(rows.track).tolist():
        own = rows.track == track
        score[own] = np.mean(rows.score[own])
    return replace(rows, score=score)


def _frames(found: TrackRows, truth: TrackRows, kind: int, count: int) -> tuple[TrackFrame, ...]:
    found, truth = found.selected(found.kind == kind), truth.selected(truth.kind == kind)
    frames = []
    for frame in range(count):
        ours, theirs = found.selected(found.frame == frame), truth.selected(truth.frame == frame)
        shown, hidden = theirs.selected(~theirs.hidden), theirs.selected(theirs.hidden)
        frames.append(
            TrackFrame(
                tuple(shown.track.tolist()),
                tuple(ours.track.tolist()),
                ours.score,
                center_distances_m(shown.xy_m, ours.xy_m),
                center_distances_m(hidden.xy_m, ours.xy_m),
            )
        )
    return tuple(frames)
