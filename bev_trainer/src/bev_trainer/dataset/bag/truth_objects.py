"""What really is around the vehicle, as the objects that a perfect pipeline would find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.frame import BevObject, ClassScore, Trajectory
from bev_trainer.dataset.reader import Drive
from bev_trainer.dataset.tokens import instance_token
from bev_trainer.labels.future import trajectories
from bev_trainer.world.classes import OBJECT_CLASSES, SemanticClass

RANGE_M = 80.0
HORIZON_S, TIME_STEP_S = 4.0, 0.5
_STEPS = round(HORIZON_S / TIME_STEP_S)

FloatArray = NDArray[np.float64]


def truth_objects(drive: Drive, frame: int) -> tuple[BevObject, ...]:
    """Returns everyone within `RANGE_M` of base_link at a frame, in base_link.

    Hidden ones are among them: the existence probability is the visible share of an object's
    pixels over all cameras, 0 when no camera sees it. Classes are certain. The one trajectory is
    what happened: the box now and every 0.5 s up to 4 s, ended by the end of the drive and where
    the object leaves the world.

    Returns:
        by falling visibility, then by instance.
    """
    boxes = drive.boxes(frame, in_base=True)
    heights = dict(zip(boxes.instance.tolist(), boxes.center_m[:, 2].tolist(), strict=True))
    paths = _paths(drive, frame, heights)
    near = np.hypot(boxes.center_m[:, 0], boxes.center_m[:, 1]) <= RANGE_M
    boxes = boxes.selected(near)
    rows = boxes.instance.astype(np.int64) - 1
    visibility = drive.objects.visibility()[rows, frame]
    ages = drive.objects.present[rows, : frame + 1].sum(axis=1)
    found = [
        BevObject(
            object_id=bytes.fromhex(instance_token(drive.description.name, instance)),
            age_frames=int(ages[row]),
            existence_probability=float(visibility[row]),
            classes=(_class_score(int(boxes.class_id[row])),),
            center_m=tuple(boxes.center_m[row].tolist()),
            size_m=tuple(boxes.size_m[row].tolist()),
            yaw_rad=float(boxes.yaw_rad[row]),
            velocity_mps=tuple(boxes.velocity_mps[row].tolist()),
            trajectories=(paths[instance],),
            instance=instance,
        )
        for row, instance in enumerate(boxes.instance.tolist())
    ]
    return tuple(sorted(found, key=lambda item: (-item.existence_probability, item.instance)))


def truth_entry(
    stamp_ns: int, frame_id: str, odom_T_base: FloatArray, objects: Sequence[BevObject]
) -> dict[str, Any]:
    """Returns what `<bag>_objects.json` says about a frame: ego pose and objects in base_link."""
    return {
        'stamp_ns': stamp_ns,
        'frame_id': frame_id,
        'odom_T_base': odom_T_base.tolist(),
        'objects': [_object_entry(item) for item in sorted(objects, key=lambda i: i.instance)],
    }


def _object_entry(item: BevObject) -> dict[str, Any]:
    length, width, height = item.size_m
    assert item.velocity_mps is not None
    return {
        'track_id': item.instance,
        'class_name': item.classes[0].name,
        'center_m': [round(value, 6) for value in item.center_m],
        'length_m': length,
        'width_m': width,
        'height_m': height,
        'yaw_rad': round(item.yaw_rad, 8),
        'velocity_mps': [round(value, 6) for value in item.velocity_mps],
        'visibility': round(item.existence_probability, 4),
    }


def _class_score(class_id: int) -> ClassScore:
    semantic_class = SemanticClass(class_id)
    return ClassScore(OBJECT_CLASSES.index(semantic_class), semantic_class.label, 1.0)


def _paths(drive: Drive, frame: int, z_m: dict[int, float]) -> dict[int, Trajectory]:
    """Returns the path of every instance present at a frame, at its height, by instance."""
    ahead = trajectories(drive, frame, [step * TIME_STEP_S for step in range(_STEPS + 1)])
    counts = ahead.valid.cumprod(axis=1).sum(axis=1).tolist()
    paths = {}
    for row, instance in enumerate(ahead.instance.tolist()):
        xy_m, yaw_rad = ahead.xy_m[row, : counts[row]], ahead.yaw_rad[row, : counts[row]]
        positions = np.column_stack([xy_m, np.full(len(xy_m), z_m[instance])])
        paths[instance] = Trajectory(1.0, TIME_STEP_S, 0.0, positions, yaw_rad)
    return paths
