"""Scenery stands beside the roads, off the pavement, and nothing stands in anything else."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import shapely
from bev_trainer.world.free_ground import FreeGround, rectangle
from bev_trainer.world.frontage import frontages
from bev_trainer.world.road_map import Lane, RoadMap, SignalHead
from bev_trainer.world.scenery import PROP_CLASSES, Prop
from bev_trainer.world.scenery_placement import MAX_PROPS, place_scenery
from shapely.geometry import MultiPolygon, Point, Polygon, box

ROAD, WALK, REACH = 3.2, 2.4, 220.0  # lane width, sidewalk width, half length of the streets


def _lanes(name: str, along: np.ndarray, speed_mps: float) -> list[Lane]:
    """Returns a driving lane and a sidewalk from the rim to the middle and on to the rim."""
    right = np.array((along[1], -along[0]))
    lanes = []
    for part, (start, end) in (('in', (-REACH, -9.0)), ('out', (9.0, REACH))):
        for kind, off, width in (('driving', 1.6, ROAD), ('sidewalk', ROAD + WALK / 2, WALK)):
            points = np.array([start * along + off * right, end * along + off * right])
            lanes.append(
                Lane(f'{name}_{part}_{kind}', f'{name}_{part}', kind, points, width, speed_mps)  # type: ignore[arg-type]
            )
    return lanes


def _crossing_streets(lit: bool) -> RoadMap:
    """Returns two streets that cross at the origin; the one along y is the slower one."""
    half = ROAD + WALK
    roads = shapely.unary_union([box(-REACH, -ROAD, REACH, ROAD), box(-ROAD, -REACH, ROAD, REACH)])
    whole = shapely.unary_union([box(-REACH, -half, REACH, half), box(-half, -REACH, half, REACH)])
    lanes: list[Lane] = []
    for name, direction, speed in (
        ('east', (1.0, 0.0), 13.9),
        ('north', (0.0, 1.0), 8.3),
        ('west', (-1.0, 0.0), 13.9),
        ('south', (0.0, -1.0), 8.3),
    ):
        lanes += _lanes(name, np.array(direction), speed)
    heads = [
        SignalHead(-8.0, -ROAD - 0.6, np.pi, 'c', 0),
        SignalHead(ROAD + 0.6, -8.0, -np.pi / 2, 'c', 1),
    ]
    empty = MultiPolygon()
    return RoadMap(
        MultiPolygon([roads]),
        _multi(whole.difference(roads)),
        MultiPolygon([box(6.0, -ROAD, 9.0, ROAD)]),
        empty,
        empty,
        tuple(lanes),
        tuple(heads) if lit else (),
    )


def _multi(area: Polygon | MultiPolygon) -> MultiPolygon:
    return area if isinstance(area, MultiPolygon) else MultiPolygon([area])


def _footprint(prop: Prop) -> Polygon:
    return rectangle(prop.x_m, prop.y_m, prop.yaw_rad, prop.length_m, prop.width_m)


def _foot(prop: Prop) -> Point:
    """Returns where a thing touches the ground: lamps stand at the rear end of their box."""
    back = 0.4455 * prop.length_m if prop.model == 'street_lamp' else 0.0
    return Point(prop.x_m - back * np.cos(prop.yaw_rad), prop.y_m - back * np.sin(prop.yaw_rad))


@pytest.fixture(scope='module', params=[False, True], ids=['without lights', 'with lights'])
def road_map(request: pytest.FixtureRequest) -> RoadMap:
    return _crossing_streets(request.param)


@pytest.fixture(scope='module', params=[1, 2, 3])
def props(road_map: RoadMap, request: pytest.FixtureRequest) -> tuple[Prop, ...]:
    return place_scenery(road_map, np.random.default_rng(request.param))


def test_frontages_lie_on_the_outer_border_of_the_sidewalks(road_map: RoadMap) -> None:
    sides = frontages(road_map)
    assert len(sides) == 8
    for side in sides:
        assert side.outward == -1  # they drive on the right
        assert side.pavement_m == WALK
        point, run = side.place(50.0, 2.0)
        assert min(abs(point)) == pytest.approx(ROAD + WALK + 2.0)
        out = side.outward_rad(run)
        beyond, _ = side.place(50.0, 3.0)
        assert np.allclose(beyond - point, (np.cos(out), np.sin(out)))
    east = next(side for side in sides if side.edge_id == 'east_in')
    assert east.place(10.0, 0.0)[0] == pytest.approx((-REACH + 10.0, -ROAD - WALK))


def test_a_frontage_without_a_sidewalk_lies_at_the_road() -> None:
    road_map = _crossing_streets(False)
    bare = RoadMap(
        road_map.drivable, MultiPolygon(), road_map.crossing, road_map.white_paint,
        road_map.yellow_paint, tuple(x for x in road_map.lanes if x.kind == 'driving'), (),
    )  # fmt: skip
    sides = frontages(bare)
    assert len(sides) == 8
    assert all(side.pavement_m == 0.0 for side in sides)
    for side in sides:
        assert min(abs(side.place(50.0, 0.0)[0])) == pytest.approx(ROAD)


def test_free_ground_keeps_distances() -> None:
    ground = FreeGround(_crossing_streets(False))
    lot = rectangle(50.0, 20.0, 0.0, 10.0, 8.0)  # its south edge at y = 16
    border = ROAD + WALK
    assert ground.is_free(lot, 16.0 - border - 0.01, 1.0)
    assert not ground.is_free(lot, 16.0 - border + 0.01, 1.0)
    ground.take(lot)
    neighbour = rectangle(60.5, 20.0, 0.0, 10.0, 8.0)  # half a metre beside it
    assert ground.is_free(neighbour, 1.0, 0.49)
    assert not ground.is_free(neighbour, 1.0, 0.51)


def test_models_and_numbers_are_valid(props: tuple[Prop, ...]) -> None:
    assert 150 < len(props) <= MAX_PROPS
    for prop in props:
        assert prop.model in PROP_CLASSES
        assert min(prop.length_m, prop.width_m, prop.height_m) > 0
        assert 0 <= prop.seed <= 255
        assert all(0.0 <= channel <= 1.0 for channel in prop.color_rgb)


def test_there_is_something_of_everything_that_matters(
    props: tuple[Prop, ...], road_map: RoadMap
) -> None:
    count = Counter(prop.model for prop in props)
    assert count['building_gable'] + count['building_flat'] > 25
    assert count['tree_round'] + count['tree_conifer'] > 40
    assert 20 <= count['street_lamp'] <= 40
    crossing_signs = count['sign_yield'] + count['sign_stop']
    assert (crossing_signs > 0) == (not road_map.signals)


def test_speed_limits_stand_in_slow_streets_only(road_map: RoadMap) -> None:
    many = [place_scenery(road_map, np.random.default_rng(seed)) for seed in range(6)]
    limits = [prop for props in many for prop in props if prop.model == 'sign_speed']
    assert len(limits) > 4
    assert all(abs(prop.x_m) < 8.0 for prop in limits)


def test_nothing_stands_on_the_road_and_only_lights_on_sidewalks(
    props: tuple[Prop, ...], road_map: RoadMap
) -> None:
    for prop in props:
        foot = _foot(prop)
        assert not road_map.drivable.intersects(foot)
        if prop.model != 'signal':
            assert not road_map.sidewalk.intersects(foot)
        if prop.model == 'street_lamp':
            assert not road_map.drivable.intersects(_footprint(prop))
        elif not prop.model.startswith('tree') and prop.model != 'signal':
            assert not road_map.drivable.union(road_map.sidewalk).intersects(_footprint(prop))


def test_crowns_do_not_hang_over_the_road(props: tuple[Prop, ...], road_map: RoadMap) -> None:
    for prop in props:
        if prop.model.startswith('tree'):
            crown = Point(prop.x_m, prop.y_m).buffer(prop.width_m / 2)
            assert not road_map.drivable.intersects(crown)


def test_buildings_keep_two_metres_from_pavement(
    props: tuple[Prop, ...], road_map: RoadMap
) -> None:
    paved = shapely.union(road_map.drivable, road_map.sidewalk)
    for prop in props:
        if prop.model.startswith('building'):
            assert paved.distance(_footprint(prop)) >= 2.0


def test_no_two_things_share_their_ground(props: tuple[Prop, ...]) -> None:
    solid = []
    for prop in props:
        if prop.model == 'street_lamp':
            solid.append(_foot(prop).buffer(0.15))
        elif prop.model.startswith('tree'):
            solid.append(Point(prop.x_m, prop.y_m).buffer(0.4 * prop.width_m))
        else:
            solid.append(_footprint(prop))
    tree = shapely.STRtree(solid)
    first, second = tree.query(solid, predicate='intersects')
    assert np.array_equal(np.sort(first[first != second]), np.array([], dtype=int))


def test_every_light_of_the_map_has_its_prop(props: tuple[Prop, ...], road_map: RoadMap) -> None:
    lights = [prop for prop in props if prop.model == 'signal']
    assert [prop.signal for prop in lights] == list(range(len(road_map.signals)))
    for prop, head in zip(lights, road_map.signals, strict=True):
        assert (prop.x_m, prop.y_m, prop.yaw_rad) == (head.x_m, head.y_m, head.yaw_rad)
    assert all(prop.signal == -1 for prop in props if prop.model != 'signal')


def test_lamps_shelters_and_benches_face_the_road(
    props: tuple[Prop, ...], road_map: RoadMap
) -> None:
    for prop in props:
        if prop.model in ('street_lamp', 'bus_shelter', 'bench'):
            ahead = np.array((np.cos(prop.yaw_rad), np.sin(prop.yaw_rad)))
            near = Point(np.array((prop.x_m, prop.y_m)) + 1.0 * ahead)
            here = Point(prop.x_m, prop.y_m)
            assert road_map.drivable.distance(near) < road_map.drivable.distance(here) - 0.9


def test_lamps_of_both_sides_alternate(road_map: RoadMap) -> None:
    props = place_scenery(road_map, np.random.default_rng(8))
    lamps = [p for p in props if p.model == 'street_lamp' and p.x_m > 15.0 and abs(p.y_m) < 8.0]
    lamps.sort(key=lambda prop: prop.x_m)
    gaps = np.diff([prop.x_m for prop in lamps])
    assert np.all((gaps > 20.0) & (gaps < 40.0))
    sides = np.sign([prop.y_m for prop in lamps])
    assert np.all(sides[1:] == -sides[:-1])


def test_signs_face_those_who_come(props: tuple[Prop, ...]) -> None:
    for prop in props:
        if prop.model in ('sign_yield', 'sign_stop'):
            # On the slower street only, before the junction, facing away from it.
            assert abs(prop.x_m) < 8.0
            assert np.sign(np.sin(prop.yaw_rad)) == np.sign(prop.y_m)
            assert 5.0 < abs(prop.y_m) < 20.0


def test_the_same_generator_gives_the_same_scenery(road_map: RoadMap) -> None:
    once = place_scenery(road_map, np.random.default_rng(4))
    assert once == place_scenery(road_map, np.random.default_rng(4))
    assert once != place_scenery(road_map, np.random.default_rng(5))


def test_a_map_without_lanes_keeps_its_lights() -> None:
    road_map = _crossing_streets(True)
    bare = RoadMap(
        road_map.drivable, road_map.sidewalk, road_map.crossing, road_map.white_paint,
        road_map.yellow_paint, (), road_map.signals,
    )  # fmt: skip
    props = place_scenery(bare, np.random.default_rng(1))
    assert [prop.model for prop in props] == ['signal', 'signal']
