"""What the CUDA kernels know of a sparse matrix beyond its entries: schedules and transposes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from bev_perception.ops.bev_pool.entries import SparseEntries

# As in bev_pool.cu.
WARP = 32
WARPS = 8
LONG_INTERVAL = 64
PACK_BYTES = 16


@dataclass(frozen=True)
class RowShape:
    """How the lanes of a warp share the channels of a row.

    Attributes:
        pack: scalars that a lane moves at once.
        lanes: lanes per row of a tile.
        tiles: parts of a row that different warps take.
    """

    pack: int
    lanes: int
    tiles: int

    @classmethod
    def of(cls, channels: int, scalar_bytes: int, addresses: Sequence[int]) -> RowShape:
        """Returns the widest packs that divide the row and fit the alignment of all matrices.

        Args:
            channels: scalars per row, at least 1.
            scalar_bytes: size of one.
            addresses: of the first scalar of each matrix.
        """
        pack = PACK_BYTES // scalar_bytes
        while channels % pack or any(address % (pack * scalar_bytes) for address in addresses):
            pack //= 2
        packs = channels // pack
        tiles = -(-packs // WARP)
        return cls(pack=pack, lanes=-(-packs // tiles), tiles=tiles)

    @property
    def rows_per_warp(self) -> int:
        """Rows that a warp holds side by side."""
        return WARP // self.lanes


@dataclass(frozen=True, eq=False)
class PoolPlan:
    """A sparse matrix in compressed rows, and the order in which its rows are computed.

    Attributes:
        row_index: int32 [E], row of the dense matrix.
        weight_index: int32 [E], position of the weight.
        offsets: int32 [rows + 1], interval of entries per output row.
        order: int32 [rows], output rows from the longest interval to the shortest.
        long_rows: how many of them, from the front, have more than `LONG_INTERVAL` entries.
    """

    row_index: Tensor
    weight_index: Tensor
    offsets: Tensor
    order: Tensor
    long_rows: int

    @classmethod
    def of(cls, row_index: Tensor, weight_index: Tensor, offsets: Tensor) -> PoolPlan:
        """Returns the plan of a matrix."""
        lengths, order = offsets.diff().sort(descending=True, stable=True)
        return cls(
            row_index=row_index,
            weight_index=weight_index,
            offsets=offsets,
            order=order.to(torch.int32),
            long_rows=int((lengths > LONG_INTERVAL).sum().item()),
        )

    @property
    def rows(self) -> int:
        """Number of output rows."""
        return len(self.order)

    @property
    def blocks(self) -> int:
        """Thread blocks per tile: one per long row, one per `WARPS` others."""
        return self.long_rows + -(-(self.rows - self.long_rows) // WARPS)


@dataclass(frozen=True, eq=False)
class WeightGradPlan:
    """The entries of every weight.

    Attributes:
        row_index: int32 [E], feature row, sorted by weight.
        cell_index: int32 [E], cell of the same entry.
        offsets: int32 [weights + 1], interval of entries per weight.
    """

    row_index: Tensor
    cell_index: Tensor
    offsets: Tensor


@dataclass(eq=False)
class MatrixPlan:
    """Everything the kernels need of one matrix; the gradients' parts are made on first use.

    Attributes:
        pool: the matrix itself.
        source: pixel and depth indices of the entries that it was made from.
        pixels_needed: least number of feature rows that all indices lie in.
        weights_needed: least number of weights that all indices lie in.
    """

    pool: PoolPlan
    source: tuple[Tensor, Tensor]
    pixels_needed: int
    weights_needed: int
    _transposed: PoolPlan | None = field(default=None, repr=False)
    _weight_grad: WeightGradPlan | None = field(default=None, repr=False)

    @classmethod
    def of(cls, entries: SparseEntries) -> MatrixPlan:
        """Returns the plan of `entries`, after checking them.

        Raises:
            ValueError: an index is negative, or the offsets do not rise from 0 to the number of
                entries.
        """
        # Aliases: a cache that is keyed by a tensor must not keep that very tensor alive.
        pixels, weights, offsets = (
            tensor.detach()
            for tensor in (entries.pixel_index, entries.depth_index, entries.cell_offsets)
        )
        first, last, least = torch.stack([offsets[0], offsets[-1], offsets.diff().min()]).tolist()
        if first != 0 or last != len(pixels) or least < 0:
            raise ValueError(
                f'bev_pool: cell offsets must rise from 0 to {len(pixels)} entries, got '
                f'{first} to {last} with a least step of {least}'
            )
        lowest, pixels_needed, weights_needed = 0, 0, 0
        if len(pixels):
            low, high = torch.stack([*pixels.aminmax(), *weights.aminmax()]).view(2, 2).T.tolist()
            lowest = min(low)
            pixels_needed, weights_needed = (value + 1 for value in high)
        if lowest < 0:
            raise ValueError(f'bev_pool: entries hold a negative index, {lowest}')
        pool = PoolPlan.of(pixels.contiguous(), weights.contiguous(), offsets.contiguous())
        return cls(pool, (pixels, weights), pixels_needed, weights_needed)

    def is_of(self, entries: SparseEntries) -> bool:
        """Whether the plan was made from the indices of `entries`."""
        given = (entries.pixel_index, entries.depth_index)
        return all(
            mine.data_ptr() == theirs.data_ptr() and mine.shape == theirs.shape
            for mine, theirs in zip(self.source, given, strict=True)
        )

    def check_range(self, pixels: int, weights: int) -> None:
        """Raises ValueError unless all indices lie in as many feature rows and weights."""
        if self.pixels_needed > pixels or self.weights_needed > weights:
            raise ValueError(
                f'bev_pool: entries need {self.pixels_needed} feature rows and '
                f'{self.weights_needed} weights, got {pixels} and {weights}'
            )

    def transposed(self, pixels: int) -> PoolPlan:
        """Returns the matrix whose product with the cells' gradient is the features' gradient.

        Args:
            pixels: number of feature rows.
        """
        if self._transposed is None or self._transposed.rows != pixels:
            refuse_capture(self.pool.offsets)
            order, offsets = _group(self.pool.row_index, pixels)
            self._transposed = PoolPlan.of(
                self._cell_index()[order], self.pool.weight_index[order], offsets
            )
            wait_for(offsets)
        return self._transposed

    def weight_grad(self, weights: int) -> WeightGradPlan:
        """Returns the entries by weight.

        Args:
            weights: number of weights.
        """
        if self._weight_grad is None or len(self._weight_grad.offsets) != weights + 1:
            refuse_capture(self.pool.offsets)
            order, offsets = _group(self.pool.weight_index, weights)
            self._weight_grad = WeightGradPlan(
                self.pool.row_index[order], self._cell_index()[order], offsets
            )
            wait_for(offsets)
        return self._weight_grad

    def _cell_index(self) -> Tensor:
        """Returns int32 [E], the cell of each entry."""
        cells = torch.arange(self.pool.rows, dtype=torch.int32, device=self.pool.offsets.device)
        return cells.repeat_interleave(
            self.pool.offsets.diff(), output_size=len(self.pool.row_index)
        )


_PLANS: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def plan_of(entries: SparseEntries) -> MatrixPlan:
    """Returns the plan of `entries`, made on the first call and kept while their tensors live.

    The entries must not change afterwards. Making a plan waits for the device, so it is complete
    for every stream, and cannot happen while a CUDA graph is captured.

    Raises:
        RuntimeError: first call for these entries during a capture.
        ValueError: see `MatrixPlan.of`.
    """
    plan: MatrixPlan | None = _PLANS.get(entries.cell_offsets)
    if plan is None or not plan.is_of(entries):
        refuse_capture(entries.cell_offsets)
        plan = MatrixPlan.of(entries)
        wait_for(entries.cell_offsets)
        _PLANS[entries.cell_offsets] = plan
    return plan


def refuse_capture(tensor: Tensor) -> None:
    """Raises RuntimeError while the current stream of a CUDA tensor's device is captured."""
    if tensor.is_cuda and torch.cuda.is_current_stream_capturing():
        raise RuntimeError(
            'bev_pool: call it once with the same entries, forward and backward as needed, before '
            'capturing a CUDA graph'
        )


def wait_for(tensor: Tensor) -> None:
    """Waits for the work queued on the current stream of a CUDA tensor's device."""
    if tensor.is_cuda:
        torch.cuda.current_stream(tensor.device).synchronize()


def _group(index: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Returns (order, offsets): the stable sort of `index`, and int32 [groups + 1] intervals."""
    values, order = index.sort(stable=True)
    bounds = torch.arange(groups + 1, dtype=index.dtype, device=index.device)
    return order, torch.searchsorted(values, bounds, out_int32=True)
