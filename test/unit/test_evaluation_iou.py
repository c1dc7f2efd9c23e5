"""IoU of cells: by hand, single errors, and restated with sets of cells on random inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.truth import bev_frame, standing_scene, truth_objects

from bev_perception.evaluation.figure import Figure
from bev_perception.evaluation.metric import Predicts, ScoredFrame
from bev_perception.evaluation.metrics.iou import IouMetric
from bev_perception.evaluation.ranges import RANGES
from bev_perception.evaluation.truth.frame import TruthFrame, TruthLayer, TruthObjects
from bev_perception.evaluation.truth.hidden import Hidden
from bev_perception.evaluation.truth.raster import object_mask
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.geometry.grid import BevGrid

GRID = BevGrid(-50.0, -50.0, 0.5, 200, 200)
LAYERS = ('drivable', 'vehicle', 'two_wheeler')
PREDICTS = Predicts(layers=LAYERS, occupancy=True, motion_steps=1, motion_step_s=0.5)
# Whole cells at 0.5 m (3 x 3) and at 0.15 m: x from 1.5 to 3.0, in the short range, and from 28.5
# to 30.0, beyond it; y from 0.0 to 1.5.
BOXES = [(2.25, 0.75, 1.5, 1.5, 0.0), (29.25, 0.75, 1.5, 1.5, 0.0)]
OBJECTS = truth_objects(BOXES)


def known_world(objects: TruthObjects | None = OBJECTS, **layers: NDArray[np.int8]) -> SceneTruth:
    maps = {name: TruthLayer(GRID, cells) for name, cells in layers.items()}
    return SceneTruth([TruthFrame(0, objects, np.eye(4), maps)])


def scored(scene: SceneTruth, **prediction: Any) -> ScoredFrame:
    return ScoredFrame(bev_frame(GRID, **prediction), scene.frames[0], scene)


def semantics(**planes: NDArray[np.bool_]) -> dict[str, Any]:
    empty = np.zeros(GRID.shape, bool)
    stack = np.stack([planes.get(name, empty) for name in LAYERS]).astype(np.float32)
    return {'semantics': stack, 'semantic_classes': LAYERS}


def values(frame: ScoredFrame, predicts: Predicts = PREDICTS, **options: Any) -> dict[str, Any]:
    """Returns the figures that are defined."""
    metric = IouMetric(predicts, **options)
    record = metric.score(frame)
    figures = metric.summarise([[record]] if record is not None else [[]])
    return {name[4:]: item.value for name, item in figures.items() if item.value is not None}


def cells_of(mask: NDArray[np.bool_]) -> set[tuple[int, int]]:
    return {(iy, ix) for iy, ix in np.argwhere(mask).tolist()}


def test_perfect_predictions_are_perfect() -> None:
    mask = object_mask(OBJECTS, GRID)
    found = values(scored(known_world(), **semantics(vehicle=mask)))
    assert found == {
        f'{name}/{layer}': 1.0
        for name in RANGES
        for layer in ('vehicle', 'vehicle/observed', 'mean')
    }


def test_empty_predictions_score_zero() -> None:
    found = values(scored(known_world(), **semantics()))
    assert len(found) == 3 * len(RANGES) and set(found.values()) == {0.0}


def test_nothing_predicted_or_nothing_true_is_not_defined() -> None:
    assert values(scored(known_world())) == {}
    # As read from a recorded result: no layer at all.
    none = {'semantics': np.zeros((0, *GRID.shape), np.float32), 'semantic_classes': ()}
    assert values(scored(known_world(), **none)) == {}
    assert values(scored(known_world(None), **semantics())) == {}
    pedestrian = truth_objects([(2.0, 0.5, 1.0, 1.0, 0.0)], 'pedestrian')
    everywhere = semantics(vehicle=np.ones(GRID.shape, bool))
    assert values(scored(known_world(pedestrian), **everywhere)) == {}


def test_names_of_figures_are_always_the_same() -> None:
    metric = IouMetric(PREDICTS)
    record = metric.score(scored(known_world(), **semantics()))
    assert record is not None
    assert list(metric.summarise([[record]])) == list(metric.summarise([]))
    assert set(metric.summarise([]).values()) == {Figure(None)}
    assert list(metric.curves([[record]])) == list(metric.curves([]))


def test_shift_by_one_cell() -> None:
    """Each car loses a column of 3 cells and gains one: 6 of 12."""
    mask = np.roll(object_mask(OBJECTS, GRID), 1, axis=1)
    found = values(scored(known_world(), **semantics(vehicle=mask)))
    for name in ('long', 'short', 'model'):
        assert found[f'{name}/vehicle'] == found[f'{name}/vehicle/observed'] == 6 / 12


def test_flipped_axis() -> None:
    mask = object_mask(OBJECTS, GRID)
    assert set(values(scored(known_world(), **semantics(vehicle=mask[::-1]))).values()) == {0.0}
    assert set(values(scored(known_world(), **semantics(vehicle=mask[:, ::-1]))).values()) == {0.0}


def test_missed_far_object_moves_the_long_range_alone() -> None:
    near = object_mask(OBJECTS.selected([0]), GRID)
    found = values(scored(known_world(), **semantics(vehicle=near)))
    assert found['short/vehicle'] == found['short_fine/vehicle'] == 1.0
    assert found['long/vehicle'] == found['model/vehicle'] == 9 / 18


def test_pooled_over_frames_not_averaged() -> None:
    metric = IouMetric(PREDICTS)
    full = metric.score(scored(known_world(), **semantics(vehicle=object_mask(OBJECTS, GRID))))
    one = known_world(OBJECTS.selected([0]))
    missed = metric.score(scored(one, **semantics()))
    assert full is not None and missed is not None
    for scenes in ([[full, missed]], [[full], [missed]]):
        assert metric.summarise(scenes)['iou/long/vehicle'].value == 18 / 27


def test_layers_have_the_thresholds_of_their_model() -> None:
    mask = object_mask(OBJECTS, GRID)
    probability = semantics(vehicle=mask)
    probability['semantics'] = 0.3 * probability['semantics']
    for threshold, expected in ((0.3, 1.0), (0.31, 0.0)):
        own = replace(PREDICTS, layer_thresholds=(0.1, threshold, 0.9))
        assert values(scored(known_world(), **probability), own)['long/vehicle'] == expected


def test_threshold_is_a_half() -> None:
    certain = semantics(vehicle=object_mask(OBJECTS, GRID))
    for level, expected in ((0.5, 1.0), (0.499, 0.0)):
        weaker = certain | {'semantics': np.float32(level) * certain['semantics']}
        assert values(scored(known_world(), **weaker))['long/vehicle'] == expected


@pytest.mark.parametrize(
    ('how', 'finds_hidden', 'expected'),
    [
        ('ignore', True, 1.0),
        ('ignore', False, 1.0),
        ('drop', True, 9 / 18),
        ('drop', False, 1.0),
        ('keep', True, 1.0),
        ('keep', False, 9 / 18),
    ],
)
@pytest.mark.parametrize('reason', ['visibility', 'points'])
def test_hidden_objects(how: Hidden, finds_hidden: bool, expected: float, reason: str) -> None:
    told = {'visibility': [0.9, 0.09]} if reason == 'visibility' else {'points': [5, 0]}
    objects = truth_objects(BOXES, **told)  # type: ignore[arg-type]
    mask = object_mask(objects if finds_hidden else objects.selected([0]), GRID)
    found = values(scored(known_world(objects), **semantics(vehicle=mask)), hidden=how)
    assert found['long/vehicle'] == expected


def test_cells_of_visible_objects_count_though_a_hidden_one_is_there() -> None:
    objects = truth_objects(BOXES[:1] * 2, visibility=[0.9, 0.05])
    found = values(scored(known_world(objects), **semantics()))
    assert found['long/vehicle'] == 0.0


def test_unseen_cells_are_not_predicted() -> None:
    """The first column of the near car is unseen: 6 of 9 cells of it, 15 of 18 in all."""
    observed = np.ones(GRID.shape, bool)
    observed[:, 103] = False  # x from 1.5 to 2.0
    mask = object_mask(OBJECTS, GRID)
    found = values(scored(known_world(), observed=observed, **semantics(vehicle=mask)))
    assert found['short/vehicle'] == 6 / 9 and found['long/vehicle'] == 15 / 18
    assert found['short/vehicle/observed'] == found['long/vehicle/observed'] == 1.0


def test_static_layers_and_unknown_cells() -> None:
    cells = np.zeros(GRID.shape, np.int8)
    cells[:100] = 1
    cells[:50] = -1
    there = np.zeros(GRID.shape, bool)
    there[:75] = True  # half of what counts; the unknown half of the map does not
    scene = known_world(OBJECTS, drivable=cells)
    found = values(scored(scene, **semantics(drivable=there)))
    assert found['long/drivable'] == 0.5
    assert found['short/drivable'] == 5 / 30  # rows 70 to 75 of 70 to 100
    assert found['long/mean'] == 0.25  # of drivable and vehicle
    # Another source's name of the same map.
    scene = known_world(OBJECTS, drivable_area=cells)
    assert values(scored(scene, **semantics(drivable=there)))['long/drivable'] == 0.5


def test_map_smaller_than_the_model() -> None:
    """What is beyond the map is unknown, not empty."""
    small = BevGrid(-10.0, -10.0, 0.5, 40, 40)
    layer = TruthLayer(small, np.ones(small.shape, np.int8))
    scene = SceneTruth([TruthFrame(0, None, np.eye(4), {'drivable': layer})])
    everywhere = semantics(drivable=np.ones(GRID.shape, bool))
    assert values(scored(scene, **everywhere))['long/drivable'] == 1.0


def test_occupancy_needs_a_map_of_it_and_instances_do_not() -> None:
    mask = object_mask(OBJECTS, GRID)
    instances = np.stack([mask, mask]).astype(np.int32)
    prediction = {
        'occupancy': mask.astype(np.float32),
        'instances': instances,
        'instance_grid': GRID,
    }
    found = values(scored(known_world(), **prediction))
    assert found['long/movable'] == 1.0 and 'long/occupied' not in found
    wall = np.where(mask, 1, 0).astype(np.int8)
    wall[0] = 1
    found = values(scored(known_world(occupancy=wall), **prediction))
    assert found['long/occupied'] == 18 / 218 and found['short/occupied'] == 1.0


def test_vehicles_include_two_wheelers_unless_those_have_a_layer() -> None:
    objects = truth_objects(BOXES[:1], 'vehicle.bicycle')
    mask = semantics(vehicle=object_mask(objects, GRID))
    assert 'long/vehicle' not in values(scored(known_world(objects), **mask))
    alone = Predicts(layers=('vehicle',))
    assert values(scored(known_world(objects), **mask), alone)['long/vehicle'] == 1.0


def test_rings_of_distance() -> None:
    """The far car alone is found; all of its cells are 25 to 30 m away."""
    far = object_mask(OBJECTS.selected([1]), GRID)
    metric = IouMetric(PREDICTS)
    record = metric.score(scored(known_world(), **semantics(vehicle=far)))
    assert record is not None
    curve = metric.curves([[record]])['iou/distance/vehicle']
    assert curve.x[:2].tolist() == [2.5, 7.5]
    expected = np.full(12, np.nan)
    expected[[0, 5]] = 0.0, 1.0
    np.testing.assert_array_equal(curve.y, expected)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from(['ignore', 'drop', 'keep']))
def test_restated_with_sets_of_cells(seed: int, how: Hidden) -> None:
    rng = np.random.default_rng(seed)
    grid = BevGrid(-6.0, -5.0, 0.5, 24, 20)
    boxes = rng.uniform((-6, -5, 0.5, 0.5, -3), (6, 5, 4, 2, 3), (4, 5)).tolist()
    names = rng.choice(['car', 'Truck', 'bicycle', 'pedestrian'], 4).tolist()
    objects = truth_objects(boxes, names, visibility=rng.choice([0.05, 0.8, np.nan], 4).tolist())
    cells = rng.integers(-1, 2, grid.shape).astype(np.int8)
    scene = SceneTruth([TruthFrame(0, objects, None, {'drivable': TruthLayer(grid, cells)})])
    probability = rng.random((3, *grid.shape)).astype(np.float32)
    observed = rng.random(grid.shape) < 0.8
    prediction = bev_frame(grid, observed=observed, semantics=probability, semantic_classes=LAYERS)
    found = values(ScoredFrame(prediction, scene.frames[0], scene), hidden=how)
    groups = {'vehicle': ('car', 'Truck'), 'two_wheeler': ('bicycle',)}
    for index, layer in enumerate(LAYERS):
        true, ignored = set(), set()
        for iy, ix in np.ndindex(*grid.shape):
            if layer == 'drivable':
                true |= {(iy, ix)} if cells[iy, ix] == 1 else set()
                ignored |= {(iy, ix)} if cells[iy, ix] == -1 else set()
        for row in range(4) if layer in groups else ():
            if names[row] in groups[layer]:
                own = set(
                    zip(*np.nonzero(object_mask(objects.selected([row]), grid)), strict=True)
                )
                dim = objects.visibility[row] < 0.1
                if not dim or how == 'keep':
                    true |= own
                elif how == 'ignore':
                    ignored |= own
        ignored -= true
        seen = cells_of(observed)
        said = (cells_of(probability[index] >= 0.5) & seen) - ignored
        expected = len(true & said) / len(true | said) if true else None
        assert found.get(f'model/{layer}') == expected
        true, said = true & seen, said & seen
        expected = len(true & said) / len(true | said) if true else None
        assert found.get(f'model/{layer}/observed') == expected


def test_models_with_another_grid_are_looked_up() -> None:
    """A model at 0.25 m whose cells agree with the footprints at 0.5 m."""
    fine = BevGrid(-50.0, -50.0, 0.25, 400, 400)
    mask = np.kron(object_mask(OBJECTS, GRID), np.ones((2, 2), bool))
    prediction = bev_frame(
        fine, semantics=mask[None].astype(np.float32), semantic_classes=('vehicle',)
    )
    scene = standing_scene(OBJECTS, [0.0])
    found = values(ScoredFrame(prediction, scene.frames[0], scene), Predicts(layers=('vehicle',)))
    assert found['long/vehicle'] == found['short/vehicle'] == found['model/vehicle'] == 1.0


def test_ranges_that_the_model_does_not_cover() -> None:
    small = BevGrid(-15.0, -15.0, 0.5, 60, 60)
    mask = object_mask(OBJECTS, small)
    prediction = bev_frame(
        small, semantics=mask[None].astype(np.float32), semantic_classes=('vehicle',)
    )
    scene = standing_scene(OBJECTS, [0.0])
    found = values(ScoredFrame(prediction, scene.frames[0], scene), Predicts(layers=('vehicle',)))
    assert {name.split('/')[0] for name in found} == {'short', 'short_fine', 'model'}
