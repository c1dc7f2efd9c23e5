"""Which truth a prediction is compared with, and in which frame."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bev_perception.evaluation.align import aligned, nearest_predictions, scored_stamps
from bev_perception.evaluation.prediction import Prediction
from bev_perception.evaluation.truth.frame import TruthFrame, TruthLayer, TruthObjects
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import BevFrame
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert, pose_from_yaw, transform

GRID = BevGrid(-2.0, -2.0, 1.0, 4, 4)
S = 1_000_000_000


def objects(x_m: float, y_m: float, yaw_rad: float, speed_mps: float = math.nan) -> TruthObjects:
    velocity = speed_mps * np.array([[math.cos(yaw_rad), math.sin(yaw_rad)]])
    return TruthObjects(
        ('a',), ('car',), np.array([[x_m, y_m, 0.5]]), np.array([[4.0, 2.0, 1.5]]),
        np.array([yaw_rad]), velocity, np.ones(1), np.full(1, -1),
    )  # fmt: skip


def world_frame(stamp_ns: int, ego: np.ndarray, world: TruthObjects, **more: object) -> TruthFrame:
    return TruthFrame(stamp_ns, world.transformed(invert(ego)), ego, **more)  # type: ignore[arg-type]


def prediction(stamp_ns: int) -> Prediction:
    frame = BevFrame(
        stamp_ns, 'base_link', GRID, np.ones(GRID.shape, bool), None, None, (), None, None, 0.0,
        None, (),
    )  # fmt: skip
    return Prediction(frame, 0.0)


def claimed(stamps: list[int], truth: tuple[int, ...], tolerance_s: float) -> dict[int, int]:
    found = list(nearest_predictions(map(prediction, stamps), truth, tolerance_s))
    assert [item.frame.stamp_ns for item, _ in found] == stamps
    return {item.frame.stamp_ns: target for item, target in found if target is not None}


def test_the_nearest_prediction_gets_the_truth() -> None:
    ms = 1_000_000
    truth = (0, 500 * ms, 1000 * ms)
    assert claimed([0, 500 * ms, 1000 * ms], truth, 0.06) == {t: t for t in truth}
    # 40 ms early, then 10 ms late: the later one is nearer; the third is farther away again.
    stamps = [460 * ms, 510 * ms, 550 * ms]
    assert claimed(stamps, truth, 0.06) == {510 * ms: 500 * ms}
    assert claimed([440 * ms, 561 * ms], truth, 0.06) == {440 * ms: 500 * ms}
    assert claimed([439 * ms, 561 * ms], truth, 0.06) == {}
    assert claimed([0], (), 0.06) == {} and claimed([], truth, 0.06) == {}


def test_scored_frames_are_apart_and_carry_maps_where_there_are_some() -> None:
    layer = {'drivable': TruthLayer(GRID, np.zeros(GRID.shape, np.int8))}
    stamps = [k * S // 10 for k in range(21)]
    bare = SceneTruth([TruthFrame(stamp) for stamp in stamps])
    assert scored_stamps(bare, 0.5) == tuple(k * S // 2 for k in range(5))
    assert scored_stamps(bare, 0.25) == tuple(3 * k * S // 10 for k in range(7))
    mixed = SceneTruth(
        [TruthFrame(stamp, layers=layer if k % 5 == 2 else {}) for k, stamp in enumerate(stamps)]
    )
    assert scored_stamps(mixed, 0.5) == tuple((2 + 5 * k) * S // 10 for k in range(4))
    assert scored_stamps(mixed, 1.0) == (2 * S // 10, 12 * S // 10)
    # A clock that is a few milliseconds off is no reason to skip every other frame.
    jitter = SceneTruth([TruthFrame(k * S // 2 - (k % 2) * 4_000_000) for k in range(5)])
    assert len(scored_stamps(jitter, 0.5)) == 5


def test_truth_goes_to_the_instant_and_the_base_of_the_prediction() -> None:
    """The car drives north at 10 m/s, the vehicle east at 4 m/s while it turns to the left."""
    egos = [pose_from_yaw(0, 0, 0, 0.0), pose_from_yaw(2, 0, 0, 0.2)]
    world = [objects(20, 0, math.pi / 2, 10.0), objects(20, 5, math.pi / 2, 10.0)]
    frames = [world_frame(k * S // 2, egos[k], world[k]) for k in range(2)]
    scene = SceneTruth(frames)
    found = aligned(scene, frames[0], S // 10)
    ego = pose_from_yaw(0.4, 0, 0, 0.04)
    assert found.objects is not None and found.odom_T_base is not None
    assert found.odom_T_base == pytest.approx(ego, abs=1e-9)
    place = transform(ego, found.objects.center_m)
    assert place[0] == pytest.approx([20.0, 1.0, 0.5], abs=1e-9)
    assert found.objects.yaw_rad[0] == pytest.approx(math.pi / 2 - 0.04)
    speed = found.objects.velocity_mps[0]
    assert speed == pytest.approx([10 * math.sin(0.04), 10 * math.cos(0.04)])
    assert aligned(scene, frames[0], 0) is frames[0]


def test_after_the_last_frame_objects_go_on_as_far_as_that_is_known() -> None:
    frame = TruthFrame(0, objects(5, 0, 0.0, 2.0), None)
    found = aligned(SceneTruth([frame]), frame, S // 20).objects
    assert found is not None and found.center_m[0] == pytest.approx([5.1, 0, 0.5])
    unknown = TruthFrame(0, objects(5, 0, 0.0), None)
    found = aligned(SceneTruth([unknown]), unknown, S // 20).objects
    assert found is not None and found.center_m[0] == pytest.approx([5.0, 0, 0.5])


def test_maps_stay_only_while_the_vehicle_stands() -> None:
    layers = {'drivable': TruthLayer(GRID, np.zeros(GRID.shape, np.int8))}
    for way_m, kept in ((0.0, True), (2.0, False)):
        frames = [
            replace(
                world_frame(k * S // 2, pose_from_yaw(k * way_m, 0, 0, 0), objects(9, 0, 0)),
                layers=layers,
            )
            for k in range(2)
        ]
        assert bool(aligned(SceneTruth(frames), frames[0], S // 20).layers) == kept
