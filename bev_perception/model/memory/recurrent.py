"""Recurrent memory: one BEV map that every frame reads and updates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bev_perception.geometry.grid import BevGrid
from bev_perception.model.layers import init_trunk, prior_logit
from bev_perception.model.memory.base import BevMemory, MemoryState
from bev_perception.model.memory.fusion import PastProjection, ResidualFusion
from bev_perception.model.memory.motion import MemoryMotion

# Share of the present in a fresh module's update: a memory of about three frames.
PRIOR_GATE = 0.3


class UpdateGate(nn.Module):
    """Share of the present, per cell, in the updated memory."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.entry = nn.Conv2d(channels, hidden, 1)
        self.past = PastProjection(channels, hidden)
        self.out = nn.Conv2d(hidden, 1, 3, padding=1)
        init_trunk(self)
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.constant_(self.out.bias, prior_logit(PRIOR_GATE))

    def forward(self, entry: Tensor, moved: Tensor, moved_known: Tensor, gap_s: Tensor) -> Tensor:
        """Returns [B, 1, Y, X] in [0, 1]; see `PastProjection` for the arguments."""
        hidden = self.entry(entry) + self.past(moved, moved_known, gap_s)
        return self.out(hidden.relu()).sigmoid()


class RecurrentMemory(BevMemory):
    """Recurrent fusion of VideoBEV (Han et al. 2023, arXiv 2303.05970), with a gated update.

    The map of the past, aligned to the present, is fused with the present by convolutions under
    an embedding of the time gap. Unlike in VideoBEV the carried map is not the fused output but
    a gated mean of raw maps (the update of a GRU, Cho et al. 2014, eq. 7), and it lies in a
    frame of its own that follows the vehicle in whole cells (`MemoryFrames`): reading re-samples
    a copy, so the carried map does not blur with every frame.

    Args:
        channels: C of the BEV features.
        grid: their geometry.
        hidden: channels of the fusion's bottleneck.
    """

    def __init__(self, channels: int, grid: BevGrid, hidden: int) -> None:
        super().__init__(channels, grid, slots=1)
        self.fusion = ResidualFusion(channels, 1, hidden)
        self.gate = UpdateGate(channels, max(hidden // 2, 1))

    def forward(
        self, bev: Tensor, state: MemoryState | None, motion: MemoryMotion
    ) -> tuple[Tensor, MemoryState]:
        """See `BevMemory`. A state without a usable past starts from the present."""
        usable = self._usable(bev, state, motion)
        memory, known = usable.features[:, 0], usable.known[:, 0]
        past, past_known = self._warp(memory, known, motion.read[:, 0])
        out = self.fusion(
            bev, past.to(bev.dtype)[:, None], past_known.to(bev.dtype)[:, None], motion.gap_s
        )
        return out, self._update(bev, memory, known, motion)

    def _update(
        self, bev: Tensor, memory: Tensor, known: Tensor, motion: MemoryMotion
    ) -> MemoryState:
        """Returns the state with the present written into it, in the new memory frame."""
        moved, moved_known = self._warp(memory, known, motion.move)
        present = bev.to(memory.dtype)
        entry, entry_known = self._warp(present, torch.ones_like(present[:, :1]), motion.write)
        gate = self.gate(
            entry.to(bev.dtype),
            moved.to(bev.dtype),
            moved_known.to(bev.dtype),
            motion.gap_s[:, 0],
        ).to(memory.dtype)
        # A cell that only one of the two knows takes that one.
        share = torch.where(moved_known > 0, gate * entry_known, entry_known)
        features = torch.lerp(moved, entry, share)
        return MemoryState(features[:, None], torch.maximum(moved_known, entry_known)[:, None])
