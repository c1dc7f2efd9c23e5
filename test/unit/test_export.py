"""The streaming step as ONNX: other engines agree with torch, frame after frame."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.tiny_model import tiny_config
from torch import Tensor

from bev_perception.bench.surround_rig import surround_rig
from bev_perception.errors import ConfigError
from bev_perception.export.example import example_inputs
from bev_perception.export.onnx_file import export_onnx
from bev_perception.export.streaming_step import StepInputs, StreamingStep
from bev_perception.export.tensor_fields import tensors_of, with_tensors
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import ModelConfig
from bev_perception.model.config_view import (
    BilinearSection,
    ForwardBackwardSection,
    LiftSplatSection,
    MatrixSection,
    RingMemorySection,
    SemanticPointsSection,
)
from bev_perception.model.memory import MemoryFrames, MemoryState

Z_M = (-2.0, 4.0)
TRANSFORMS = {
    'lift_splat': LiftSplatSection(kind='lift_splat', channels=8, z_range_m=Z_M),
    'bilinear': BilinearSection(kind='bilinear', channels=8, z_range_m=Z_M, levels=3),
    'matrix': MatrixSection(kind='matrix', channels=8, z_range_m=Z_M),
    'ring_ray': MatrixSection(kind='matrix', channels=8, z_range_m=Z_M, ring_ray=True),
    'forward_backward': ForwardBackwardSection(
        kind='forward_backward', channels=8, z_range_m=Z_M, levels=2
    ),
    'semantic_points': SemanticPointsSection(
        kind='semantic_points', channels=8, z_range_m=Z_M, classes=('road', 'car', 'other')
    ),
}
RIG = surround_rig(640, 480)[:3]


def network(config: ModelConfig) -> BevModel:
    torch.manual_seed(2)
    return BevModel(config).eval()


def config_with(**changes: Any) -> ModelConfig:
    return tiny_config().model_copy(update=changes)


def engine(path: Path, name: str, given: set[str]) -> Any:
    """Returns a function from named arrays to named arrays, the outputs `given`."""
    if name == 'onnxruntime':
        runtime = pytest.importorskip('onnxruntime')
        session = runtime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
        names = [item.name for item in session.get_outputs()]
        wanted = [item.name for item in session.get_inputs()]
        return lambda feed: dict(
            zip(names, session.run(None, {key: feed[key] for key in wanted}), strict=True)
        )
    openvino = pytest.importorskip('openvino')
    compiled = openvino.Core().compile_model(str(path), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})

    def run(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        # A tensor may have several names.
        inputs = {item: feed[name] for item in compiled.inputs for name in item.names & set(feed)}
        found = compiled(inputs)
        return {next(iter(item.names & given)): found[item] for item in compiled.outputs}

    return run


def assert_close(found: dict[str, np.ndarray], expected: dict[str, Tensor]) -> None:
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        scale = max(float(tensor.abs().max()), 1.0)
        np.testing.assert_allclose(
            found[name], tensor.numpy(), rtol=0, atol=1e-4 * scale, err_msg=name
        )


@torch.inference_mode()
def outputs_of(step: StreamingStep, inputs: StepInputs) -> dict[str, Tensor]:
    return dict(zip(step.output_names(), step(*inputs.named().values()), strict=True))


def frames_of(model: BevModel, inputs: StepInputs, count: int) -> list[StepInputs]:
    """Inputs of a short drive in a curve; the second frame misses a camera. States are open."""
    section = model.config.memory
    assert section is not None
    kind, slots = section.kind, 1 if model.memory is None else model.memory.slots
    track = MemoryFrames(kind, slots, model.config.bev_grid(), section.max_gap_s)
    generator = torch.Generator().manual_seed(5)
    frames = []
    for index in range(count):
        pose = np.eye(4)
        angle = 0.05 * index
        pose[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        pose[:2, 3] = 1.3 * index, 0.2 * index
        images = torch.randint(0, 256, inputs.images.shape, generator=generator).to(torch.uint8)
        mask = torch.ones_like(inputs.camera_mask)
        mask[0, 1] = index != 1
        frames.append(
            dataclasses.replace(
                inputs,
                images=images,
                camera_mask=mask,
                motion=track.step(index * 500_000_000, pose),
            )
        )
    return frames


@pytest.mark.parametrize('memory', ['recurrent', pytest.param('ring', marks=pytest.mark.slow)])
def test_a_drive_in_other_engines(memory: str, tmp_path: Path) -> None:
    pytest.importorskip('onnxscript')
    config = tiny_config()
    if memory == 'ring':
        ring = RingMemorySection(kind='ring', channels=8, slots=2, max_gap_s=2.0)
        config = config_with(memory=ring)
    model = network(config)
    inputs = example_inputs(model, RIG, objects=3)
    step = export_onnx(model, inputs, tmp_path / 'step.onnx')
    assert model.memory is not None
    start = model.memory.initial_state(1, 'cpu', torch.float32)
    for name in ('onnxruntime', 'openvino'):
        run = engine(tmp_path / 'step.onnx', name, set(step.output_names()))
        state = theirs = start
        for frame in frames_of(model, inputs, 4):
            expected = outputs_of(step, dataclasses.replace(frame, state=state))
            feed = dataclasses.replace(frame, state=theirs).named()
            found = run({key: tensor.numpy() for key, tensor in feed.items()})
            assert_close(found, expected)
            # Each goes on with its own memory.
            state = MemoryState(expected['next_memory.features'], expected['next_memory.known'])
            theirs = MemoryState(
                torch.from_numpy(found['next_memory.features'].copy()),
                torch.from_numpy(found['next_memory.known'].copy()),
            )


@pytest.mark.slow
@pytest.mark.parametrize('transform', TRANSFORMS)
def test_every_view_transform_goes_out(transform: str, tmp_path: Path) -> None:
    pytest.importorskip('onnxscript')
    model = network(config_with(view_transform=TRANSFORMS[transform], memory=None))
    inputs = example_inputs(model, RIG, objects=2)
    step = export_onnx(model, inputs, tmp_path / 'step.onnx')
    feed = {key: tensor.numpy() for key, tensor in inputs.named().items()}
    assert_close(
        engine(tmp_path / 'step.onnx', 'onnxruntime', set())(feed), outputs_of(step, inputs)
    )


def test_one_file_serves_every_calibration(tmp_path: Path) -> None:
    pytest.importorskip('onnxscript')
    model = network(config_with(memory=None))
    inputs = example_inputs(model, RIG, objects=2)
    step = export_onnx(model, inputs, tmp_path / 'step.onnx')
    other = example_inputs(model, surround_rig(640, 480)[3:6], objects=2)
    sizes = [len(tensor) for tensor in tensors_of(inputs.matrices).values() if tensor.dim() == 1]
    others = [len(tensor) for tensor in tensors_of(other.matrices).values() if tensor.dim() == 1]
    assert sizes != others
    feed = {key: tensor.numpy() for key, tensor in other.named().items()}
    assert_close(
        engine(tmp_path / 'step.onnx', 'onnxruntime', set())(feed), outputs_of(step, other)
    )


def test_tensors_inside_dataclasses() -> None:
    @dataclasses.dataclass(frozen=True)
    class Inner:
        weight: Tensor
        size: int

    @dataclasses.dataclass(frozen=True)
    class Outer:
        inner: Inner
        offsets: Tensor
        grid: BevGrid

    item = Outer(Inner(torch.ones(2), 3), torch.zeros(1), BevGrid(0.0, 0.0, 1.0, 2, 2))
    names = tensors_of(item, 'm.')
    assert list(names) == ['m.inner.weight', 'm.offsets']
    changed = with_tensors(item, {'m.inner.weight': torch.full((2,), 7.0)}, 'm.')
    assert changed.inner.weight.tolist() == [7.0, 7.0] and changed.inner.size == 3
    assert changed.offsets is item.offsets and changed.grid == item.grid


def test_a_rig_without_calibration_is_refused() -> None:
    model = network(config_with(memory=None))
    with pytest.raises(ConfigError, match='needs a rig file with calibrations'):
        example_inputs(model, [None, None], objects=1)
