"""Records of metrics and predictions put aside come back as they were."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.asymmetric_scene import asymmetric_frame

from bev_perception.errors import BevError
from bev_perception.evaluation.prediction_store import PredictionStore
from bev_perception.evaluation.records import pack, unpack


@dataclass(frozen=True, eq=False)
class Sample:
    counts: np.ndarray  # int64 [n, 3]
    score: np.ndarray  # float64 []
    names: np.ndarray  # int32 [m]


def sample(seed: int, rows: int, names: int) -> Sample:
    rng = np.random.default_rng(seed)
    return Sample(
        rng.integers(-9, 9, (rows, 3)),
        np.array(rng.normal()),
        rng.integers(0, 9, names).astype(np.int32),
    )


@given(st.lists(st.none() | st.tuples(st.integers(0, 99), st.integers(0, 3), st.integers(0, 2))))
def test_records_come_back(shapes: list[tuple[int, int, int] | None]) -> None:
    records = [None if shape is None else sample(*shape) for shape in shapes]
    content = pack({'one': records, 'two': records[::-1]})
    assert content == pack({'two': records[::-1], 'one': records})
    back = unpack(content, {'one': Sample, 'two': Sample, 'three': Sample})
    assert set(back) == {'one', 'two'}
    for found, wanted in ((back['one'], records), (back['two'], records[::-1])):
        assert len(found) == len(wanted)
        for got, given_ in zip(found, wanted, strict=True):
            assert (got is None) == (given_ is None)
            for item in fields(Sample) if got is not None else ():
                new, old = getattr(got, item.name), getattr(given_, item.name)
                assert new.dtype == old.dtype and new.shape == old.shape
                assert np.array_equal(new, old)


def test_damaged_records_are_refused() -> None:
    content = pack({'one': [sample(1, 2, 2)]})

    @dataclass(frozen=True, eq=False)
    class Newer:
        counts: np.ndarray
        more: np.ndarray

    with pytest.raises(BevError, match='damaged or of another version'):
        unpack(content[: len(content) // 2], {'one': Sample})
    with pytest.raises(BevError, match='damaged or of another version'):
        unpack(content, {'one': Newer})


def test_predictions_are_put_aside(tmp_path: Path) -> None:
    frame = asymmetric_frame()
    path = tmp_path / 'deep' / 'scene.zip'
    with PredictionStore(path) as store:
        store.add(frame)
    back = PredictionStore(path).get(frame.stamp_ns)
    assert frame.objects is not None and back.objects is not None
    for found, wanted in zip(back.objects, frame.objects, strict=True):
        assert (found.object_id, found.center_m) == (wanted.object_id, wanted.center_m)
    assert back.grid == frame.grid and back.cameras == frame.cameras
    assert frame.occupancy is not None and back.occupancy is not None
    assert np.abs(back.occupancy - frame.occupancy).max() <= 0.5 / 255 + 1e-6
    with pytest.raises(KeyError):
        PredictionStore(path).get(frame.stamp_ns + 1)


def test_a_failed_scene_leaves_no_predictions(tmp_path: Path) -> None:
    path = tmp_path / 'scene.zip'
    with pytest.raises(BevError), PredictionStore(path) as store:
        store.add(asymmetric_frame())
        raise BevError('the bag ends here')
    assert not path.exists()
