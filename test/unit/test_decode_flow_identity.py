"""What is predicted of a known object: its state ahead, and the instance it should lie on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bev_perception.decode.flow_identity import footprint_iou, overlap_m2, state_ahead
from bev_perception.frame import BevObject, ClassScore, Trajectory
from bev_perception.geometry.footprints import footprint_cells
from bev_perception.geometry.grid import BevGrid

GRID = BevGrid.from_range((-10.0, 30.0), (-8.0, 12.0), 0.5)


def make_object(
    xyz: Sequence[Sequence[float]] = (),
    yaws: Sequence[float] = (),
    step_s: float = 0.5,
    offset_s: float = 0.0,
    instance: int = 0,
) -> BevObject:
    """Returns a car at (1, 2, 0.8) heading by 0.1 rad, with a path."""
    path = Trajectory(0.9, step_s, offset_s, np.array(xyz, dtype=float), np.array(yaws))
    worse = Trajectory(0.1, step_s, offset_s, np.full((3, 3), 99.0), np.zeros(3))
    return BevObject(
        object_id=bytes(16),
        age_frames=0,
        existence_probability=0.9,
        classes=(ClassScore(0, 'car', 0.9),),
        center_m=(1.0, 2.0, 0.8),
        size_m=(4.0, 2.0, 1.5),
        yaw_rad=0.1,
        trajectories=(path, worse) if len(xyz) else (),
        instance=instance,
    )


def test_without_a_path_at_constant_velocity() -> None:
    ahead = state_ahead(make_object(), 0.4, (5.0, -1.0))
    assert ahead.center_m == pytest.approx((3.0, 1.6, 0.8))
    assert (ahead.yaw_rad, ahead.velocity_mps) == (0.1, (5.0, -1.0))


PATH = [(1.0, 2.0, 0.8), (4.0, 2.0, 0.9), (6.0, 5.0, 0.9)]
YAWS = [0.1, 0.3, 1.1]


@pytest.mark.parametrize(
    ('age_s', 'center_m', 'yaw', 'velocity'),
    [
        (0.0, (1.0, 2.0, 0.8), 0.1, (6.0, 0.0)),
        (0.1, (1.6, 2.0, 0.82), 0.14, (6.0, 0.0)),
        (0.5, (4.0, 2.0, 0.9), 0.3, (6.0, 0.0)),
        (0.75, (5.0, 3.5, 0.9), 0.7, (4.0, 6.0)),
        (1.0, (6.0, 5.0, 0.9), 1.1, (4.0, 6.0)),
        (1.5, (8.0, 8.0, 0.9), 1.1, (4.0, 6.0)),  # on as along the last two
    ],
)
def test_along_a_path(
    age_s: float, center_m: tuple[float, ...], yaw: float, velocity: tuple[float, float]
) -> None:
    ahead = state_ahead(make_object(PATH, YAWS), age_s, (math.nan, math.nan))
    assert ahead.center_m == pytest.approx(center_m)
    assert ahead.yaw_rad == pytest.approx(yaw)
    assert ahead.velocity_mps == pytest.approx(velocity)


def test_path_that_starts_later() -> None:
    """Its first pose is 0.4 s ahead: until then from the box to it."""
    item = make_object(PATH[1:], YAWS[1:], offset_s=0.4)
    assert state_ahead(item, 0.1, (0, 0)).center_m == pytest.approx((1.75, 2.0, 0.825))
    assert state_ahead(item, 0.1, (0, 0)).velocity_mps == pytest.approx((7.5, 0.0))
    assert state_ahead(item, 0.9, (0, 0)).center_m == pytest.approx((6.0, 5.0, 0.9))


def test_path_of_the_box_alone_says_nothing() -> None:
    ahead = state_ahead(make_object(PATH[:1], YAWS[:1]), 1.0, (2.0, 0.0))
    assert ahead.center_m == pytest.approx((3.0, 2.0, 0.8))


def test_yaw_turns_the_short_way() -> None:
    ahead = state_ahead(make_object(PATH[:2], [3.0, -3.0]), 0.5, (0.0, 0.0))
    assert math.remainder(ahead.yaw_rad + 3.0, 2 * math.pi) == pytest.approx(0.0)
    item = make_object(PATH, [0.1, 3.0, -3.0])
    middle = state_ahead(item, 0.75, (0.0, 0.0)).yaw_rad
    assert abs(math.remainder(middle - math.pi, 2 * math.pi)) < 1e-9


@given(
    ages=st.lists(st.floats(0.0, 4.0), min_size=2, max_size=6),
    steps=st.integers(1, 8),
    step_s=st.sampled_from([0.1, 0.25, 0.5, 0.7]),
)
def test_uniform_motion_is_predicted_exactly(ages: list[float], steps: int, step_s: float) -> None:
    path = [(1.0 + 3.0 * step_s * k, 2.0 - step_s * k, 0.8) for k in range(steps + 1)]
    item = make_object(path, [0.1] * (steps + 1), step_s)
    for age_s in ages:
        x, y, _ = state_ahead(item, age_s, (0.0, 0.0)).center_m
        assert (x, y) == pytest.approx((1.0 + 3.0 * age_s, 2.0 - age_s))


def labelled(*boxes: tuple[int, float, float, float, float, float]) -> np.ndarray:
    """Returns labels [Y, X] of (label, x, y, length, width, yaw)."""
    present = np.zeros(GRID.shape, dtype=np.int32)
    for label, x, y, length, width, yaw in boxes:
        (cells,) = footprint_cells([(x, y)], [(length, width)], [yaw], GRID)
        present[cells[1]][cells[2]] = label
    return present


def test_overlap_by_hand() -> None:
    present = labelled((3, 2.0, 1.0, 4.0, 2.0, 0.0), (1, 10.0, 1.0, 4.0, 2.0, 0.0))
    # The first box lies on label 3 with its front half; the second is off the grid.
    boxes = np.array([[0.0, 1.0, 4.0, 2.0, 0.0], [-30.0, 1.0, 4.0, 2.0, 0.0]])
    area = overlap_m2(boxes, present, GRID, 4)
    assert area[0] == pytest.approx([0.0, 0.0, 0.0, 4.0])
    assert not area[1].any()


def test_iou_by_hand() -> None:
    present = labelled((3, 2.0, 1.0, 4.0, 2.0, 0.0), (1, 10.0, 1.0, 4.0, 2.0, 0.0))
    boxes = np.array([[0.0, 1.0, 4.0, 2.0, 0.0], [10.0, 1.0, 4.0, 2.0, math.pi]])
    objects = [make_object(instance=label) for label in (1, 3, 0, 7)]
    iou = footprint_iou(boxes, objects, present, GRID)
    # 4 m2 of 8 + 8 - 4; label 0 is none, and there is no label 7.
    assert iou == pytest.approx(np.array([[0.0, 1.0], [1 / 3, 0.0], [0.0, 0.0], [0.0, 0.0]]))


def test_iou_where_nothing_is_labelled() -> None:
    nothing = np.zeros(GRID.shape, dtype=np.int32)
    boxes = np.array([[0.0, 1.0, 0.0, 0.0, 0.0]])
    assert footprint_iou(boxes, [make_object(instance=2)], nothing, GRID).tolist() == [[0.0]]
