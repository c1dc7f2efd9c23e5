"""Motion, overlaps, lines and SUMO's programs, one by one."""

import stat
from pathlib import Path

import numpy as np
import pytest
from bev_trainer.errors import SimulationError
from bev_trainer.traffic import tools
from bev_trainer.traffic.astray import RightfulGround
from bev_trainer.traffic.maker import make_world
from bev_trainer.traffic.motion import held_still, person_motion, smoothed, vehicle_motion
from bev_trainer.traffic.overlap import hits, overlapping, without_overlaps
from bev_trainer.traffic.shapes import at, merged, piece, rounded, shifted, smooth
from bev_trainer.traffic.small_world import small_spec
from bev_trainer.world.classes import SemanticClass
from bev_trainer.world.road_map import RoadMap
from bev_trainer.world.tracks import Track
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from shapely.geometry import LineString, Polygon

coordinates = st.floats(-100, 100, allow_nan=False, width=32)


def _track(
    name: str, path: object, yaw: float = 0.0, parked: bool = False, start_s: float = 0.0
) -> Track:
    """A box of 4 m x 2 m."""
    points = np.array(path, float)
    return Track(
        name, SemanticClass.CAR, 'sedan', (1.0, 1.0, 1.0), 4.0, 2.0, 1.5, start_s, 0.1,
        points[:, 0], points[:, 1], np.full(len(points), yaw), parked,
    )  # fmt: skip


def test_smoothing_keeps_ends_and_straight_motion() -> None:
    line = np.stack([np.arange(30) * 1.3, np.arange(30) * -0.4], -1)
    np.testing.assert_allclose(smoothed(line), line, atol=1e-12)
    step = np.repeat([0.0, 7.0], 10)[:, None]
    result = smoothed(step)[:, 0]
    assert result[0] == 0.0
    assert result[-1] == 7.0
    np.testing.assert_allclose(result[6:14], [0, 1, 2, 3, 4, 5, 6, 7], atol=1e-12)


@given(arrays(float, (25, 2), elements=coordinates))
def test_smoothing_stays_among_the_values(values: np.ndarray) -> None:
    result = smoothed(values)
    assert (result <= values.max(axis=0) + 1e-9).all()
    assert (result >= values.min(axis=0) - 1e-9).all()


def test_creeping_less_than_half_a_millimetre_is_standing() -> None:
    path = np.stack([np.arange(8) * 0.0002, np.zeros(8)], -1)
    np.testing.assert_allclose(held_still(path)[:, 0], [0, 0, 0, 6e-4, 6e-4, 6e-4, 12e-4, 12e-4])


def test_vehicle_in_a_circle_turns_in_as_a_bicycle_model_does() -> None:
    """Front bumper on a circle of R: the rear axle follows on sqrt(R^2 - reach^2)."""
    angle = np.linspace(0.0, 4.0 * np.pi, 800)
    front = 20.0 * np.stack([np.cos(angle), np.sin(angle)], -1)
    middle, yaw = vehicle_motion(front, np.pi / 2, 5.0, 1.0)
    heading = np.stack([np.cos(yaw), np.sin(yaw)], -1)
    rear_axle = middle - 1.5 * heading
    assert np.hypot(*rear_axle[600]) == pytest.approx(np.sqrt(20.0**2 - 4.0**2), abs=0.08)
    assert yaw[700] - yaw[600] == pytest.approx(angle[700] - angle[600], abs=1e-3)


def test_pedestrian_who_fidgets_stands_and_keeps_looking() -> None:
    fidget = 0.02 * np.stack([np.sin(np.arange(60) * 1.7), np.cos(np.arange(60) * 2.3)], -1)
    middle, yaw = person_motion(fidget, 1.0)
    settled = middle[15:45]
    assert np.ptp(settled, axis=0).max() < 1e-3
    assert np.ptp(yaw[15:45]) < 0.01


def test_overlap_by_hand() -> None:
    """Boxes of 4 x 2, one 3.5 m ahead and 1 m aside: 0.5 x 1."""
    times = np.array([0.0, 0.1, 0.2])
    still = _track('still', [(0, 0)], parked=True)
    passing = _track('passing', [(9, 1), (3.5, 1), (9, 1)])
    far = _track('far', [(0, -2.01)] * 3)
    late = _track('late', [(0, 0)] * 3, start_s=1.0)
    found = overlapping([still, passing, far, late], times)
    assert found.keys() == {(0, 1)}
    assert found[0, 1] == pytest.approx(0.5)
    assert hits(passing, [far, late, still], times) == [2]


@given(st.floats(-6, 6), st.floats(-6, 6), st.floats(-4, 4))
def test_overlaps_are_those_of_polygons(x: float, y: float, yaw: float) -> None:
    unit = np.array([[2, 1], [-2, 1], [-2, -1], [2, -1]])
    c, s = np.cos(yaw), np.sin(yaw)
    turned = Polygon(unit @ np.array([[c, s], [-s, c]]) + np.array([x, y]))
    area = Polygon(unit).intersection(turned).area
    tracks = [_track('one', [(0, 0)], parked=True), _track('two', [(x, y)], yaw, parked=True)]
    found = overlapping(tracks, np.array([0.0]))
    if area > 0.0501:
        assert found[0, 1] == pytest.approx(area, abs=1e-9)
    elif area < 0.0499:
        assert not found


def test_parked_cars_go_before_moving_ones_and_kept_ones_last() -> None:
    times = np.array([0.0])
    parked = _track('parked', [(0, 0)], parked=True)
    moving, other = _track('moving', [(1, 0)] * 2), _track('other', [(2, 0)] * 3)
    names = [t.name for t in without_overlaps([parked, moving], times, set())]
    assert names == ['moving']
    names = [t.name for t in without_overlaps([moving, other], times, {'moving'})]
    assert names == ['moving']


def test_who_leaves_the_pavement_is_astray() -> None:
    road = merged([Polygon([(0, 0), (100, 0), (100, 8), (0, 8)])])
    walk = merged([Polygon([(0, 8), (100, 8), (100, 10), (0, 10)])])
    none = merged([])
    ground = RightfulGround.of(RoadMap(road, walk, none, none, none, (), ()))
    assert ground.keeps(_track('inside', [(5, 4), (6, 4)]))
    assert not ground.keeps(_track('outside', [(5, 4), (5, 8.1)]))
    for y, fine in ((7.6, True), (7.4, False)):
        walker = Track(
            'walker', SemanticClass.PEDESTRIAN, 'adult', (1.0, 1.0, 1.0), 0.8, 0.6, 1.8, 0.0, 0.1,
            np.array([50.0, 50.0]), np.array([9.0, y]), np.zeros(2),
        )  # fmt: skip
        assert ground.keeps(walker) == fine


def test_lines_by_hand() -> None:
    corner = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]])
    np.testing.assert_allclose(shifted(corner, 1.0), [[0, 1], [9, 1], [9, 10]], atol=1e-12)
    np.testing.assert_allclose(piece(corner, 8.0, 13.0), [[8, 0], [10, 0], [10, 3]])
    place, way = at(corner, 14.0)
    np.testing.assert_allclose([place, way], [[10, 4], [0, 1]])


def test_rounded_corner_touches_both_arms_and_sharp_ones_stay() -> None:
    corner = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]])
    curve = rounded(corner, 4.0, np.pi, 9)
    np.testing.assert_allclose(
        curve[[0, 1, 5, 9, 10]], [[0, 0], [6, 0], [9, 1], [10, 4], [10, 10]]
    )
    np.testing.assert_array_equal(rounded(corner, 4.0, 1.0, 9), corner)


def test_smooth_ring_is_closed_and_near() -> None:
    angle = np.linspace(0, 2 * np.pi, 25)
    ring = 12.0 * np.stack([np.cos(angle), np.sin(angle)], -1)
    ring[-1] = ring[0]
    result = smooth(ring)
    np.testing.assert_array_equal(result[0], result[-1])
    steps = np.diff(result, axis=0)
    headings = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    assert np.diff(headings).max() < np.deg2rad(6.0)
    assert LineString(result).hausdorff_distance(LineString(ring)) < 0.12


def test_without_sumo_one_line_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tools.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(SimulationError) as caught:
        make_world(small_spec(1), tmp_path)
    assert 'pip install eclipse-sumo' in str(caught.value)
    assert '\n' not in str(caught.value)


def _program(folder: Path, text: str) -> None:
    program = folder / 'bin' / 'netgenerate'
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\n{text}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ('script', 'reason'),
    [
        ('echo "Warning: odd"; echo "Error: no luck today."; echo "Quitting (on error)."; exit 1',
         'netgenerate failed: no luck today;'),
        ('exit 3', 'netgenerate failed: it said nothing;'),
        ('kill -9 $$', 'netgenerate failed: it said nothing;'),
    ],
)  # fmt: skip
def test_failing_program_is_named_with_its_reason(
    script: str, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _program(tmp_path / 'home', script)
    monkeypatch.setattr(tools, 'sumo_home', lambda: tmp_path / 'home')
    with pytest.raises(SimulationError) as caught:
        tools.run_tool('netgenerate', [], tmp_path)
    assert str(caught.value).startswith(reason)
    assert str(tmp_path / 'netgenerate.log') in str(caught.value)
    assert '\n' not in str(caught.value)


def test_absent_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tools, 'sumo_home', lambda: tmp_path / 'home')
    with pytest.raises(SimulationError, match='netgenerate: cannot be run: No such file'):
        tools.run_tool('netgenerate', [], tmp_path)


def test_scratch_that_cannot_be_made_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr('bev_trainer.traffic.maker.sumo_home', lambda: tmp_path)
    (tmp_path / 'file').write_text('')
    with pytest.raises(SimulationError, match='net_000001_0: cannot be made: Not a directory'):
        make_world(small_spec(1), tmp_path / 'file')
