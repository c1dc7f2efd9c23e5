"""Which cells of the bird's-eye view a camera can see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid


def cell_visibility(
    cameras: Sequence[Camera | None],
    grid: BevGrid,
    heights_m: tuple[float, ...] = (0.0, 0.5, 1.5),
    valid: Sequence[NDArray[np.bool_] | None] | None = None,
) -> NDArray[np.bool_]:
    """Returns bool [N, Y, X]: camera i observes the cell.

    It does when the point above the cell's centre, at one of `heights_m` (z in the base frame),
    projects into the image and onto a valid pixel. Occlusion is not considered.

    Args:
        cameras: in rig order; None for one without a calibration, which observes nothing.
        grid: the cells.
        heights_m: heights above the base frame's origin at which a cell is looked for.
        valid: per camera, bool [height, width] of the pixels that show the scene; None: all.

    Raises:
        ValueError: `valid` does not fit `cameras`.
    """
    masks = valid if valid is not None else [None] * len(cameras)
    if len(masks) != len(cameras):
        raise ValueError(f'cell_visibility: {len(cameras)} cameras but {len(masks)} masks')
    centers = grid.cell_centers()
    seen = np.zeros((len(cameras), *grid.shape), bool)
    for index, (camera, mask) in enumerate(zip(cameras, masks, strict=True)):
        if camera is None:
            continue
        for height_m in heights_m:
            points_base = np.concatenate(
                [centers, np.full((*grid.shape, 1), float(height_m))], axis=-1
            )
            seen[index] |= _shows(camera, points_base, mask)
    return seen


def _shows(
    camera: Camera, points_base: NDArray[np.float64], mask: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Returns bool [...]: the point projects into the image, onto a valid pixel."""
    uv, inside = camera.project_base(points_base)
    if mask is None:
        return inside
    if mask.shape != (camera.height, camera.width):
        raise ValueError(
            f'cell_visibility: mask of camera {camera.name!r} is {mask.shape}, expected '
            f'({camera.height}, {camera.width})'
        )
    u, v = np.floor(uv[inside] + 0.5).astype(np.int64).T
    shown = inside.copy()
    # In floating point the last half pixel may round up to one that does not exist.
    shown[inside] = mask[np.minimum(v, camera.height - 1), np.minimum(u, camera.width - 1)]
    return shown
