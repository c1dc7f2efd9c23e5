"""Small memories of every kind, with motions and features to run them on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import pose_from_yaw
from bev_perception.model.memory import (
    BevMemory,
    MemoryFrames,
    MemoryMotion,
    MemoryState,
    RecurrentMemory,
    RingMemory,
)

GRID = BevGrid(-6.3, -9.0, 0.7, 19, 26)
CHANNELS = 6
STEP_NS = 100_000_000


@dataclass(frozen=True)
class Kind:
    """One kind of memory: how to make the module and its motions."""

    module: Callable[[], BevMemory]
    frames: Callable[[], MemoryFrames]

    def __call__(self, seed: int = 0) -> BevMemory:
        torch.manual_seed(seed)
        memory = self.module()
        with torch.no_grad():  # as trained: nothing is zero any more
            for parameter in memory.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
        return memory.eval()


def recurrent_memory() -> RecurrentMemory:
    return RecurrentMemory(CHANNELS, GRID, hidden=5)


def ring_memory() -> RingMemory:
    return RingMemory(CHANNELS, GRID, slots=3, hidden=5)


KINDS = {
    'recurrent': Kind(recurrent_memory, lambda: MemoryFrames('recurrent', 1, GRID, 1.0)),
    'ring': Kind(ring_memory, lambda: MemoryFrames('ring', 3, GRID, 1.0)),
}
both_kinds = pytest.mark.parametrize('kind', KINDS.values(), ids=KINDS)


def random_bev(batch: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    bev = torch.randn(batch, CHANNELS, *GRID.shape, generator=generator)
    return bev.contiguous(memory_format=torch.channels_last)


def pose_at(index: int) -> NDArray[np.float64]:
    return pose_from_yaw(0.43 * index, 0.11 * index, 0.0, 0.031 * index)


def motions_of(kind: Kind, poses: Sequence[NDArray[np.float64] | None]) -> list[MemoryMotion]:
    frames = kind.frames()
    return [frames.step(index * STEP_NS, pose) for index, pose in enumerate(poses)]


def run(
    memory: BevMemory, bevs: Sequence[Tensor], motions: Sequence[MemoryMotion]
) -> tuple[list[Tensor], list[MemoryState]]:
    outs, states = [], []
    state: MemoryState | None = None
    for bev, motion in zip(bevs, motions, strict=True):
        out, state = memory(bev, state, motion)
        outs.append(out)
        states.append(state)
    return outs, states
