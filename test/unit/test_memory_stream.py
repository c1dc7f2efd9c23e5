"""The streaming step as a recorded graph: plain tensors in and out, the state among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.memory_kinds import (
    KINDS,
    STEP_NS,
    Kind,
    both_kinds,
    pose_at,
    random_bev,
)
from torch import Tensor, nn

from bev_perception.model.memory import BevMemory, MemoryMotion, MemoryState


class Step(nn.Module):
    """A streaming step on plain tensors: the state and the motion go in, the state comes out."""

    def __init__(self, memory: BevMemory) -> None:
        super().__init__()
        self.memory = memory

    def forward(
        self,
        bev: Tensor,
        features: Tensor,
        known: Tensor,
        read: Tensor,
        move: Tensor,
        write: Tensor,
        gap_s: Tensor,
        keep: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        motion = MemoryMotion(read, move, write, gap_s, keep)
        out, state = self.memory(bev, MemoryState(features, known), motion)
        return out, state.features, state.known


def inputs_of(bev: Tensor, state: MemoryState, motion: MemoryMotion) -> tuple[Tensor, ...]:
    return (
        *(bev, state.features, state.known),
        *(motion.read, motion.move, motion.write, motion.gap_s, motion.keep),
    )


def check_stream(kind: Kind, memory: BevMemory, step: Callable[..., Sequence[Any]]) -> None:
    """Runs a recorded step beside the module over ten frames, with a break in the middle."""
    frames = kind.frames()
    state = other = memory.initial_state(1, 'cpu', torch.float32)
    for index in range(10):
        bev = random_bev(seed=index)
        motion = frames.step(index * STEP_NS, None if index == 5 else pose_at(index))
        out, state = memory(bev, state, motion)
        found, features, known = (
            torch.as_tensor(np.asarray(part)) for part in step(*inputs_of(bev, other, motion))
        )
        other = MemoryState(features, known)
        torch.testing.assert_close(found, out, rtol=0.0, atol=1e-5)
        torch.testing.assert_close(other.features, state.features, rtol=0.0, atol=1e-5)
        assert torch.equal(other.known, state.known)


@torch.no_grad()
@both_kinds
def test_a_recorded_graph_streams_like_the_module(kind: Kind) -> None:
    memory = kind()
    state = memory.initial_state(1, 'cpu', torch.float32)
    motion = MemoryMotion.none(1, memory.slots)
    program = torch.export.export(Step(memory), inputs_of(random_bev(), state, motion))
    operations = {str(node.target) for node in program.graph.nodes if node.op == 'call_function'}
    assert not any('embedding_bag' in name or 'grid_sample' in name for name in operations)
    check_stream(kind, memory, program.module())


@torch.no_grad()
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', ['recurrent', pytest.param('ring', marks=pytest.mark.slow)])
def test_onnx_streams_like_the_module(name: str, tmp_path: Path) -> None:
    pytest.importorskip('onnxscript')
    runtime = pytest.importorskip('onnxruntime')
    kind = KINDS[name]
    memory = kind()
    state = memory.initial_state(1, 'cpu', torch.float32)
    example = inputs_of(random_bev(), state, MemoryMotion.none(1, memory.slots))
    names = ['bev', 'features', 'known', 'read', 'move', 'write', 'gap_s', 'keep']
    program = torch.onnx.export(
        Step(memory), example, input_names=names, dynamo=True, opset_version=18, verbose=False
    )
    assert program is not None
    program.save(str(tmp_path / 'step.onnx'))
    session = runtime.InferenceSession(
        str(tmp_path / 'step.onnx'), providers=['CPUExecutionProvider']
    )
    used = {value.name for value in session.get_inputs()}
    assert used >= set(names) - {'move', 'write'}

    def step(*tensors: Tensor) -> Sequence[Any]:
        feed = zip(names, (tensor.numpy() for tensor in tensors), strict=True)
        return session.run(None, {key: value for key, value in feed if key in used})

    check_stream(kind, memory, step)
