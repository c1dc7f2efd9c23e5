"""Expected pixels of road users: boxes by hand, real shapes by asking every pixel's ray."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from bev_trainer.labels import silhouette
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.labels.silhouette import silhouette_pixels
from bev_trainer.render.mesh import Mesh
from bev_trainer.render.meshes import mesh_of
from bev_trainer.render.posing import posed_positions
from bev_trainer.simulate.rig_size import sized_rig
from bev_trainer.world.catalogue import MODELS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.boxes import box_array
from support.level_camera import level_camera

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.rig_file import load_rig_file

RIGS = Path(__file__).parents[2] / 'config' / 'rigs'


def brick() -> Mesh:
    """A solid unit box of 12 triangles."""
    x, y, z = np.meshgrid([-0.5, 0.5], [-0.5, 0.5], [0.0, 1.0], indexing='ij')
    corners = np.stack([x, y, z], axis=-1)
    triangles = []
    for axis in range(3):
        for end in (0, 1):
            a, b, c, d = np.take(corners, end, axis=axis).reshape(4, 3)
            triangles += [a, b, d, a, d, c]
    positions = np.array(triangles, np.float32)
    none = np.zeros(len(positions), np.uint8)
    return Mesh(positions, np.zeros_like(positions), none, none)


@pytest.fixture
def bricks(monkeypatch):
    """All models are solid boxes."""
    silhouette.outline_of.cache_clear()
    monkeypatch.setattr(silhouette, 'mesh_of', lambda model: brick())
    yield
    silhouette.outline_of.cache_clear()


CAMERA = level_camera(400, 300, 200.0, position_m=(0.0, 0.0, 1.0))


def test_a_box_face_on(bricks) -> None:
    """2 m high, 3 m wide, its face 10 m ahead, at eye level: 200 / 10 pixels a metre."""
    boxes = box_array([(12.0, 0.0, 0.0)], size_m=(4.0, 3.0, 2.0))
    assert silhouette_pixels(CAMERA, boxes, ['sedan'])[0] == pytest.approx(60 * 40, rel=0.01)
    # Side on: its side is 4 m wide and 10.5 m away.
    boxes = box_array([(12.0, 0.0, np.pi / 2)], size_m=(4.0, 3.0, 2.0))
    wanted = 4 * 2 * (200 / 10.5) ** 2
    assert silhouette_pixels(CAMERA, boxes, ['sedan'])[0] == pytest.approx(wanted, rel=0.01)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 10**6))
def test_only_what_lies_in_the_picture_counts(bricks, seed: int) -> None:
    """A convex solid's picture is the hull of its corners', cut by the border; x / z by hand."""
    rng = np.random.default_rng(seed)
    boxes = box_array(rng.uniform((5, -14, -np.pi), (14, 14, np.pi), (1, 3)), size_m=(4, 3, 2))
    x, y, z = np.moveaxis(boxes.corners()[0], -1, 0)
    u, v = 199.5 - 200 * y / x, 149.5 - 200 * (z - 1.0) / x
    hull = shapely.MultiPoint(np.column_stack([u, v])).convex_hull
    wanted = hull.intersection(shapely.box(-0.5, -0.5, 399.5, 299.5)).area
    got = silhouette_pixels(CAMERA, boxes, ['sedan'])[0]
    assert got == pytest.approx(wanted, rel=0.02, abs=0.5)


def test_a_box_cut_by_the_lower_border(bricks) -> None:
    """The picture ends 36.9 degrees below the horizon: 0.75 m below eye level 1 m ahead."""
    camera = level_camera(400, 300, 200.0, position_m=(0.0, 0.0, 1.0))
    boxes = box_array([(1.5, 0.0, 0.0)], size_m=(1.0, 1.0, 2.0))
    # The face 1 m ahead is 200 pixels wide and covers the picture's whole height of 300.
    assert silhouette_pixels(camera, boxes, ['sedan'])[0] == pytest.approx(200 * 300, rel=0.01)


def test_out_of_sight(bricks) -> None:
    hidden = box_array([(-12.0, 0.0, 0.0), (1.0, 30.0, 0.0), (0.5, -20.0, 1.0)])
    assert silhouette_pixels(CAMERA, hidden, ['sedan'] * 3).tolist() == [0.0, 0.0, 0.0]
    assert silhouette_pixels(CAMERA, box_array([]), []).shape == (0,)


def test_beside_the_camera(bricks) -> None:
    """A wall of a bus along the right side: from beside the camera to 10 m ahead.

    Its side fills the picture from where 200 * 2 / x leaves it (x = 2) to x = 10, where it is
    200 * 2 / 10 = 40 pixels from the middle. There it reaches from 20 above to 20 below it.
    """
    boxes = box_array([(4.0, -3.0, 0.0)], size_m=(12.0, 2.0, 2.0))
    got = silhouette_pixels(CAMERA, boxes, ['sedan'])[0]
    # A trapezium from 40 columns off the middle, 40 high, to 200 columns off, 200 high. (Its
    # front face looks away.)
    assert got == pytest.approx(160 * (40 + 200) / 2, rel=0.06)


def rays_that_hit(camera: Camera, box: BoxArray, model: str) -> int:
    """Counts the pixels whose ray meets a triangle of the mesh (Moeller and Trumbore, 1997)."""
    v, u = np.mgrid[: camera.height, : camera.width]
    rays = camera.rays(np.stack([u, v], axis=-1).astype(np.float64)).reshape(-1, 3)
    rays = rays[np.isfinite(rays[:, 0])] @ camera.base_T_camera[:3, :3].T
    origin = camera.base_T_camera[:3, 3]
    way, radius = box.center_m[0] - origin, 0.5 * np.linalg.norm(box.size_m[0])
    along = rays @ way / np.linalg.norm(rays, axis=1)
    rays = rays[along > np.sqrt(max(way @ way - radius**2, 0.0))]
    cos, sin = np.cos(box.yaw_rad[0]), np.sin(box.yaw_rad[0])
    length_m, width_m, height_m = box.size_m[0].tolist()
    local = posed_positions(mesh_of(model), length_m, width_m, height_m, 0.2)
    corners = local @ [[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]] + [*box.center_m[0, :2], 0]
    hit = np.zeros(len(rays), bool)
    for a, b, c in corners.reshape(-1, 3, 3):
        normal = np.cross(rays, c - a)
        size = normal @ (b - a)
        with np.errstate(divide='ignore', invalid='ignore'):
            s = normal @ (origin - a) / size
            across = np.cross(origin - a, b - a)
            t, depth = rays @ across / size, across @ (c - a) / size
        hit |= (s >= 0) & (t >= 0) & (s + t <= 1) & (depth > 0)
    return int(hit.sum())


@pytest.mark.parametrize('model', list(MODELS)[::2])
def test_real_shapes_pixel_by_pixel(model: str) -> None:
    """Whole in the picture, seen from all sides: an unhidden one has a visibility of about 1."""
    rng = np.random.default_rng(len(model))
    rigs = [load_rig_file(RIGS / f'{name}.yaml') for name in ('car_6', 'shuttle_4_fisheye')]
    entries = [entry.camera() for rig in rigs for entry in sized_rig(rig, (352, 128)).cameras]
    cameras = [camera for camera in entries if camera is not None]
    entry, shares = MODELS[model], list[float]()
    size = (entry.length_m, entry.width_m, entry.height_m)
    while len(shares) < 3:
        camera = cameras[rng.integers(len(cameras))]
        distance, bearing, yaw = rng.uniform((5, -np.pi, -np.pi), (20, np.pi, np.pi))
        place = distance * np.cos(bearing), distance * np.sin(bearing)
        box = box_array([(*place, yaw)], size)
        if not camera.project_base(box.corners()[0])[1].all():
            continue
        expected = silhouette_pixels(camera, box, [model])[0]
        if expected > 100:
            shares.append(rays_that_hit(camera, box, model) / expected)
    assert min(shares) > 0.88 and max(shares) < 1.13
    assert np.mean(shares) == pytest.approx(1.01, abs=0.08)


def test_many_at_once_as_each_alone() -> None:
    rng = np.random.default_rng(7)
    models = [*MODELS, *MODELS]
    poses = rng.uniform((-15, -15, -np.pi), (15, 15, np.pi), (len(models), 3))
    boxes = box_array(poses)
    for camera in (CAMERA, level_camera(300, 200, 80.0, 150.0, 20.0, 0, (-1, 0, 1.2), wide=True)):
        together = silhouette_pixels(camera, boxes, models)
        alone = [
            silhouette_pixels(camera, boxes.selected([row]), [model])[0]
            for row, model in enumerate(models)
        ]
        np.testing.assert_allclose(together, alone, rtol=1e-6)
        assert together.dtype == np.float32 and np.count_nonzero(together) > 2
        assert together.max() <= camera.width * camera.height


def test_one_close_behind_does_not_disturb_the_others(bricks) -> None:
    """Its sphere reaches around the camera, yet none of its points has an image."""
    ahead = box_array([(12.0, 0.0, 0.0)], size_m=(12.0, 2.5, 2.0))
    both = box_array([(-6.2, 0.0, 0.0), (12.0, 0.0, 0.0)], size_m=(12.0, 2.5, 2.0))
    alone = silhouette_pixels(CAMERA, ahead, ['city_bus'])
    got = silhouette_pixels(CAMERA, both, ['city_bus', 'city_bus'])
    assert alone[0] > 100 and got.tolist() == [0.0, alone[0]]
