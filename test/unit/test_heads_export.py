"""The heads as ONNX: stock operations only, and the numbers of torch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bev_perception.geometry.grid import BevGrid
from bev_perception.model.heads.grid_sampler import GridSampler
from bev_perception.model.heads.motion import MotionHead
from bev_perception.model.heads.motion_efficient import EfficientMotionHead
from bev_perception.model.heads.objects import ObjectHead
from bev_perception.model.heads.occupancy import OccupancyHead
from bev_perception.model.heads.trajectories import TrajectoryHead

onnx = pytest.importorskip('onnx')
runtime = pytest.importorskip('onnxruntime')

GRID = BevGrid(-9.0, -7.0, 1.0, 21, 13)
TARGETS = {
    'finer': BevGrid(-5.2, -4.1, 0.6, 15, 11),
    'coarser': BevGrid(-9.0, -7.0, 1.7, 12, 7),
    'crop': BevGrid(-5.0, -4.0, 1.0, 12, 7),
}


def exported(model: nn.Module, inputs: Sequence[Tensor], path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(model, tuple(inputs), str(path), opset_version=17, dynamo=False)
    return path


def check(model: nn.Module, inputs: Sequence[Tensor], folder: Path) -> None:
    """Asserts that ONNX Runtime gives torch's outputs, by operations of the standard alone."""
    model.eval()
    path = exported(model, inputs, folder / 'head.onnx')
    domains = {node.domain for node in onnx.load(path).graph.node}
    assert domains <= {'', 'ai.onnx'}
    session = runtime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    names = [item.name for item in session.get_inputs()]
    with torch.inference_mode():
        expected = model(*inputs)
    expected = [expected] if isinstance(expected, Tensor) else expected
    feed = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
    for found, wanted in zip(session.run(None, feed), expected, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    'head',
    [
        OccupancyHead(6, 8, 2),
        ObjectHead(6, 8, 3),
        MotionHead(6, 8, 3),
        EfficientMotionHead(6, 8, 3),
    ],
    ids=lambda head: type(head).__name__,
)
def test_map_heads(head: nn.Module, tmp_path: Path) -> None:
    check(head, [torch.randn(2, 6, 13, 21)], tmp_path)


@pytest.mark.parametrize('name', sorted(TARGETS))
def test_grid_sampler(name: str, tmp_path: Path) -> None:
    check(GridSampler(GRID, TARGETS[name]), [torch.randn(2, 6, 13, 21)], tmp_path)


def test_trajectories(tmp_path: Path) -> None:
    torch.manual_seed(0)
    head = TrajectoryHead(6, 8, 3, 4, 0.5, GRID)
    places = torch.randn(2, 5, 4)
    check(head, [torch.randn(2, 6, 13, 21), places, torch.randn(2, 5, 2)], tmp_path)
    mask = torch.rand(2, 5) < 0.6
    check(head, [torch.randn(2, 6, 13, 21), places, torch.randn(2, 5, 2), mask], tmp_path)
