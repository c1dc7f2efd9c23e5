"""Semantic points: by hand, against analytic maps, and what every view transform promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import maximum_filter, minimum_filter
from support.level_camera import level_camera
from support.random_rigs import points_by_hand, random_inputs, random_rig
from support.view_transform_checks import (
    check_collate,
    check_definition,
    check_gradients,
    check_masked,
    check_order,
    randomise,
)

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform import DepthBins, LiftSplat
from bev_perception.model.view_transform.semantic_points import SemanticPoints

ROAD, WALK, BOX = range(3)


def make(lift: LiftSplat) -> SemanticPoints:
    return SemanticPoints(lift, 4, 3)


def make_shares(lift: LiftSplat) -> SemanticPoints:
    return SemanticPoints(lift, 4, 3, shares=True)


@pytest.mark.parametrize('maker', [make, make_shares])
@pytest.mark.parametrize('seed', range(12))
def test_random_rigs_agree_with_the_definition(maker, seed: int) -> None:
    rig = random_rig(seed)
    transform = randomise(maker(rig.lift), seed)
    context, depth = random_inputs(rig.lift, (1, len(rig.cameras)), 4, seed)

    weight = transform.classify.weight.detach().numpy()[:, :, 0, 0]
    bias = transform.classify.bias.detach().numpy()
    expected = np.zeros((4, *rig.lift.grid.shape))
    for (iy, ix), (n, v, u, b) in points_by_hand(rig):
        odds = np.exp(weight @ context[0, n, :, v, u].numpy() + bias)
        expected[:3, iy, ix] += depth[0, n, b, v, u].item() * odds / odds.sum()
        expected[3, iy, ix] += depth[0, n, b, v, u].item()
    if transform.shares:
        expected[:3] /= np.maximum(expected[3], 1e-6)
    check_definition(transform, rig, expected, (context, depth))


def test_semantics_are_those_that_are_splatted() -> None:
    rig = random_rig(3, cameras=3)
    transform = randomise(make(rig.lift))
    context, _ = random_inputs(rig.lift, (2, 3), 4)
    logits = transform.image_semantics(context)
    assert logits.shape == (2, 3, 3, *context.shape[-2:])
    one = torch.nn.functional.conv2d(
        context[1, 2][None], transform.classify.weight, transform.classify.bias
    )
    torch.testing.assert_close(logits[1, 2], one[0])


def street(camera: Camera, lift: LiftSplat) -> tuple[np.ndarray, np.ndarray]:
    """Returns depth along the ray's multiple and class per feature pixel [h, w] of a street.

    Road for |y| < 3.5 m on the plane z = 0, walks beside it, and a box of 2 m on both sides and
    2 m height whose rear face stands 14 m ahead.
    """
    origin = camera.base_T_camera[:3, 3]
    rays = camera.rays(lift.image_pixels()) @ camera.base_T_camera[:3, :3].T
    with np.errstate(divide='ignore', invalid='ignore'):
        ground = np.where(rays[..., 2] < 0, -origin[2] / rays[..., 2], np.inf)
        slabs = [(np.array(edge) - origin) / rays for edge in ((14, -1, 0), (16, 1, 2))]
    near = np.nanmax(np.minimum(*slabs), axis=-1)
    far = np.nanmin(np.maximum(*slabs), axis=-1)
    box = np.where((near <= far) & (near > 0), near, np.inf)
    side = np.abs(origin[1] + np.where(np.isfinite(ground), ground, 0) * rays[..., 1])
    label = np.where(box < ground, BOX, np.where(side < 3.5, ROAD, WALK))
    return np.minimum(box, ground), label


def test_true_depth_and_classes_give_the_map_to_within_a_cell() -> None:
    grid = BevGrid.from_range((-24.0, 24.0), (-12.0, 12.0), 0.5)
    lift = LiftSplat(grid, DepthBins(0.5, 30.5, 120), (-0.5, 3.0), 64, 160, 4)
    cameras = [
        level_camera(640, 256, 400.0, yaw_deg=0.0, position_m=(0.5, 0.0, 1.5)),
        level_camera(640, 256, 200.0, yaw_deg=170.0, wide=True, position_m=(-0.5, 0.2, 1.5)),
    ]
    depth = torch.zeros(1, 2, 120, 64, 160)
    context = torch.zeros(1, 2, 4, 64, 160)
    for n, camera in enumerate(cameras):
        depth_m, label = street(camera, lift)
        index = np.floor((depth_m - 0.5) / lift.bins.width_m)
        hit = torch.from_numpy(index < 120)
        one_hot = torch.nn.functional.one_hot(torch.from_numpy(np.minimum(index, 119)).long(), 120)
        depth[0, n] = one_hot.permute(2, 0, 1) * hit
        context[0, n, :3] = torch.nn.functional.one_hot(torch.from_numpy(label), 3).permute(
            2, 0, 1
        )
    transform = make(lift)
    with torch.no_grad():
        transform.classify.weight.copy_(torch.eye(3, 4)[:, :, None, None] * 60.0)
        bev = transform(
            context, depth, torch.ones(1, 2, dtype=torch.bool), transform.build(cameras)
        )
    mass, density = bev[0, :3].numpy(), bev[0, 3].numpy()

    x, y = np.moveaxis(grid.cell_centers(), -1, 0)
    on_box = (x > 14) & (x < 16) & (np.abs(y) < 1)
    truth = np.where(on_box, BOX, np.where(np.abs(y) < 3.5, ROAD, WALK))
    assert (density > 0).sum() > 1000
    for kind in (ROAD, WALK, BOX):
        near = maximum_filter(truth == kind, size=3)
        assert mass[kind][~near].max() < 1e-6
        assert mass[kind][near].sum() > 10
    # Where a cell is far from all edges, it holds one class alone.
    alone = maximum_filter(truth, size=3) == minimum_filter(truth, size=3)
    inner = (density > 0) & alone
    assert inner.sum() > 500
    assert (mass.argmax(axis=0) == truth)[inner].all()
    # The rear face of the box is seen over its whole width, its far end is hidden.
    assert (mass[BOX].max(axis=1)[23:25] > 0).all() and mass[BOX][:, 81:].max() < 1e-6


@pytest.mark.parametrize('maker', [make, make_shares])
@pytest.mark.parametrize('seed', range(4))
def test_order_of_cameras_does_not_matter(maker, seed: int) -> None:
    check_order(maker, seed)


@pytest.mark.parametrize('maker', [make, make_shares])
@pytest.mark.parametrize('seed', range(4))
def test_masked_cameras_contribute_exactly_nothing(maker, seed: int) -> None:
    check_masked(maker, seed)


@pytest.mark.parametrize('seed', range(3))
def test_a_batch_is_its_samples(seed: int) -> None:
    check_collate(make, seed)


@pytest.mark.parametrize('maker', [make, make_shares])
def test_gradients(maker) -> None:
    check_gradients(maker)


def test_no_class_is_no_transform() -> None:
    with pytest.raises(ConfigError, match='classes'):
        SemanticPoints(random_rig(0).lift, 4, 0)
