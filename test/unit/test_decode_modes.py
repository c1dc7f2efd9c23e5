"""Modes of the trajectory head: probabilities, positions, headings, order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.decode.modes import with_modes
from bev_perception.frame import BevObject, ClassScore, Trajectory

STEP_S = 0.5


def make_object(
    x: float = 0.0, y: float = 0.0, z: float = 0.75, yaw: float = 0.0, instance: int = 0
) -> BevObject:
    old = Trajectory(1.0, STEP_S, 0.0, np.array([[x, y, z]]), np.array([yaw]))
    return BevObject(
        object_id=bytes(16),
        age_frames=0,
        existence_probability=0.9,
        classes=(ClassScore(0, 'car', 0.9),),
        center_m=(x, y, z),
        size_m=(4.5, 1.9, 1.5),
        yaw_rad=yaw,
        trajectories=(old,),
        instance=instance,
    )


def line(dx: float, dy: float, steps: int) -> np.ndarray:
    """Returns offsets [T, 2] of a motion by (dx, dy) metres per step."""
    return np.arange(1, steps + 1)[:, None] * np.array([dx, dy])


def test_two_modes_by_hand() -> None:
    offsets = np.stack([line(2.0, 0.0, 3), line(0.0, 2.0, 3)])[None].astype(np.float32)
    logits = np.log(np.array([[0.25, 0.75]], dtype=np.float32))
    (found,) = with_modes([make_object(10.0, -4.0, yaw=math.pi / 2, instance=7)], logits, offsets,
                          STEP_S)  # fmt: skip
    left, ahead = found.trajectories
    assert (left.probability, ahead.probability) == pytest.approx((0.75, 0.25))
    assert (left.time_step_s, left.start_offset_s) == (STEP_S, 0.0)
    expected = [[10, -4, 0.75], [10, -2, 0.75], [10, 0, 0.75], [10, 2, 0.75]]
    assert left.positions_m == pytest.approx(np.array(expected, dtype=float))
    assert left.yaws_rad == pytest.approx([math.pi / 2] * 4)
    assert ahead.positions_m[3] == pytest.approx([16.0, -4.0, 0.75])
    assert found.instance == 7
    assert (found.center_m, found.classes) == ((10.0, -4.0, 0.75), make_object().classes)


def test_probabilities_are_a_softmax() -> None:
    logits = np.array([[1.0, 3.0, 2.0]])
    (found,) = with_modes([make_object()], logits, np.zeros((1, 3, 2, 2)), STEP_S)
    weights = [math.exp(3.0), math.exp(2.0), math.exp(1.0)]
    assert [t.probability for t in found.trajectories] == pytest.approx(
        [w / sum(weights) for w in weights]
    )


def test_huge_logits_do_not_overflow() -> None:
    logits = np.array([[1000.0, 1000.0 + math.log(3.0)]])
    (found,) = with_modes([make_object()], logits, np.zeros((1, 2, 2, 2)), STEP_S)
    assert [t.probability for t in found.trajectories] == pytest.approx([0.75, 0.25])


def test_equal_modes_keep_their_order() -> None:
    offsets = np.stack([line(k, 0.0, 1) for k in (1.0, 2.0, 3.0)])[None]
    (found,) = with_modes([make_object()], np.zeros((1, 3)), offsets, STEP_S)
    assert [t.positions_m[1, 0] for t in found.trajectories] == [1.0, 2.0, 3.0]


def test_modes_that_are_not_finite_are_left_out() -> None:
    offsets = np.ones((2, 3, 2, 2))
    logits = np.zeros((2, 3))
    offsets[0, 1, 1, 0] = np.inf
    logits[0, 2] = np.nan
    offsets[1] = np.nan
    objects = [make_object(), make_object(5.0)]
    found = with_modes(objects, logits, offsets, STEP_S)
    assert [t.probability for t in found[0].trajectories] == [1.0]
    assert np.isfinite(found[0].trajectories[0].yaws_rad).all()
    assert found[1] is objects[1]  # keeps the path it had


def test_headings_follow_a_circle() -> None:
    """A bend of 12 m at 6 m/s: the heading is that of the chord, exact on a circle."""
    angle = STEP_S * 6.0 / 12.0 * np.arange(5)
    path = 12.0 * np.stack([np.sin(angle), 1.0 - np.cos(angle)], axis=-1)
    (found,) = with_modes([make_object()], np.zeros((1, 1)), path[None, None, 1:], STEP_S)
    assert found.trajectories[0].yaws_rad[:-1] == pytest.approx(angle[:-1], abs=1e-3)
    assert found.trajectories[0].yaws_rad[-1] == pytest.approx(angle[-1] - 0.125, abs=1e-3)


def test_standing_object_keeps_its_heading() -> None:
    offsets = np.array([[0.05, 0.02], [0.0, -0.04], [0.03, 0.03]])[None, None]
    (found,) = with_modes([make_object(yaw=1.0)], np.zeros((1, 1)), offsets, STEP_S)
    assert found.trajectories[0].yaws_rad == pytest.approx([1.0] * 4, abs=0.02)


def test_backing_out_keeps_the_heading() -> None:
    (found,) = with_modes([make_object(yaw=0.2)], np.zeros((1, 1)),
                          -line(math.cos(0.2), math.sin(0.2), 4)[None, None], STEP_S)  # fmt: skip
    assert found.trajectories[0].yaws_rad == pytest.approx([0.2] * 5)


@pytest.mark.parametrize(('modes', 'steps'), [(3, 4), (1, 1), (0, 4), (6, 12)])
def test_without_objects(modes: int, steps: int) -> None:
    assert with_modes([], np.zeros((0, modes)), np.zeros((0, modes, steps, 2)), STEP_S) == ()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    objects=st.integers(1, 6),
    modes=st.integers(1, 7),
    steps=st.integers(1, 13),
)
def test_every_mode_is_there_once(seed: int, objects: int, modes: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = [
        make_object(rng.uniform(-20, 20), rng.uniform(-20, 20), yaw=rng.uniform(-3, 3))
        for _ in range(objects)
    ]
    logits = rng.normal(0.0, 2.0, (objects, modes))
    offsets = rng.normal(0.0, 5.0, (objects, modes, steps, 2))
    found = with_modes(boxes, logits.astype(np.float32), offsets.astype(np.float32), STEP_S)
    for m, item in enumerate(found):
        paths = item.trajectories
        shares = [path.probability for path in paths]
        assert len(paths) == modes
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1.0)
        weight = np.exp(logits[m] - logits[m].max())
        for path in paths:
            assert path.positions_m.shape == (steps + 1, 3)
            assert path.yaws_rad.shape == (steps + 1,)
            assert tuple(path.positions_m[0]) == item.center_m
            assert path.yaws_rad[0] == item.yaw_rad
            moved = path.positions_m[1:, :2] - path.positions_m[0, :2]
            k = int(np.abs(offsets[m] - moved).sum(axis=(1, 2)).argmin())
            assert moved == pytest.approx(offsets[m, k], abs=1e-5)
            assert path.probability == pytest.approx(weight[k] / weight.sum(), rel=1e-4)
