"""What the renderer draws, against geometry worked out without it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from bev_trainer.render.occlusion import Occluders
from bev_trainer.render.renderer import ScenarioRenderer
from bev_trainer.render.sensor import ideal_sensor
from bev_trainer.render.shot import Shot
from bev_trainer.world.classes import GROUND_CLASSES, SemanticClass
from bev_trainer.world.storage import load_world
from bev_trainer.world.weather import WeatherName
from bev_trainer.world.world import Scenario
from numpy.typing import NDArray
from support.crossroads import crossroads, scenario_of
from support.gl import context
from support.level_camera import level_camera
from support.posed_scene import posed_objects

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import invert, transform

TIME_S = 4.5
SMALL_WORLD = Path(__file__).parents[1] / 'data' / 'small_world.json.gz'
TEXEL_M = 0.1  # of the fine ground texture
PLACE = (1.2, 0.0, 1.6)
CAMERAS = (
    level_camera(320, 160, 170.0, pitch_deg=6.0, position_m=PLACE),
    level_camera(320, 160, 170.0, yaw_deg=75.0, pitch_deg=4.0, position_m=PLACE),
    level_camera(320, 160, 170.0, yaw_deg=-60.0, pitch_deg=4.0, position_m=PLACE),
    level_camera(320, 160, 170.0, yaw_deg=180.0, pitch_deg=4.0, position_m=(-0.8, 0.0, 1.1)),
)


def drawn(scenario: Scenario, time_s: float = TIME_S, supersample: int = 1) -> list[Shot]:
    look = ideal_sensor(len(CAMERAS))
    with ScenarioRenderer(context(), scenario, CAMERAS, look, supersample) as renderer:
        return renderer.shoot([time_s] * len(CAMERAS))


@cache
def shots(weather: WeatherName = 'clear') -> list[Shot]:
    return drawn(crossroads(weather))


def world_T_camera(camera: Camera, time_s: float = TIME_S) -> NDArray[np.float64]:
    return crossroads().world_T_base(time_s) @ camera.base_T_camera


def rays_in_world(camera: Camera) -> NDArray[np.float64]:
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = camera.rays(np.stack([columns, rows], axis=-1))
    return rays @ world_T_camera(camera)[:3, :3].T


def assert_same_labels(a: Shot, b: Shot) -> None:
    assert np.array_equal(a.classes, b.classes)
    assert np.array_equal(a.instances, b.instances)
    assert np.array_equal(a.depth_m, b.depth_m)


@pytest.mark.parametrize('index', range(len(CAMERAS)))
def test_depth_of_ground_is_that_of_a_ray_on_a_plane(index: int) -> None:
    shot, camera = shots()[index], CAMERAS[index]
    on_ground = np.isin(shot.classes, GROUND_CLASSES)
    assert on_ground.mean() > 0.2
    expected = -world_T_camera(camera)[2, 3] / rays_in_world(camera)[on_ground][:, 2]
    near = expected < 200.0
    assert np.allclose(shot.depth_m[on_ground][near], expected[near], rtol=2e-5)


def test_sky_has_no_depth_and_lies_above_the_horizon() -> None:
    for shot, camera in zip(shots(), CAMERAS, strict=True):
        sky = shot.classes == SemanticClass.SKY
        assert sky.any()
        assert (shot.depth_m[sky] == 0).all() and (shot.depth_m[~sky] > 0).all()
        assert (rays_in_world(camera)[sky][:, 2] > -1e-3).all()
        assert shot.rgb[sky].mean() > 90  # a clear day


def test_classes_of_ground_are_those_of_the_road_map() -> None:
    """Away from edges; there the half texel of the texture's raster decides."""
    road_map = crossroads().world.road_map
    layers = {
        SemanticClass.CROSSING: road_map.crossing,
        SemanticClass.LANE_MARKING: shapely.union(road_map.white_paint, road_map.yellow_paint),
        SemanticClass.ROAD: road_map.drivable,
        SemanticClass.SIDEWALK: road_map.sidewalk,
    }
    edges = shapely.unary_union([layer.boundary for layer in layers.values()])
    seen = set()
    for shot, camera in zip(shots(), CAMERAS, strict=True):
        pose, rays = world_T_camera(camera), rays_in_world(camera)
        on_ground = np.isin(shot.classes, GROUND_CLASSES) & (shot.depth_m < 45.0)
        points = pose[:3, 3] + rays[on_ground] * shot.depth_m[on_ground][:, None]
        places = shapely.points(points[:, :2])
        shapely.prepare(edges)
        sure = ~shapely.dwithin(places, edges, 0.35 * TEXEL_M)
        inside = [shapely.contains(layer, places) for layer in layers.values()]
        expected = np.select(inside, list(layers), SemanticClass.TERRAIN)
        found = shot.classes[on_ground]
        assert sure.mean() > 0.5
        assert np.array_equal(found[sure], expected[sure])
        assert (found == expected).mean() > 0.98
        seen |= set(found[sure].tolist())
    assert seen == {int(kind) for kind in GROUND_CLASSES}


def test_masks_lie_in_the_projections_of_boxes() -> None:
    scenario, count = crossroads(), 0
    for shot, camera in zip(shots(), CAMERAS, strict=True):
        camera_T_world = invert(world_T_camera(camera))
        for instance in np.unique(shot.instances[shot.instances > 0]):
            track = scenario.others[int(instance) - 1]
            mask = shot.instances == instance
            assert (shot.classes[mask] == track.object_class).all()
            corners = transform(camera_T_world, _corners(track, TIME_S))
            if corners[:, 2].min() < 0.2:
                continue
            uv, _ = camera.project(corners)
            hull = cv2.convexHull(uv.astype(np.float32))
            points = np.argwhere(mask)[:, ::-1].tolist()
            gap = [cv2.pointPolygonTest(hull, point, True) for point in points]
            assert min(gap) > -1.0, track.name
            count += 1
    assert count > 12


def _corners(track: object, time_s: float) -> NDArray[np.float64]:
    state = track.state(time_s)  # type: ignore[attr-defined]
    half = 0.5 * np.array([track.length_m, track.width_m])  # type: ignore[attr-defined]
    cos, sin = np.cos(state.yaw_rad), np.sin(state.yaw_rad)
    signs = np.array([(x, y) for x in (-1, 1) for y in (-1, 1)]) * half
    xy = signs @ np.array([[cos, sin], [-sin, cos]]) + (state.x_m, state.y_m)
    heights = (0.0, track.height_m)  # type: ignore[attr-defined]
    return np.array([(x, y, z) for x, y in xy for z in heights])


def test_walkers_are_posed_as_numpy_says() -> None:
    """Projected triangles touch all pixels of a mask, which has all that they fill."""
    scenario, checked = crossroads(), 0
    walkers = [
        each
        for each in posed_objects(scenario, TIME_S)
        if each.class_id == SemanticClass.PEDESTRIAN
    ]
    for shot, camera in zip(shots(), CAMERAS, strict=True):
        camera_T_world = invert(world_T_camera(camera))
        for walker in walkers:
            points = transform(camera_T_world, walker.points_m)
            mask = shot.instances == walker.instance
            if points[:, 2].min() < 1.0 or mask.sum() < 60:
                continue
            uv, _ = camera.project(points)
            share = _silhouette(uv, mask.shape)
            assert not (mask & (share == 0)).any()
            depth = np.where(mask, np.inf, shot.depth_m)
            nearer = (depth > 0) & (depth < points[:, 2].max())
            assert mask[(share == 1.0) & ~nearer].all()
            checked += 1
    assert checked >= 3


def _silhouette(uv: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Returns [H, W] which share of each pixel projected triangles [3 t, 2] touch."""
    fine = 8
    image = np.zeros((shape[0] * fine, shape[1] * fine), np.uint8)
    corners = ((uv.reshape(-1, 3, 2) + 0.5) * fine - 0.5) * 16
    for triangle in np.rint(corners).astype(np.int32):
        cv2.fillConvexPoly(image, triangle, 1, cv2.LINE_8, 4)
    return image.reshape(shape[0], fine, shape[1], fine).mean(axis=(1, 3))


def _hand_made() -> Scenario:
    return crossroads()


def _generated() -> Scenario:
    world = load_world(SMALL_WORLD)
    return scenario_of(world, world.ego_drives[0], crossroads().weather)


@pytest.mark.parametrize('make', [_hand_made, _generated])
def test_what_houses_hide_is_left_out_without_a_trace(
    make: Callable[[], Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario, left_out = make(), []
    time_s = scenario.start_s + 2.5
    usual_shots = drawn(scenario, time_s)
    usual = Occluders.hidden

    def counting(*args: object) -> NDArray[np.bool_]:
        hidden = usual(*args)  # type: ignore[arg-type]
        left_out.append(int(hidden.sum()))
        return np.zeros_like(hidden)

    monkeypatch.setattr(Occluders, 'hidden', counting)
    for all_drawn, shot in zip(drawn(scenario, time_s), usual_shots, strict=True):
        assert_same_labels(all_drawn, shot)
        assert np.array_equal(all_drawn.rgb, shot.rgb)
    assert sum(left_out) > 20


def test_weather_changes_pictures_but_no_label() -> None:
    for clear, wet in zip(shots(), shots('rain_night'), strict=True):
        assert_same_labels(clear, wet)
        assert np.abs(clear.rgb.astype(int) - wet.rgb).mean() > 20


def test_supersampling_changes_pictures_but_no_label() -> None:
    for coarse, fine in zip(shots(), drawn(crossroads(), supersample=2), strict=True):
        assert_same_labels(coarse, fine)
        difference = np.abs(coarse.rgb.astype(int) - fine.rgb)
        assert 0.2 < difference.mean() < 8.0


def test_each_camera_sees_its_own_instant() -> None:
    scenario, look = crossroads(), ideal_sensor(4)
    times = [TIME_S, TIME_S + 0.02, TIME_S - 0.03, TIME_S + 0.05]
    with ScenarioRenderer(context(), scenario, CAMERAS, look) as renderer:
        apart = renderer.shoot(times)
        for index, time_s in enumerate(times):
            alone = renderer.shoot([time_s] * 4)[index]
            same = (alone.classes == apart[index].classes) & (
                alone.instances == apart[index].instances
            )
            assert same.mean() > 0.9995  # the local origin may differ, and with it roundings
        assert not np.array_equal(apart[1].instances, shots()[1].instances)


def test_times_must_fit() -> None:
    with ScenarioRenderer(context(), crossroads(), CAMERAS, ideal_sensor(4)) as renderer:
        with pytest.raises(ValueError, match='4 cameras need as many times: 1'):
            renderer.shoot([TIME_S])
        with pytest.raises(ValueError, match='does not exist'):
            renderer.shoot([1e6] * 4)


def digest() -> str:
    made = hashlib.sha256()
    for shot in drawn(crossroads('rain')):
        for image in (shot.rgb, shot.classes, shot.instances, shot.depth_m):
            made.update(image.tobytes())
    return made.hexdigest()


def test_another_process_draws_the_same_bytes() -> None:
    context()
    folder = Path(__file__).parent
    code = (
        f'import sys; sys.path[:0] = {[str(folder), str(folder.parent)]!r}; '
        'import test_sim_render; print(test_sim_render.digest())'
    )
    run = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=120, check=True
    )
    assert run.stdout.strip() == digest()
