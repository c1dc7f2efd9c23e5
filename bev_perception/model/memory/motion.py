"""How the memory moves in one step: the geometry that a memory module is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class MemoryMotion:
    """Where past maps lie in one step, for a batch, as `MemoryFrames` computes it.

    The [2, 3] matrices are planar rigid transforms, rotation | translation in metres, acting on
    points (x, y, 1).

    Attributes:
        read: float32 [B, K, 2, 3], point in the base frame now -> point in the frame of slot k.
        move: float32 [B, 2, 3], point in the new memory frame -> point in the old memory frame;
            a shift by whole cells whenever possible. Identity for a ring, which moves nothing.
        write: float32 [B, 2, 3], point in the new memory frame -> point in the base frame now.
            Identity for a ring.
        gap_s: float32 [B, K], age of the content of each slot; 0 where nothing is kept.
        keep: bool [B, K], slot holds something usable.
    """

    read: Tensor
    move: Tensor
    write: Tensor
    gap_s: Tensor
    keep: Tensor

    @property
    def slots(self) -> int:
        """K, number of memory slots."""
        return self.keep.shape[1]

    @classmethod
    def none(cls, batch: int, slots: int, device: torch.device | str = 'cpu') -> MemoryMotion:
        """Returns the motion of a step without history: nothing is kept, nothing moves."""
        identity = torch.eye(2, 3, device=device)
        return cls(
            read=identity.repeat(batch, slots, 1, 1),
            move=identity.repeat(batch, 1, 1),
            write=identity.repeat(batch, 1, 1),
            gap_s=torch.zeros(batch, slots, device=device),
            keep=torch.zeros(batch, slots, dtype=torch.bool, device=device),
        )

    @classmethod
    def collate(cls, motions: Sequence[MemoryMotion]) -> MemoryMotion:
        """Returns the motions of a batch, in the order given.

        Raises:
            ValueError: nothing to collate, or the numbers of slots differ.
        """
        if len({motion.slots for motion in motions}) != 1:
            raise ValueError(
                f'motions must share one number of slots, got {[m.slots for m in motions]}'
            )
        names = [field.name for field in fields(cls)]
        return cls(*(torch.cat([getattr(m, name) for m in motions]) for name in names))

    def to(self, device: torch.device | str) -> MemoryMotion:
        """Returns the same motion on `device`."""
        return MemoryMotion(*(getattr(self, field.name).to(device) for field in fields(self)))
