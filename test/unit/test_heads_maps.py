"""Occupancy, object and motion heads: priors, shapes on any grid, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.geometry.grid import BevGrid
from bev_perception.model.heads.attention import Attention
from bev_perception.model.heads.bev_heads import cell_parts
from bev_perception.model.heads.motion import MotionHead
from bev_perception.model.heads.motion_efficient import AttentionBlock, EfficientMotionHead
from bev_perception.model.heads.objects import ObjectHead
from bev_perception.model.heads.occupancy import OccupancyHead
from bev_perception.model.layers import CellOutput
from bev_perception.model.outputs import HEADS, ModelOutputs

MakeHead = Callable[[], nn.Module]
MAKERS: dict[str, MakeHead] = {
    'occupancy': lambda: OccupancyHead(6, 8, 2),
    'objects': lambda: ObjectHead(6, 8, 3),
    'motion_full': lambda: MotionHead(6, 8, 4),
    'motion_one_scale': lambda: MotionHead(6, 8, 1, scales=1),
    'motion_five_scales': lambda: MotionHead(6, 8, 2, scales=5),
    'motion_efficient': lambda: EfficientMotionHead(6, 8, 4),
    'motion_efficient_odd': lambda: EfficientMotionHead(6, 7, 2),
}
SHAPES: dict[str, list[tuple[int, ...]]] = {
    'occupancy': [(1,), (2,)],
    'objects': [(3,), (2,), (1,), (3,), (2,), (2,), (1,)],
    'motion_full': [(5,), (5, 2)],
    'motion_one_scale': [(2,), (2, 2)],
    'motion_five_scales': [(3,), (3, 2)],
    'motion_efficient': [(5,), (5, 2)],
    'motion_efficient_odd': [(3,), (3, 2)],
}
ALL_HEADS = pytest.mark.parametrize('name', sorted(MAKERS))
AnyMotionHead = MotionHead | EfficientMotionHead
MOTION_HEADS = pytest.mark.parametrize('kind', [MotionHead, EfficientMotionHead])


def make(name: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return MAKERS[name]().to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


def features(*shape: int, seed: int = 0) -> Tensor:
    """Features as they come out of a ReLU."""
    generator = torch.Generator().manual_seed(seed)
    bev = torch.randn(*shape, generator=generator).relu()
    return bev.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('parts', [2, 3])
def test_a_cell_answers_for_its_parts(parts: int) -> None:
    """Part (i, j) of cell (y, x), output c, is the convolution's c * parts^2 + i * parts + j."""
    output = CellOutput(6, 4, parts)
    output.set_bias(1, [3.0, -2.0])
    bev = features(2, 6, 3, 5)
    fine = output(bev)
    assert fine.shape == (2, 4, 3 * parts, 5 * parts)
    weight = output.weight.flatten(1)
    assert output.bias is not None
    bias = {1: 3.0, 2: -2.0}
    places = [(0, 0, 0, 0, 0), (2, 1, 0, 1, 4), (1, parts - 1, 1, 2, 3), (3, 0, 1, 0, 2)]
    for c, i, j, y, x in places:
        row = (c * parts + i) * parts + j
        wanted = bev[:, :, y, x] @ weight[row] + bias.get(c, float(output.bias[row].detach()))
        assert torch.allclose(fine[:, c, y * parts + i, x * parts + j], wanted, atol=1e-6)


PARTED: dict[str, MakeHead] = {
    'occupancy': lambda: OccupancyHead(6, 8, 2, 2),
    'objects': lambda: ObjectHead(6, 8, 3, 2),
    'motion_full': lambda: MotionHead(6, 8, 4, parts=2),
    'motion_efficient': lambda: EfficientMotionHead(6, 8, 4, 2),
}


@pytest.mark.parametrize('name', sorted(PARTED))
def test_parted_heads_begin_at_the_same_priors(name: str) -> None:
    torch.manual_seed(0)
    fine, coarse = PARTED[name]().eval(), make(name)
    empty = torch.zeros(1, 6, 5, 7)
    for parted, whole in zip(fine(empty), coarse(empty), strict=True):
        assert parted.shape[-2:] == (10, 14)
        assert torch.allclose(parted, whole[..., :1, :1].expand_as(parted), atol=1e-6)


@pytest.mark.parametrize(
    ('target', 'parts'),
    [
        (BevGrid(-4.0, -8.0, 0.5, 24, 32), 2),
        (BevGrid(-4.0, -8.0, 0.25, 48, 64), 4),
        (BevGrid(-4.0, -8.0, 1.0, 12, 16), 1),
        (BevGrid(-4.0, -8.0, 2.0, 6, 8), 1),
        (BevGrid(-4.0, -8.0, 0.5, 22, 32), 1),
        (BevGrid(-3.5, -8.0, 0.5, 24, 32), 1),
        (BevGrid(-4.0, -8.0, 0.4, 30, 40), 1),
    ],
)
def test_which_grids_are_parts(target: BevGrid, parts: int) -> None:
    assert cell_parts(BevGrid(-4.0, -8.0, 1.0, 12, 16), target) == parts


@ALL_HEADS
@pytest.mark.parametrize('grid', [(1, 1), (1, 9), (7, 3), (13, 22), (16, 16), (33, 17)])
def test_shapes_on_any_grid(name: str, grid: tuple[int, int]) -> None:
    outputs = make(name)(features(2, 6, *grid))
    assert [tuple(x.shape) for x in outputs] == [(2, *shape, *grid) for shape in SHAPES[name]]
    assert all(bool(torch.isfinite(x).all()) for x in outputs)


@ALL_HEADS
def test_batch_equals_its_samples(name: str) -> None:
    head, bev = make(name), features(3, 6, 11, 6)
    together = head(bev)
    for index in range(3):
        for x, alone in zip(together, head(bev[index : index + 1]), strict=True):
            torch.testing.assert_close(x[index : index + 1], alone, rtol=0, atol=1e-5)
    assert not torch.allclose(together[0][0], together[0][1], atol=1e-4)


@ALL_HEADS
def test_empty_features_give_exactly_the_priors(name: str) -> None:
    outputs = make(name)(torch.zeros(1, 6, 5, 7))
    for x in outputs[:2] if name == 'occupancy' else outputs[:1]:
        torch.testing.assert_close(x.sigmoid(), torch.full_like(x, 0.1))
    if name == 'objects':
        _, offset, height, log_size, yaw, velocity, existence = outputs
        torch.testing.assert_close(existence.sigmoid(), torch.full_like(existence, 0.1))
        torch.testing.assert_close(height, torch.full_like(height, 0.8))
        for side, size_m in zip(log_size[0].exp(), (4.0, 1.8, 1.6), strict=True):
            torch.testing.assert_close(side, torch.full_like(side, size_m))
        assert not any(x.any() for x in (offset, yaw, velocity))
    elif name != 'occupancy':
        assert not outputs[1].any()


@ALL_HEADS
def test_fresh_foreground_is_rare(name: str) -> None:
    outputs = make(name)(features(2, 6, 24, 30))
    logits = [outputs[0], outputs[1 if name == 'occupancy' else -1]]
    for x in logits if name in ('occupancy', 'objects') else logits[:1]:
        assert 0.03 < x.sigmoid().mean() < 0.25


@ALL_HEADS
def test_losses_are_finite_and_reach_every_weight(name: str) -> None:
    head = make(name).train()
    outputs = head(features(2, 6, 18, 21))
    loss = torch.stack(
        [functional.binary_cross_entropy_with_logits(x, torch.rand_like(x)) for x in outputs]
    ).sum()
    loss.backward()
    assert bool(torch.isfinite(loss))
    for path, parameter in head.named_parameters():
        assert parameter.grad is not None and bool(torch.isfinite(parameter.grad).all()), path
        # A bias of the keys adds the same to all of a query's scores.
        if 'key_value.bias' not in path:
            assert parameter.grad.any(), path


def test_objects_are_split_in_the_order_of_the_outputs() -> None:
    head = make('objects')
    assert isinstance(head, ObjectHead)
    with torch.no_grad():
        head.out.weight.zero_()
        assert head.out.bias is not None
        head.out.bias.copy_(torch.arange(14.0))
    found = ModelOutputs(**dict(zip(ObjectHead.OUTPUTS, head(features(1, 6, 2, 3)), strict=True)))
    expected = {
        'heatmap_logits': [0.0, 1.0, 2.0],
        'center_offset': [3.0, 4.0],
        'center_z': [5.0],
        'log_size': [6.0, 7.0, 8.0],
        'yaw_sin_cos': [9.0, 10.0],
        'velocity': [11.0, 12.0],
        'existence_logits': [13.0],
    }
    for name, values in expected.items():
        assert getattr(found, name)[0, :, 1, 2].tolist() == values, name
    assert found.motion_logits is None and found.trajectory_logits is None
    assert frozenset({'occupancy', 'objects', 'motion', 'trajectories'}) == HEADS


@MOTION_HEADS
def test_motion_channels_are_steps_then_x_and_y(kind: type[AnyMotionHead]) -> None:
    head = kind(6, 8, 2).eval()
    outs = [head.out] if isinstance(head, MotionHead) else [head.segmentation.out, head.flow.out]
    with torch.no_grad():
        for out, first in zip(outs, (0.0, 3.0), strict=False):
            out.weight.zero_()
            assert out.bias is not None
            out.bias.copy_(first + torch.arange(float(len(out.bias))))
    logits, flow = head(features(1, 6, 4, 5))
    assert logits[0, :, 1, 1].tolist() == [0.0, 1.0, 2.0]
    assert flow[0, :, :, 3, 4].tolist() == [[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]


@MOTION_HEADS
def test_only_foreground_is_calibrated(kind: type[AnyMotionHead]) -> None:
    torch.manual_seed(0)
    head, bev = kind(6, 8, 1).eval(), features(1, 6, 9, 8)
    logits, flow = head(bev)
    head.calibration.refine(torch.tensor([2.0, 1.0]), torch.tensor([0.0, -1.0]))
    corrected, same = head(bev)
    torch.testing.assert_close(corrected[:, 0], 2.0 * logits[:, 0])
    torch.testing.assert_close(corrected[:, 1], logits[:, 1] - 1.0)
    assert torch.equal(same, flow)


def reach(head: nn.Module, size: int) -> int:
    """Returns how far, in cells, one cell of the features is felt."""
    bev = features(1, 6, size, size)
    touched = bev.clone()
    touched[:, :, 0, 0] += 5.0
    changed = (head(bev)[0] != head(touched)[0]).any(dim=1)[0]
    rows, columns = changed.nonzero(as_tuple=True)
    return int(torch.maximum(rows, columns).max())


def test_scales_carry_the_reach() -> None:
    torch.manual_seed(0)
    reaches = [reach(MotionHead(6, 8, 1, scales=scales).eval(), 64) for scales in (1, 2, 3)]
    assert reaches[0] < reaches[1] < reaches[2] < 63
    assert reach(EfficientMotionHead(6, 8, 1).eval(), 64) == 63


@torch.inference_mode()
def test_attention_agrees_with_loops() -> None:
    torch.manual_seed(0)
    attention = Attention(8).double()
    nn.init.normal_(attention.query.bias)
    nn.init.normal_(attention.key_value.bias)
    queries = torch.randn(2, 3, 8, dtype=torch.float64)
    keys = torch.randn(2, 5, 8, dtype=torch.float64)
    found = attention(queries, keys)
    for n in range(2):
        for i in range(3):
            q = attention.query.weight @ queries[n, i] + attention.query.bias
            rows = [attention.key_value.weight @ k + attention.key_value.bias for k in keys[n]]
            heads = []
            for h in range(4):
                part = slice(2 * h, 2 * h + 2)
                scores = [float(q[part] @ row[:8][part]) / math.sqrt(2) for row in rows]
                weights = [math.exp(score) for score in scores]
                mix = sum(w * row[8:][part] for w, row in zip(weights, rows, strict=True))
                heads.append(mix / sum(weights))
            expected = attention.out.weight @ torch.cat(heads) + attention.out.bias
            torch.testing.assert_close(found[n, i], expected)


def test_attention_block_adds_to_what_it_gets() -> None:
    torch.manual_seed(0)
    block = AttentionBlock(8).eval()
    x = features(2, 8, 5, 3)
    assert (block(x) - x).abs().mean() > 0.01
    for silent in (*block.attention.out.parameters(), *block.narrow.parameters()):
        nn.init.zeros_(silent)
    assert torch.equal(block(x), x)


def multiplications(head: nn.Module, bev: Tensor) -> int:
    """Returns the multiply-accumulates of one pass: convolutions, linear layers, attention."""
    total = 0

    def count(part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(part, nn.Conv2d):
            total += output.numel() * part.weight[0].numel()
        elif isinstance(part, nn.Linear):
            total += output.numel() * part.in_features
        elif isinstance(part, Attention):
            total += 2 * inputs[0].numel() * inputs[1].shape[1]

    hooks = [part.register_forward_hook(count) for part in head.modules()]
    head(bev)
    for hook in hooks:
        hook.remove()
    return total


@torch.inference_mode()
@pytest.mark.parametrize(
    ('channels', 'steps', 'grid'), [(32, 4, (100, 100)), (64, 4, (200, 200)), (48, 8, (99, 160))]
)
def test_efficient_head_costs_less(channels: int, steps: int, grid: tuple[int, int]) -> None:
    bev = features(1, channels, *grid)
    cost = []
    for kind in (MotionHead, EfficientMotionHead):
        head = kind(channels, channels, steps).eval()
        weights = sum(parameter.numel() for parameter in head.parameters())
        cost.append((weights, multiplications(head, bev)))
        print(f'{kind.__name__}: {weights} parameters, {cost[-1][1] / 1e9:.3f} GMAC on {grid}')
    (weights, operations), (less_weights, less_operations) = cost
    assert 2 * less_weights < weights
    assert 4 * less_operations < operations


def test_counter_by_hand() -> None:
    bev = features(1, 4, 6, 5)
    assert multiplications(nn.Conv2d(4, 8, 3, padding=1, groups=2), bev) == 30 * 8 * 2 * 9
    head = Attention(8)
    assert multiplications_of_attention(head) == 3 * 64 + 5 * 128 + 3 * 64 + 2 * 3 * 8 * 5


def multiplications_of_attention(head: Attention) -> int:
    class Call(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = head

        def forward(self, bev: Tensor) -> Tensor:
            return self.attention(bev, torch.zeros(1, 5, 8))

    return multiplications(Call(), torch.zeros(1, 3, 8))


@MOTION_HEADS
def test_motion_learns_where_a_block_goes(kind: type[AnyMotionHead]) -> None:
    """Features tell left from right movers; a few steps teach where each will be."""
    torch.manual_seed(0)
    head = kind(3, 16, 2).train()
    bev, present = torch.zeros(2, 3, 24, 24), torch.zeros(2, 3, 24, 24)
    for sample, shift in enumerate((-3, 3)):
        bev[sample, 0, 10:14, 10:14] = 1.0
        bev[sample, 1 + sample, 10:14, 10:14] = 1.0
        for t in range(3):
            present[sample, t, 10:14, 10 + t * shift : 14 + t * shift] = 1.0
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(110):
        optimiser.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(head(bev)[0], present)
        loss.backward()
        optimiser.step()
    found = head(bev)[0] > 0.0
    overlap = (found & (present > 0)).sum() / (found | (present > 0)).sum()
    assert float(overlap) > 0.9
