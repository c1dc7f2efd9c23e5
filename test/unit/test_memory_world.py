"""What is remembered stays where it is in the world, and stays sharp, under known ego motion."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert, pose_from_yaw, transform
from bev_perception.model.memory import (
    MemoryFrames,
    MemoryState,
    RecurrentMemory,
    RingMemory,
    warp,
)
from bev_perception.model.memory.fusion import PastProjection, ResidualFusion

GRID = BevGrid(-21.7, -18.2, 0.5, 90, 76)
BLOBS_M = np.array([[0.0, 0.0], [5.3, 6.1], [-4.6, 4.9], [3.7, -6.4]])  # one per channel
SIGMA_M = 0.75
STEP_NS = 100_000_000
STEPS = 100
Drive = list[NDArray[np.float64]]


def straight(speed_m: float) -> Drive:
    start_m = -0.5 * STEPS * speed_m
    course = 0.37
    return [
        pose_from_yaw(
            (start_m + i * speed_m) * math.cos(course),
            (start_m + i * speed_m) * math.sin(course),
            0.0,
            course,
        )
        for i in range(STEPS + 1)
    ]


def curve() -> Drive:
    """A quarter of a circle of 12 m around (0, 8)."""
    angles = np.linspace(-0.4 * math.pi, 0.1 * math.pi, STEPS + 1)
    return [pose_from_yaw(12 * math.sin(a), 8 - 12 * math.cos(a), 0.0, a) for a in angles.tolist()]


def weave() -> Drive:
    """To and fro with a swinging heading: forwards, backwards, sideways."""
    phase = np.arange(STEPS + 1) * 0.13
    return [
        pose_from_yaw(6 * math.sin(p), 3 * math.sin(1.7 * p), 0.0, 0.3 * math.sin(0.9 * p))
        for p in phase.tolist()
    ]


def wandering(seed: int) -> Drive:
    rng = np.random.default_rng(seed)
    x = y = yaw = 0.0
    poses = []
    for _ in range(STEPS + 1):
        poses.append(pose_from_yaw(x, y, 0.0, yaw))
        x, y, yaw = (
            0.97 * x + rng.normal(0, 0.4),
            0.97 * y + rng.normal(0, 0.4),
            0.97 * yaw + rng.normal(0, 0.02),
        )
    return poses


DRIVES: dict[str, Callable[[], Drive]] = {
    'forwards': lambda: straight(0.137),
    'backwards': lambda: straight(-0.083),
    'curve': curve,
    'weave': weave,
    'wandering': lambda: wandering(1),
    'wandering differently': lambda: wandering(2),
}


def seen_from(odom_T_base: NDArray[np.float64]) -> Tensor:
    """Returns [1, 4, Y, X]: the blobs as an ideal sensor at this pose sees them."""
    blobs = transform(invert(odom_T_base), np.pad(BLOBS_M, ((0, 0), (0, 1))))[:, :2]
    distance_m = GRID.cell_centers() - blobs[:, None, None]
    density = np.exp(-0.5 * (distance_m**2).sum(axis=-1) / SIGMA_M**2)
    return torch.from_numpy(density).float()[None].contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Blobs:
    """Where blobs are in the world, and how sharp: worst over the channels."""

    error_cells: float
    peak: float
    spread_cells: float

    @classmethod
    def of(cls, bev: Tensor, odom_T_map: NDArray[np.float64]) -> Blobs:
        errors, spreads = [], []
        centers = GRID.cell_centers()
        for channel, blob in zip(bev[0].double().numpy(), BLOBS_M, strict=True):
            weight = channel / channel.sum()
            mean = (centers * weight[..., None]).sum(axis=(0, 1))
            place = transform(odom_T_map, np.append(mean, 0.0))[:2]
            errors.append(np.linalg.norm(place - blob))
            variance = ((centers - mean) ** 2).sum(axis=-1) * weight
            spreads.append(math.sqrt(variance.sum() / 2))
        cell_m = GRID.resolution_m
        return cls(
            max(errors) / cell_m, float(bev[0].amax(dim=(1, 2)).min()), max(spreads) / cell_m
        )


def transparent(fusion: ResidualFusion) -> None:
    """Makes the fusion return the present plus all past maps (which are not negative)."""
    identity = torch.eye(len(BLOBS_M))[:, :, None, None]
    with torch.no_grad():
        for part in fusion.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.zero_()
                if part.bias is not None:
                    part.bias.zero_()
        for part in fusion.modules():
            if isinstance(part, PastProjection):
                part.project.weight.copy_(identity)
        fusion.middle.weight[:, :, 1:2, 1:2] = identity
        fusion.out.weight.copy_(identity)


def recurrent(gate: float) -> RecurrentMemory:
    """Returns a memory that reads out what it holds and updates by this share."""
    memory = RecurrentMemory(len(BLOBS_M), GRID, hidden=len(BLOBS_M)).eval()
    transparent(memory.fusion)
    logit = math.log(gate / (1 - gate)) if 0 < gate < 1 else math.copysign(300.0, gate - 0.5)
    assert memory.gate.out.bias is not None
    nn.init.constant_(memory.gate.out.bias, logit)
    return memory


def full(planar: Tensor) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:2, [0, 1, 3]] = planar.double().numpy()
    return matrix


@torch.no_grad()
def followed(drive: Drive, gate: float, always: bool) -> tuple[list[Blobs], list[Blobs]]:
    """Returns the blobs in the state and in the read-out, every fifth step.

    Args:
        drive: ego poses.
        gate: share of the present in the update.
        always: the blobs are seen in every frame; else in the first alone.
    """
    memory = recurrent(gate)
    frames = MemoryFrames('recurrent', 1, GRID, max_gap_s=1.0)
    state: MemoryState | None = None
    in_state, in_output = [], []
    for index, odom_T_base in enumerate(drive):
        motion = frames.step(index * STEP_NS, odom_T_base)
        bev = seen_from(odom_T_base)
        out, state = memory(bev if always or index == 0 else 0.0 * bev, state, motion)
        if index > 0 and index % 5 == 0:
            odom_T_memory = odom_T_base @ full(motion.write[0])
            in_state.append(Blobs.of(state.features[:, 0], odom_T_memory))
            in_output.append(Blobs.of(out - bev if always else out, odom_T_base))
    return in_state, in_output


@torch.no_grad()
def warped_every_frame(drive: Drive) -> Blobs:
    """Returns what is left at the end if the map is re-sampled to the base frame every time."""
    bev = seen_from(drive[0])
    for before, after in itertools.pairwise(drive):
        before_T_after = torch.from_numpy((invert(before) @ after)[:2, [0, 1, 3]]).float()
        bev = warp(bev, before_T_after[None], GRID)
    return Blobs.of(bev, drive[-1])


# What is left after 100 steps of blobs of 1.5 cells that were seen once: least peak (of 0.93 in
# the first map) and largest spread in cells. Straight on, the state is the first map itself,
# shifted. A quarter turn or a swinging heading turns the memory about ten times.
SHARPNESS = {
    'forwards': (0.93, 1.501),
    'backwards': (0.93, 1.501),
    'curve': (0.5, 2.1),
    'weave': (0.45, 2.2),
    'wandering': (0.65, 1.85),
    'wandering differently': (0.5, 2.1),
}


@pytest.mark.parametrize('name', DRIVES)
def test_what_was_seen_once_stays_put_and_sharp(name: str) -> None:
    drive = DRIVES[name]()
    in_state, in_output = followed(drive, gate=0.0, always=False)
    assert max(blobs.error_cells for blobs in (*in_state, *in_output)) < 0.1
    least_peak, largest_spread = SHARPNESS[name]
    state, output, naive = in_state[-1], in_output[-1], warped_every_frame(drive)
    assert state.peak > least_peak and state.spread_cells < largest_spread
    # Reading re-samples once more, however long the drive.
    assert output.peak > state.peak - 0.08 and output.spread_cells < state.spread_cells + 0.08
    assert naive.peak < 0.45 * state.peak
    assert naive.spread_cells > 1.9 * state.spread_cells


@pytest.mark.parametrize(
    ('name', 'gate'), [('forwards', 0.1), ('curve', 0.3), ('weave', 1.0), ('wandering', 0.1)]
)
def test_what_is_seen_all_the_time_stays_put_and_sharp(name: str, gate: float) -> None:
    in_state, in_output = followed(DRIVES[name](), gate, always=True)
    for blobs in (*in_state, *in_output):
        assert blobs.error_cells < 0.1
        assert blobs.peak > 0.65 and blobs.spread_cells < 1.85


@torch.no_grad()
@pytest.mark.parametrize('name', ['curve', 'weave'])
def test_every_slot_of_a_ring_is_warped_once(name: str) -> None:
    """After a long drive the three past maps are as sharp as one re-sampling leaves them."""
    drive = DRIVES[name]()
    memory = RingMemory(len(BLOBS_M), GRID, slots=3, hidden=len(BLOBS_M)).eval()
    transparent(memory.fusion)
    frames = MemoryFrames('ring', 3, GRID, max_gap_s=1.0)
    state: MemoryState | None = None
    for index, odom_T_base in enumerate(drive):
        bev = seen_from(odom_T_base)
        out, state = memory(bev, state, frames.step(index * STEP_NS, odom_T_base))
        if index >= 5 and index % 5 == 0:
            blobs = Blobs.of((out - bev) / 3.0, odom_T_base)
            assert blobs.error_cells < 0.1 and blobs.peak > 0.8 and blobs.spread_cells < 1.62
    assert state is not None
    for slot in range(3):
        assert torch.equal(state.features[:, slot], seen_from(drive[-1 - slot]))
