"""Instances now and ahead out of foreground probability and backward centripetal flow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.decode.center_memory import CenterMemory, NewGroups
from bev_perception.decode.center_votes import VoteRadii, cluster_votes
from bev_perception.decode.grouping import compact, group_count, group_mean
from bev_perception.geometry.footprints import footprint_cells
from bev_perception.geometry.grid import BevGrid


@dataclass(frozen=True)
class MotionMaps:
    """Motion head over the grid, logits already turned into probabilities. All float32.

    T steps ahead of the present t = 0, all in the base frame at t = 0 (no ego motion in them).

    Attributes:
        probability: [T + 1, Y, X], that the cell belongs to a movable object.
        flow_m: [T + 1, 2, Y, X], (x, y) from the cell's centre to its object's centre: at t = 0
            the present centre, at t >= 1 the centre one step earlier.
    """

    probability: NDArray[np.float32]
    flow_m: NDArray[np.float32]


@dataclass(frozen=True)
class BoxTracks:
    """Boxes of M objects over the present and T steps ahead, in the base frame at t = 0.

    Attributes:
        labels: int [M], positive, no two the same.
        centers_m: [T + 1, M, 2], x and y of the box centres; NaN where the object is not there.
        yaws_rad: [T + 1, M].
        sizes_m: [M, 2], length (along the heading) and width.
    """

    labels: NDArray[np.integer]
    centers_m: NDArray[np.floating]
    yaws_rad: NDArray[np.floating]
    sizes_m: NDArray[np.floating]


def decode_instances(
    maps: MotionMaps,
    grid: BevGrid,
    threshold: float = 0.5,
    min_cells: int = 1,
    vote_radius_m: float = 1.0,
    assign_radius_m: float = 3.0,
    instance_threshold: float = 0.0,
) -> NDArray[np.int32]:
    """Returns instance labels int32 [T + 1, Y, X]: 0 = none, one label per object over time.

    PowerBEV (Li et al. 2023, section 3.3). At t = 0 the cells vote for centres and go to the
    nearest peak of the votes (`cluster_votes`); labels are 1, 2, ... At t >= 1 a cell takes the
    label at the place where its flow points, in the map of the step before. Beyond the paper,
    where no label is at that place (centre outside the grid, hole in the mask) the cell takes
    the instance whose centre is known to be near. Cells still unexplained are grouped by their
    votes; each group is somebody who was hidden or cut by the border, if one is expected about
    there (`CenterMemory`), else a new instance, which gets the next label. So an object keeps
    its label over the horizon. Known exceptions: one that leaves the grid, turns outside and
    comes back; one that brakes or turns hard while it is hidden; one that enters where another
    has just left may take its label.

    Args:
        maps: over `grid`.
        grid: geometry of the maps.
        threshold: least probability of a foreground cell.
        min_cells: groups of fewer cells are no (new) instance.
        vote_radius_m: least distance of two instance centres, and how far from its centre an
            instance wholly inside the grid is recognised.
        assign_radius_m: votes farther from every centre belong to none; also how far from the
            expected centre an instance that is hidden or cut is recognised (see `CenterMemory`
            for when it is farther).
        instance_threshold: groups without a cell of at least this probability are no (new)
            instance; it may be higher than `threshold` (hysteresis, Canny 1986).
    """
    radii = VoteRadii(min_cells, vote_radius_m, assign_radius_m)
    memory = CenterMemory(grid, vote_radius_m, assign_radius_m)
    instances = np.zeros(maps.probability.shape, dtype=np.int32)
    for t in range(len(instances)):
        iy, ix, cells_m, targets_m = _foreground(maps, grid, t, threshold)
        sure = maps.probability[t, iy, ix] >= instance_threshold
        if t == 0:
            labels = _new_instances(targets_m, sure, grid, radii)
            memory.start(labels, cells_m, targets_m)
        else:
            labels = _follow(targets_m, sure, instances[t - 1], grid, memory, radii)
            memory.follow(labels, cells_m, targets_m)
        instances[t, iy, ix] = labels
    return instances


def encode_instances(tracks: BoxTracks, grid: BevGrid) -> tuple[MotionMaps, NDArray[np.int32]]:
    """Returns the maps of a perfect model and the instance labels int32 [T + 1, Y, X].

    A cell belongs to a box whose footprint touches it (`footprint_cells`); where boxes overlap
    the smaller one lies on top, of equal ones the later. The flow of background cells is 0. An
    object that was not there a step earlier has flow to where it was then on a straight line
    through the steps in which it is there.
    """
    steps = len(tracks.centers_m)
    instances = np.zeros((steps, *grid.shape), dtype=np.int32)
    flow_m = np.zeros((steps, 2, *grid.shape), dtype=np.float32)
    x_m, y_m = grid.axis_centers()
    places_m = _without_gaps(np.asarray(tracks.centers_m, dtype=np.float64))
    large_first = np.argsort(-np.prod(tracks.sizes_m, axis=-1), kind='stable')
    for t in range(steps):
        now_m, target_m = tracks.centers_m[t], places_m[max(t - 1, 0)]
        order = large_first[np.isfinite(now_m[large_first]).all(axis=-1)]
        cells = footprint_cells(
            now_m[order], tracks.sizes_m[order], tracks.yaws_rad[t, order], grid
        )
        for row, (rows, columns), mask in cells:
            m = order[row]
            iy, ix = np.nonzero(mask)
            iy, ix = iy + rows.start, ix + columns.start
            instances[t, iy, ix] = tracks.labels[m]
            flow_m[t, 0, iy, ix] = target_m[m, 0] - x_m[ix]
            flow_m[t, 1, iy, ix] = target_m[m, 1] - y_m[iy]
    return MotionMaps((instances > 0).astype(np.float32), flow_m), instances


def _without_gaps(centers_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns centres [T + 1, M, 2], NaN replaced by places on straight lines through the rest.

    Before and after the steps in which an object is there it goes on as between the nearest two
    of them, or stands when there is but one; without any it stays NaN.
    """
    filled = centers_m.copy()
    there = np.asarray(np.isfinite(centers_m).all(axis=-1))
    times = np.arange(len(centers_m))
    for m in np.flatnonzero(~there.all(axis=0) & there.any(axis=0)):
        known = np.flatnonzero(there[:, m])
        # The piece of the line that holds each time, or the one next to it.
        left = np.clip(np.searchsorted(known, times, side='right') - 1, 0, max(len(known) - 2, 0))
        start = known[left]
        end = known[np.minimum(left + 1, len(known) - 1)]
        share = (times - start) / np.maximum(end - start, 1)
        line = centers_m[start, m] + share[:, None] * (centers_m[end, m] - centers_m[start, m])
        filled[:, m] = np.where(there[:, m, None], centers_m[:, m], line)
    return filled


def _foreground(
    maps: MotionMaps, grid: BevGrid, t: int, threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Returns (iy, ix, cell centres [n, 2], flow targets [n, 2]) of the cells above threshold."""
    x_m, y_m = grid.axis_centers()
    iy, ix = np.nonzero(maps.probability[t] >= threshold)
    flow_m = maps.flow_m[t, :, iy, ix]
    finite = np.isfinite(flow_m).all(axis=-1)
    iy, ix, flow_m = iy[finite], ix[finite], flow_m[finite]
    cells_m = np.stack([x_m[ix], y_m[iy]], axis=-1)
    return iy, ix, cells_m, cells_m + flow_m


def _new_instances(
    targets_m: NDArray[np.float64], sure: NDArray[np.bool_], grid: BevGrid, radii: VoteRadii
) -> NDArray[np.int64]:
    """Returns the labels [n] of cells by their votes, 0 where no cell of a group is sure."""
    labels = cluster_votes(targets_m, grid, radii)
    keep = group_count(labels[sure], int(labels.max(initial=0)) + 1) > 0
    keep[0] = False
    return compact(labels, keep)


def _follow(
    targets_m: NDArray[np.float64],
    sure: NDArray[np.bool_],
    previous: NDArray[np.int32],
    grid: BevGrid,
    memory: CenterMemory,
    radii: VoteRadii,
) -> NDArray[np.int64]:
    """Returns the label [n] of each cell by where its flow points in the map of a step before."""
    labels = np.zeros(len(targets_m), dtype=np.int64)
    iy, ix, inside = grid.to_cell(targets_m[:, 0], targets_m[:, 1])
    labels[inside] = previous[iy[inside], ix[inside]]

    missing = np.flatnonzero(labels == 0)
    if len(missing):
        labels[missing] = memory.near(targets_m[missing], labels, targets_m)
        missing = missing[labels[missing] == 0]
    if len(missing):
        taken = group_count(labels, memory.count + 1) > 0
        group = cluster_votes(targets_m[missing], grid, replace(radii, min_votes=1))
        labels[missing] = _come_back(group, targets_m[missing], inside[missing], memory, taken)
        missing = missing[labels[missing] == 0]
    if len(missing):
        born = _new_instances(targets_m[missing], sure[missing], grid, radii)
        labels[missing] = np.where(born > 0, born + memory.count, 0)
    return labels


def _come_back(
    group: NDArray[np.int64],
    targets_m: NDArray[np.float64],
    inside: NDArray[np.bool_],
    memory: CenterMemory,
    taken: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Returns old labels [n] of unexplained cells that are somebody who was lost, else 0."""
    groups = int(group.max(initial=0)) + 1
    told_m = group_mean(group, targets_m, groups)[1:]
    entering = group_count(group[~inside], groups)[1:] > 0
    old = memory.claim(NewGroups(told_m, entering), taken)
    return np.concatenate([[0], old])[group]
