"""The matrix view transform: column sums by hand, and what every view transform promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.level_camera import level_camera
from support.random_rigs import RandomRig, points_by_hand, random_inputs, random_rig
from support.view_transform_checks import (
    check_collate,
    check_definition,
    check_gradients,
    check_masked,
    check_order,
    randomise,
)

from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform import DepthBins, LiftSplat
from bev_perception.model.view_transform.matrix import MatrixTransform
from bev_perception.model.view_transform.matrix_geometry import RingRayMatrices, TransportMatrices
from bev_perception.model.view_transform.prime_extraction import PrimeExtraction


def make(lift: LiftSplat) -> MatrixTransform:
    return MatrixTransform(lift, 4)


def make_ring_ray(lift: LiftSplat) -> MatrixTransform:
    return MatrixTransform(lift, 4, ring_ray=True)


def prime_by_hand(
    prime: PrimeExtraction, context: np.ndarray, depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns features [C, w] and depth [D, w] of one camera, column by column."""
    weights = {name: value.double().numpy() for name, value in prime.state_dict().items()}

    def point(name: str, vector: np.ndarray) -> np.ndarray:
        bias = weights.get(f'{name}.bias', 0.0)
        return weights[f'{name}.weight'][:, :, 0, 0] @ vector + bias

    def along_row(name: str, row: np.ndarray) -> np.ndarray:
        kernel, padded = weights[f'{name}.weight'][:, :, 0], np.pad(row, ((0, 0), (1, 1)))
        columns = [
            sum(kernel[:, :, k] @ padded[:, u + k] for k in range(3)) for u in range(row.shape[1])
        ]
        return np.stack(columns, -1) + weights.get(f'{name}.bias', np.zeros(len(row)))[:, None]

    _, height, width = context.shape
    merged = np.full((context.shape[0], width), -np.inf)
    mixed = np.zeros((depth.shape[0], width))
    for u in range(width):
        logits = []
        for v in range(height):
            pixel = context[:, v, u]
            place = np.array([(2 * v + 1) / height - 1, (2 * u + 1) / width - 1])
            gate = 1 / (1 + np.exp(-point('gate', pixel) - point('gate_place', place)))
            merged[:, u] = np.maximum(merged[:, u], gate * point('value', pixel))
            hidden = point('attention', pixel) + point('attention_place', place)
            logits.append(point('row_logit', np.maximum(hidden, 0))[0])
        share = np.exp(logits) / np.exp(logits).sum()
        mixed[:, u] = depth[:, :, u] @ share
    refined = along_row('refine.2', np.maximum(along_row('refine.0', merged), 0))
    return merged + refined, mixed


def bev_by_hand(rig: RandomRig, features: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Returns [C, Y, X] of features [N, C, w] and depth [N, D, w]: one row of a column a time."""
    bev = np.zeros((features.shape[1], *rig.lift.grid.shape))
    for (iy, ix), (n, _, u, b) in points_by_hand(rig):
        bev[:, iy, ix] += features[n, :, u] * depth[n, b, u] / rig.lift.feature_height
    return bev


@pytest.mark.parametrize('seed', range(20))
def test_random_rigs_agree_with_the_definition(seed: int) -> None:
    rig = random_rig(seed)
    transform = randomise(make(rig.lift), seed)
    context, depth = random_inputs(rig.lift, (1, len(rig.cameras)), 4, seed)

    primes = [
        prime_by_hand(transform.prime, c, d)
        for c, d in zip(context[0].numpy(), depth[0].numpy(), strict=True)
    ]
    features, column_depth = (np.stack(part) for part in zip(*primes, strict=True))
    expected = bev_by_hand(rig, features, column_depth)
    check_definition(transform, rig, expected, (context, depth))


def test_random_rigs_are_not_all_empty() -> None:
    rigs = [random_rig(seed) for seed in range(20)]
    built = [TransportMatrices.from_lift(rig.lift.build(rig.cameras, rig.valid)) for rig in rigs]
    counts = [len(matrices.taps.entries.weight) for matrices in built]
    assert np.median(counts) > 50


def test_column_depth_remains_a_distribution() -> None:
    prime = PrimeExtraction(3)
    context, depth = random_inputs(random_rig(1).lift, (1, 2), 3)
    with torch.no_grad():
        _, column = prime(context[0].float(), depth[0].float())
    torch.testing.assert_close(column.sum(dim=1), torch.ones(2, column.shape[-1]))


def test_weights_by_hand() -> None:
    """Four rows: up, twice ahead and down; at 10 m half of them are in the height range.

    Rows lie at 30, 10, -10, -30 pixels of focal length 20: slopes +-1.5 and +-0.5, heights
    1 + 10 * slope at the bin of 10 m: -14, -4, 6, 16. Of those two lie in [-5, 7).
    """
    lift = LiftSplat(
        BevGrid(0.0, -2.0, 4.0, 4, 1), DepthBins(9.5, 10.5, 1), (-5, 7), 4, 1, stride=20
    )
    camera = level_camera(20, 80, 20.0, position_m=(0.0, 0.0, 1.0))
    matrices = make(lift).build([None, camera])

    assert isinstance(matrices, TransportMatrices)
    assert matrices.taps.entries.row_index.tolist() == [1]
    assert matrices.taps.entries.weight.tolist() == [0.5]
    assert matrices.taps.entries.cell_offsets.tolist() == [0, 0, 0, 1, 1]
    assert matrices.reached.nonzero().tolist() == [[0, 1, 0, 2]]


@pytest.mark.parametrize('seed', range(6))
def test_ring_and_ray_keep_the_weight_of_a_cell(seed: int) -> None:
    """Where all columns have the same depth distribution, the split matrix is exact."""
    rig = random_rig(seed)
    exact, split = (m(rig.lift).build(rig.cameras, rig.valid) for m in (make, make_ring_ray))
    assert isinstance(exact, TransportMatrices) and isinstance(split, RingRayMatrices)
    assert torch.equal(exact.reached, split.reached)
    context, depth = random_inputs(rig.lift, (1, len(rig.cameras)), 4, seed)
    features, column = (
        context[:, :, :, 0],
        depth[:, :, :, 0, :1].expand(-1, -1, -1, len(context[0, 0, 0, 0])),
    )
    flat = torch.full_like(column, 0.25)

    expected = exact.transport(features, flat)
    torch.testing.assert_close(split.transport(features, flat), expected, rtol=1e-5, atol=1e-6)
    one = torch.ones_like(features)
    torch.testing.assert_close(
        split.transport(one, column), exact.transport(one, column), rtol=1e-5, atol=1e-6
    )


def level_rig() -> tuple[LiftSplat, list]:
    """Returns six level cameras around a vehicle, bins finer than cells."""
    grid = BevGrid.from_range((-40.0, 40.0), (-40.0, 40.0), 0.8)
    lift = LiftSplat(grid, DepthBins(1.0, 41.0, 80), (-2.0, 4.0), 16, 44, 16)
    cameras = [
        level_camera(704, 256, 520.0, yaw_deg=60.0 * k, position_m=(0.0, 0.0, 1.6))
        for k in range(6)
    ]
    return lift, cameras


def ring_ray_error(spread: float) -> float:
    """Returns the relative error (norms) of ring and ray on a level rig.

    Args:
        spread: of the logits of the depth from column to column; 0: smooth scene.
    """
    lift, cameras = level_rig()
    exact, split = (m(lift).build(cameras) for m in (make, make_ring_ray))
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 6, 4, 44, generator=generator)
    surface = 15.0 + 10.0 * torch.sin(torch.arange(44) / 6.0)
    centers = torch.from_numpy(lift.bins.centers()).float()[:, None]
    logits = -((centers - surface) / 2.0).square() / 2
    logits = logits + spread * torch.randn(1, 6, 80, 44, generator=generator)
    depth = logits.softmax(dim=2)
    expected = exact.transport(features, depth)
    return float((split.transport(features, depth) - expected).norm() / expected.norm())


def test_error_of_ring_and_ray_on_a_level_rig() -> None:
    smooth, rough = ring_ray_error(0.0), ring_ray_error(1.0)
    print(f'ring and ray, relative error: {smooth:.4f} smooth depth, {rough:.4f} rough depth')
    assert 0.0 < smooth < rough < 0.25


def test_ring_and_ray_need_no_gather() -> None:
    """Engines without gathers take the exported graph: dense products alone."""
    lift, cameras = level_rig()
    transform = make_ring_ray(lift).eval()
    context, depth = (t.float() for t in random_inputs(lift, (1, 6), 4))
    matrices = transform.build(cameras)

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.transform = transform

        def forward(self, context, depth, mask):
            return self.transform(context, depth, mask, matrices)

    mask = torch.ones(1, 6, dtype=torch.bool)
    program = torch.export.export(Step(), (context, depth, mask))
    names = {str(node.target) for node in program.graph.nodes if node.op == 'call_function'}
    assert not any(word in name for name in names for word in ('index', 'gather', 'embedding'))


@pytest.mark.parametrize('maker', [make, make_ring_ray])
@pytest.mark.parametrize('seed', range(5))
def test_order_of_cameras_does_not_matter(maker, seed: int) -> None:
    check_order(maker, seed)


@pytest.mark.parametrize('maker', [make, make_ring_ray])
@pytest.mark.parametrize('seed', range(5))
def test_masked_cameras_contribute_exactly_nothing(maker, seed: int) -> None:
    check_masked(maker, seed)


@pytest.mark.parametrize('maker', [make, make_ring_ray])
@pytest.mark.parametrize('seed', range(3))
def test_a_batch_is_its_samples(maker, seed: int) -> None:
    check_collate(maker, seed)


@pytest.mark.parametrize('maker', [make, make_ring_ray])
def test_gradients(maker) -> None:
    check_gradients(maker)


@pytest.mark.parametrize('maker', [make, make_ring_ray])
def test_shapes_that_do_not_fit(maker) -> None:
    lift, cameras = level_rig()
    transform = maker(lift)
    matrices = transform.build(cameras)
    context, depth = (t.float() for t in random_inputs(lift, (1, 6), 4))
    mask = torch.ones(1, 6, dtype=torch.bool)
    with pytest.raises(ValueError, match='context is'):
        transform(context[:, :, 1:], depth, mask, matrices)
    with pytest.raises(ValueError, match='depth is None'):
        transform(context, None, mask, matrices)
    with pytest.raises(ValueError, match='one shape'):
        type(matrices).collate([matrices, transform.build(cameras[:5])])
    with pytest.raises(ValueError, match='one shape'):
        type(matrices).collate([])
