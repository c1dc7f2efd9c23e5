"""Limbs swing as a walker's do, and as the vertex shader is told."""

from __future__ import annotations

import numpy as np
import pytest
from bev_trainer.render.mesh import (
    ARM_SWING_RAD,
    HIP_HEIGHT,
    LEG_SWING_RAD,
    SHOULDER_HEIGHT,
    STRIDE_M,
    Limb,
    Material,
    Mesh,
)
from bev_trainer.render.meshes import mesh_of
from bev_trainer.render.posing import PIVOT_HEIGHTS, SWINGS_RAD, limb_angles, posed_positions
from bev_trainer.world.catalogue import MODELS, models_of
from bev_trainer.world.classes import SemanticClass

WALKERS = [model.name for model in models_of(SemanticClass.PEDESTRIAN)]
QUARTER_M = STRIDE_M / 4  # of a body of nominal height: limbs at their largest angle


def _one_triangle(point: tuple[float, float, float], limb: Limb) -> Mesh:
    positions = np.array([point] * 3, dtype=np.float32)
    normals = np.tile(np.array((0, 0, 1), dtype=np.float32), (3, 1))
    return Mesh(
        positions,
        normals,
        np.full(3, Material.CLOTH, np.uint8),
        np.full(3, limb, np.uint8),
    )


def _sizes(name: str) -> tuple[float, float, float]:
    model = MODELS[name]
    return model.length_m, model.width_m, model.height_m


def test_a_body_is_only_scaled() -> None:
    mesh = _one_triangle((0.5, -0.25, 1.0), Limb.BODY)
    posed = posed_positions(mesh, 4.0, 2.0, 1.5, travelled_m=0.77)
    assert np.allclose(posed, (2.0, -0.5, 1.5))
    assert posed.dtype == np.float64


@pytest.mark.parametrize(
    ('limb', 'pivot', 'angle'),
    [
        (Limb.LEFT_LEG, HIP_HEIGHT, LEG_SWING_RAD),
        (Limb.RIGHT_LEG, HIP_HEIGHT, -LEG_SWING_RAD),
        (Limb.LEFT_ARM, SHOULDER_HEIGHT, -ARM_SWING_RAD),
        (Limb.RIGHT_ARM, SHOULDER_HEIGHT, ARM_SWING_RAD),
    ],
)
def test_a_limb_at_its_largest_angle(limb: Limb, pivot: float, angle: float) -> None:
    # The limb's end hangs 0.3 of the height straight below its pivot.
    height = 1.75
    mesh = _one_triangle((0.0, 0.1, pivot - 0.3), limb)
    posed = posed_positions(mesh, 0.8, 0.6, height, QUARTER_M)
    reach = 0.3 * height
    x, z = -reach * np.sin(angle), pivot * height - reach * np.cos(angle)
    assert np.allclose(posed, (x, 0.06, z), atol=1e-6)


def test_a_point_ahead_of_the_hip_goes_down_as_the_leg_goes_back() -> None:
    mesh = _one_triangle((0.5, 0.0, HIP_HEIGHT), Limb.LEFT_LEG)
    posed = posed_positions(mesh, 0.8, 0.6, 1.75, QUARTER_M)
    expected = (0.4 * np.cos(LEG_SWING_RAD), 0.0, 0.875 - 0.4 * np.sin(LEG_SWING_RAD))
    assert np.allclose(posed[0], expected, atol=1e-6)


def test_angles_over_a_cycle_and_by_height() -> None:
    travelled = STRIDE_M * np.array((0.0, 0.25, 0.5, 0.75, 1.0, 1 / 12))
    left = limb_angles(travelled, 1.75)[:, Limb.LEFT_LEG] / LEG_SWING_RAD
    assert np.allclose(left, (0.0, 1.0, 0.0, -1.0, 0.0, 0.5), atol=1e-12)
    # A body of 80 % height makes strides of 80 % length.
    assert np.allclose(limb_angles(0.8 * travelled, 1.4), limb_angles(travelled, 1.75))


def test_each_leg_goes_with_the_arm_of_the_other_side() -> None:
    angles = limb_angles(0.2, 1.75)
    assert angles.shape == (5,)
    assert angles[Limb.BODY] == 0.0
    for leg, arm in ((Limb.LEFT_LEG, Limb.RIGHT_ARM), (Limb.RIGHT_LEG, Limb.LEFT_ARM)):
        assert np.sign(angles[leg]) == np.sign(angles[arm])
    assert angles[Limb.LEFT_LEG] == -angles[Limb.RIGHT_LEG] > 0


def test_tables_have_one_row_for_each_limb() -> None:
    assert len(PIVOT_HEIGHTS) == len(SWINGS_RAD) == len(Limb)


@pytest.mark.parametrize('name', WALKERS)
def test_walkers_stay_in_their_box_and_fill_it_at_full_swing(name: str) -> None:
    mesh, size = mesh_of(name), _sizes(name)
    stride = STRIDE_M * size[2] / 1.75
    poses = [posed_positions(mesh, *size, stride * k / 24) for k in range(24)]
    low, high = np.min(poses, axis=(0, 1)), np.max(poses, axis=(0, 1))
    assert np.all(low >= np.array((-0.5, -0.5, 0.0)) * size - 1e-3)
    assert np.all(high <= np.array((0.5, 0.5, 1.0)) * size + 1e-3)
    assert high[0] >= 0.48 * size[0]


@pytest.mark.parametrize('name', WALKERS)
def test_a_standing_foot_moves_back_about_as_fast_as_the_body_goes_ahead(name: str) -> None:
    mesh, size = mesh_of(name), _sizes(name)
    sole = (mesh.limbs == Limb.LEFT_LEG) & (mesh.positions[:, 2] < 0.01)
    step = 0.05
    before = posed_positions(mesh, *size, -step)[sole, 0].mean()
    after = posed_positions(mesh, *size, step)[sole, 0].mean()
    assert (after - before) / (2 * step) == pytest.approx(-1.0, abs=0.25)


@pytest.mark.parametrize('name', WALKERS)
def test_limbs_are_on_their_sides_and_hang_from_their_pivots(name: str) -> None:
    mesh = mesh_of(name)
    y, z = mesh.positions[:, 1], mesh.positions[:, 2]
    for limb, sign in zip(list(Limb)[1:], (1, -1, 1, -1), strict=True):
        mine = mesh.limbs == limb
        assert np.mean(sign * y[mine] > 0) > 0.95
        assert z[mine].max() < PIVOT_HEIGHTS[limb] + 0.06
        assert z[mine].max() > PIVOT_HEIGHTS[limb] - 0.01
