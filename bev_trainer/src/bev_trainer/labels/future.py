"""Where road users are at other times, seen from where the ego vehicle is now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.footprints import footprint_cells
from bev_perception.geometry.grid import BevGrid
from bev_trainer.dataset.reader import Drive
from bev_trainer.labels.boxes import BoxArray


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Ways of the n road users present at a frame, in the base frame of that frame.

    Attributes:
        instance: uint16 [n], in the order of `Drive.boxes`.
        xy_m: float64 [n, S, 2] box centres at S times; 0 where not valid.
        yaw_rad: float64 [n, S] headings in [-pi, pi); likewise.
        valid: bool [n, S]: the time lies within the drive, and the road user is present then.
    """

    instance: NDArray[np.uint16]
    xy_m: NDArray[np.float64]
    yaw_rad: NDArray[np.float64]
    valid: NDArray[np.bool_]


def times_within(drive: Drive, frame: int, times_s: Sequence[float]) -> NDArray[np.bool_]:
    """Returns bool [S]: which times relative to a frame lie within the drive's frames."""
    stamps = drive.description.frame_stamps_ns
    return np.array([stamps[0] <= stamp <= stamps[-1] for stamp in _stamps(drive, frame, times_s)])


def instance_maps(
    drive: Drive, frame: int, grid: BevGrid, times_s: Sequence[float]
) -> NDArray[np.uint16]:
    """Returns uint16 [S, Y, X]: the instance in every cell at S times, 0 for none.

    All in the base frame of `frame`, wherever the ego vehicle is at those times. Footprints are
    those of `semantic_bev`. A cell that several touch belongs to the one with the smallest
    footprint, then to the one nearest to the base, then to the lowest instance. Maps of times
    outside the drive are empty; see `times_within`.

    Args:
        drive: open drive file.
        frame: the present.
        grid: in the base frame.
        times_s: relative to the frame's reference instant; 0 is the present.
    """
    maps = np.zeros((len(times_s), *grid.shape), np.uint16)
    within = times_within(drive, frame, times_s)
    for target, stamp, ask in zip(maps, _stamps(drive, frame, times_s), within, strict=True):
        if ask:
            _draw_instances(target, drive.boxes_at(stamp, frame), grid)
    return maps


def trajectories(drive: Drive, frame: int, times_s: Sequence[float]) -> Trajectories:
    """Returns where the road users present at a frame are at S times relative to it."""
    instance = drive.boxes(frame).instance
    shape = (len(instance), len(times_s))
    xy_m, yaw_rad, valid = np.zeros((*shape, 2)), np.zeros(shape), np.zeros(shape, np.bool_)
    within = times_within(drive, frame, times_s)
    for step, stamp in enumerate(_stamps(drive, frame, times_s)):
        if within[step]:
            boxes = drive.boxes_at(stamp, frame)
            _, mine, theirs = np.intersect1d(instance, boxes.instance, return_indices=True)
            xy_m[mine, step] = boxes.center_m[theirs, :2]
            yaw_rad[mine, step] = boxes.yaw_rad[theirs]
            valid[mine, step] = True
    return Trajectories(instance, xy_m, yaw_rad, valid)


def _stamps(drive: Drive, frame: int, times_s: Sequence[float]) -> list[int]:
    now = drive.stamp_ns(frame)
    return [now + round(time_s * 1e9) for time_s in times_s]


def _draw_instances(target: NDArray[np.uint16], boxes: BoxArray, grid: BevGrid) -> None:
    area = boxes.size_m[:, 0] * boxes.size_m[:, 1]
    distance = np.linalg.norm(boxes.center_m[:, :2], axis=-1)
    # The last one drawn stays.
    order = np.lexsort((boxes.instance, distance, area))[::-1]
    ordered = boxes.selected(order)
    cells = footprint_cells(ordered.center_m, ordered.size_m, ordered.yaw_rad, grid)
    for row, window, mask in cells:
        target[window][mask] = ordered.instance[row]
