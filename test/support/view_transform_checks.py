"""What every view transform promises, as checks that each of their tests runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bev_perception.model.view_transform.base import ViewTransform
from bev_perception.model.view_transform.lift_splat import LiftSplat
from support.random_rigs import RandomRig, random_cameras, random_inputs, random_rig

MakeTransform = Callable[[LiftSplat], ViewTransform]


def randomise(module: ViewTransform, seed: int = 0) -> ViewTransform:
    """Returns the transform with random weights everywhere, in float64."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        fan_in = max(parameter[0].numel(), 1)
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
    return module.double()


def run(
    transform: ViewTransform, rig: RandomRig, inputs: tuple[Tensor, Tensor], mask: Tensor
) -> Tensor:
    """Returns BEV features of one sample."""
    with torch.no_grad():
        return transform(*inputs, mask, transform.build(rig.cameras, rig.valid))


def check_definition(
    transform: ViewTransform, rig: RandomRig, expected: np.ndarray, inputs: tuple[Tensor, Tensor]
) -> None:
    """Asserts that float64 and float32 give `expected` [C', Y, X], channels-last in memory."""
    mask = torch.ones(1, len(rig.cameras), dtype=torch.bool)
    for dtype, tolerance in ((torch.float64, 1e-6), (torch.float32, 1e-5)):
        context, depth = (tensor.to(dtype) for tensor in inputs)
        found = run(transform.to(dtype), rig, (context, depth), mask)
        assert found.shape == (1, transform.out_channels, *rig.lift.grid.shape)
        assert found.is_contiguous(memory_format=torch.channels_last)
        error = np.abs(found[0].double().numpy() - expected).max()
        assert error <= tolerance * max(np.abs(expected).max(), 1e-300)


def check_order(make: MakeTransform, seed: int) -> None:
    """Asserts that the order of the cameras changes nothing."""
    rig = random_rig(seed)
    transform = randomise(make(rig.lift)).float()
    order = np.random.default_rng(seed).permutation(len(rig.cameras))
    context, depth = (
        t.float()
        for t in random_inputs(rig.lift, (1, len(order)), transform.context_channels, seed)
    )
    mask = torch.rand(1, len(order), generator=torch.Generator().manual_seed(seed)) < 0.8

    before = run(transform, rig, (context, depth), mask)
    after = run(
        transform, rig.shuffled(order), (context[:, order], depth[:, order]), mask[:, order]
    )
    error = (after - before).abs().max()
    assert error <= 1e-5 * before.abs().max().clamp(min=1e-30)


def check_masked(make: MakeTransform, seed: int) -> None:
    """Asserts that a masked camera, whatever its features hold, is as one that is not there."""
    rig = random_rig(seed)
    transform = randomise(make(rig.lift)).float()
    count = len(rig.cameras)
    inputs = random_inputs(rig.lift, (1, count), transform.context_channels, seed)
    context, depth = (t.float() for t in inputs)
    for masked in range(count):
        mask = torch.ones(1, count, dtype=torch.bool)
        mask[:, masked] = False
        nan_context, nan_depth = context.clone(), depth.clone()
        nan_context[:, masked] = torch.nan
        nan_depth[:, masked] = torch.nan
        found = run(transform, rig, (nan_context, nan_depth), mask)
        cameras = [None if n == masked else c for n, c in enumerate(rig.cameras)]
        without = RandomRig(rig.lift, cameras, rig.valid)
        assert torch.equal(found, run(transform, without, (context, depth), mask))
        matrices, fewer = (transform.build(r.cameras, r.valid) for r in (rig, without))
        assert torch.equal(matrices.coverage(mask), fewer.coverage(mask))
        untouched = fewer.coverage(mask)[0, 0] == 0
        assert (found[0, :, untouched] == 0).all()


def check_collate(make: MakeTransform, seed: int) -> None:
    """Asserts that a batch of different rigs is its samples one by one."""
    first = random_rig(seed, cameras=3)
    rng = np.random.default_rng(seed)
    rigs = [first, random_cameras(first.lift, 3, rng), random_cameras(first.lift, 3, rng)]
    transform = randomise(make(first.lift)).float()
    inputs = random_inputs(first.lift, (3, 3), transform.context_channels, seed)
    context, depth = (t.float() for t in inputs)
    mask = torch.tensor([[True, True, True], [True, False, True], [False, False, False]])
    built = [transform.build(rig.cameras, rig.valid) for rig in rigs]
    batch = type(built[0]).collate(built).to('cpu')

    with torch.no_grad():
        found = transform(context, depth, mask, batch)
        for sample, matrices in enumerate(built):
            one = slice(sample, sample + 1)
            alone = transform(context[one], depth[one], mask[one], matrices)
            torch.testing.assert_close(found[one], alone, rtol=1e-5, atol=1e-6)
            assert torch.equal(batch.reached[one], matrices.reached)
    assert (found[2] == 0).all()


def check_gradients(make: MakeTransform) -> None:
    """Asserts the gradients in context, depth and weights, in float64."""
    rig = random_rig(11, cameras=2)
    small = LiftSplat(rig.lift.grid, rig.lift.bins, (-9, 9), 2, 3, 2)
    rig = random_cameras(small, 2, np.random.default_rng(3))
    transform = randomise(make(small))
    matrices = transform.build(rig.cameras, rig.valid)
    assert bool(matrices.reached.any())
    mask = torch.tensor([[True, True]])
    context, depth = (
        t.requires_grad_() for t in random_inputs(small, (1, 2), transform.context_channels)
    )
    parameters = list(transform.parameters())
    names = [name for name, _ in transform.named_parameters()]

    def call(context: Tensor, depth: Tensor, *weights: Tensor) -> Tensor:
        state = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(transform, state, (context, depth, mask, matrices))

    assert torch.autograd.gradcheck(call, (context, depth, *parameters))
