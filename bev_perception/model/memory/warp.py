"""Bilinear re-sampling of BEV maps under planar motion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from bev_perception.geometry.grid import BevGrid

# Places of source cells are rounded to this share of a cell where they depend on the translation
# alone: a shift by whole cells (up to 80), divided and rounded in float32, is then exact.
SHIFT_STEPS_PER_CELL = 2**15
# A target cell is known if its taps on known source cells weigh at least this much. Not 0.5, so
# that a shift by exactly half a cell does not hang on the last bit.
MIN_KNOWN_SHARE = 0.4


@dataclass(frozen=True, eq=False)
class Taps:
    """The four source cells of every target cell.

    Attributes:
        index: int32 [B, Y*X, 4], row of the source cell among the B*Y*X cells of the batch.
        weight: float32 [B, Y*X, 4], zero for taps outside the grid.
    """

    index: Tensor
    weight: Tensor


def warp(features: Tensor, source_T_target: Tensor, grid: BevGrid) -> Tensor:
    """Returns [B, C, Y, X]: each target cell's centre sampled bilinearly from the source map.

    Zero outside the source. The identity and shifts by up to 80 whole cells are exact. Places
    are computed in float32 whatever the type of the features.

    Args:
        features: [B, C, Y, X] on `grid` in the source frame; fastest channels-last.
        source_T_target: [B, 2, 3], point (x, y, 1) in the target frame, in metres -> point in the
            source frame.
        grid: geometry of both maps, each in its own frame.
    """
    return sample(features, bilinear_taps(source_T_target, grid))


def inside_share(source_T_target: Tensor, grid: BevGrid) -> Tensor:
    """Returns float32 [B, 1, Y, X] in [0, 1]: weight of the taps that lie inside the source."""
    weight = bilinear_taps(source_T_target, grid).weight
    return weight.sum(dim=-1).unflatten(1, (1, *grid.shape))


def bilinear_taps(source_T_target: Tensor, grid: BevGrid) -> Taps:
    """Returns the taps of `warp`."""
    transform = source_T_target.to(torch.float32)
    device = transform.device
    x_m = grid.x_min_m + 0.5 * grid.resolution_m
    y_m = grid.y_min_m + 0.5 * grid.resolution_m
    turn = transform[:, :, :2] - torch.eye(2, device=device)
    # Where the first cell's centre comes from, in cells away from itself.
    shift = (turn[:, :, 0] * x_m + turn[:, :, 1] * y_m + transform[:, :, 2]) / grid.resolution_m
    shift = torch.round(shift * SHIFT_STEPS_PER_CELL) / SHIFT_STEPS_PER_CELL
    column = torch.arange(grid.size_x, device=device, dtype=torch.float32)
    row = torch.arange(grid.size_y, device=device, dtype=torch.float32)[:, None]
    place = (
        transform[:, :, 0, None, None] * column
        + transform[:, :, 1, None, None] * row
        + shift[:, :, None, None]
    )
    columns, weights_x = _axis_taps(place[:, 0], grid.size_x)
    rows, weights_y = _axis_taps(place[:, 1], grid.size_y)
    cells = grid.size_x * grid.size_y
    first = torch.arange(transform.shape[0], device=device, dtype=torch.int32) * cells
    index = rows[..., :, None] * grid.size_x + columns[..., None, :]
    index = index + first[:, None, None, None, None]
    weight = weights_y[..., :, None] * weights_x[..., None, :]
    return Taps(index.flatten(3).flatten(1, 2), weight.flatten(3).flatten(1, 2))


def known_taps(taps: Taps, known: Tensor) -> tuple[Taps, Tensor]:
    """Returns the taps limited to known source cells, and which target cells are then known.

    The weights of the rest are scaled to sum to one, so that values do not fade towards the edge
    of what is known.

    Args:
        taps: see `bilinear_taps`.
        known: [B, 1, Y, X], 1 where the source holds something, else 0.

    Returns:
        The taps, with zero weights for unknown target cells, and [B, 1, Y, X] of the type of
        `known`.
    """
    source = known.reshape(-1).index_select(0, taps.index.flatten()).view_as(taps.weight)
    weight = taps.weight * source
    share = weight.sum(dim=-1, keepdim=True)
    enough = share >= MIN_KNOWN_SHARE
    weight = torch.where(enough, weight / share.clamp(min=MIN_KNOWN_SHARE), 0.0)
    return Taps(taps.index, weight), enough.to(known.dtype).view_as(known)


def sample(features: Tensor, taps: Taps) -> Tensor:
    """Returns [B, C, Y, X], channels-last: the weighted sum of the taps of each cell.

    One pass in eager mode (an embedding bag, differentiable in the features). In an exported or
    compiled graph, where that operation is missing or cannot be fused, the same sum as four
    gathers.
    """
    batch, channels, size_y, size_x = features.shape
    rows = features.permute(0, 2, 3, 1).reshape(-1, channels)
    index, weight = taps.index.flatten(0, 1), taps.weight.flatten(0, 1).to(features.dtype)
    if _in_graph():
        out = _gather_sum(rows, index, weight)
    else:
        out = embedding_bag(index, rows, mode='sum', per_sample_weights=weight)
    return out.view(batch, size_y, size_x, channels).permute(0, 3, 1, 2)


def _axis_taps(place: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Returns the two cells along an axis around each place, and their weights: [..., 2] each."""
    # Whatever lies farther out has both taps outside as well, and still fits an integer.
    place = place.clamp(-2.0, size + 1.0)
    low = place.floor()
    share = place - low
    cells = torch.stack([low, low + 1.0], dim=-1)
    inside = (cells >= 0.0) & (cells < size)
    weights = torch.stack([1.0 - share, share], dim=-1) * inside
    return cells.clamp(0.0, size - 1.0).to(torch.int32), weights


def _gather_sum(rows: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    total = rows.index_select(0, index[:, 0]) * weight[:, :1]
    for tap in range(1, 4):
        total = total + rows.index_select(0, index[:, tap]) * weight[:, tap : tap + 1]
    return total


def _in_graph() -> bool:
    """Returns whether the operations are being recorded rather than just run."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()
