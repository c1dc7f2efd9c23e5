"""Every mesh keeps the contract that the renderer and the labels rely on."""

from __future__ import annotations

import numpy as np
import pytest
from bev_trainer.errors import SimulationError
from bev_trainer.render.mesh import Limb, Material
from bev_trainer.render.meshes import mesh_of, shapes
from bev_trainer.render.meshes.finish import finished
from bev_trainer.world.catalogue import MODELS
from bev_trainer.world.classes import SemanticClass
from bev_trainer.world.prop_sizes import PROP_SIZES_M
from bev_trainer.world.scenery import PROP_CLASSES

NAMES = [*MODELS, *PROP_CLASSES]
WALKERS = [m.name for m in MODELS.values() if m.object_class == SemanticClass.PEDESTRIAN]
BUDGETS = {
    SemanticClass.CAR: 420,
    SemanticClass.VAN: 450,
    SemanticClass.TRUCK: 450,
    SemanticClass.BUS: 450,
    SemanticClass.MOTORCYCLE: 450,
    SemanticClass.BICYCLE: 450,
    SemanticClass.PEDESTRIAN: 300,
    SemanticClass.BUILDING: 120,
    SemanticClass.VEGETATION: 300,
    SemanticClass.STRUCTURE: 150,
}


def _class(name: str) -> SemanticClass:
    return MODELS[name].object_class if name in MODELS else PROP_CLASSES[name]


def _size(name: str) -> np.ndarray:
    if name in MODELS:
        model = MODELS[name]
        return np.array((model.length_m, model.width_m, model.height_m))
    return np.array(PROP_SIZES_M[name])


def _corners_m(name: str) -> np.ndarray:
    return mesh_of(name).positions.astype(np.float64).reshape(-1, 3, 3) * _size(name)


def _areas(corners: np.ndarray) -> np.ndarray:
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2


@pytest.mark.parametrize('name', NAMES)
def test_arrays_are_as_promised_and_read_only(name: str) -> None:
    mesh = mesh_of(name)
    rows = 3 * mesh.triangle_count
    assert mesh.positions.shape == mesh.normals.shape == (rows, 3)
    assert mesh.materials.shape == mesh.limbs.shape == (rows,)
    assert mesh.positions.dtype == mesh.normals.dtype == np.float32
    assert mesh.materials.dtype == mesh.limbs.dtype == np.uint8
    for array in (mesh.positions, mesh.normals, mesh.materials, mesh.limbs):
        with pytest.raises(ValueError, match='read-only'):
            array[0] = 0
    assert mesh_of(name) is mesh


@pytest.mark.parametrize('name', NAMES)
def test_budget_materials_and_limbs(name: str) -> None:
    mesh = mesh_of(name)
    assert 12 < mesh.triangle_count <= BUDGETS[_class(name)]
    for tags, kind in ((mesh.materials, Material), (mesh.limbs, Limb)):
        triangles = tags.reshape(-1, 3)
        assert np.array_equal(triangles, np.repeat(triangles[:, :1], 3, axis=1))
        assert {int(tag) for tag in tags} <= {int(item) for item in kind}
    walks = name in WALKERS
    assert {int(limb) for limb in mesh.limbs} == (set(range(5)) if walks else {0})


@pytest.mark.parametrize('name', NAMES)
def test_the_unit_box_is_filled_and_never_left(name: str) -> None:
    points = mesh_of(name).positions
    low, high = points.min(axis=0), points.max(axis=0)
    assert np.all(low >= (-0.5, -0.5, 0.0))
    assert np.all(high <= (0.5, 0.5, 1.0))
    filled = slice(1, 3) if name in WALKERS else slice(0, 3)
    assert np.all(low[filled] <= np.array((-0.48, -0.48, 0.02))[filled])
    assert np.all(high[filled] >= np.array((0.48, 0.48, 0.98))[filled])


@pytest.mark.parametrize('name', NAMES)
def test_normals_are_unit_and_on_the_side_from_which_corners_run_counter_clockwise(
    name: str,
) -> None:
    normals = mesh_of(name).normals.astype(np.float64).reshape(-1, 3, 3)
    assert np.allclose(np.linalg.norm(normals, axis=2), 1.0, atol=1e-5)
    vectors = _areas(_corners_m(name))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    assert lengths.min() > 1e-8
    cosines = np.einsum('tcx,tx->tc', normals, vectors / lengths)
    assert cosines.min() > 0.15


@pytest.mark.parametrize('name', NAMES)
def test_most_of_the_surface_looks_outwards(name: str) -> None:
    """From outside, the nearest surface along almost every ray shows its front."""
    corners = _corners_m(name)
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    rng = np.random.default_rng(3)
    fronts = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            if axis == 2 and sign < 0:
                continue  # bottoms may be open
            for _ in range(40):
                target = rng.uniform(low, high)
                facing = _first_facing(corners, target, axis, sign)
                if facing is not None:
                    fronts.append(facing)
    assert len(fronts) > 15
    assert np.mean(fronts) > 0.97


def _first_facing(corners: np.ndarray, through: np.ndarray, axis: int, sign: float) -> bool | None:
    """Returns whether the first triangle met when looking along -sign * axis faces the viewer."""
    others = [i for i in range(3) if i != axis]
    a, b, c = (corners[:, k][:, others] - through[others] for k in range(3))
    u, v, w = (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0] for p, q in ((b, c), (c, a), (a, b)))
    total = u + v + w
    hit = (((u >= 0) & (v >= 0) & (w >= 0)) | ((u <= 0) & (v <= 0) & (w <= 0))) & (total != 0)
    if not hit.any():
        return None
    share = np.stack((u, v, w), axis=1)[hit] / total[hit, None]
    depth = (share * corners[hit][:, :, axis]).sum(axis=1) * sign
    nearest = depth > depth.max() - 1e-6  # sheets with two sides
    return bool(np.any(_areas(corners)[hit][nearest, axis] * sign > 0))


@pytest.mark.parametrize('name', [m.name for m in MODELS.values() if m.wheelbase_m > 0])
def test_wheels_stand_below_the_axles_of_the_catalogue(name: str) -> None:
    model, mesh = MODELS[name], mesh_of(name)
    corners = _corners_m(name)
    tyres = corners[mesh.materials[::3] == Material.RUBBER]
    contact = tyres[tyres[..., 2] < 0.06]
    rear_axle = model.rear_overhang_m - model.length_m / 2
    front_axle = rear_axle + model.wheelbase_m
    for axle in (rear_axle, front_axle):
        assert np.abs(contact[:, 0] - axle).min() < 0.35


@pytest.mark.parametrize('name', ['sedan', 'delivery_van', 'city_bus', 'box_truck', 'scooter'])
def test_headlights_are_in_front_and_tail_lights_behind(name: str) -> None:
    mesh = mesh_of(name)
    head = mesh.positions[mesh.materials == Material.HEADLIGHT]
    tail = mesh.positions[mesh.materials == Material.TAILLIGHT]
    assert head[:, 0].min() > 0.2
    assert tail[:, 0].max() < -0.2
    assert abs(head[:, 1].mean()) < 0.01


def test_bus_doors_are_on_the_right() -> None:
    mesh = mesh_of('city_bus')
    low_glass = (mesh.materials == Material.GLASS) & (mesh.positions[:, 2] < 0.2)
    assert low_glass.any()
    assert np.all(mesh.positions[low_glass, 1] < -0.4)


def test_red_is_above_yellow_above_green_and_all_shine_ahead() -> None:
    mesh = mesh_of('signal')
    heights = []
    for material in (Material.LIGHT_GREEN, Material.LIGHT_YELLOW, Material.LIGHT_RED):
        lamp = mesh.materials == material
        heights.append(mesh.positions[lamp, 2].mean())
        assert np.allclose(mesh.normals[lamp], (1.0, 0.0, 0.0))
    assert heights == sorted(heights)


def test_the_lamp_shines_down_at_the_front_end() -> None:
    mesh = mesh_of('street_lamp')
    lamp = mesh.materials == Material.LAMP
    assert np.allclose(mesh.normals[lamp], (0.0, 0.0, -1.0))
    assert mesh.positions[lamp, 0].max() == pytest.approx(0.5, abs=0.01)
    foot = mesh.positions[mesh.positions[:, 2] < 0.01]
    assert foot[:, 0].max() < -0.3


@pytest.mark.parametrize('name', ['building_flat', 'building_gable', 'building_tower'])
def test_walls_are_upright_facades_below_roofs(name: str) -> None:
    mesh = mesh_of(name)
    facade = mesh.materials == Material.FACADE
    assert np.allclose(mesh.normals[facade, 2], 0.0, atol=1e-6)
    assert mesh.positions[facade, 2].min() == 0.0
    assert (mesh.materials == Material.ROOF).any()
    assert np.all(mesh.normals[mesh.materials == Material.ROOF, 2].max() > 0.5)


def test_a_box_has_outward_faces_and_its_volume() -> None:
    part = shapes.box((0.0, 0.0, 0.0), (2.0, 3.0, 4.0), Material.PAINT)
    volume = np.einsum('tx,tx->t', part.corners[:, 0], _areas(part.corners)).sum() / 3
    assert volume == pytest.approx(24.0)
    assert len(shapes.box((0, 0, 0), (1, 1, 1), Material.PAINT, 'x-z+').limbs) == 8


@pytest.mark.parametrize(
    ('path', 'volume'),
    [
        # A prism over a regular octagon of radius 1: area 2 sqrt 2.
        (((0.0, 0.0, 0.0), (0.0, 0.0, 3.0)), 3 * 2 * np.sqrt(2)),
        (((0.0, 0.0, 0.0), (2.0, 0.0, 0.0)), 2 * 2 * np.sqrt(2)),
        (((1.0, 4.0, 0.0), (1.0, 2.0, 0.0)), 2 * 2 * np.sqrt(2)),
    ],
)
def test_a_tube_is_closed_whichever_way_it_runs(path: tuple, volume: float) -> None:
    part = shapes.tube(path, 1.0, 8, Material.POLE)
    assert np.einsum('tx,tx->t', part.corners[:, 0], _areas(part.corners)).sum() / 3 == (
        pytest.approx(volume)
    )


def test_a_mirrored_part_keeps_its_outside_and_swaps_limbs() -> None:
    part = shapes.box((0.0, 1.0, 0.0), (1.0, 2.0, 1.0), Material.CLOTH).of_limb(Limb.LEFT_ARM)
    other = part.mirrored()
    assert {int(limb) for limb in other.limbs} == {int(Limb.RIGHT_ARM)}
    assert other.bounds()[1][1] == -1.0
    assert np.einsum('tx,tx->t', other.corners[:, 0], _areas(other.corners)).sum() / 3 == (
        pytest.approx(1.0)
    )


def test_smoothing_rounds_blunt_edges_only() -> None:
    # Two roof slopes of 20 degrees meet at a ridge: 40 degrees between their normals.
    rise = np.tan(np.radians(20))
    ring = [[(x, y, z) for y, z in ((1, 0), (0, rise), (-1, 0))] for x in (0, 1)]
    slopes = shapes.loft(ring, Material.PAINT, closed=False)
    ridge = slopes.smooth(45).normals[np.isclose(slopes.corners[..., 1], 0.0)]
    assert np.allclose(ridge, (0, 0, 1))
    assert np.array_equal(slopes.smooth(35).normals, slopes.normals)


def test_normals_are_those_of_the_nominal_proportions() -> None:
    # A slope of 45 degrees in a box 4 long and 2 high stays at 45 degrees.
    wedge = shapes.polygon([(0, -1, 0), (2, -1, 2), (2, 1, 2), (0, 1, 0)][::-1], Material.PAINT)
    floor = shapes.polygon([(0, -1, 0), (4, -1, 0), (4, 1, 0), (0, 1, 0)], Material.PAINT)
    mesh = finished(shapes.merge(wedge, floor), 4.0, 2.0, 2.0)
    assert np.allclose(np.abs(mesh.normals[0]), (np.sqrt(0.5), 0.0, np.sqrt(0.5)), atol=1e-6)
    assert np.allclose(mesh.positions.max(axis=0), (0.5, 0.5, 1.0))


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(SimulationError, match="no mesh is called 'zeppelin'"):
        mesh_of('zeppelin')
