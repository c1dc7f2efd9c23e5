"""What a model would hand in to nuScenes' detection and tracking benchmarks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BevError
from bev_perception.evaluation.class_map import DETECTION_CLASSES
from bev_perception.evaluation.figure import Figure
from bev_perception.evaluation.metric import Confusion, Curve, Predicts, ScoredFrame
from bev_perception.evaluation.metrics.detection_boxes import Boxes, predicted_boxes
from bev_perception.evaluation.metrics.tracking import TRACKING_CLASSES
from bev_perception.evaluation.truth.frame import FloatArray
from bev_perception.files import write_atomically


@dataclass(frozen=True)
class Modalities:
    """What a submission says that it uses."""

    camera: bool = True
    lidar: bool = False
    radar: bool = False
    map: bool = False
    external: bool = False


@dataclass(frozen=True, eq=False)
class SubmissionRecord:
    """The predicted boxes of a frame, P of detection and Q of tracking.

    Boxes are in the odom frame of the truth, nuScenes' global one: [.., 10], x, y, z, length,
    width, height, yaw (m, rad), velocity x, y (m/s; NaN when not estimated), score.

    Attributes:
        token: uint8 [n], UTF-8 of the frame's token in the source; empty without.
        stamp_ns: int64 [1].
        placed: bool [1]: the ego pose is known.
        kind: int64 [P], index into `DETECTION_CLASSES`.
        box: [P, 10].
        track: uint8 [Q, 16], identities.
        track_kind: int64 [Q].
        track_box: [Q, 10].
    """

    token: NDArray[np.uint8]
    stamp_ns: NDArray[np.int64]
    placed: NDArray[np.bool_]
    kind: NDArray[np.int64]
    box: FloatArray
    track: NDArray[np.uint8]
    track_kind: NDArray[np.int64]
    track_box: FloatArray


class SubmissionCollector:
    """Keeps what submissions need, frame by frame, as metrics keep their records; no figures.

    Args:
        predicts: of the model.
    """

    name = 'submission'
    record = SubmissionRecord

    def __init__(self, predicts: Predicts) -> None:
        self._objects = bool(predicts.object_classes)

    def score(self, frame: ScoredFrame) -> SubmissionRecord | None:
        """Returns the record of a frame; None when no objects are predicted."""
        if not self._objects or frame.prediction.objects is None:
            return None
        return submission_record(frame)

    def summarise(self, scenes: Sequence[Sequence[SubmissionRecord]]) -> Mapping[str, Figure]:
        """Returns nothing."""
        return {}

    def confusions(self, scenes: Sequence[Sequence[SubmissionRecord]]) -> Mapping[str, Confusion]:
        """Returns nothing."""
        return {}

    def curves(self, scenes: Sequence[Sequence[SubmissionRecord]]) -> Mapping[str, Curve]:
        """Returns nothing."""
        return {}


def submission_record(frame: ScoredFrame) -> SubmissionRecord:
    """Returns the record of a frame with predicted objects.

    At most 500 boxes go to each benchmark, those with the highest scores; only objects with an
    identity go to tracking. Boxes stay upright.
    """
    truth = frame.truth
    boxes = predicted_boxes(frame.prediction, truth)
    tracks = predicted_boxes(frame.prediction, truth, TRACKING_CLASSES, tracked=True)
    names = bytes.fromhex(''.join(tracks.objects.track))
    return SubmissionRecord(
        np.frombuffer(truth.token.encode(), np.uint8),
        np.array([truth.stamp_ns], np.int64),
        np.array([truth.odom_T_base is not None]),
        boxes.kind,
        _rows(boxes),
        np.frombuffer(names, np.uint8).reshape(-1, 16),
        tracks.kind,
        _rows(tracks),
    )


def write_detection_submission(
    path: Path,
    scenes: Mapping[str, Sequence[SubmissionRecord]],
    modalities: Modalities | None = None,
) -> None:
    """Writes a submission to the detection benchmark; the file appears whole or not at all.

    Attributes are left empty. A velocity that is not estimated is NaN, as Python's `json` writes
    and reads it.

    Args:
        path: of the JSON file.
        scenes: records in order of time, by name of the scene.
        modalities: what the model uses; None for cameras alone.

    Raises:
        BevError: an ego pose is not known, two frames are the same sample, or the file cannot be
            written.
    """

    def entries(token: str, record: SubmissionRecord) -> list[dict[str, Any]]:
        return [
            {
                **_place(token, row),
                'detection_name': DETECTION_CLASSES[kind],
                'detection_score': row[9],
                'attribute_name': '',
            }
            for kind, row in zip(record.kind.tolist(), record.box.tolist(), strict=True)
        ]

    _write(path, scenes, entries, modalities)


def write_tracking_submission(
    path: Path,
    scenes: Mapping[str, Sequence[SubmissionRecord]],
    modalities: Modalities | None = None,
) -> None:
    """Writes a submission to the tracking benchmark; see `write_detection_submission`."""

    def entries(token: str, record: SubmissionRecord) -> list[dict[str, Any]]:
        rows = zip(
            record.track, record.track_kind.tolist(), record.track_box.tolist(), strict=True
        )
        return [
            {
                **_place(token, row),
                'tracking_id': track.tobytes().hex(),
                'tracking_name': DETECTION_CLASSES[kind],
                'tracking_score': row[9],
            }
            for track, kind, row in rows
        ]

    _write(path, scenes, entries, modalities)


def sample_token(scene: str, record: SubmissionRecord) -> str:
    """Returns the token of a frame in its source or, without, one of scene and stamp."""
    return bytes(record.token).decode() or f'{scene}_{int(record.stamp_ns[0])}'


def _rows(boxes: Boxes) -> FloatArray:
    objects = boxes.objects
    return np.column_stack(
        [objects.center_m, objects.size_m, objects.yaw_rad, objects.velocity_mps, boxes.score]
    )


def _place(token: str, row: Sequence[float]) -> dict[str, Any]:
    """Returns where a box is; sizes are width, length, height and quaternions w, x, y, z."""
    x, y, z, length, width, height, yaw = row[:7]
    return {
        'sample_token': token,
        'translation': [x, y, z],
        'size': [width, length, height],
        'rotation': [float(np.cos(yaw / 2.0)), 0.0, 0.0, float(np.sin(yaw / 2.0))],
        'velocity': list(row[7:9]),
    }


def _write(
    path: Path,
    scenes: Mapping[str, Sequence[SubmissionRecord]],
    entries: Callable[[str, SubmissionRecord], list[dict[str, Any]]],
    modalities: Modalities | None,
) -> None:
    samples: dict[str, str] = {}
    for scene, records in scenes.items():
        for record in records:
            token = sample_token(scene, record)
            if not record.placed[0]:
                raise BevError(
                    f'{path}: scene {scene} has no ego pose at {int(record.stamp_ns[0])} ns; a '
                    'nuScenes submission needs one for every frame'
                )
            if token in samples:
                raise BevError(
                    f'{path}: sample {token} of scene {scene} was predicted twice; score each '
                    'frame of ground truth once'
                )
            samples[token] = json.dumps(entries(token, record))
    used = modalities or Modalities()
    meta = {f'use_{name}': getattr(used, name) for name in Modalities.__dataclass_fields__}
    body = ',\n'.join(f'{json.dumps(token)}: {text}' for token, text in samples.items())
    text = f'{{"meta": {json.dumps(meta)},\n"results": {{\n{body}\n}}}}\n'
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise BevError(f'{path}: cannot be written: {error.strerror or error}') from error
