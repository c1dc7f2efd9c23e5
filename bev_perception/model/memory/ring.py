"""Ring memory: the last raw BEV maps, each as it was seen."""

from __future__ import annotations

import torch
from torch import Tensor

from bev_perception.geometry.grid import BevGrid
from bev_perception.model.memory.base import BevMemory, MemoryState
from bev_perception.model.memory.fusion import ResidualFusion
from bev_perception.model.memory.motion import MemoryMotion


class RingMemory(BevMemory):
    """Keeps K past maps in the base frames they were made in and aligns them anew every time.

    Alignment by ego motion and fusion by concatenation as in BEVDet4D (Huang and Huang 2022,
    arXiv 2203.17054, section 3.2) and PowerBEV (Li et al. 2023, arXiv 2306.10761), but without
    encoding past images again. No map is ever re-sampled twice: the accumulated pose is applied
    to the raw one.

    Args:
        channels: C of the BEV features.
        grid: their geometry.
        slots: K, number of past maps.
        hidden: channels of the fusion's bottleneck.
    """

    def __init__(self, channels: int, grid: BevGrid, slots: int, hidden: int) -> None:
        super().__init__(channels, grid, slots)
        self.fusion = ResidualFusion(channels, slots, hidden)

    def forward(
        self, bev: Tensor, state: MemoryState | None, motion: MemoryMotion
    ) -> tuple[Tensor, MemoryState]:
        """See `BevMemory`. Slot 0 of the state is the newest map."""
        usable = self._usable(bev, state, motion)
        shape = len(bev), self.slots
        past, known = self._warp(
            usable.features.flatten(0, 1), usable.known.flatten(0, 1), motion.read.flatten(0, 1)
        )
        out = self.fusion(
            bev,
            past.to(bev.dtype).unflatten(0, shape),
            known.to(bev.dtype).unflatten(0, shape),
            motion.gap_s,
        )
        present = bev.to(usable.features.dtype)
        return out, MemoryState(
            _pushed(usable.features, present),
            _pushed(usable.known, torch.ones_like(present[:, :1])),
        )


def _pushed(ring: Tensor, newest: Tensor) -> Tensor:
    """Returns [B, K, C, Y, X] with `newest` first and the oldest gone, channels innermost."""
    rows = ring[:, :-1].permute(0, 1, 3, 4, 2)
    return torch.cat([newest.permute(0, 2, 3, 1)[:, None], rows], dim=1).permute(0, 1, 4, 2, 3)
