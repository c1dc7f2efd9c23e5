"""One drive out of a world: who takes part, where the base is, whose boxes are where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bev_trainer.errors import SimulationError
from bev_trainer.simulate.job import DriveJob
from bev_trainer.simulate.scenario import NEAR_M, scenario_of
from bev_trainer.simulate.scenario_boxes import ScenarioBoxes
from bev_trainer.world.classes import SemanticClass
from bev_trainer.world.road_map import RoadMap, SignalPlan
from bev_trainer.world.track_samples import TrackSamples
from bev_trainer.world.tracks import Track
from bev_trainer.world.world import EgoDrive, World
from shapely.geometry import MultiPolygon

from bev_perception.geometry.pose import yaw_of
from bev_perception.geometry.rig_file import load_rig_file

CAR_6 = load_rig_file(Path(__file__).parents[2] / 'config' / 'rigs' / 'car_6.yaml')
STEP_S = 0.1


def track(name: str, xy: list[tuple[float, float]], start_s: float = 0.0, **changes) -> Track:
    """A car that drives through points at 10 Hz, heading north."""
    points = np.array(xy, np.float64)
    made = Track(
        name=name,
        object_class=SemanticClass.CAR,
        model='sedan',
        color_rgb=(0.5, 0.5, 0.5),
        length_m=4.75,
        width_m=1.84,
        height_m=1.45,
        start_s=start_s,
        step_s=STEP_S,
        x_m=points[:, 0],
        y_m=points[:, 1],
        yaw_rad=np.full(len(points), np.pi / 2),
    )
    return replace(made, **changes)


def line(x_m: float, y_m: float, vy_mps: float, samples: int) -> list[tuple[float, float]]:
    return [(x_m, y_m + vy_mps * STEP_S * k) for k in range(samples)]


EGO = track('ego', line(0.0, 0.0, 10.0, 41), start_s=9.5, length_m=4.7, width_m=1.85)


def world(*tracks: Track, ego: Track = EGO, replaces: str = 'replaced') -> World:
    empty = MultiPolygon()
    road_map = RoadMap(empty, empty, empty, empty, empty, (), ())
    drives = (EgoDrive(ego, 10.0, replaces),)
    return World('net_000001', road_map, (), tracks, SignalPlan({}), 9.0, 20.0, drives)


def job(**changes) -> DriveJob:
    made = DriveJob(
        index=0,
        name='drive_000000',
        network='net_000001',
        network_seed=1,
        drive=0,
        seed=3,
        rig_name='car_6',
        rig=CAR_6,
        split='train',
        weather='clear',
        seconds=3.0,
        image_hz=10,
        label_hz=2,
        supersample=1,
    )
    return replace(made, **changes)


def scenario(*tracks: Track, **changes):
    return scenario_of(job(**changes), world(*tracks), np.random.default_rng(0))


def test_who_takes_part() -> None:
    """Near at some time of the drive: all but the one whose place the ego vehicle takes."""
    gone = track('gone', line(5.0, 0.0, 0.0, 21), start_s=2.0)
    far = track('far', line(NEAR_M + 5.0, 20.0, 0.0, 200))
    passing = track('passing', line(5.0, 160.0, -10.0, 100), start_s=9.0)
    parked = track('parked', [(4.0, 30.0)], parked=True)
    parked_far = track('parked_far', [(0.0, 30.0 + NEAR_M + 15.0)], parked=True)
    late = track('late', line(3.0, 20.0, 1.0, 10), start_s=12.8)
    found = scenario(
        gone, far, passing, track('replaced', line(0, 0, 1, 99)), parked, parked_far, late
    )
    assert [item.name for item in found.others] == ['passing', 'parked', 'late']


def test_base_link_is_the_rear_overhang_ahead_of_the_rear_end() -> None:
    found = scenario()
    pose = found.world_T_base(10.0)
    # The ego box starts at y = 0 at 9.5 s with 10 m/s: centre at 5 m, rear end at 5 - 2.35.
    assert pose[:3, 3] == pytest.approx([0.0, 5.0 - 2.35 + 1.0, 0.0])
    assert yaw_of(pose) == pytest.approx(np.pi / 2)


def test_boxes_of_those_present() -> None:
    early = track('early', line(8.0, 0.0, 4.0, 20), start_s=9.0)
    turned = track('turned', [(4.0, 30.0)], parked=True, yaw_rad=np.array([3.5]))
    found = scenario(early, turned)
    boxes = ScenarioBoxes(found).at(10.05)
    assert boxes.instance.tolist() == [1, 2]
    assert boxes.class_id.tolist() == [SemanticClass.CAR] * 2
    assert boxes.center_m == pytest.approx(np.array([[8.0, 4.2, 0.725], [4.0, 30.0, 0.725]]))
    assert boxes.size_m == pytest.approx(np.array([[4.75, 1.84, 1.45]] * 2))
    assert boxes.yaw_rad == pytest.approx([np.pi / 2, 3.5 - 2 * np.pi])
    assert boxes.velocity_mps == pytest.approx(np.array([[0.0, 4.0], [0.0, 0.0]]))
    # The first one leaves the world at 10.9 s.
    assert ScenarioBoxes(found).at(11.0).instance.tolist() == [2]
    assert len(ScenarioBoxes(scenario()).at(11.0)) == 0


def test_all_at_once_as_one_by_one() -> None:
    rng = np.random.default_rng(5)
    tracks = [
        track(
            f't{k}',
            np.cumsum(rng.normal(0.0, 0.5, (int(rng.integers(1, 60)), 2)), axis=0).tolist(),
            start_s=float(rng.uniform(0.0, 4.0)),
        )
        for k in range(20)
    ]
    tracks = [replace(t, yaw_rad=rng.normal(0.0, 9.0, len(t.x_m))) for t in tracks]
    tracks[7] = replace(tracks[7], parked=True)
    samples = TrackSamples(tracks)
    for time_s in (0.0, 1.234, 3.0, tracks[3].start_s, tracks[4].end_s, 99.0):
        index, states = samples.at(time_s)
        assert index.tolist() == [k for k, t in enumerate(tracks) if t.exists(time_s)]
        one_by_one = [list(vars(tracks[k].state(time_s)).values()) for k in index]
        assert np.array_equal(states, np.array(one_by_one).reshape(-1, 8))


def test_same_random_stream_same_weather() -> None:
    assert scenario().weather == scenario().weather
    other = scenario_of(job(), world(), np.random.default_rng(1))
    assert other.weather != scenario().weather


def test_missing_ego_drive_is_refused() -> None:
    with pytest.raises(SimulationError, match='drive_000000: network net_000001 has 1 ego drives'):
        scenario(drive=1)


def test_trigger_offsets_beyond_the_ego_track_are_refused() -> None:
    cameras = (CAR_6.cameras[0].model_copy(update={'trigger_offset_s': -0.6}), *CAR_6.cameras[1:])
    rig = CAR_6.model_copy(update={'cameras': cameras})
    with pytest.raises(SimulationError, match=r'fire from 9\.40 s'):
        scenario(rig=rig)
