"""Brings ground truth to the instant of a prediction, and chooses what is scored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from bev_perception.evaluation.prediction import Prediction
from bev_perception.evaluation.truth.frame import TruthFrame, TruthObjects
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.geometry.pose import invert, yaw_of
from bev_perception.units import NS_PER_S

# Maps stay where they are when the vehicle has moved less than this since they were drawn.
_STILL_M, _STILL_RAD = 0.1, math.radians(0.2)


def scored_stamps(truth: SceneTruth, every_s: float) -> tuple[int, ...]:
    """Returns which frames of ground truth are scored: at least `every_s` apart, the first first.

    Where some of them carry maps, those without are not chosen.
    """
    frames = [frame for frame in truth.frames if frame.layers] or list(truth.frames)
    chosen: list[int] = []
    slack_ns = round(0.02 * every_s * NS_PER_S)
    for frame in frames:
        if not chosen or frame.stamp_ns - chosen[-1] >= round(every_s * NS_PER_S) - slack_ns:
            chosen.append(frame.stamp_ns)
    return tuple(chosen)


def nearest_predictions(
    predictions: Iterable[Prediction], stamps_ns: tuple[int, ...], tolerance_s: float
) -> Iterator[tuple[Prediction, int | None]]:
    """Yields every prediction, with the stamp of ground truth that it is the nearest to.

    Each stamp goes to one prediction at most, the nearest within the tolerance; predictions come
    out in order, one later than they went in.
    """
    known = np.array(stamps_ns, np.int64)
    limit_ns = round(tolerance_s * NS_PER_S)
    held: tuple[Prediction, int | None] | None = None
    for prediction in predictions:
        stamp_ns = prediction.frame.stamp_ns
        target = _nearest(known, stamp_ns, limit_ns)
        if held is not None:
            before, claimed = held
            if claimed is not None and claimed == target:
                if abs(stamp_ns - claimed) < abs(before.frame.stamp_ns - claimed):
                    claimed = None
                else:
                    target = None
            yield before, claimed
        held = prediction, target
    if held is not None:
        yield held


def aligned(scene: SceneTruth, truth: TruthFrame, stamp_ns: int) -> TruthFrame:
    """Returns the truth of a frame brought to a nearby instant, in the base frame of then.

    Objects are taken from between the frames of the scene; where there is no other frame they go
    on with their velocity, as far as that is known. Maps are left out when the vehicle has moved.
    """
    if stamp_ns == truth.stamp_ns:
        return truth
    pose = scene.pose_at(stamp_ns)
    objects = scene.objects_at(stamp_ns, truth)
    if objects is None and truth.objects is not None:
        objects = _moved_on(truth.objects, (stamp_ns - truth.stamp_ns) / NS_PER_S)
    if pose is None or truth.odom_T_base is None:
        return replace(truth, stamp_ns=stamp_ns, objects=objects)
    change = invert(pose) @ truth.odom_T_base
    still = np.hypot(*change[:2, 3]) < _STILL_M and abs(yaw_of(change)) < _STILL_RAD
    return replace(
        truth,
        stamp_ns=stamp_ns,
        objects=None if objects is None else objects.transformed(change),
        odom_T_base=pose,
        layers=truth.layers if still else {},
    )


def _nearest(known: np.ndarray, stamp_ns: int, limit_ns: int) -> int | None:
    if not len(known):
        return None
    stamp = int(known[np.argmin(np.abs(known - stamp_ns))])
    return stamp if abs(stamp - stamp_ns) <= limit_ns else None


def _moved_on(objects: TruthObjects, age_s: float) -> TruthObjects:
    way = np.nan_to_num(objects.velocity_mps) * age_s
    return replace(objects, center_m=objects.center_m + np.pad(way, ((0, 0), (0, 1))))
