from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bev_perception.draw import draw_bev, draw_camera, draw_frame, save_png
from bev_perception.draw.bev import bev_area
from bev_perception.draw.boxes import box_corners, wireframe
from bev_perception.draw.cameras import state_text
from bev_perception.draw.compass import view_sector
from bev_perception.draw.labels import LabelPlacer
from bev_perception.draw.layout import Rect, mosaic
from bev_perception.draw.legend import LEGEND_PX
from bev_perception.draw.palette import (
    FREE,
    OCCUPIED,
    UNKNOWN,
    UNKNOWN_HATCH,
    VELOCITY,
    WARNING,
    class_color,
    semantic_color,
    time_color,
)
from bev_perception.draw.text import draw_text, fit_text, text_size
from bev_perception.frame import (
    BevFrame,
    BevObject,
    CameraReport,
    CameraState,
    ClassScore,
    Trajectory,
)
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.grid import BevGrid

# 10 pixels per metre: pixel (u, v) shows y = 30 - u / 10 and x = 60 - v / 10.
GRID = BevGrid.from_range((-20.0, 60.0), (-10.0, 30.0), 0.5)
SIZE = (400, 800 + LEGEND_PX)

# Camera axes in the base frame of a camera that looks straight ahead: right, down, forward.
AHEAD = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


NO_LENS = Distortion('none')


def an_object(**changes: Any) -> BevObject:
    item = BevObject(
        object_id=b'\xa3\xf1' + bytes(14),
        age_frames=3,
        existence_probability=0.9,
        classes=(ClassScore(4, 'car', 0.9),),
        center_m=(30.0, 12.0, 1.0),
        size_m=(8.0, 4.0, 2.0),
        yaw_rad=0.0,
    )
    return replace(item, **changes)


def a_frame(**changes: Any) -> BevFrame:
    frame = BevFrame(
        stamp_ns=1_532_402_927_647_951_000,
        frame_id='base_link',
        grid=GRID,
        observed=np.ones(GRID.shape, bool),
        occupancy=np.zeros(GRID.shape, np.float32),
        semantics=None,
        semantic_classes=(),
        future_occupancy=None,
        instances=None,
        time_step_s=0.5,
        objects=(),
        cameras=(),
    )
    return replace(frame, **changes)


def a_camera(distortion: Distortion = NO_LENS, focal: float = 200.0) -> Camera:
    K = np.array([[focal, 0, 199.5], [0, focal, 149.5], [0, 0, 1]])
    return Camera('front', 'front_optical', 400, 300, K, distortion, AHEAD)


def alike(pixels: np.ndarray, color: tuple[int, int, int], tolerance: int) -> np.ndarray:
    # Thin smooth lines mix with what is below them: differences summed over the channels.
    return np.abs(pixels.astype(int) - color).sum(axis=-1) <= tolerance


def bounds_of(
    picture: np.ndarray, color: tuple[int, int, int], tolerance: int = 0
) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(alike(picture, color, tolerance))
    return columns.min(), rows.min(), columns.max(), rows.max()


def map_of(frame: BevFrame) -> np.ndarray:
    picture = draw_bev(frame, SIZE)
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    assert picture.dtype == np.uint8
    return picture[:800]


def test_the_grid_fills_the_picture_above_the_legend() -> None:
    assert bev_area(GRID, SIZE) == Rect(0, 0, 400, 800)


def test_an_occupied_cell_lies_forward_up_and_left_left() -> None:
    # Cell (70, 30): centre x = -20 + 15.25 = -4.75, y = -10 + 35.25 = 25.25.
    occupancy = np.zeros(GRID.shape, np.float32)
    occupancy[70, 30] = 1.0
    picture = map_of(a_frame(occupancy=occupancy))
    assert bounds_of(picture, OCCUPIED) == (45, 645, 49, 649)
    assert (picture == OCCUPIED).all(axis=-1).sum() == 25


def test_occupancy_shades_between_free_and_occupied() -> None:
    occupancy = np.zeros(GRID.shape, np.float32)
    occupancy[70, 30] = 0.5
    picture = map_of(a_frame(occupancy=occupancy))
    expected = np.rint((np.array(FREE) + OCCUPIED) / 2)
    assert np.abs(picture[647, 47].astype(int) - expected).max() <= 1


def test_unknown_cells_are_hatched_whatever_they_hold() -> None:
    observed = np.ones(GRID.shape, bool)
    observed[:, 120:] = False  # x >= 40: rows 0..199
    occupancy = np.ones(GRID.shape, np.float32)
    future = np.ones((2, *GRID.shape), np.float32)
    picture = map_of(a_frame(observed=observed, occupancy=occupancy, future_occupancy=future))
    corner = picture[2:30, 2:30].reshape(-1, 3)  # away from rings
    assert {tuple(color) for color in corner.tolist()} == {UNKNOWN, UNKNOWN_HATCH}
    share = (corner == UNKNOWN_HATCH).all(axis=-1).mean()
    assert 0.1 < share < 0.4
    seen = picture[200:].reshape(-1, 3)
    assert not ((seen == UNKNOWN).all(axis=-1) | (seen == UNKNOWN_HATCH).all(axis=-1)).any()


def test_the_strongest_semantic_class_tints_its_cells() -> None:
    semantics = np.zeros((3, *GRID.shape), np.float32)
    semantics[1, 70, 30] = 1.0
    semantics[2, 20, 30] = 0.4  # too weak to tell
    picture = map_of(a_frame(semantics=semantics, semantic_classes=('a', 'b', 'c')))
    distance = np.abs(picture[647, 47].astype(int) - semantic_color(1)).max()
    assert distance < np.abs(picture[647, 47].astype(int) - FREE).max()
    assert distance < 25
    assert tuple(picture[647, 297]) == FREE


def test_future_occupancy_is_outlined_where_it_will_be() -> None:
    # x in [11, 19), y in [1, 9): rows 410..489, columns 210..289.
    future = np.zeros((2, *GRID.shape), np.float32)
    future[1, 22:38, 62:78] = 1.0
    picture = map_of(a_frame(future_occupancy=future))
    u0, v0, u1, v1 = bounds_of(picture, time_color(1.0), 80)
    assert np.abs(np.array([u0, v0, u1, v1]) - (210, 410, 289, 489)).max() <= 2
    assert tuple(picture[450, 240]) == FREE


def test_a_box_stands_where_it_is_with_its_heading() -> None:
    # x 26..34, y 10..14; the front edge (x = 34) is the thick one, with the tick before it.
    picture = map_of(a_frame(objects=(an_object(),)))
    color = class_color(4)
    assert tuple(picture[259, 179]) == color
    assert tuple(picture[248, 179]) == color
    for row, column in ((300, 159), (300, 199), (339, 170)):
        assert alike(picture[row - 1 : row + 2, column - 1 : column + 2], color, 150).any()
    assert tuple(picture[360, 179]) == FREE
    # Its mirror images, left-right and up-down, are empty.
    assert not (picture[240:345, 205 + 100 :] == color).all(axis=-1).any()
    assert not (picture[455:560] == color).all(axis=-1).any()


def test_headings_turn_to_the_left() -> None:
    picture = map_of(a_frame(objects=(an_object(yaw_rad=math.pi / 2),)))
    # Now x 28..32, y 8..16: columns 140..220; the front edge is at y = 16, column 140.
    assert tuple(picture[299, 139]) == class_color(4)
    assert tuple(picture[299, 128]) == class_color(4)
    assert tuple(picture[299, 232]) != class_color(4)


def test_velocity_points_where_the_object_will_be_in_one_second() -> None:
    # 8 m/s to the left: from y = 12 (column 180) to y = 20 (column 100).
    picture = map_of(a_frame(objects=(an_object(velocity_mps=(0.0, 8.0)),)))
    assert tuple(picture[299, 104]) == VELOCITY
    assert alike(picture[299, 125], VELOCITY, 250)
    assert tuple(picture[299, 94]) == FREE
    still = map_of(a_frame(objects=(an_object(velocity_mps=(0.0, 0.2)),)))
    assert not (still == VELOCITY).all(axis=-1)[:, :150].any()


def test_trajectories_lie_at_their_poses() -> None:
    positions = np.array([[44.0, 12.0, 1.0], [44.0, 18.0, 1.0]])
    path = Trajectory(1.0, 0.5, 0.5, positions, np.zeros(2))
    picture = map_of(a_frame(objects=(an_object(trajectories=(path,)),)))
    # (44, 12) is column 180, row 160; (44, 18) is column 120.
    for column in (179, 150, 119):
        assert alike(picture[159, column], class_color(4), 170)
    assert tuple(picture[159, 110]) == FREE


def test_only_what_is_there_is_drawn() -> None:
    frame = a_frame(occupancy=None, objects=None)
    assert (draw_bev(frame, SIZE)[5, 5] == FREE).all()


def test_a_box_ahead_left_appears_left_in_the_front_camera() -> None:
    # Corners: x 13..17, y 4..6, z -1..1; u = 199.5 - 200 y / x, v = 149.5 - 200 z / x.
    item = an_object(center_m=(15.0, 5.0, 0.0), size_m=(4.0, 2.0, 2.0))
    picture = draw_camera(gray(), a_camera(), (item,), used(), (400, 300))
    below_label = picture[133:]
    rows, columns = np.nonzero(alike(below_label, class_color(4), 110))
    expected = 199.5 - 200 * 6 / 13, 199.5 - 200 * 4 / 17
    assert columns.min() == pytest.approx(expected[0], abs=1.5)
    assert columns.max() == pytest.approx(expected[1], abs=1.5)
    assert rows.min() + 133 == pytest.approx(149.5 - 200 / 13, abs=1.5)
    assert rows.max() + 133 == pytest.approx(149.5 + 200 / 13, abs=1.5)


def test_boxes_follow_the_tile_not_the_image_resolution() -> None:
    item = an_object(center_m=(15.0, -5.0, 0.0), size_m=(4.0, 2.0, 2.0))
    picture = draw_camera(gray(100, 75), a_camera(), (item,), used(), (800, 600))
    u = (199.5 + 200 * 6 / 13 + 0.5) * 2 - 0.5
    v = (149.5 + 200 / 13 + 0.5) * 2 - 0.5
    _, _, right, bottom = bounds_of(picture[268:], class_color(4))
    assert right == pytest.approx(u, abs=1.5)
    assert bottom + 268 == pytest.approx(v, abs=1.5)


def test_a_box_partly_behind_the_camera_ends_at_the_picture() -> None:
    # x -5..5, y 2..4, z -1..1: passes the camera on its left. Its edge y = 2, z = 1 runs along
    # v - 149.5 = (u - 199.5) / 2 and leaves the picture at u = -0.5, v = 49.5.
    item = an_object(center_m=(0.0, 3.0, 0.0), size_m=(10.0, 2.0, 2.0), object_id=bytes(16))
    camera = a_camera()
    frame = wireframe(item, camera)
    assert frame is not None
    lines = np.concatenate(frame.near_edges + frame.far_edges)
    assert np.isfinite(lines).all()
    assert lines[:, 0].max() == pytest.approx(199.5 - 200 * 2 / 5)
    picture = draw_camera(gray(), camera, (item,), used(), (400, 300))
    changed = np.abs(picture.astype(int) - 128).max(axis=-1) > 8
    changed[:24] = changed[:, :2] = changed[:, -2:] = changed[-2:] = False
    assert not changed[:, 124:].any(), np.nonzero(changed[:, 124:].any(axis=0))[0] + 124
    for column in (2, 40, 100):
        on_edge = round(149.5 + (column - 199.5) / 2)
        patch = picture[on_edge - 1 : on_edge + 2, column]
        assert (np.abs(patch.astype(int) - class_color(4)).max(axis=-1) < 60).any()


def test_boxes_out_of_view_are_not_drawn() -> None:
    for center in ((-15.0, 0.0, 0.0), (5.0, 40.0, 0.0), (5.0, 0.0, 30.0)):
        assert wireframe(an_object(center_m=center), a_camera()) is None


def test_a_wide_fisheye_sees_boxes_beside_and_behind_itself() -> None:
    camera = a_camera(Distortion('equidistant', (0.0, 0.0, 0.0, 0.0)), focal=90.0)
    # At 106 degrees to the left: u = 199.5 - 90 * 1.85 = 33 lies inside the picture.
    frame = wireframe(an_object(center_m=(-3.0, 10.0, 0.0), size_m=(1.0, 1.0, 1.0)), camera)
    assert frame is not None
    middle = 199.5 - 90.0 * (math.pi / 2 + math.atan2(3.0, 10.0))
    assert frame.bounds[0] < middle < frame.bounds[2]


@pytest.mark.parametrize(
    'distortion',
    [
        Distortion('plumb_bob', (-0.3, 0.09, 0.001, -0.0007, -0.01)),
        Distortion('rational_polynomial', (0.42, 0.06, 3e-4, -2e-4, 0.001, 0.76, 0.21, 0.012)),
        Distortion('equidistant', (0.03, -0.006, 0.0012, -0.0002)),
    ],
)
def test_edges_bend_with_the_lens(distortion: Distortion) -> None:
    camera = a_camera(distortion, focal=140.0)
    item = an_object(center_m=(10.0, 4.0, 1.5), size_m=(3.0, 6.0, 3.0), yaw_rad=0.2)
    frame = wireframe(item, camera)
    assert frame is not None
    lines = frame.near_edges + frame.far_edges
    assert len(lines) == 12
    optical = box_corners(item) @ AHEAD[:3, :3]
    expected = opencv_projection(optical, camera)
    ends = np.concatenate([line[[0, -1]] for line in lines])
    for corner in expected:
        assert np.linalg.norm(ends - corner, axis=1).min() < 1e-6
    bends = [np.abs(distance_to_chord(line)).max() for line in lines]
    assert max(bends) > 1.0


def test_an_unused_camera_says_why_and_carries_no_boxes() -> None:
    report = CameraReport('front_left', CameraState.LATE, '', 1, 0.52)
    assert state_text(report) == 'late 0.52 s'
    assert state_text(replace(report, state=CameraState.NO_TRANSFORM)) == 'no transform'
    item = an_object(center_m=(15.0, 5.0, 0.0))
    picture = draw_camera(gray(), a_camera(), (item,), report, (400, 300))
    assert (picture == draw_camera(gray(), a_camera(), (), report, (400, 300))).all()
    assert (picture == WARNING).all(axis=-1).sum() > 300  # banner text and frame
    assert picture[60, 200].max() < 70  # dimmed
    assert draw_camera(None, None, (item,), report, (400, 300)).shape == (300, 400, 3)


def test_the_compass_shows_where_a_camera_looks() -> None:
    left_T_ahead = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    camera = a_camera().with_pose(left_T_ahead @ AHEAD)
    half = math.atan(1.0)  # half the width is one focal length
    left, right = view_sector(camera)
    assert left == pytest.approx(math.pi / 2 + half, abs=1e-9)
    assert right == pytest.approx(math.pi / 2 - half, abs=1e-9)
    behind = camera.with_pose(left_T_ahead @ left_T_ahead @ AHEAD)
    left, right = view_sector(behind)
    assert left - right == pytest.approx(2 * half, abs=1e-9)


def test_mosaic_keeps_order_shapes_and_distance() -> None:
    random = np.random.default_rng(5)
    for count in range(1, 9):
        for _ in range(20):
            width, height = random.integers(500, 1300, 2).tolist()
            aspects = random.choice([1.0, 4 / 3, 1.6, 16 / 9, 2.0], count).tolist()
            tiles = mosaic(aspects, width, height, 6)
            assert len(tiles) == count
            area = np.zeros((height + 1, width + 1), int)
            for tile, aspect in zip(tiles, aspects, strict=True):
                assert tile.x >= 0 and tile.y >= 0
                assert tile.x + tile.width <= width and tile.y + tile.height <= height
                assert tile.width == pytest.approx(tile.height * aspect, abs=2.5)
                area[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] += 1
            assert area.max() == 1
            assert area.mean() > (0.2, 0.4, 0.5)[min(count, 3) - 1]
            reading = [(tile.y, tile.x) for tile in tiles]
            assert reading == sorted(reading)
    assert mosaic([], 100, 100, 6) == []


def test_six_equal_cameras_make_two_columns_in_a_tall_panel() -> None:
    tiles = mosaic([16 / 9] * 6, 1050, 1000, 6)
    assert len({tile.x for tile in tiles}) == 2
    assert len({tile.y for tile in tiles}) == 3


@pytest.mark.parametrize('count', range(1, 9))
def test_every_camera_gets_a_tile_beside_the_map(count: int) -> None:
    names = [f'camera_{index}' for index in range(count)]
    colors = [(10 + 25 * index, 200 - 20 * index, 90 + 7 * index) for index in range(count)]
    images = {
        name: np.full((30, 40, 3), c, np.uint8) for name, c in zip(names, colors, strict=True)
    }
    reports = tuple(CameraReport(name, CameraState.USED, '', 1, 0.0) for name in names)
    frame = a_frame(cameras=reports, stage_s={'encode': 0.04}, model_id='net abc')
    picture = draw_frame(frame, images, {}, 'A drive', trained=True)
    assert picture.shape == (1080, 1920, 3)
    places = []
    for color in colors:
        rows, columns = np.nonzero((picture == color).all(axis=-1))
        assert len(rows) > 0.35 * 1920 * 1080 / 10 / count
        places.append((rows.min() // 100, columns.min()))
        assert columns.max() < 1920 * 0.76
    assert places == sorted(places)


def test_an_untrained_model_is_marked_and_a_trained_one_is_not() -> None:
    frame = a_frame(cameras=(CameraReport('front', CameraState.USED, '', 1, 0.0),))
    for trained, expected in ((False, True), (True, False)):
        header = draw_frame(frame, {}, {}, 'A drive', trained=trained)[:60]
        assert ((header == WARNING).all(axis=-1).sum() > 2000) == expected


def test_a_frame_without_cameras_or_images_still_becomes_a_picture() -> None:
    assert draw_frame(a_frame(), {}, {}, '', trained=False).shape == (1080, 1920, 3)
    lost = tuple(CameraReport(f'c{i}', CameraState.MISSING, 'no image', None, None) for i in '123')
    picture = draw_frame(a_frame(cameras=lost), {'c1': None}, {'c2': None}, '', trained=True)
    assert picture.shape == (1080, 1920, 3)


def test_labels_never_cover_each_other() -> None:
    picture = np.zeros((120, 300, 3), np.uint8)
    placer = LabelPlacer(picture, 9.0)
    assert placer.place('first', (255, 0, 0), [(50.0, 50.0, 'lm')])
    before = picture.copy()
    assert not placer.place('second', (0, 255, 0), [(60.0, 52.0, 'lm')])
    assert (picture == before).all()
    assert placer.place('second', (0, 255, 0), [(60.0, 52.0, 'lm'), (60.0, 90.0, 'lm')])
    assert not placer.place('outside', (0, 255, 0), [(290.0, 20.0, 'lm')])


def test_text_is_anchored_clipped_and_shortened() -> None:
    picture = np.zeros((60, 200, 3), np.uint8)
    box = draw_text(picture, 'H', (100, 30), 14, (255, 255, 255), 'cm')
    rows, columns = np.nonzero(picture[..., 0])
    assert box[0] <= columns.min() and columns.max() < box[2]
    assert rows.max() - rows.min() == pytest.approx(14, abs=2)
    draw_text(picture, 'clipped on every side', (-30, -4), 14)
    draw_text(picture, 'far outside', (500, 500), 14)
    short = fit_text('a rather long line of text', 12, 90)
    assert short.endswith('...') and text_size(short, 12)[0] <= 90
    assert fit_text('short', 12, 90) == 'short'


def test_png_is_rgb_and_replaces_the_old_file_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = tmp_path / 'new' / 'picture.png'
    save_png(path, rgb)
    stored = cv2.imread(str(path))
    assert stored is not None and (stored[..., ::-1] == rgb).all()

    def fail(*_: object) -> None:
        raise OSError('disk full')

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(OSError, match='disk full'):
        save_png(path, 255 - rgb)
    assert [item.name for item in path.parent.iterdir()] == ['picture.png']
    stored = cv2.imread(str(path))
    assert stored is not None and (stored[..., ::-1] == rgb).all()


def gray(width: int = 400, height: int = 300) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def used() -> CameraReport:
    return CameraReport('front', CameraState.USED, '', 1, 0.0)


def opencv_projection(points: np.ndarray, camera: Camera) -> np.ndarray:
    coefficients = np.array(camera.distortion.coefficients)
    points = np.ascontiguousarray(points).reshape(-1, 1, 3)
    zero = np.zeros(3)
    project = cv2.projectPoints
    if camera.distortion.model == 'equidistant':
        project = cv2.fisheye.projectPoints  # type: ignore[assignment]
    return project(points, zero, zero, camera.K, coefficients)[0].reshape(-1, 2)


def distance_to_chord(line: np.ndarray) -> np.ndarray:
    chord = (line[-1] - line[0]) / np.linalg.norm(line[-1] - line[0])
    offset = line - line[0]
    return offset[:, 0] * chord[1] - offset[:, 1] * chord[0]
