"""What every BEV memory is: present features, state and motion in; features and state out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bev_perception.geometry.grid import BevGrid
from bev_perception.model.memory.motion import MemoryMotion
from bev_perception.model.memory.warp import bilinear_taps, known_taps, sample


@dataclass(frozen=True, eq=False)
class MemoryState:
    """All that is remembered; its shapes never change, so the cost of a step does not either.

    Attributes:
        features: [B, K, C, Y, X], one map per slot, zero where unknown; channels innermost in
            memory.
        known: [B, K, 1, Y, X] of the same type, 1 where the slot holds something, else 0.
    """

    features: Tensor
    known: Tensor

    def to(self, device: torch.device | str) -> MemoryState:
        """Returns the same state on `device`."""
        return MemoryState(self.features.to(device), self.known.to(device))

    def detach(self) -> MemoryState:
        """Returns the same state, cut off from the gradients of earlier steps."""
        return MemoryState(self.features.detach(), self.known.detach())

    def kept(self, keep: Tensor) -> MemoryState:
        """Returns the state with the slots whose `keep` (bool [B, K]) is off emptied.

        Whatever they hold, NaN included, has no effect afterwards.
        """
        mask = keep[:, :, None, None, None]
        return MemoryState(
            torch.where(mask, self.features, 0.0), torch.where(mask, self.known, 0.0)
        )


class BevMemory(nn.Module, ABC):
    """Fuses the BEV features of a frame with those of the past.

    The module itself holds no past: the state is an input and an output, which makes a step a
    pure function that can be trained through, exported and replayed.

    Args:
        channels: C of the BEV features.
        grid: their geometry.
        slots: K, number of maps in the state.
    """

    def __init__(self, channels: int, grid: BevGrid, slots: int) -> None:
        super().__init__()
        self.channels, self.grid, self.slots = channels, grid, slots

    @abstractmethod
    def forward(
        self, bev: Tensor, state: MemoryState | None, motion: MemoryMotion
    ) -> tuple[Tensor, MemoryState]:
        """Returns the fused features [B, C, Y, X] and the state after this frame.

        Where nothing usable is remembered the features are returned as they came.

        Args:
            bev: [B, C, Y, X] in the base frame now.
            state: after the previous frame; None at the start.
            motion: since then (`MemoryFrames.step`), on the same device.
        """

    def initial_state(
        self, batch: int, device: torch.device | str, dtype: torch.dtype
    ) -> MemoryState:
        """Returns the empty state."""
        shape = batch, self.slots, *self.grid.shape
        features = torch.zeros(*shape, self.channels, device=device, dtype=dtype)
        known = torch.zeros(*shape, 1, device=device, dtype=dtype)
        return MemoryState(features.permute(0, 1, 4, 2, 3), known.permute(0, 1, 4, 2, 3))

    def _usable(self, bev: Tensor, state: MemoryState | None, motion: MemoryMotion) -> MemoryState:
        """Returns what may be used of the state."""
        if state is None:
            return self.initial_state(len(bev), bev.device, bev.dtype)
        return state.kept(motion.keep)

    def _warp(
        self, features: Tensor, known: Tensor, source_T_target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns a map [M, C, Y, X] and its mask [M, 1, Y, X] seen from the target frame."""
        taps, target_known = known_taps(bilinear_taps(source_T_target, self.grid), known)
        return sample(features, taps), target_known
