"""The memory modules: standing still, starting, batches, cost and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.memory_kinds import (
    GRID,
    KINDS,
    STEP_NS,
    Kind,
    both_kinds,
    motions_of,
    pose_at,
    random_bev,
    recurrent_memory,
    ring_memory,
    run,
)
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from bev_perception.geometry.pose import pose_from_yaw
from bev_perception.model.memory import BevMemory, MemoryMotion, MemoryState
from bev_perception.model.memory.time_embedding import TimeGapModulation


@torch.no_grad()
@pytest.mark.parametrize('gate', [0.0, 0.02, 0.3, 0.7, 1.0])
def test_a_standing_vehicle_keeps_a_static_scene_for_100_steps(gate: float) -> None:
    """Wherever it stopped: the memory frame is a part of a cell and of a turn away from it."""
    memory = recurrent_memory().eval()
    bias = memory.gate.out.bias
    assert bias is not None
    frames = KINDS['recurrent'].frames()
    state: MemoryState | None = None
    outs, states = [], []
    for index in range(8 + 100):
        bev = random_bev(seed=min(index, 7))
        nn.init.constant_(bias, 300.0)
        if index > 8:  # up to here the state takes what it sees
            nn.init.constant_(bias, float(torch.tensor(gate, dtype=torch.float64).logit()))
            bias.clamp_(-300.0, 300.0)
        motion = frames.step(index * STEP_NS, pose_at(min(index, 7)))
        out, state = memory(bev, state, motion)
        outs.append(out)
        states.append(state)
    assert not torch.equal(motion.write[0], torch.eye(2, 3))
    assert (outs[-1] - bev).abs().max() > 1e-3
    for out, later in zip(outs[9:], states[9:], strict=True):
        assert torch.equal(later.features, states[8].features)
        assert torch.equal(later.known, states[8].known)
        assert torch.equal(out, outs[9])


@torch.no_grad()
@both_kinds
def test_standing_from_the_start_changes_nothing(kind: Kind) -> None:
    outs, states = run(kind(), [random_bev()] * 100, motions_of(kind, [pose_at(3)] * 100))
    for slot in range(states[-1].features.shape[1]):
        assert torch.equal(states[-1].features[:, slot], random_bev())
    assert states[-1].known.all()
    assert torch.equal(outs[-1], outs[5]) and not torch.equal(outs[-1], random_bev())


@torch.no_grad()
@both_kinds
def test_without_a_past_the_present_passes_unchanged(kind: Kind) -> None:
    """In the first frame, after a reset, and whatever the state holds, even NaN."""
    memory, bev = kind(), random_bev(2)
    first, state = memory(bev, None, MemoryMotion.none(2, memory.slots))
    assert torch.equal(first, bev)
    _, used = run(
        memory,
        [random_bev(2, seed) for seed in range(4)],
        [
            MemoryMotion.collate([motion, motion])
            for motion in motions_of(kind, [pose_at(index) for index in range(4)])
        ],
    )
    poisoned = MemoryState(
        torch.full_like(used[-1].features, math.nan), torch.full_like(used[-1].known, math.nan)
    )
    for before in (used[-1], poisoned, memory.initial_state(2, 'cpu', torch.float32)):
        out, after = memory(bev, before, MemoryMotion.none(2, memory.slots))
        assert torch.equal(out, bev)
        assert torch.equal(after.features, state.features)
        assert torch.equal(after.known, state.known)
    assert torch.equal(state.features[:, 0], bev)
    assert (state.known[:, 0] == 1).all() and not state.known[:, 1:].any()


@torch.no_grad()
@both_kinds
def test_after_a_break_all_is_as_in_the_beginning(kind: Kind) -> None:
    bevs = [random_bev(seed=seed) for seed in range(9)]
    poses = [pose_at(index) for index in range(9)]
    memory = kind()
    broken = [*poses[:4], pose_from_yaw(500.0, 0.0, 0.0, 1.0), *poses[5:]]
    broken[5:] = [pose_from_yaw(500.0 + 0.4 * k, 0.0, 0.0, 1.0) for k in range(1, 5)]
    outs, states = run(memory, bevs, motions_of(kind, broken))
    fresh_outs, fresh_states = run(memory, bevs[4:], motions_of(kind, broken[4:]))
    for out, state, fresh_out, fresh_state in zip(
        outs[4:], states[4:], fresh_outs, fresh_states, strict=True
    ):
        assert torch.equal(out, fresh_out)
        assert torch.equal(state.features, fresh_state.features)
        assert torch.equal(state.known, fresh_state.known)


@torch.no_grad()
def test_cells_that_one_side_knows_take_that_side() -> None:
    """Four cells forwards: the memory's first columns leave, the last ones are new."""
    memory = recurrent_memory().eval()
    frames = KINDS['recurrent'].frames()
    first, second = random_bev(seed=1), random_bev(seed=2)
    _, state = memory(first, None, frames.step(0, np.eye(4)))
    step = pose_from_yaw(4 * GRID.resolution_m, 0.0, 0.0, 0.0)
    _, state = memory(second, state, frames.step(STEP_NS, step))
    found = state.features[:, 0]
    assert state.known.all()
    assert torch.equal(found[..., -4:], second[..., -4:])
    mixed = 0.7 * first[..., 4:] + 0.3 * second[..., :-4]
    torch.testing.assert_close(found[..., :-4], mixed, rtol=0.0, atol=1e-6)


@torch.no_grad()
def test_a_turned_memory_does_not_fade_at_its_edges() -> None:
    memory = recurrent_memory().eval()
    frames = KINDS['recurrent'].frames()
    ones = torch.ones_like(random_bev())
    _, state = memory(ones, None, frames.step(0, np.eye(4)))
    motion = frames.step(STEP_NS, pose_from_yaw(0.2, 0.3, 0.0, 0.12))
    assert not torch.equal(motion.move[0, :, :2], torch.eye(2))
    _, state = memory(ones, state, motion)
    known = state.known[:, 0]
    torch.testing.assert_close(state.features[:, 0], ones * known, rtol=0.0, atol=1e-6)
    assert 0.9 < known.mean() < 1.0


@torch.no_grad()
@both_kinds
def test_batch_elements_are_independent(kind: Kind) -> None:
    """Different drives, one of which forgets on the way."""
    memory = kind()
    drives: list[list[NDArray[np.float64] | None]] = [
        [pose_at(index) for index in range(6)],
        [pose_at(0), pose_at(1), None, pose_at(3), pose_at(4), pose_at(5)],
        [pose_at(-2 * index) for index in range(6)],
    ]
    motions = [motions_of(kind, drive) for drive in drives]
    batches = [MemoryMotion.collate(step) for step in zip(*motions, strict=True)]
    bevs = [random_bev(3, seed) for seed in range(6)]
    outs, states = run(memory, bevs, batches)
    for index in range(3):
        one = slice(index, index + 1)
        alone, alone_states = run(memory, [bev[one] for bev in bevs], motions[index])
        for out, expected in zip(outs, alone, strict=True):
            torch.testing.assert_close(out[one], expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            states[-1].features[one], alone_states[-1].features, rtol=1e-5, atol=1e-5
        )
    poisoned = [torch.cat([bev[:2], torch.full_like(bev[2:], math.nan)]) for bev in bevs]
    outs_poisoned, _ = run(memory, poisoned, batches)
    assert torch.equal(outs_poisoned[-1][:2], outs[-1][:2])


@torch.no_grad()
@both_kinds
def test_the_past_is_read_and_its_age_matters(kind: Kind) -> None:
    memory = kind()
    motions = motions_of(kind, [pose_at(index) for index in range(3)])
    bevs = [random_bev(seed=seed) for seed in range(3)]
    _, states = run(memory, bevs[:2], motions[:2])
    out, _ = memory(bevs[2], states[-1], motions[2])
    older, _ = memory(bevs[2], states[-1], replace(motions[2], gap_s=motions[2].gap_s + 0.5))
    emptier, _ = memory(bevs[2], states[-1].kept(~motions[2].keep), motions[2])
    assert (out - bevs[2]).abs().max() > 0.05
    assert (older - out).abs().max() > 0.01
    assert torch.equal(emptier, bevs[2])


class Recorder(TorchDispatchMode):
    """Notes every operation that runs, with the shapes it works on."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, list[tuple[int, ...]]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        flat = torch.utils._pytree.tree_leaves((args, kwargs or {}))
        shapes = [tuple(part.shape) for part in flat if isinstance(part, Tensor)]
        self.calls.append((str(func), shapes))
        return func(*args, **(kwargs or {}))


@torch.no_grad()
@both_kinds
def test_the_hundredth_step_costs_what_the_second_does(kind: Kind) -> None:
    """The same operations on the same shapes, the same floating point operations, same state."""
    memory, frames = kind(), kind.frames()
    state: MemoryState | None = None
    costs = {}
    for index in range(1, 101):
        motion = frames.step(index * STEP_NS, pose_at(index))
        if index not in (2, 100):
            _, state = memory(random_bev(seed=index), state, motion)
            continue
        recorder, counter = Recorder(), FlopCounterMode(display=False)
        with counter, recorder:
            _, state = memory(random_bev(seed=index), state, motion)
        shapes = state.features.shape, state.features.stride(), state.known.shape
        costs[index] = recorder.calls, counter.get_total_flops(), shapes
    assert len(costs[2][0]) > 30 and costs[2][1] > 0
    assert costs[2] == costs[100]


@both_kinds
def test_gradients_flow_through_the_steps(kind: Kind) -> None:
    memory = kind().train()
    bevs = [random_bev(2, seed).requires_grad_() for seed in range(3)]
    motions = [
        MemoryMotion.collate([motion, motion])
        for motion in motions_of(kind, [pose_at(index) for index in range(3)])
    ]
    outs, states = run(memory, bevs, motions)
    outs[-1].square().sum().backward()
    for bev in bevs:
        assert bev.grad is not None and bev.grad.isfinite().all() and bev.grad.abs().max() > 1e-4
    for name, parameter in memory.named_parameters():
        unused = kind is KINDS['ring'] and name.startswith('fusion.past.2.')
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all()
        assert bool(parameter.grad.any()) != unused, name
    assert states[1].features.requires_grad and not states[1].detach().features.requires_grad


@torch.no_grad()
@pytest.mark.parametrize('make', [recurrent_memory, ring_memory])
def test_a_fresh_module_leans_on_the_present(make: Callable[[], BevMemory]) -> None:
    torch.manual_seed(0)
    memory = make().eval()
    kind = KINDS['recurrent' if memory.slots == 1 else 'ring']
    outs, states = run(
        memory,
        [random_bev(seed=seed) for seed in range(4)],
        motions_of(kind, [np.eye(4)] * 4),
    )
    residual = (outs[-1] - random_bev(seed=3)).std()
    assert 0.0 < residual < 0.2
    if memory.slots == 1:
        mean = random_bev(seed=0)
        for seed in (1, 2, 3):
            mean = 0.7 * mean + 0.3 * random_bev(seed=seed)
        torch.testing.assert_close(states[-1].features[:, 0], mean, rtol=0.0, atol=1e-6)


@torch.no_grad()
@both_kinds
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float64])
def test_other_types(kind: Kind, dtype: torch.dtype) -> None:
    """The state keeps its type, the output has that of the features."""
    memory = kind()
    motions = motions_of(kind, [pose_at(index) for index in range(5)])
    bevs = [random_bev(seed=seed) for seed in range(5)]
    expected, _ = run(memory, bevs, motions)
    state = memory.initial_state(1, 'cpu', torch.float32)
    memory = memory.to(dtype)
    for bev, motion in zip(bevs, motions, strict=True):
        out, state = memory(bev.to(dtype), state, motion)
        assert out.dtype == dtype and state.features.dtype == state.known.dtype == torch.float32
    assert out.is_contiguous(memory_format=torch.channels_last)
    tolerance = 0.05 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(out.float(), expected[-1], rtol=0.0, atol=tolerance)


@torch.no_grad()
@both_kinds
def test_autocast(kind: Kind) -> None:
    memory = kind()
    motions = motions_of(kind, [pose_at(index) for index in range(5)])
    bevs = [random_bev(seed=seed) for seed in range(5)]
    expected, _ = run(memory, bevs, motions)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found, states = run(memory, bevs, motions)
    assert found[-1].dtype == states[-1].features.dtype == torch.float32
    torch.testing.assert_close(found[-1], expected[-1], rtol=0.0, atol=0.05)


@torch.no_grad()
def test_the_time_gap_starts_neutral_and_is_smooth() -> None:
    torch.manual_seed(0)
    modulation = TimeGapModulation(4)
    gaps_s = torch.linspace(0.0, 3.0, 301)
    scale, shift = modulation(gaps_s)
    assert torch.equal(scale, torch.ones(301, 4)) and not shift.any()
    nn.init.normal_(modulation.out.weight)
    scale, shift = modulation(gaps_s)
    assert scale.std(dim=0).min() > 0.1 and shift.std(dim=0).min() > 0.1
    assert modulation(torch.tensor([1e6]))[0].abs().max() < 20.0
    assert (modulation(torch.tensor([0.5]))[0] - modulation(torch.tensor([0.501]))[0]).norm() < 0.2
