"""What makes roads and traffic believable, on a stored world and on one made afresh."""

import importlib.util
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from bev_trainer.traffic.maker import make_world
from bev_trainer.traffic.small_world import small_spec
from bev_trainer.world.catalogue import MODELS
from bev_trainer.world.classes import OBJECT_CLASSES, SemanticClass
from bev_trainer.world.storage import load_world, save_world
from bev_trainer.world.tracks import Track
from bev_trainer.world.world import World
from shapely import contains_xy, distance, points
from shapely.geometry import LineString, Polygon
from shapely.strtree import STRtree

STORED = Path(__file__).parents[1] / 'data' / 'small_world.json.gz'
FRESH_SEED = 15
HAS_SUMO = importlib.util.find_spec('sumo') is not None
needs_sumo = pytest.mark.skipif(not HAS_SUMO, reason='SUMO is not installed')


@pytest.fixture(scope='module')
def fresh(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(small_spec(FRESH_SEED), tmp_path_factory.mktemp('fresh'))


@pytest.fixture(scope='module', params=['stored', pytest.param('fresh', marks=needs_sumo)])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == 'stored':
        return load_world(STORED)
    made: World = request.getfixturevalue('fresh')
    return made


def _moving(world: World, pedestrians: bool | None = None) -> list[Track]:
    tracks = [track for track in world.tracks if not track.parked]
    if pedestrians is None:
        return tracks
    kind = SemanticClass.PEDESTRIAN
    return [track for track in tracks if (track.object_class == kind) == pedestrians]


def _outline(track: Track, time_s: float) -> Polygon:
    state = track.state(time_s)
    unit = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) / 2
    c, s = np.cos(state.yaw_rad), np.sin(state.yaw_rad)
    corners = unit * [track.length_m, track.width_m] @ np.array([[c, s], [-s, c]])
    return Polygon(corners + np.array([state.x_m, state.y_m]))


def test_everyone_is_there(world: World) -> None:
    assert {track.object_class for track in world.tracks} == set(OBJECT_CLASSES)
    assert sum(track.parked for track in world.tracks) >= 10
    assert len({track.name for track in world.tracks}) == len(world.tracks)
    assert all(track.model in MODELS for track in world.tracks)
    assert len(world.ego_drives) == 2
    assert len(world.road_map.signals) >= 3
    assert world.road_map.crossing.area > 100.0
    assert len(world.props) > 50


def test_motion_is_possible(world: World) -> None:
    for tracks, yaw_dps, most_mps2 in (
        (_moving(world, pedestrians=False), 60.0, 4.5),
        (_moving(world, pedestrians=True), 120.0, 3.0),
    ):
        samples = [track.samples for track in tracks]
        turns = np.concatenate([np.abs(np.diff(rows[:, 2])) / 0.1 for rows in samples])
        pushes = np.concatenate([np.hypot(rows[:, 5], rows[:, 6]) for rows in samples])
        assert np.rad2deg(np.percentile(turns, 99.9)) < yaw_dps
        assert np.percentile(pushes, 99.9) < most_mps2


def test_nobody_jumps(world: World) -> None:
    for pedestrians, most_mps in ((False, 16.0), (True, 3.0)):
        for track in _moving(world, pedestrians):
            steps = np.hypot(np.diff(track.x_m), np.diff(track.y_m))
            assert steps.max() / track.step_s < most_mps, track.name


def test_velocity_is_the_derivative_of_position(world: World) -> None:
    for track in _moving(world)[::5]:
        for time_s in np.arange(track.start_s + 0.3, track.end_s - 0.3, 1.7):
            middle = round((time_s - track.start_s) / 0.1) * 0.1 + track.start_s
            before, now, after = (track.state(middle + shift) for shift in (-0.1, 0.0, 0.1))
            assert now.vx_mps == pytest.approx((after.x_m - before.x_m) / 0.2, abs=1e-6)
            assert now.vy_mps == pytest.approx((after.y_m - before.y_m) / 0.2, abs=1e-6)
            assert now.ax_mps2 == pytest.approx((after.vx_mps - before.vx_mps) / 0.2, abs=1e-6)


def test_vehicles_go_where_they_point(world: World) -> None:
    """The rear axle cannot slip: its velocity lies along the heading."""
    slips = []
    for track in _moving(world, pedestrians=False):
        model = MODELS[track.model]
        back = 0.5 * track.length_m - model.rear_overhang_m
        axle = np.stack(
            [track.x_m - back * np.cos(track.yaw_rad), track.y_m - back * np.sin(track.yaw_rad)]
        )
        step = np.diff(axle)
        yaw = track.yaw_rad[1:]
        sideways = np.abs(-np.sin(yaw) * step[0] + np.cos(yaw) * step[1])
        slips.append(sideways[np.hypot(*step) > 0.1] / 0.1)
    assert np.percentile(np.concatenate(slips), 99.0) < 0.03


def test_who_stands_stands_still(world: World) -> None:
    steps = np.concatenate(
        [np.hypot(np.diff(t.x_m), np.diff(t.y_m)) for t in _moving(world, pedestrians=False)]
    )
    assert (steps == 0.0).mean() > 0.02
    assert ((steps > 0.0) & (steps < 0.0004)).mean() < 0.002


def test_boxes_do_not_stand_in_one_another(world: World) -> None:
    for time_s in np.arange(world.start_s + 0.05, world.end_s, 0.85):
        boxes = [_outline(track, time_s) for track in world.tracks if track.exists(time_s)]
        first, second = STRtree(boxes).query(boxes, predicate='intersects')
        for one, other in zip(first, second, strict=True):
            if one < other:
                assert boxes[one].intersection(boxes[other]).area < 0.06


def test_vehicles_are_on_the_road(world: World) -> None:
    drivable = world.road_map.drivable
    places = np.concatenate(
        [np.stack([t.x_m, t.y_m], -1) for t in world.tracks if t.object_class < 16]
    )
    assert contains_xy(drivable, places[:, 0], places[:, 1]).mean() > 0.99


def test_pedestrians_keep_off_the_lanes(world: World) -> None:
    walkable = world.road_map.sidewalk.union(world.road_map.crossing)
    places = np.concatenate([np.stack([t.x_m, t.y_m], -1) for t in _moving(world, True)])
    away = distance(points(places), walkable)
    assert (away > 0.1).mean() < 0.01
    assert away.max() <= 0.51


def test_parked_cars_leave_the_lanes_free(world: World) -> None:
    driving = [lane for lane in world.road_map.lanes if lane.kind == 'driving']
    for track in [track for track in world.tracks if track.parked]:
        box = _outline(track, 0.0)
        for lane in driving:
            ribbon = LineString(lane.centerline_m).buffer(lane.width_m / 2, cap_style='flat')
            # Long vans reach over the line of a bay on the inside of a curve.
            assert box.intersection(ribbon).area < 0.05 * box.area, track.name


def test_map_is_sound(world: World) -> None:
    road_map = world.road_map
    kerb_m = road_map.drivable.length
    for name in ('drivable', 'sidewalk', 'crossing', 'white_paint', 'yellow_paint'):
        assert getattr(road_map, name).is_valid, name
    assert road_map.sidewalk.intersection(road_map.drivable).area < 1e-3 * kerb_m
    for name in ('crossing', 'white_paint', 'yellow_paint'):
        outside = getattr(road_map, name).difference(road_map.drivable).area
        assert outside < 1e-3 * kerb_m, name
    for lane in road_map.lanes:
        area = road_map.sidewalk if lane.kind == 'sidewalk' else road_map.drivable
        assert LineString(lane.centerline_m).difference(area).length < 0.5, lane.lane_id
    assert 0.01 < road_map.white_paint.area / road_map.drivable.area < 0.2


def test_crossing_traffic_is_never_green_at_once(world: World) -> None:
    """At crossroads, whose lights are for straight on, by the angle between the approaches."""
    heads: dict[str, list[tuple[float, int]]] = {}
    for head in world.road_map.signals:
        heads.setdefault(head.controller, []).append((head.yaw_rad, head.link))
    crossroads = {name: group for name, group in heads.items() if len(group) == 4}
    pairs = 0
    for name, group in crossroads.items():
        _, states = world.signals.controllers[name]
        for yaw, link in group:
            for other_yaw, other_link in group:
                if abs(np.sin(yaw - other_yaw)) > 0.8 and link < other_link:
                    pairs += 1
                    assert not any(s[link] == 'G' == s[other_link] for s in states)
    assert pairs >= 4


def test_lights_change_through_yellow(world: World) -> None:
    assert world.signals.controllers
    for times_s, states in world.signals.controllers.values():
        assert len(times_s) == len(states)
        assert (np.diff(times_s) > 0).all()
        assert times_s[0] <= world.start_s + 1e-9
    for head in world.road_map.signals:
        _, states = world.signals.controllers[head.controller]
        letters = [state[head.link].lower() for state in states]
        assert set(letters) <= set('rygso')
        assert not any(a == 'g' and b == 'r' for a, b in pairwise(letters))


def test_lights_stand_beside_the_road(world: World) -> None:
    drivable = world.road_map.drivable
    heads = world.road_map.signals
    assert not contains_xy(drivable, [h.x_m for h in heads], [h.y_m for h in heads]).any()
    away = distance(points([[h.x_m, h.y_m] for h in heads]), drivable)
    assert away.max() < 1.5


def test_ego_drives_go_somewhere_on_the_road(world: World) -> None:
    drivable = world.road_map.drivable
    names = {track.name for track in world.tracks}
    for drive in world.ego_drives:
        track = drive.track
        assert drive.replaces in names
        assert world.start_s <= track.start_s <= drive.start_s - 0.5 + 1e-9
        assert track.end_s >= drive.start_s + 8.0 + 0.5 - 1e-9
        assert world.end_s >= drive.start_s + 8.0 + 3.0
        assert track.samples[-1, 7] > 2.0 * 8.0
        assert contains_xy(drivable, track.x_m, track.y_m).all()
        for time_s in np.arange(track.start_s, track.end_s, 0.5):
            box = _outline(track, time_s)
            others = [t for t in world.tracks if t.name != drive.replaces and t.exists(time_s)]
            assert not any(box.intersection(_outline(t, time_s)).area > 0.06 for t in others)


@needs_sumo
def test_same_seed_same_bytes_wherever_it_is_made(fresh: World, tmp_path: Path) -> None:
    scratch = tmp_path / 'another' / 'folder'
    save_world(fresh, tmp_path / 'one.json.gz')
    save_world(make_world(small_spec(FRESH_SEED), scratch), tmp_path / 'two.json.gz')
    assert (tmp_path / 'one.json.gz').read_bytes() == (tmp_path / 'two.json.gz').read_bytes()
    assert not any(scratch.iterdir())
