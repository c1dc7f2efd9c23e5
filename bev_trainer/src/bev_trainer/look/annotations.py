"""Road users of a drive as the objects that the drawing code knows, with their tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.frame import BevObject, ClassScore, Trajectory
from bev_perception.geometry.pose import invert, transform
from bev_trainer.dataset.reader import Drive
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.world.classes import SemanticClass

FloatArray = NDArray[np.float64]

FUTURE_S, PAST_S, BEAD_S = 4.0, 3.0, 0.5
_STILL_M = 0.3


@dataclass(frozen=True, eq=False)
class Scene:
    """The road users at a frame's reference instant, in its base frame.

    Attributes:
        objects: all that are present, with their future as a trajectory.
        pasts: per object, [k, 2] where it was, oldest first.
        visible: instances of which some camera shows a pixel.
    """

    objects: tuple[BevObject, ...]
    pasts: tuple[FloatArray, ...]
    visible: frozenset[int]


def scene_at(drive: Drive, frame: int) -> Scene:
    """Returns the road users at a frame; raises DatasetError."""
    boxes = drive.boxes(frame)
    table = drive.objects
    seen = table.visible_pixels[:, frame].sum(axis=-1) > 0
    futures = [_future(drive, frame, int(instance) - 1) for instance in boxes.instance]
    pasts = [_past(drive, frame, int(instance) - 1) for instance in boxes.instance]
    return Scene(
        objects_of(boxes, futures),
        tuple(pasts),
        frozenset(int(i) for i in boxes.instance if seen[int(i) - 1]),
    )


def objects_of(
    boxes: BoxArray, futures: list[tuple[Trajectory, ...]] | None = None
) -> tuple[BevObject, ...]:
    """Returns boxes in the base frame as objects, each with its instance id."""
    return tuple(
        BevObject(
            object_id=int(boxes.instance[i]).to_bytes(16, 'big'),
            age_frames=0,
            existence_probability=1.0,
            classes=(_score(SemanticClass(int(boxes.class_id[i]))),),
            center_m=tuple(boxes.center_m[i].tolist()),
            size_m=tuple(boxes.size_m[i].tolist()),
            yaw_rad=float(boxes.yaw_rad[i]),
            velocity_mps=tuple(boxes.velocity_mps[i].tolist()),
            trajectories=futures[i] if futures else (),
            instance=int(boxes.instance[i]),
        )
        for i in range(len(boxes))
    )


def _score(item: SemanticClass) -> ClassScore:
    return ClassScore(int(item - SemanticClass.CAR), item.label, 1.0)


def _future(drive: Drive, frame: int, row: int) -> tuple[Trajectory, ...]:
    """Returns where an object will be, a pose every half second; nothing when it stands."""
    step = max(1, round(BEAD_S / _period_s(drive)))
    frames = np.arange(frame + step, drive.frame_count, step)[: round(FUTURE_S / BEAD_S)]
    points = _path(drive, frame, row, frames)
    if len(points) == 0 or _stands(drive, frame, row, points):
        return ()
    points = np.concatenate([_path(drive, frame, row, np.array([frame])), points])
    path = np.column_stack([points, np.zeros(len(points))])
    return (Trajectory(1.0, step * _period_s(drive), 0.0, path, np.zeros(len(path))),)


def _past(drive: Drive, frame: int, row: int) -> FloatArray:
    first = max(0, frame - round(PAST_S / _period_s(drive)))
    points = _path(drive, frame, row, np.arange(frame, first - 1, -1))[::-1]
    return points if not _stands(drive, frame, row, points) else points[-1:]


def _path(drive: Drive, frame: int, row: int, frames: NDArray[np.intp]) -> FloatArray:
    """Returns [k, 2]: positions at frames as long as the object is there without a break."""
    table = drive.objects
    absent = np.flatnonzero(~table.present[row, frames])
    frames = frames[: absent[0]] if len(absent) else frames
    x, y = table.x_m[row, frames], table.y_m[row, frames]
    world = np.column_stack([x, y, np.zeros(len(frames))])
    return transform(invert(drive.world_T_base[frame]), world)[:, :2]


def _stands(drive: Drive, frame: int, row: int, points: FloatArray) -> bool:
    here = _path(drive, frame, row, np.array([frame]))
    return bool(np.abs(points - here).max(initial=0.0) < _STILL_M)


def _period_s(drive: Drive) -> float:
    stamps = drive.description.frame_stamps_ns
    return (stamps[1] - stamps[0]) / 1e9 if len(stamps) > 1 else BEAD_S
