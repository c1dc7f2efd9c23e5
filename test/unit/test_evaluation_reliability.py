"""Calibration of occupancy: by hand, and restated cell by cell on random inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.truth import bev_frame, standing_scene, truth_objects

from bev_perception.evaluation.metric import Predicts, ScoredFrame
from bev_perception.evaluation.metrics.reliability import BINS, ReliabilityMetric
from bev_perception.evaluation.truth.frame import TruthFrame, TruthLayer, TruthObjects
from bev_perception.evaluation.truth.raster import object_mask
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.geometry.grid import BevGrid

GRID = BevGrid(0.0, 0.0, 0.5, 10, 10)
PREDICTS = Predicts(occupancy=True)
CAR = truth_objects([(2.5, 2.5, 2.0, 1.0, 0.0)])  # x 1.5 to 3.5, y 2 to 3: 8 of 100 cells


def known_world(cells: NDArray[np.int8] | None, objects: TruthObjects | None = None) -> SceneTruth:
    layers = {} if cells is None else {'occupancy': TruthLayer(GRID, cells)}
    return SceneTruth([TruthFrame(0, objects, None, layers)])


def values(scene: SceneTruth, occupancy: NDArray | None, **more: Any) -> dict[str, float | None]:
    told = None if occupancy is None else occupancy.astype(np.float32)
    metric = ReliabilityMetric(PREDICTS, **more.pop('options', {}))
    record = metric.score(
        ScoredFrame(bev_frame(GRID, occupancy=told, **more), scene.frames[0], scene)
    )
    assert record is not None
    return {name[10:]: item.value for name, item in metric.summarise([[record]]).items()}


def test_perfect_certainty() -> None:
    mask = object_mask(CAR, GRID)
    assert values(known_world(None, CAR), mask) == {'ECE': 0, 'Brier': 0, 'unknown_share': 0}
    assert values(known_world(mask.astype(np.int8)), mask) == {
        'ECE': 0,
        'Brier': 0,
        'unknown_share': 0,
    }


def test_wrong_certainty() -> None:
    found = values(known_world(None, CAR), ~object_mask(CAR, GRID))
    assert found == {'ECE': 1, 'Brier': 1, 'unknown_share': 0}


def test_calibrated_but_ignorant() -> None:
    """A quarter is occupied, and a quarter is what is said: no calibration error, Brier 3/16."""
    cells = np.zeros(GRID.shape, np.int8)
    cells[:5, :5] = 1
    found = values(known_world(cells), np.full(GRID.shape, 0.25))
    assert found['ECE'] == pytest.approx(0.0, abs=1e-12)
    assert found['Brier'] == pytest.approx(3 / 16)


def test_two_bins_by_hand() -> None:
    """50 cells at 0.75 of which 25 are occupied, 50 at 0.125 of which none is."""
    cells = np.zeros(GRID.shape, np.int8)
    cells[:5, :5] = 100  # as in messages
    said = np.full(GRID.shape, 0.125)
    said[:5] = 0.75
    found = values(known_world(cells), said)
    assert found['ECE'] == pytest.approx(0.5 * 0.25 + 0.5 * 0.125)
    assert found['Brier'] == pytest.approx((25 * 0.0625 + 25 * 0.5625 + 50 * 0.015625) / 100)


def test_unseen_and_unknown_cells_do_not_count() -> None:
    cells = np.zeros(GRID.shape, np.int8)
    cells[0] = -1
    observed = np.ones(GRID.shape, bool)
    observed[:, :3] = False
    said = np.zeros(GRID.shape)
    said[0] = 1.0
    said[:, :3] = 1.0
    found = values(known_world(cells), said, observed=observed)
    assert found == {'ECE': 0, 'Brier': 0, 'unknown_share': 0.3}


def test_hidden_objects_do_not_count_unless_asked_for() -> None:
    hidden = truth_objects([(2.5, 2.5, 2.0, 1.0, 0.0)], visibility=[0.05])
    nothing = np.zeros(GRID.shape)
    for how, expected in (('ignore', 0.0), ('drop', 0.0), ('keep', 0.08)):
        found = values(known_world(None, hidden), nothing, options={'hidden': how})
        assert found['Brier'] == pytest.approx(expected)
    everything = object_mask(hidden, GRID)
    for how, expected in (('ignore', 0.0), ('drop', 0.08), ('keep', 0.0)):
        found = values(known_world(None, hidden), everything, options={'hidden': how})
        assert found['Brier'] == pytest.approx(expected)


def test_what_is_not_defined() -> None:
    nothing = {'ECE': None, 'Brier': None, 'unknown_share': 0.0}
    assert values(known_world(None, CAR), None) == nothing
    assert values(known_world(None), np.zeros(GRID.shape)) == nothing
    assert values(known_world(np.full(GRID.shape, -1, np.int8)), np.zeros(GRID.shape)) == nothing
    metric = ReliabilityMetric(PREDICTS)
    assert {item.value for item in metric.summarise([]).values()} == {None}
    assert ReliabilityMetric(Predicts()).curves([]) == {}


def test_curve() -> None:
    cells = np.zeros(GRID.shape, np.int8)
    cells[:5, :5] = 1
    said = np.full(GRID.shape, 1.0)  # the last bin is closed
    said[5:] = 0.21
    metric, scene = ReliabilityMetric(PREDICTS), known_world(cells)
    prediction = bev_frame(GRID, occupancy=said.astype(np.float32))
    record = metric.score(ScoredFrame(prediction, scene.frames[0], scene))
    assert record is not None
    curve = metric.curves([[record], [record]])['occupancy/reliability']
    assert len(curve.x) == BINS and np.all(np.diff(curve.x) > 0)
    assert curve.x[[3, 14]] == pytest.approx([0.21, 1.0])
    assert curve.y[[3, 14]].tolist() == [0.0, 0.5]
    assert np.isnan(np.delete(curve.y, [3, 14])).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_restated(seed: int, frames: int) -> None:
    rng = np.random.default_rng(seed)
    metric, records = ReliabilityMetric(PREDICTS), []
    bins: list[list[tuple[float, int]]] = [[] for _ in range(15)]
    unknown = 0
    for _ in range(frames):
        cells = rng.integers(-1, 2, GRID.shape).astype(np.int8)
        said = rng.random(GRID.shape).astype(np.float32)
        said[0, :2] = 0.0, 1.0
        observed = rng.random(GRID.shape) < 0.7
        scene = known_world(cells)
        prediction = bev_frame(GRID, occupancy=said, observed=observed)
        records.append(metric.score(ScoredFrame(prediction, scene.frames[0], scene)))
        for place in np.ndindex(*GRID.shape):
            unknown += int(not observed[place])
            if observed[place] and cells[place] >= 0:
                p = float(said[place])
                index = next(i for i in range(15) if p * 15 < i + 1 or i == 14)
                bins[index].append((p, int(cells[place])))
    pairs = [pair for content in bins for pair in content]
    ece = sum(
        len(content) / len(pairs)
        * abs(np.mean([p for p, _ in content]) - np.mean([o for _, o in content]))
        for content in bins
        if content
    )  # fmt: skip
    brier = np.mean([(p - o) ** 2 for p, o in pairs])
    found = metric.summarise([[record] for record in records if record is not None])
    assert found['occupancy/ECE'].value == pytest.approx(ece, abs=1e-9)
    assert found['occupancy/Brier'].value == pytest.approx(brier, abs=1e-9)
    assert found['occupancy/unknown_share'].value == unknown / (100 * frames)


def test_scene_of_standing_objects_needs_no_map() -> None:
    scene = standing_scene(CAR, [0.0, 1.0])
    assert values(scene, object_mask(CAR, GRID))['ECE'] == 0
