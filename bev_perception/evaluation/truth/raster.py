"""Ground-truth objects drawn on a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.truth.frame import TruthFrame, TruthObjects
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.geometry.footprints import footprint_cells
from bev_perception.geometry.grid import BevGrid
from bev_perception.units import NS_PER_S

# Objects at an instant, and the label [M] of each.
Followed = tuple[TruthObjects, NDArray[np.int32]]


def object_mask(objects: TruthObjects, grid: BevGrid) -> NDArray[np.bool_]:
    """Returns bool [Y, X]: cells that the footprint of an object touches (`footprint_cells`)."""
    mask = np.zeros(grid.shape, np.bool_)
    cells = footprint_cells(objects.center_m, objects.size_m, objects.yaw_rad, grid)
    for _, window, part in cells:
        mask[window] |= part
    return mask


def instance_maps(
    scene: SceneTruth,
    frame: TruthFrame,
    times_s: Sequence[float],
    grid: BevGrid,
    keep: Callable[[TruthObjects], NDArray[np.bool_]] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Returns int32 [S, Y, X], which object is in every cell at S times, and known bool [S].

    All in the base frame of `frame`, wherever the ego vehicle is at those times. Labels count
    from 1, 0 is none, an object has one label over time; objects whose track is unknown have one
    of their own at every time. A cell that several footprints touch belongs to the smallest
    object, then to the one nearest to the base. Maps of times that are not known are empty.

    Args:
        scene: of the frame.
        frame: the present.
        times_s: relative to the stamp of the frame; 0 is the present.
        grid: in the base frame.
        keep: which objects [M] are drawn; all, when not given.
    """
    followed = followed_objects(scene, frame, times_s)
    known = np.array([item is not None for item in followed], np.bool_)
    return draw_instances(followed, grid, keep), known


def followed_objects(
    scene: SceneTruth, frame: TruthFrame, times_s: Sequence[float]
) -> tuple[Followed | None, ...]:
    """Returns the objects at S times and their labels, as `instance_maps` draws them.

    None for times that are not known.
    """
    label_of: dict[str, int] = {}
    free = 1
    result: list[Followed | None] = []
    for time_s in times_s:
        objects = _objects_at(scene, frame, frame.stamp_ns + round(time_s * NS_PER_S))
        if objects is None:
            result.append(None)
            continue
        labels = np.zeros(len(objects), np.int32)
        for row, track in enumerate(objects.track):
            labels[row] = label_of.setdefault(track, free) if track else free
            free = max(free, int(labels[row]) + 1)
        result.append((objects, labels))
    return tuple(result)


def draw_instances(
    followed: Sequence[Followed | None],
    grid: BevGrid,
    keep: Callable[[TruthObjects], NDArray[np.bool_]] | None = None,
) -> NDArray[np.int32]:
    """Returns int32 [S, Y, X], the labels of `followed_objects`; see `instance_maps`."""
    maps = np.zeros((len(followed), *grid.shape), np.int32)
    for target, item in zip(maps, followed, strict=True):
        if item is not None:
            objects, labels = item
            rows = np.arange(len(objects)) if keep is None else np.flatnonzero(keep(objects))
            _draw(target, objects.selected(rows), labels[rows], grid)
    return maps


def _objects_at(scene: SceneTruth, frame: TruthFrame, stamp_ns: int) -> TruthObjects | None:
    """Returns the objects at an instant; None as well if some cannot be followed to it."""
    if stamp_ns == frame.stamp_ns:
        return frame.objects
    objects = scene.objects_at(stamp_ns, frame)
    after = int(np.searchsorted(scene.stamps_ns, stamp_ns))
    if objects is None or int(scene.stamps_ns[after]) == stamp_ns:
        return objects
    # Between two frames only objects with a track are told.
    ends = (scene.frames[after - 1].objects, scene.frames[after].objects)
    return objects if all(end is not None and all(end.track) for end in ends) else None


def _draw(
    target: NDArray[np.int32], objects: TruthObjects, labels: NDArray[np.int32], grid: BevGrid
) -> None:
    area_m2 = objects.size_m[:, 0] * objects.size_m[:, 1]
    distance_m = np.linalg.norm(objects.center_m[:, :2], axis=-1)
    order = np.lexsort((labels, distance_m, area_m2))[::-1]  # the last one drawn stays
    ordered = objects.selected(order)
    cells = footprint_cells(ordered.center_m, ordered.size_m, ordered.yaw_rad, grid)
    for row, window, mask in cells:
        target[window][mask] = labels[order[row]]
