"""Lift-splat as a view transform: the definition, and what every view transform promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.level_camera import level_camera
from support.random_rigs import points_by_hand, random_inputs, random_rig
from support.view_transform_checks import (
    check_collate,
    check_definition,
    check_gradients,
    check_masked,
    check_order,
)

from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform import DepthBins, LiftSplat, splat
from bev_perception.model.view_transform.lift_splat_transform import LiftSplatTransform


def make(lift: LiftSplat) -> LiftSplatTransform:
    return LiftSplatTransform(lift, 4)


@pytest.mark.parametrize('seed', range(15))
def test_random_rigs_agree_with_the_definition(seed: int) -> None:
    rig = random_rig(seed)
    context, depth = random_inputs(rig.lift, (1, len(rig.cameras)), 4, seed)

    expected = np.zeros((4, *rig.lift.grid.shape))
    reached = np.zeros((len(rig.cameras), *rig.lift.grid.shape), bool)
    for (iy, ix), (n, v, u, b) in points_by_hand(rig):
        expected[:, iy, ix] += depth[0, n, b, v, u].item() * context[0, n, :, v, u].numpy()
        reached[n, iy, ix] = True
    check_definition(make(rig.lift), rig, expected, (context, depth))
    matrices = make(rig.lift).build(rig.cameras, rig.valid)
    assert np.array_equal(matrices.reached[0].numpy(), reached)


@pytest.mark.parametrize('seed', range(10))
def test_order_of_cameras_changes_nothing(seed: int) -> None:
    check_order(make, seed)


@pytest.mark.parametrize('seed', range(10))
def test_masked_cameras_contribute_exactly_nothing(seed: int) -> None:
    check_masked(make, seed)


@pytest.mark.parametrize('seed', range(4))
def test_a_batch_is_its_samples(seed: int) -> None:
    check_collate(make, seed)


def test_gradients() -> None:
    check_gradients(make)


def test_masked_cameras_get_no_gradient() -> None:
    rig = random_rig(2, cameras=3)
    transform = make(rig.lift).double()
    inputs = [t.requires_grad_() for t in random_inputs(rig.lift, (1, 3), 4)]
    mask = torch.tensor([[True, False, True]])
    transform(*inputs, mask, transform.build(rig.cameras)).sum().backward()
    for tensor in inputs:
        assert tensor.grad is not None
        assert (tensor.grad[:, 1] == 0).all()
        assert (tensor.grad[:, 0] != 0).any()


def test_coverage_by_hand() -> None:
    """Two cameras that look ahead along the same row of cells, one that looks left."""
    lift = LiftSplat(BevGrid(-5.0, -5.0, 1.0, 10, 10), DepthBins(0.5, 4.5, 4), (-1, 1), 1, 1, 1)
    cameras = [
        level_camera(1, 1, 1.0, position_m=(0.25, 0.5, 0.0)),
        level_camera(1, 1, 1.0, position_m=(1.25, 0.5, 0.0)),
        level_camera(1, 1, 1.0, yaw_deg=90.0, position_m=(-2.5, 0.25, 0.0)),
        None,
    ]
    matrices = make(lift).build(cameras)
    expected = torch.zeros(10, 10)
    expected[5, 6:10] = torch.tensor([0.5, 1.0, 1.0, 1.0])
    expected[6:10, 2] = 0.5
    everything = torch.ones(1, 4, dtype=torch.bool)
    assert torch.equal(matrices.coverage(everything)[0, 0], expected)

    expected[5, 6:10] = torch.tensor([0.0, 0.5, 0.5, 0.5])
    some = torch.tensor([[False, True, True, True]])
    assert torch.equal(matrices.coverage(some)[0, 0], expected)


def test_it_is_the_splat_without_parameters_or_copies() -> None:
    rig = random_rig(5)
    transform = make(rig.lift)
    assert not list(transform.parameters()) and transform.needs_depth
    assert (transform.context_channels, transform.out_channels) == (4, 4)
    context, depth = random_inputs(rig.lift, (1, len(rig.cameras)), 4)
    matrices = transform.build(rig.cameras, rig.valid)
    mask = torch.ones(1, len(rig.cameras), dtype=torch.bool)
    found = transform(context, depth, mask, matrices)
    assert torch.equal(found, splat(context, depth, matrices.lift))


def test_inputs_that_do_not_fit() -> None:
    rig = random_rig(5, cameras=2)
    transform = make(rig.lift)
    context, depth = random_inputs(rig.lift, (1, 2), 4)
    matrices = transform.build(rig.cameras)
    mask = torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match='depth is None'):
        transform(context, None, mask, matrices)
    with pytest.raises(ValueError, match='context is'):
        transform(context[:, :, 1:], depth, mask, matrices)
