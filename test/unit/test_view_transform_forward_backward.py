"""Forward-backward view transform: by hand, on walls, and what every view transform promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.level_camera import level_camera
from support.random_rigs import (
    RandomRig,
    pixel_by_hand,
    points_by_hand,
    random_inputs,
    random_rig,
)
from support.view_transform_checks import (
    check_collate,
    check_definition,
    check_gradients,
    check_masked,
    check_order,
    randomise,
    run,
)
from torch import Tensor

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform import DepthBins, LiftSplat, splat
from bev_perception.model.view_transform.forward_backward import ForwardBackward, look_back

LEVELS = 3


def make(lift: LiftSplat) -> ForwardBackward:
    return ForwardBackward(lift, 3, levels=LEVELS)


def tent(place: float, count: int) -> np.ndarray:
    """Returns [count] linear interpolation weights at a place between whole numbers."""
    place = min(max(place, 0.0), count - 1.0)
    return np.maximum(0.0, 1.0 - np.abs(np.arange(count) - place))


def look_back_by_hand(rig: RandomRig, context: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Returns float64 [C, Y, X], sample by sample, of [N, C, h, w] and [N, D, h, w]."""
    lift = rig.lift
    total = np.zeros((context.shape[1], *lift.grid.shape))
    samples = np.zeros(lift.grid.shape)
    low, high = lift.z_range_m
    for n, camera in enumerate(rig.cameras):
        if camera is None:
            continue
        shown = rig.pixel_shown(n)
        for iy, ix in np.ndindex(*lift.grid.shape):
            x = lift.grid.x_min_m + (ix + 0.5) * lift.grid.resolution_m
            y = lift.grid.y_min_m + (iy + 0.5) * lift.grid.resolution_m
            for level in range(LEVELS):
                z = low + (high - low) * (2 * level + 1) / (2 * LEVELS)
                u, v, far = pixel_by_hand(camera, np.array([x, y, z]))
                inside = -0.5 <= u < camera.width - 0.5 and -0.5 <= v < camera.height - 0.5
                if not (inside and lift.bins.min_m <= far < lift.bins.max_m):
                    continue
                rows = tent((v + 0.5) / lift.stride - 0.5, lift.feature_height)
                columns = tent((u + 0.5) / lift.stride - 0.5, lift.feature_width)
                share = np.outer(rows, columns)
                if not shown.flat[share.argmax()]:
                    continue
                share = share * shown / (share * shown).sum()
                width_m = (lift.bins.max_m - lift.bins.min_m) / lift.bins.count
                bins = tent((far - lift.bins.min_m) / width_m - 0.5, lift.bins.count)
                fit = np.einsum('d,dvu->vu', bins, depth[n])
                total[:, iy, ix] += np.einsum('vu,vu,cvu->c', share, fit, context[n])
                samples[iy, ix] += 1
    return total / np.maximum(samples, 1)


def bev_by_hand(
    rig: RandomRig, context: np.ndarray, depth: np.ndarray, merge: np.ndarray
) -> np.ndarray:
    """Returns float64 [C, Y, X]: lift-splat, and what empty cells see."""
    bev = np.zeros((context.shape[1], *rig.lift.grid.shape))
    weight = np.zeros(rig.lift.grid.shape)
    for (iy, ix), (n, v, u, b) in points_by_hand(rig):
        bev[:, iy, ix] += depth[n, b, v, u] * context[n, :, v, u]
        weight[iy, ix] += depth[n, b, v, u]
    back = np.einsum('oc,cyx->oyx', merge, look_back_by_hand(rig, context, depth))
    return bev + np.where(weight < 0.05, back, 0.0)


@pytest.mark.parametrize('seed', range(20))
def test_random_rigs_agree_with_the_definition(seed: int) -> None:
    rig = random_rig(seed)
    transform = randomise(make(rig.lift), seed)
    context, depth = random_inputs(rig.lift, (1, len(rig.cameras)), 3, seed)

    merge = transform.merge.weight.detach().numpy()[:, :, 0, 0]
    expected = bev_by_hand(rig, context[0].numpy(), depth[0].numpy(), merge)
    check_definition(transform, rig, expected, (context, depth))


def test_random_rigs_are_not_all_empty() -> None:
    built = [make(rig.lift).build(rig.cameras, rig.valid) for rig in map(random_rig, range(20))]
    assert np.median([len(m.look_back.entries.row_index) for m in built]) > 500
    assert np.median([len(m.lift.pixel_index) for m in built]) > 50


def test_a_sample_by_hand() -> None:
    """One cell 10.25 m ahead, between two pixels (3 : 1) and two bins (1 : 3).

    Focal 8, cell centre y = -0.640625: 0.5 image pixels to the right of the centre at 0.5, that
    is at u = 1.0, 0.25 feature pixels of stride 2 to the right of the first, which lies at 0.5.
    Depth 10.25 lies between the bin centres 9.5 and 10.5.
    """
    lift = LiftSplat(
        BevGrid(9.25, -1.640625, 2.0, 1, 1), DepthBins(9.0, 11.0, 2), (0.5, 1.5), 1, 2, 2
    )
    camera = level_camera(4, 2, 8.0, position_m=(0.0, 0.15625, 1.0))
    # The camera is centred at u = 1.5; moved left, the cell lies 0.796875 m to its right.
    u = 1.5 + 8.0 * (0.15625 + 0.640625) / 10.25
    second = (u + 0.5) / 2 - 0.5
    matrices = ForwardBackward(lift, 1, levels=1).build([camera])
    context = torch.tensor([2.0, 10.0]).view(1, 1, 1, 1, 2)
    depth = torch.tensor([[0.4, 0.2], [0.6, 0.8]]).view(1, 1, 2, 1, 2)

    found = look_back(context, depth, torch.tensor([[True]]), matrices).item()
    fit = [0.25 * 0.4 + 0.75 * 0.6, 0.25 * 0.2 + 0.75 * 0.8]
    assert found == pytest.approx((1 - second) * fit[0] * 2.0 + second * fit[1] * 10.0, rel=1e-6)


def wall_scene(bearing_deg: float, distance_m: float) -> tuple[LiftSplat, Camera, Tensor]:
    """Returns geometry, a camera and the true depth, one-hot, of an endless wall.

    Args:
        bearing_deg: of the normal of the wall.
        distance_m: of the wall from the origin.
    """
    grid = BevGrid.from_range((0.0, 56.0), (-28.0, 28.0), 0.5)
    lift = LiftSplat(grid, DepthBins(1.0, 61.0, 120), (-1.0, 4.0), 16, 44, 16)
    camera = level_camera(704, 256, 560.0, position_m=(0.0, 0.0, 1.5))
    normal = np.array(
        [math.cos(math.radians(bearing_deg)), math.sin(math.radians(bearing_deg)), 0]
    )
    rays = camera.rays(lift.image_pixels()) @ camera.base_T_camera[:3, :3].T
    depth_m = (distance_m - normal @ camera.base_T_camera[:3, 3]) / (rays @ normal)
    index = torch.from_numpy((depth_m - 1.0) / lift.bins.width_m).floor().long()
    assert index.min() >= 0 and index.max() < 120
    depth = torch.nn.functional.one_hot(index, 120).permute(2, 0, 1)[None, None].float()
    return lift, camera, depth


def off_surface_share(
    bev: Tensor, lift: LiftSplat, bearing_deg: float, distance_m: float
) -> float:
    """Returns the largest ratio over bearings of energy off the wall to energy at the wall.

    At the wall: within a bin and a cell's diagonal of it, in all directions.
    """
    centers = lift.grid.cell_centers()
    angle = math.radians(bearing_deg)
    off = centers @ [math.cos(angle), math.sin(angle)] - distance_m
    at_wall = np.abs(off) <= lift.bins.width_m * 1.3 + lift.grid.resolution_m * math.sqrt(2)
    sector = np.rint(np.degrees(np.arctan2(centers[..., 1], centers[..., 0])) + 90).astype(int)
    energy = bev[0].square().sum(dim=0).numpy()
    on, rest = (
        np.bincount(sector[part], energy[part], minlength=181) for part in (at_wall, ~at_wall)
    )
    used = on + rest > 0
    assert used.sum() > 40
    return float((rest[used] / np.maximum(on[used], 1e-12)).max())


@pytest.mark.parametrize(('bearing_deg', 'distance_m'), [(0.0, 20.0), (25.0, 30.0), (-35.0, 12.0)])
def test_a_wall_leaves_nothing_in_front_of_it_and_behind(
    bearing_deg: float, distance_m: float
) -> None:
    lift, camera, depth = wall_scene(bearing_deg, distance_m)
    transform = ForwardBackward(lift, 4, levels=4)
    matrices = transform.build([camera])
    mask = torch.tensor([[True]])
    context = 1.0 + torch.rand(1, 1, 4, 16, 44, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        bev = transform(context, depth, mask, matrices)
        plain = look_back(context, torch.ones_like(depth), mask, matrices)

    assert off_surface_share(bev, lift, bearing_deg, distance_m) < 0.01
    assert off_surface_share(plain, lift, bearing_deg, distance_m) > 1.0


def test_holes_in_a_far_wall_are_filled() -> None:
    lift, camera, depth = wall_scene(0.0, 50.25)
    transform = ForwardBackward(lift, 1, levels=4)
    matrices = transform.build([camera])
    context = torch.ones(1, 1, 1, 16, 44)
    with torch.no_grad():
        forward = splat(context, depth, matrices.lift)[0, 0]
        bev = transform(context, depth, torch.tensor([[True]]), matrices)[0, 0]
    wall = matrices.seen_levels[0, 0, :, 100] > 0

    assert wall.sum() > 100
    assert (forward[wall, 100] == 0).float().mean() > 0.3
    assert (bev[wall, 100] > 0).all()


def test_fewer_empty_cells_beyond_thirty_metres() -> None:
    lift, camera, _ = wall_scene(0.0, 20.0)
    transform = ForwardBackward(lift, 1, levels=4)
    matrices = transform.build([camera])
    context = torch.ones(1, 1, 1, 16, 44)
    _, depth = (t.float() for t in random_inputs(lift, (1, 1), 1))
    with torch.no_grad():
        forward = splat(context, depth, matrices.lift)[0, 0]
        bev = transform(context, depth, torch.tensor([[True]]), matrices)[0, 0]
    far = torch.from_numpy(np.linalg.norm(lift.grid.cell_centers(), axis=-1) > 30.0)
    seen = far & (matrices.seen_levels[0, 0] > 0)

    before, after = ((part[seen] == 0).float().mean().item() for part in (forward, bev))
    print(f'empty cells in view beyond 30 m: {before:.1%} with lift-splat, {after:.1%} after')
    assert before > 0.3 and after == 0.0


def test_cells_that_hold_enough_are_those_of_lift_splat() -> None:
    rig = random_rig(2)
    transform = ForwardBackward(rig.lift, 3, levels=LEVELS, empty_below=1e-30)
    context, depth = (t.float() for t in random_inputs(rig.lift, (1, len(rig.cameras)), 3))
    mask = torch.ones(1, len(rig.cameras), dtype=torch.bool)
    matrices = transform.build(rig.cameras, rig.valid)
    hit = (matrices.lift.cell_offsets.diff() > 0).view(rig.lift.grid.shape)

    found = run(transform, rig, (context, depth), mask)
    expected = splat(context, depth, matrices.lift)
    assert hit.sum() > 10 and torch.equal(found[0, :, hit], expected[0, :, hit])
    assert (found[0, :, ~hit] != 0).any()


@pytest.mark.parametrize('seed', range(5))
def test_order_of_cameras_does_not_matter(seed: int) -> None:
    check_order(make, seed)


@pytest.mark.parametrize('seed', range(5))
def test_masked_cameras_contribute_exactly_nothing(seed: int) -> None:
    check_masked(make, seed)


@pytest.mark.parametrize('seed', range(3))
def test_a_batch_is_its_samples(seed: int) -> None:
    check_collate(make, seed)


def test_gradients() -> None:
    check_gradients(make)


def test_settings_that_make_no_sense() -> None:
    lift = random_rig(0).lift
    with pytest.raises(ConfigError, match='levels'):
        ForwardBackward(lift, 3, levels=0)
    with pytest.raises(ConfigError, match='empty_below'):
        ForwardBackward(lift, 3, levels=2, empty_below=0.0)
