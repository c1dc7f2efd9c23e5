"""What lidars tell of the ground: where something stands, and where nothing does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.grid import BevGrid
from bev_trainer.data.scene_lidar import LidarPoints
from bev_trainer.targets.occupancy import FREE, OCCUPIED, UNKNOWN

BoolArray = NDArray[np.bool_]

# Higher than a kerb, lower than what one drives under: as for synthetic drives.
_STEP_M, _ROOF_M = 0.3, 3.0
# A beam that is higher may pass over a hedge that none of the beams below it hits.
_FREE_BELOW_M = 1.0
_SECTORS = 720  # of a turn: a little wider than lidars step


def lidar_ground(scans: Sequence[LidarPoints], grid: BevGrid) -> NDArray[np.int8]:
    """Returns int8 [Y, X]: 1 where something stands, 0 where a beam went through, -1 unknown.

    Something stands in a cell whose points differ in height by more than a kerb, which a slope
    does not bring about (Thrun et al. 2006, "Stanley", section 5: differences in height rather
    than heights). Free is a cell that a beam crossed lower than a metre before it hit something
    (Hu et al. 2020, "What You See is What You Get": all that a beam went through is free), and in
    which no point is higher than a kerb. The road is where the base frame's z is about zero; where
    it rises or falls by more than that, less becomes free.

    Args:
        scans: of all lidars, in the base frame.
        grid: cells, likewise.
    """
    lowest, highest = _heights(np.concatenate([scan.points_m for scan in scans]), grid)
    crossed = np.zeros(grid.shape, np.bool_)
    for scan in scans:
        crossed |= _crossed(scan, grid)
    found = np.where(crossed & ~(highest > _STEP_M), FREE, UNKNOWN).astype(np.int8)
    found[highest - lowest > _STEP_M] = OCCUPIED
    return found


def _heights(
    points_m: NDArray[np.float32], grid: BevGrid
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns [Y, X] the least and the greatest height of the points in a cell.

    Points that are too high to be in the way do not count; inf and -inf without any.
    """
    points = points_m[points_m[:, 2] < _ROOF_M]
    iy, ix, inside = grid.to_cell(points[:, 0], points[:, 1])
    place, z_m = (iy[inside], ix[inside]), points[inside, 2]
    lowest = np.full(grid.shape, np.inf, np.float32)
    highest = np.full(grid.shape, -np.inf, np.float32)
    np.minimum.at(lowest, place, z_m)
    np.maximum.at(highest, place, z_m)
    return lowest, highest


def _crossed(scan: LidarPoints, grid: BevGrid) -> BoolArray:
    """Returns bool [Y, X] whose centres beams of a lidar pass, low and before their ends.

    Around the lidar the plane is cut into sectors, these into rings half a cell wide.
    """
    width_m = 0.5 * grid.resolution_m
    centers = grid.cell_centers() - scan.origin_m[:2]
    center_m = np.linalg.norm(centers, axis=-1)
    rings = int(center_m.max() / width_m) + 1
    points = scan.points_m - scan.origin_m
    range_m = np.linalg.norm(points[:, :2], axis=-1)
    begin, end = _low_part(float(scan.origin_m[2]), scan.points_m[:, 2].astype(np.float64))
    # A cell that holds the end of a beam has its centre within a cell's width of it.
    end_m = np.minimum(end * range_m, range_m - grid.resolution_m)
    first = np.ceil(begin * range_m / width_m).clip(0, rings).astype(np.int64)
    last = np.floor(end_m / width_m).clip(0, rings).astype(np.int64)  # not itself
    passes = first < last
    row = _sector(points[passes, :2]) * (rings + 1)
    size = _SECTORS * (rings + 1)
    steps = np.bincount(row + first[passes], minlength=size).astype(np.int64)
    steps -= np.bincount(row + last[passes], minlength=size)
    covered = np.cumsum(steps.reshape(_SECTORS, rings + 1), axis=1) > 0
    return np.asarray(covered[_sector(centers), (center_m / width_m).astype(np.int64)], np.bool_)


def _low_part(
    origin_z_m: float, end_z_m: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns shares [n] of beams' ways between which they are low; begin >= end: nowhere."""
    rise_m = end_z_m - origin_z_m
    with np.errstate(divide='ignore', invalid='ignore'):
        through = (_FREE_BELOW_M - origin_z_m) / rise_m
    low_first, low_last = origin_z_m < _FREE_BELOW_M, end_z_m < _FREE_BELOW_M
    begin = np.where(low_first, 0.0, np.where(low_last, through, 1.0))
    end = np.where(low_last, 1.0, np.where(low_first, through, 0.0))
    return begin, end


def _sector(xy: NDArray[np.floating]) -> NDArray[np.int64]:
    """Returns [...] in which sector points [..., 2] around the origin lie."""
    turns = np.arctan2(xy[..., 1], xy[..., 0]) / (2.0 * np.pi)
    return np.floor(turns * _SECTORS).astype(np.int64) % _SECTORS
