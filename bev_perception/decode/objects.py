"""Objects out of centre heatmaps with box regression, and the maps that a perfect model gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.decode.gaussian import draw_maximum, gaussian_patch, gaussian_radius
from bev_perception.decode.suppression import circle_suppression, is_peak
from bev_perception.errors import ConfigError
from bev_perception.frame import BevObject, ClassScore
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import wrap_angle

UNTRACKED_ID = bytes(16)

_PEAK_KERNEL = np.ones((3, 3), dtype=np.uint8)
# Bounds the work on a heatmap that is all noise: weaker peaks than these are not looked at.
_CANDIDATES_PER_OBJECT = 20


@dataclass(frozen=True)
class ObjectMaps:
    """Object head over the grid, logits already turned into probabilities. All float32.

    K classes, arrays [..., y, x] as in `BevGrid`. NaN in a regression map means that nothing is
    known there: ground truth has numbers at object centres alone, so `isfinite` is its mask.

    Attributes:
        heatmap: [K, Y, X], probability of an object centre of the class in the cell.
        center_offset: [2, Y, X], object centre minus cell centre, (x, y) in cells.
        center_z: [Y, X], height of the box centre in metres.
        log_size: [3, Y, X], natural logarithm of (length, width, height) in metres.
        yaw_sin_cos: [2, Y, X], (sin, cos) of the heading, of any norm.
        velocity: [2, Y, X], (x, y) over ground in m/s, in the base frame.
        existence: [Y, X], probability that the box regressed in the cell is that of a real
            object, of whatever class; None when the model does not say.
    """

    heatmap: NDArray[np.float32]
    center_offset: NDArray[np.float32]
    center_z: NDArray[np.float32]
    log_size: NDArray[np.float32]
    yaw_sin_cos: NDArray[np.float32]
    velocity: NDArray[np.float32]
    existence: NDArray[np.float32] | None = None


def decode_objects(
    maps: ObjectMaps,
    grid: BevGrid,
    class_names: Sequence[str],
    score_threshold: float,
    max_objects: int,
    nms_radius_m: float,
    existence_power: float = 0.5,
) -> tuple[BevObject, ...]:
    """Returns the objects at the heatmap's peaks, untracked, by falling existence probability.

    CenterPoint (Yin et al. 2021, sections 3 and 4.1): a cell is a peak of its class when none of
    its eight neighbours is higher; of two peaks of any classes closer than `nms_radius_m` the
    one with the higher score stays. Equal scores are ordered by class, then y, then x of the
    cell. Peaks with box regressions that are not finite are dropped; a velocity that is not
    finite becomes None.

    The score, an object's existence probability, is the heatmap's value; with an existence map
    it is `heatmap ** (1 - a) * existence ** a`, a being `existence_power`: the heatmap knows
    where a centre is likely, not what the box there is worth (CIA-SSD, Zheng et al. 2021,
    section 3.3; AFDetV2, Hu et al. 2022). Class scores are the heatmaps' values.

    Args:
        maps: over `grid`.
        grid: geometry of the maps.
        class_names: K names in the order of the heatmaps.
        score_threshold: least score of an object.
        max_objects: at most so many are returned, best first.
        nms_radius_m: least distance of two box centres.
        existence_power: a, in [0, 1]; without an existence map it has no effect.
    """
    heatmap = maps.heatmap
    score, (kind, iy, ix) = _peaks(maps, score_threshold, existence_power)
    order = _best_first(score, _CANDIDATES_PER_OBJECT * max_objects)
    score, kind, iy, ix = score[order], kind[order], iy[order], ix[order]

    boxes = _boxes_at(maps, grid, iy, ix)
    usable = np.flatnonzero(np.isfinite(boxes).all(axis=-1))
    kept = usable[circle_suppression(boxes[usable, :2], nms_radius_m, max_objects)]

    classes = _class_scores(heatmap[:, iy[kept], ix[kept]].T, class_names)
    velocities = maps.velocity[:, iy[kept], ix[kept]].T
    return tuple(map(_object, score[kept].tolist(), boxes[kept], classes, velocities))


def encode_objects(
    objects: Sequence[BevObject],
    grid: BevGrid,
    class_names: Sequence[str],
    min_overlap: float = 0.1,
    min_radius_cells: int = 2,
) -> ObjectMaps:
    """Returns the maps from which `decode_objects` reads these objects: the ground truth.

    The heatmap is 1 at the cell of each object's centre, falling off around it as a Gaussian
    whose radius follows from the box (`gaussian_radius`); where bumps of a class meet the higher
    value counts. Existence is 1 at these cells and 0 elsewhere. Box regressions are NaN but at
    object centres. Objects with centres outside the grid are left out; of two in one cell the
    later in the list is written.

    Args:
        objects: each of the class of its first `ClassScore`.
        grid: geometry of the maps.
        class_names: K names in the order of the heatmaps.
        min_overlap: IoU that a box with corners moved by the radius still has.
        min_radius_cells: least radius of a bump.

    Raises:
        ConfigError: an object has a class that is not in `class_names`.
    """
    maps = _empty_maps(grid, len(class_names))
    existence = np.zeros(grid.shape, dtype=np.float32)
    x_m, y_m = grid.axis_centers()
    for item in objects:
        kind = _class_index(item, class_names)
        row, column, inside = grid.to_cell(item.center_m[0], item.center_m[1])
        if not inside:
            continue
        iy, ix = int(row), int(column)
        length, width = (side / grid.resolution_m for side in item.size_m[:2])
        radius = max(int(gaussian_radius(length, width, min_overlap)), min_radius_cells)
        draw_maximum(maps.heatmap[kind], gaussian_patch(radius), iy, ix)
        offset_m = np.array([item.center_m[0] - x_m[ix], item.center_m[1] - y_m[iy]])
        maps.center_offset[:, iy, ix] = offset_m / grid.resolution_m
        maps.center_z[iy, ix] = item.center_m[2]
        maps.log_size[:, iy, ix] = np.log(item.size_m)
        maps.yaw_sin_cos[:, iy, ix] = np.sin(item.yaw_rad), np.cos(item.yaw_rad)
        if item.velocity_mps is not None:
            maps.velocity[:, iy, ix] = item.velocity_mps
        existence[iy, ix] = 1.0
    return replace(maps, existence=existence)


def _peaks(
    maps: ObjectMaps, threshold: float, existence_power: float
) -> tuple[NDArray[np.float32], tuple[NDArray[np.int64], ...]]:
    """Returns (score [n], (class [n], iy [n], ix [n])) of the peaks with enough of a score."""
    heatmap = maps.heatmap
    # Existence is at most 1, so fainter peaks than this cannot reach the threshold.
    least = threshold
    if maps.existence is not None:
        least = 0.0 if existence_power >= 1.0 else threshold ** (1.0 / (1.0 - existence_power))
    kind, iy, ix = np.nonzero(is_peak(heatmap, _PEAK_KERNEL) & (heatmap >= least * (1.0 - 1e-6)))
    score = heatmap[kind, iy, ix]
    if maps.existence is not None:
        score = score ** (1.0 - existence_power) * maps.existence[iy, ix] ** existence_power
    enough = score >= threshold
    return score[enough], (kind[enough], iy[enough], ix[enough])


def _best_first(score: NDArray[np.float32], max_count: int) -> NDArray[np.int64]:
    """Returns the indices of the highest scores by falling score, equal ones as they come."""
    if len(score) <= max_count:
        return np.argsort(-score, kind='stable')
    least = np.partition(score, -max_count)[-max_count]
    high = np.flatnonzero(score >= least)
    return high[np.argsort(-score[high], kind='stable')][:max_count]


def _boxes_at(maps: ObjectMaps, grid: BevGrid, iy: NDArray, ix: NDArray) -> NDArray[np.float64]:
    """Returns [n, 7]: x, y, z, length, width, height, yaw regressed at these cells."""
    x_m, y_m = grid.axis_centers()
    offset = maps.center_offset[:, iy, ix].astype(np.float64) * grid.resolution_m
    with np.errstate(over='ignore'):
        size = np.exp(maps.log_size[:, iy, ix].astype(np.float64))
    sin, cos = maps.yaw_sin_cos[:, iy, ix].astype(np.float64)
    yaw = wrap_angle(np.arctan2(sin, cos))
    return np.stack(
        [x_m[ix] + offset[0], y_m[iy] + offset[1], maps.center_z[iy, ix], *size, yaw], axis=-1
    )


def _class_scores(
    probabilities: NDArray[np.float32], class_names: Sequence[str]
) -> list[tuple[ClassScore, ...]]:
    """Returns the scores of n objects from probabilities [n, K], each by falling probability."""
    order = np.argsort(-probabilities, axis=-1, kind='stable')
    sorted_probabilities = np.take_along_axis(probabilities, order, axis=-1).tolist()
    names = list(class_names)
    return [
        tuple(ClassScore(k, names[k], p) for k, p in zip(kinds, row, strict=True))
        for kinds, row in zip(order.tolist(), sorted_probabilities, strict=True)
    ]


def _object(
    score: float,
    box: NDArray[np.float64],
    classes: tuple[ClassScore, ...],
    velocity: NDArray[np.float32],
) -> BevObject:
    x, y, z, length, width, height, yaw = box.tolist()
    known = bool(np.isfinite(velocity).all())
    return BevObject(
        object_id=UNTRACKED_ID,
        age_frames=0,
        existence_probability=score,
        classes=classes,
        center_m=(x, y, z),
        size_m=(length, width, height),
        yaw_rad=yaw,
        velocity_mps=(float(velocity[0]), float(velocity[1])) if known else None,
    )


def _empty_maps(grid: BevGrid, classes: int) -> ObjectMaps:
    def unknown(*channels: int) -> NDArray[np.float32]:
        return np.full((*channels, *grid.shape), np.nan, dtype=np.float32)

    return ObjectMaps(
        heatmap=np.zeros((classes, *grid.shape), dtype=np.float32),
        center_offset=unknown(2),
        center_z=unknown(),
        log_size=unknown(3),
        yaw_sin_cos=unknown(2),
        velocity=unknown(2),
    )


def _class_index(item: BevObject, class_names: Sequence[str]) -> int:
    name = item.classes[0].name
    if name not in class_names:
        raise ConfigError(
            f"object class '{name}' is not one of the model's classes {list(class_names)}; "
            'map it to one of these or leave the object out'
        )
    return list(class_names).index(name)
