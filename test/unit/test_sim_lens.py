"""Pictures of distorted and fisheye cameras, against the camera's own projection."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from bev_trainer.render.lens import Composition, Lens, composition, lens_of
from bev_trainer.render.renderer import ScenarioRenderer
from bev_trainer.render.sensor import ideal_sensor
from bev_trainer.render.shot import Shot
from bev_trainer.render.views import View, pack
from bev_trainer.world.classes import GROUND_CLASSES, SemanticClass
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from support.crossroads import crossroads
from support.gl import context
from support.level_camera import LEVEL

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.pose import invert, make_pose, transform

TIME_S = 4.5
WIDTH, HEIGHT = 240, 160


def _camera(model: str, coefficients: tuple[float, ...], focal: float, yaw_deg: float) -> Camera:
    rotation = Rotation.from_euler('ZYX', [yaw_deg, 8.0, 2.0], degrees=True) * LEVEL
    K = np.array([[focal, 0.0, 118.0], [0.0, 1.03 * focal, 82.5], [0.0, 0.0, 1.0]])
    pose = make_pose((1.0, 0.1, 1.7), rotation.as_quat())
    return Camera('lens', 'optical', WIDTH, HEIGHT, K, Distortion(model, coefficients), pose)


CAMERAS = {
    'barrel': _camera('plumb_bob', (-0.27, 0.085, 0.001, -0.0005, -0.011), 165.0, -20.0),
    'wide': _camera(
        'rational_polynomial', (0.42, 0.06, 0.0, 0.0, 0.001, 0.76, 0.21, 0.012), 140.0, 170.0
    ),
    'fisheye': _camera('equidistant', (0.021, -0.004, 0.001, 0.0), 66.0, 10.0),
    'round': _camera('equidistant', (0.01, 0.0, 0.0, 0.0), 36.0, -150.0),
}
each_camera = pytest.mark.parametrize('name', list(CAMERAS))


def _pixels(camera: Camera) -> NDArray[np.float64]:
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    return np.stack([columns, rows], axis=-1).astype(float)


def _tables(camera: Camera) -> tuple[Lens, tuple[View, ...], tuple[int, int], Composition]:
    """Returns a camera's lens, its views in an atlas, the atlas' size, and the way back."""
    lens = lens_of(camera, 0)
    views, size = pack(lens.views)
    return lens, views, size, composition(lens, views, size[0])


def _directions(views: tuple[View, ...], size: tuple[int, int]) -> NDArray[np.float32]:
    """Returns an atlas of what each of its pixels looks at: unit vectors, camera's frame."""
    atlas = np.zeros((size[1], size[0], 3), np.float32)
    for view in views:
        columns, rows = np.meshgrid(np.arange(view.width), np.arange(view.height))
        pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
        rays = pixels @ np.linalg.inv(view.K).T @ view.camera_R_view.T
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        atlas[view.y : view.y + view.height, view.x : view.x + view.width] = rays
    return atlas


@each_camera
def test_pixels_take_what_the_camera_projects_there(name: str) -> None:
    camera = CAMERAS[name]
    lens, views, size, table = _tables(camera)
    atlas, pixels, seen = _directions(views, size), _pixels(camera), ~table.blank
    # Right behind the camera one direction fills a whole ring of pixels.
    seen &= lens.rays[..., 2] > -0.9
    assert seen.mean() > (0.6 if name == 'round' else 0.999)

    labels = atlas.reshape(-1, 3)[table.nearest[seen]]
    uv, _ = camera.project(labels)
    gap = np.abs(uv - pixels[seen]).max(axis=1)
    assert np.quantile(gap, 0.99) < 0.8 and gap.max() < 2.0

    colors = cv2.remap(atlas, table.map_xy, table.map_weights, cv2.INTER_LINEAR)[seen]
    uv, _ = camera.project(colors)
    assert np.abs(uv - pixels[seen]).max() < 0.1

    if camera.distortion.model == 'equidistant':
        assert (labels[:, 2] < -0.05).sum() > 100  # beyond 90 degrees


@each_camera
def test_depth_of_views_becomes_reach_along_rays(name: str) -> None:
    camera = CAMERAS[name]
    lens, views, _, table = _tables(camera)
    rays = camera.rays(_pixels(camera))
    for number, view in enumerate(views):
        mine = lens.face == number
        points = rays[mine] * table.depth_scale[mine][:, None] * 7.0
        assert np.allclose((points @ view.camera_R_view)[:, 2], 7.0, rtol=1e-6)


def test_views_do_not_overlap_in_the_atlas() -> None:
    views, (width, height) = pack([view for c in CAMERAS.values() for view in lens_of(c, 0).views])
    taken = np.zeros((height, width), int)
    for view in views:
        taken[view.y : view.y + view.height, view.x : view.x + view.width] += 1
    assert taken.max() == 1
    assert sum(view.width * view.height for view in views) == taken.sum()


def test_views_stay_small() -> None:
    for name in ('barrel', 'wide', 'fisheye'):
        pixels = sum(view.width * view.height for view in lens_of(CAMERAS[name], 0).views)
        assert pixels < 3.0 * WIDTH * HEIGHT


def test_a_pinhole_is_its_own_view() -> None:
    K = np.array([[100.0, 0.0, 50.0], [0.0, 100.0, 30.0], [0.0, 0.0, 1.0]])
    camera = Camera('c', 'c', 100, 60, K, Distortion('none'), np.eye(4))
    lens = lens_of(camera, 3)
    assert lens.is_direct
    (view,) = lens.views
    assert (view.camera, view.width, view.height) == (3, 100, 60)
    assert np.array_equal(view.K, K)


@cache
def _shots(supersample: int = 1) -> list[Shot]:
    cameras = list(CAMERAS.values())
    look = ideal_sensor(len(cameras))
    with ScenarioRenderer(context(), crossroads(), cameras, look, supersample) as renderer:
        return renderer.shoot([TIME_S] * len(cameras))


@each_camera
def test_depth_times_rays_lies_on_ground_and_in_boxes(name: str) -> None:
    camera, shot = CAMERAS[name], _shots()[list(CAMERAS).index(name)]
    scenario = crossroads()
    world_T_camera = scenario.world_T_base(TIME_S) @ camera.base_T_camera
    hit = shot.depth_m > 0
    assert hit.mean() > 0.5
    points = np.zeros((*hit.shape, 3))
    points[hit] = transform(
        world_T_camera, camera.rays(_pixels(camera))[hit] * shot.depth_m[hit][:, None]
    )
    ground = np.isin(shot.classes, GROUND_CLASSES) & (shot.depth_m < 80)
    assert ground.mean() > 0.2
    assert np.abs(points[ground][:, 2]).max() < 1e-3

    found = 0
    for instance in np.unique(shot.instances[shot.instances > 0]):
        track = scenario.others[int(instance) - 1]
        state = track.state(TIME_S)
        mask = shot.instances == instance
        assert (shot.classes[mask] == track.object_class).all()
        way = points[mask] - (state.x_m, state.y_m, 0.5 * track.height_m)
        cos, sin = np.cos(state.yaw_rad), np.sin(state.yaw_rad)
        local = way @ np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        half = 0.5 * np.array([track.length_m, track.width_m, track.height_m])
        # A label is that of the nearest pixel of a view, up to a pixel aside.
        slack = 0.02 + 1.2 * np.linalg.norm(points[mask] - world_T_camera[:3, 3], axis=1) / 40.0
        assert (np.abs(local) < half + np.minimum(slack, 1.5)[:, None]).all(), track.name
        found += 1
    assert found >= 2


def test_a_fisheye_sees_what_stands_behind_its_image_plane() -> None:
    """The car behind the ego vehicle fills the pixels that points of its box project to."""
    camera, shot = CAMERAS['round'], _shots()[3]
    camera_T_world = invert(crossroads().world_T_base(TIME_S) @ camera.base_T_camera)
    beyond = 0
    for index, track in enumerate(crossroads().others):
        mask = shot.instances == index + 1
        if mask.sum() < 12:
            continue
        state = track.state(TIME_S)
        rng = np.random.default_rng(index)
        local = rng.uniform(-0.5, 0.5, (4000, 3)) * (track.length_m, track.width_m, track.height_m)
        cos, sin = np.cos(state.yaw_rad), np.sin(state.yaw_rad)
        world = local @ np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
        world += (state.x_m, state.y_m, 0.5 * track.height_m)
        optical = transform(camera_T_world, world)
        uv, valid = camera.project(optical)
        column, row = np.rint(uv[valid]).astype(int).T
        box = np.zeros(mask.shape, np.uint8)
        box[row, column] = 1
        grown = cv2.dilate(box, np.ones((5, 5)))
        assert not (mask & (grown == 0)).any(), track.name
        beyond += int(optical[:, 2].max() < 0)
    assert beyond >= 1


def test_supersampling_changes_pictures_but_no_label() -> None:
    for coarse, fine in zip(_shots(), _shots(2), strict=True):
        assert np.array_equal(coarse.classes, fine.classes)
        assert np.array_equal(coarse.instances, fine.instances)
        assert np.array_equal(coarse.depth_m, fine.depth_m)
        assert 0.2 < np.abs(coarse.rgb.astype(int) - fine.rgb).mean() < 8.0


def test_pixels_without_a_ray_are_black_and_void() -> None:
    camera, shot = CAMERAS['round'], _shots()[3]
    outside = ~np.isfinite(camera.rays(_pixels(camera))).all(axis=-1)
    assert outside.any()
    assert (shot.classes[outside] == SemanticClass.VOID).all()
    assert (shot.rgb[outside] == 0).all()
    assert (shot.instances[outside] == 0).all() and (shot.depth_m[outside] == 0).all()
