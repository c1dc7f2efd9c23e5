"""Trajectories: sampling against loops, paths by hand, and scenes that turn with their paths."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bev_perception.geometry.grid import BevGrid
from bev_perception.model.heads.bev_query import (
    AHEAD_SHARE,
    PATCH_M,
    patch_points,
    sample_around,
    to_base_axes,
    to_object_axes,
)
from bev_perception.model.heads.trajectories import TrajectoryHead

GRID = BevGrid(-30.0, -25.0, 1.0, 70, 45)
CHANNELS = 5


def features(grid: BevGrid = GRID, batch: int = 2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, CHANNELS, *grid.shape, generator=generator)


def random_objects(count: int, batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Returns places [B, M, 4] all over the grid and velocities [B, M, 2]."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-32, 42, (batch, count)), rng.uniform(-27, 22, (batch, count))
    yaw = rng.uniform(-math.pi, math.pi, (batch, count))
    places = np.stack([x, y, np.sin(yaw), np.cos(yaw)], axis=-1)
    velocity = rng.normal(0, 6, (batch, count, 2))
    return torch.from_numpy(places).float(), torch.from_numpy(velocity).float()


def make(grid: BevGrid = GRID, modes: int = 3, steps: int = 4, seed: int = 0) -> TrajectoryHead:
    """A head whose paths depend on what it sees as much as those of a trained one."""
    torch.manual_seed(seed)
    head = TrajectoryHead(CHANNELS, 16, modes, steps, 0.5, grid).eval()
    torch.nn.init.normal_(head.out.weight, std=0.5)
    return head


def sample_by_hand(bev: np.ndarray, grid: BevGrid, x_m: float, y_m: float) -> np.ndarray:
    """Returns [C]: bilinear between cell centres, cells outside count as zero."""
    u = (x_m - grid.x_min_m) / grid.resolution_m - 0.5
    v = (y_m - grid.y_min_m) / grid.resolution_m - 0.5
    x0, y0 = math.floor(u), math.floor(v)
    total = np.zeros(bev.shape[0])
    for ix, iy in ((x0, y0), (x0 + 1, y0), (x0, y0 + 1), (x0 + 1, y0 + 1)):
        if 0 <= ix < grid.size_x and 0 <= iy < grid.size_y:
            total += (1 - abs(u - ix)) * (1 - abs(v - iy)) * bev[:, iy, ix]
    return total


GRIDS = st.builds(
    BevGrid,
    st.floats(-9.0, 1.0),
    st.floats(-9.0, 1.0),
    st.floats(0.3, 2.0),
    st.integers(1, 14),
    st.integers(1, 14),
)


@given(grid=GRIDS, seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_sampling_agrees_with_loops(grid: BevGrid, seed: int) -> None:
    bev = features(grid, seed=seed)
    places, _ = random_objects(3, seed=seed)
    places[..., :2] *= 0.2
    points_m = torch.randn(5, 2, generator=torch.Generator().manual_seed(seed)) * 4.0
    found = sample_around(bev.double(), grid, places.double(), points_m.double())
    for b, m, q in np.ndindex(2, 3, 5):
        x, y, sin, cos = places[b, m].tolist()
        ahead, left = points_m[q].tolist()
        at = (x + cos * ahead - sin * left, y + sin * ahead + cos * left)
        expected = sample_by_hand(bev[b].double().numpy(), grid, *at)
        np.testing.assert_allclose(found[b, m, q].numpy(), expected, rtol=0, atol=1e-5)
    low = sample_around(bev.bfloat16(), grid, places, points_m)
    assert low.dtype == torch.bfloat16
    exact = sample_around(bev.bfloat16().float(), grid, places, points_m)
    torch.testing.assert_close(low.float(), exact, rtol=0.005, atol=1e-6)


def test_patch_by_hand() -> None:
    points = patch_points(2, 8.0, 0.75).tolist()
    # From 2 m behind to 6 m ahead, from 4 m right to 4 m left; centres of four squares of 4 m.
    assert points == [[0.0, -2.0], [0.0, 2.0], [4.0, -2.0], [4.0, 2.0]]
    # An object at (1, 2) that heads left (+y): what lies 4 m ahead of it and 2 m left of it.
    grid = BevGrid(-5.5, -5.5, 1.0, 13, 14)
    bev = torch.zeros(1, 1, *grid.shape)
    bev[0, 0, 6 + 5, -1 + 5] = 7.0
    place = torch.tensor([[[1.0, 2.0, 1.0, 0.0]]])
    found = sample_around(bev, grid, place, torch.tensor(points, dtype=torch.float32))
    assert found.flatten().tolist() == [0.0, 0.0, 0.0, 7.0]


@given(yaw=st.floats(-4, 4), x=st.floats(-50, 50), y=st.floats(-50, 50))
def test_axes_go_there_and_back(yaw: float, x: float, y: float) -> None:
    vector = torch.tensor([x, y], dtype=torch.float64)
    sin_cos = torch.tensor([math.sin(yaw), math.cos(yaw)], dtype=torch.float64)
    own = to_object_axes(vector, sin_cos)
    assert float(own[0]) == pytest.approx(x * math.cos(yaw) + y * math.sin(yaw))
    torch.testing.assert_close(to_base_axes(own, sin_cos), vector)


@pytest.mark.parametrize(('modes', 'steps', 'count'), [(1, 1, 1), (3, 4, 7), (6, 12, 0)])
def test_shapes(modes: int, steps: int, count: int) -> None:
    head = make(modes=modes, steps=steps)
    logits, offsets_m = head(features(), *random_objects(count))
    assert logits.shape == (2, count, modes)
    assert offsets_m.shape == (2, count, modes, steps, 2)
    assert bool(torch.isfinite(logits).all()) and bool(torch.isfinite(offsets_m).all())


def test_path_by_hand() -> None:
    head = make(modes=2, steps=3)
    with torch.no_grad():
        head.out.weight.zero_()
        head.out.bias.copy_(torch.tensor([0.3, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0]))
    # Heading left (+y) at 4 m/s, drifting 1 m/s forwards (+x), that is to the object's right.
    places = torch.tensor([[[3.0, -2.0, 1.0, 0.0]]])
    logits, offsets_m = head(features(batch=1), places, torch.tensor([[[1.0, 4.0]]]))
    torch.testing.assert_close(logits, torch.full((1, 1, 2), 0.3))
    # Deviations of 0, 1 m/s ahead (+y) and 2 m/s to the object's left (-x), after 0.5, 1, 1.5 s.
    expected = torch.tensor([[0.5, 2.0], [1.0, 5.0], [1.5 * (1.0 - 2.0), 6.0]])
    torch.testing.assert_close(offsets_m[0, 0, 0], expected)
    torch.testing.assert_close(offsets_m[0, 0, 1], expected)


def test_fresh_head_says_nearly_constant_velocity_and_does_not_know_which() -> None:
    torch.manual_seed(0)
    head = TrajectoryHead(CHANNELS, 32, 6, 8, 0.5, GRID).eval()
    places, velocity = random_objects(20)
    logits, offsets_m = head(features(), places, velocity)
    seconds = torch.arange(1, 9)[:, None] * 0.5
    straight = velocity[:, :, None, None] * seconds
    assert float(((offsets_m - straight) / seconds).norm(dim=-1).max()) < 2.0
    probability = logits.softmax(dim=-1)
    assert float(probability.max()) < 0.5 and float(probability.min()) > 0.03
    # Modes differ from the start, or winner-takes-all training could not tell them apart.
    assert float((offsets_m[:, :, 0] - offsets_m[:, :, 1]).abs().max()) > 0.01


def quarter_turn(grid: BevGrid, bev: Tensor) -> tuple[BevGrid, Tensor]:
    """Returns the grid and the features turned by +90 degrees about the base origin."""
    turned = BevGrid(-grid.y_max_m, grid.x_min_m, grid.resolution_m, grid.size_y, grid.size_x)
    return turned, bev.transpose(-1, -2).flip(-1)


def turn(vectors: Tensor) -> Tensor:
    return torch.stack([-vectors[..., 1], vectors[..., 0]], dim=-1)


def turn_places(places: Tensor) -> Tensor:
    x, y, sin, cos = places.unbind(dim=-1)
    return torch.stack([-y, x, cos, -sin], dim=-1)


def test_turned_scene_gives_turned_paths() -> None:
    head, bev = make(), features()
    places, velocity = random_objects(9)
    logits, offsets_m = head(bev, places, velocity)
    grid, turned_bev = quarter_turn(GRID, bev)
    other = make(grid)
    other.load_state_dict(head.state_dict())
    turned = other(turned_bev, turn_places(places), turn(velocity))
    torch.testing.assert_close(turned[0], logits, rtol=0, atol=1e-4)
    torch.testing.assert_close(turned[1], turn(offsets_m), rtol=0, atol=1e-3)
    # Turning only one of the two is another scene.
    still = head(bev, turn_places(places), turn(velocity))[1]
    assert float((still - turn(offsets_m)).abs().max()) > 0.1


def field(grid: BevGrid, weights: Tensor) -> Tensor:
    """Returns features linear in the place, [1, C, Y, X]: interpolation has no error on them."""
    centers = torch.from_numpy(grid.cell_centers())
    return (centers @ weights.T).permute(2, 0, 1)[None]


@pytest.mark.parametrize('yaw', [0.3, 1.1, 2.5, -0.9])
def test_any_turn_on_features_without_interpolation_error(yaw: float) -> None:
    grid = BevGrid(-60.0, -70.0, 2.0, 60, 70)
    head = make(grid).double()
    weights = torch.randn(CHANNELS, 2, dtype=torch.float64) * 0.05
    c, s = math.cos(yaw), math.sin(yaw)
    rotation = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    place = torch.tensor([[[4.0, -3.0, 0.6, 0.8]]], dtype=torch.float64)
    velocity = torch.tensor([[[5.0, 2.0]]], dtype=torch.float64)
    logits, offsets_m = head(field(grid, weights), place, velocity)
    heading = torch.stack([place[..., 3], place[..., 2]], dim=-1) @ rotation.T
    turned = torch.cat([place[..., :2] @ rotation.T, heading.flip(-1)], dim=-1)
    found = head(field(grid, weights @ rotation.T), turned, velocity @ rotation.T)
    torch.testing.assert_close(found[0], logits)
    torch.testing.assert_close(found[1], offsets_m @ rotation.T, rtol=0, atol=1e-5)


def test_shifted_scene_gives_the_same_paths() -> None:
    head, bev = make(), features()
    places, velocity = random_objects(5)
    expected = head(bev, places, velocity)
    shifted = make(BevGrid(GRID.x_min_m + 7.0, GRID.y_min_m - 4.0, 1.0, 70, 45))
    shifted.load_state_dict(head.state_dict())
    moved = places + torch.tensor([7.0, -4.0, 0.0, 0.0])
    for found, wanted in zip(shifted(bev, moved, velocity), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-3)


@torch.inference_mode()
@pytest.mark.parametrize('garbage', [math.nan, math.inf, 1e30])
def test_padding_changes_nothing(garbage: float) -> None:
    head, bev = make(), features()
    places, velocity = random_objects(4)
    expected = head(bev, places, velocity)
    padded = torch.cat([places, torch.full((2, 3, 4), garbage)], dim=1)
    speeds = torch.cat([velocity, torch.full((2, 3, 2), garbage)], dim=1)
    mask = torch.tensor([[True] * 4 + [False] * 3]).expand(2, 7)
    for found, wanted in zip(head(bev, padded, speeds, mask), expected, strict=True):
        torch.testing.assert_close(found[:, :4], wanted, rtol=0, atol=1e-5)
        assert not found[:, 4:].any()


def test_padding_leaves_gradients_finite() -> None:
    head, bev = make(), features().requires_grad_()
    places, velocity = random_objects(4)
    places[:, 3] = 0.0
    velocity[:, 2] = math.nan
    mask = torch.tensor([[True, True, False, False]]).expand(2, 4)
    logits, offsets_m = head(bev, places, velocity, mask)
    (logits.square().sum() + offsets_m.square().sum()).backward()
    for path, parameter in head.named_parameters():
        assert parameter.grad is not None and bool(torch.isfinite(parameter.grad).all()), path
        if 'key_value.bias' not in path:
            assert parameter.grad.any(), path
    assert bev.grad is not None and bool(torch.isfinite(bev.grad).all())


def test_order_of_objects_and_batch_do_not_matter() -> None:
    head, bev = make(), features(batch=3)
    places, velocity = random_objects(6, batch=3)
    together = head(bev, places, velocity)
    order = [4, 0, 5, 2, 1, 3]
    for found, wanted in zip(
        head(bev, places[:, order], velocity[:, order]), together, strict=True
    ):
        torch.testing.assert_close(found, wanted[:, order], rtol=0, atol=1e-5)
    for b in range(3):
        one = slice(b, b + 1)
        for found, wanted in zip(
            head(bev[one], places[one], velocity[one]), together, strict=True
        ):
            torch.testing.assert_close(found, wanted[one], rtol=0, atol=1e-5)


def test_heading_of_any_norm() -> None:
    head, bev = make(), features()
    places, velocity = random_objects(3)
    expected = head(bev, places, velocity)[1]
    places[..., 2:] *= 3.7
    torch.testing.assert_close(head(bev, places, velocity)[1], expected, rtol=0, atol=1e-4)


def test_looks_further_ahead_than_behind() -> None:
    grid = BevGrid(-60.0, -60.0, 1.0, 120, 120)
    head, bev = make(grid), features(grid, batch=1)
    place, velocity = torch.tensor([[[0.5, 0.5, 0.0, 1.0]]]), torch.zeros(1, 1, 2)
    expected = head(bev, place, velocity)[1]

    def felt(x_m: float, y_m: float) -> bool:
        touched = bev.clone()
        (iy, ix, _) = grid.to_cell(x_m, y_m)
        touched[:, :, int(iy) - 1 : int(iy) + 2, int(ix) - 1 : int(ix) + 2] += 9.0
        return bool((head(touched, place, velocity)[1] != expected).any())

    ahead_m, behind_m = AHEAD_SHARE * PATCH_M, (1.0 - AHEAD_SHARE) * PATCH_M
    assert felt(ahead_m - 2.0, 0.5) and not felt(ahead_m + 4.0, 0.5)
    assert felt(-behind_m + 3.0, 0.5) and not felt(-behind_m - 4.0, 0.5)
    assert ahead_m > 2 * behind_m
    assert felt(0.5, PATCH_M / 2 - 2.0) and not felt(0.5, PATCH_M / 2 + 4.0)


def test_speed_decides_too() -> None:
    head, bev = make(), features(batch=1)
    place = torch.tensor([[[0.0, 0.0, 0.0, 1.0]]])
    slow, fast = (head(bev, place, torch.tensor([[[v, 0.0]]])) for v in (1.0, 12.0))
    assert not torch.allclose(slow[0], fast[0], atol=1e-3)


def test_learns_both_ways_of_a_fork_and_that_a_closed_one_is_improbable() -> None:
    """Half of the objects before a fork go left, half right; before a bend, all one way."""
    grid = BevGrid(-20.0, -30.0, 1.0, 60, 60)
    torch.manual_seed(0)
    head = TrajectoryHead(2, 16, 2, 2, 1.0, grid)
    bev = torch.zeros(3, 2, *grid.shape)
    bev[:2, 0, 30:45, 25:40] = 1.0
    bev[2, 1, 30:45, 25:40] = 1.0
    places = torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(3, 1, 4)
    velocity = torch.tensor([10.0, 0.0]).expand(3, 1, 2)
    left = torch.tensor([[10.0, 2.0], [18.0, 8.0]])
    target = torch.stack([left, left * torch.tensor([1.0, -1.0]), left])
    optimiser = torch.optim.Adam(head.parameters(), lr=5e-3)
    for _ in range(150):
        logits, offsets_m = head(bev, places, velocity)
        error = (offsets_m[:, 0] - target[:, None]).abs().mean(dim=(-1, -2))
        best = error.argmin(dim=-1, keepdim=True)
        loss = error.gather(1, best).mean()
        loss = loss + torch.nn.functional.cross_entropy(logits[:, 0], best[:, 0])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert error.min(dim=-1).values.max() < 0.5
    probability = logits[:, 0].softmax(dim=-1)
    assert best[0] != best[1]
    assert 0.3 < probability[0, 0] < 0.7
    assert probability[2].max() > 0.9
