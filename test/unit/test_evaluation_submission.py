"""nuScenes submissions, field by field."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.evaluated import as_predicted, identity, moved, scored_frames
from support.truth import truth_objects

from bev_perception.errors import BevError
from bev_perception.evaluation.metric import Predicts, ScoredFrame
from bev_perception.evaluation.records import pack, unpack
from bev_perception.evaluation.submission import (
    Modalities,
    SubmissionCollector,
    SubmissionRecord,
    write_detection_submission,
    write_tracking_submission,
)
from bev_perception.frame import BevObject, ClassScore
from bev_perception.geometry.pose import pose_from_yaw

COLLECTOR = SubmissionCollector(Predicts(object_classes=('car', 'barrier')))
CAR = as_predicted(truth_objects([(10.0, 2.0, 4.0, 1.8, 0.5)], velocity_mps=[(3.0, 0.0)]), 0.75)[0]
POSE = pose_from_yaw(100.0, 200.0, 5.0, math.pi / 2)


def frame_of(objects: Sequence[BevObject], pose: Any = POSE, token: str = 'sample') -> ScoredFrame:
    frame = scored_frames([truth_objects([])], [objects], [pose])[0]
    return replace(frame, truth=replace(frame.truth, token=token, stamp_ns=123))


def record_of(*objects: BevObject, **changes: Any) -> SubmissionRecord:
    record = COLLECTOR.score(frame_of(objects, **changes))
    assert record is not None
    return record


def written(tmp_path: Path, *records: SubmissionRecord) -> tuple[Any, Any]:
    """Returns the contents of both files."""
    boxes, tracks = tmp_path / 'detection.json', tmp_path / 'tracking.json'
    write_detection_submission(boxes, {'scene-1': records})
    write_tracking_submission(tracks, {'scene-1': records})
    assert sorted(tmp_path.iterdir()) == [boxes, tracks]
    return json.loads(boxes.read_text()), json.loads(tracks.read_text())


def test_a_box_in_the_global_frame(tmp_path: Path) -> None:
    """The vehicle looks along y: forward is +y, left is -x."""
    detection, tracking = written(tmp_path, record_of(CAR))
    box, track = detection['results']['sample'][0], tracking['results']['sample'][0]
    yaw = 0.5 + math.pi / 2
    for found in (box, track):
        assert found['sample_token'] == 'sample'
        assert found['translation'] == pytest.approx([98.0, 210.0, 6.0])
        assert found['size'] == [1.8, 4.0, 1.5]
        assert found['rotation'] == pytest.approx([math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)])
        assert found['velocity'] == pytest.approx([0.0, 3.0])
    assert (box['detection_name'], box['detection_score']) == ('car', 0.75)
    assert box['attribute_name'] == ''
    assert (track['tracking_name'], track['tracking_score']) == ('car', 0.75)
    assert bytes.fromhex(track['tracking_id']) == identity('a')
    expected = dict.fromkeys(('use_lidar', 'use_radar', 'use_map', 'use_external'), False)
    assert detection['meta'] == tracking['meta'] == {'use_camera': True, **expected}


def test_what_goes_where(tmp_path: Path) -> None:
    """Barriers and objects without an identity are not tracked; animals are nothing."""
    barrier = moved(CAR, classes=(ClassScore(1, 'barrier', 1.0),))
    animal = moved(CAR, classes=(ClassScore(2, 'animal', 1.0),))
    nobody = moved(CAR, object_id=bytes(16))
    detection, tracking = written(tmp_path, record_of(CAR, barrier, animal, nobody))
    names = [box['detection_name'] for box in detection['results']['sample']]
    assert names == ['car', 'barrier', 'car']
    assert len(tracking['results']['sample']) == 1


def test_samples_without_boxes_and_without_tokens(tmp_path: Path) -> None:
    detection, tracking = written(tmp_path, record_of(token=''), record_of(CAR))
    assert detection['results']['scene-1_123'] == []
    assert list(tracking['results']) == ['scene-1_123', 'sample']


def test_a_velocity_that_is_not_estimated(tmp_path: Path) -> None:
    detection, _ = written(tmp_path, record_of(moved(CAR, velocity_mps=None)))
    assert all(map(math.isnan, detection['results']['sample'][0]['velocity']))


def test_at_most_five_hundred_boxes(tmp_path: Path) -> None:
    weak = moved(CAR, existence_probability=0.1)
    many = [weak] * 3 + [CAR] * 499
    detection, tracking = written(tmp_path, record_of(*many))
    for content, name in ((detection, 'detection_score'), (tracking, 'tracking_score')):
        scores = [box[name] for box in content['results']['sample']]
        assert scores == [0.1] + [0.75] * 499


def test_nothing_is_kept_without_objects() -> None:
    frame = frame_of([])
    frame = replace(frame, prediction=replace(frame.prediction, objects=None))
    assert COLLECTOR.score(frame) is None
    assert SubmissionCollector(Predicts()).score(frame_of([CAR])) is None
    assert COLLECTOR.summarise([]) == COLLECTOR.confusions([]) == COLLECTOR.curves([]) == {}


def test_modalities(tmp_path: Path) -> None:
    path = tmp_path / 'x.json'
    write_detection_submission(path, {'s': [record_of(CAR)]}, Modalities(radar=True))
    meta = json.loads(path.read_text())['meta']
    assert [name for name, used in meta.items() if used] == ['use_camera', 'use_radar']


def test_records_survive_storage(tmp_path: Path) -> None:
    records = [record_of(CAR), record_of(token='second')]
    kept = unpack(pack({'submission': records}), {'submission': SubmissionRecord})['submission']
    write_tracking_submission(tmp_path / 'a.json', {'s': records})
    write_tracking_submission(tmp_path / 'b.json', {'s': kept})  # type: ignore[dict-item]
    assert (tmp_path / 'a.json').read_bytes() == (tmp_path / 'b.json').read_bytes()


def test_numbers_are_written_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    place = tuple(rng.normal(0.0, 100.0, 3).tolist())
    detection, _ = written(tmp_path, record_of(replace(CAR, center_m=place), pose=np.eye(4)))
    assert detection['results']['sample'][0]['translation'] == list(place)


def test_errors_leave_nothing(tmp_path: Path) -> None:
    path = tmp_path / 'x.json'
    with pytest.raises(BevError, match='scene s has no ego pose at 123 ns'):
        write_detection_submission(path, {'s': [record_of(CAR, pose=None)]})
    with pytest.raises(BevError, match='sample sample of scene s was predicted twice'):
        write_tracking_submission(path, {'s': [record_of(CAR)] * 2})
    with pytest.raises(BevError, match=r'cannot be written: No such file'):
        write_detection_submission(tmp_path / 'no' / 'x.json', {'s': [record_of(CAR)]})
    assert not list(tmp_path.iterdir())
