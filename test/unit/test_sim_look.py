"""Contact sheets, on a street whose labels are cast by rays."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from bev_trainer.commands import look as look_command
from bev_trainer.dataset.reader import Drive
from bev_trainer.errors import DatasetError
from bev_trainer.look.annotations import objects_of, scene_at
from bev_trainer.look.camera_block import BlockShape, draw_camera_block
from bev_trainer.look.check import spread_frames
from bev_trainer.look.colors import paint_depth, semantic_class_color
from bev_trainer.look.drives import drive_files, on_all_cores, pick
from bev_trainer.look.map_panel import MapPanel, draw_ground_layers
from bev_trainer.look.points import frame_points
from bev_trainer.look.points_panel import paint_points
from bev_trainer.look.sheet import WIDTH_PX, block_shapes, camera_rows, draw_sheet
from bev_trainer.world.classes import GroundLayer, SemanticClass
from bev_trainer.world.ground_raster import GroundRaster
from support.drives import rig_of_lenses
from support.junction import Junction

from bev_perception.draw.boxes import wireframe
from bev_perception.draw.layout import Rect
from bev_perception.draw.strokes import draw_dashed
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert, pose_from_yaw, transform
from bev_perception.geometry.rig_file import load_rig_file

RIGS = Path(__file__).parents[2] / 'config' / 'rigs'
FRAME = 5


@pytest.fixture(scope='module')
def drive_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = Junction(rig=rig_of_lenses(192, 144), label_frames=(0, 5))
    return small.write(tmp_path_factory.mktemp('look') / 'drives')


# Where things are drawn.


def test_camera_boxes_are_those_of_the_time_it_fired(drive_file: Path) -> None:
    """The wireframe encloses the pixels of the object as tightly as they were cast."""
    compared = 0
    with Drive(drive_file) as drive:
        for index, camera in enumerate(drive.cameras):
            boxes = drive.boxes_at(drive.camera_stamp_ns(FRAME, index))
            boxes = boxes.transformed(invert(drive.camera_world_T_base[FRAME, index]))
            whole = drive.objects.silhouette_pixels[:, FRAME, index]
            visible = drive.objects.visible_pixels[:, FRAME, index]
            for item in objects_of(boxes):
                row = item.instance - 1
                frame = wireframe(item, camera)
                if frame is None or visible[row] < 50 or visible[row] < whole[row]:
                    continue
                v, u = np.nonzero(drive.instances(FRAME, index) == item.instance)
                inside = u.min() > 1 and u.max() < camera.width - 2 and v.max() < camera.height - 2
                if inside and v.min() > 1:
                    mask = (u.min(), v.min(), u.max(), v.max())
                    assert np.abs(np.subtract(frame.bounds, mask)).max() <= 1.0
                    compared += 1
    assert compared >= 3


def test_the_image_of_a_sheet_carries_its_boxes_at_their_pixels(drive_file: Path) -> None:
    shape = BlockShape(576, 432, 'below')
    with Drive(drive_file) as drive:
        block = draw_camera_block(drive, FRAME, 1, shape)
        _, classes, _ = shape.parts()
        standing = drive.instances(FRAME, 1) == 6  # a pedestrian who stands to the left
        v, u = np.nonzero(standing)
        color = np.array(semantic_class_color(SemanticClass.PEDESTRIAN))
        # The class image, reduced to half the width, shows the mask; the image, its outline.
        scale = classes.width / 192
        cu, cv = round((u.mean() + 0.5) * scale), round((v.mean() + 0.5) * scale)
        assert tuple(block[classes.y + cv, classes.x + cu]) == tuple(color)
        left = round((u.min() + 0.5) * 3) - 3
        column = block[round(3 * v.mean()), left - 4 : left + 8]
        assert np.abs(column.astype(int) - color).sum(axis=-1).min() < 40


def test_points_and_ground_lie_at_known_pixels_of_a_map() -> None:
    # 10 pixels per metre, corner at (48, 30): u = 48 + 10 (20 - y), v = 30 + 10 (30 - x).
    grid = BevGrid.from_range((-10.0, 30.0), (-20.0, 20.0), 0.5)
    panel = MapPanel.fit(grid, 400)
    assert panel.view.to_px([20.0, 5.0]).tolist() == [48 + 150 - 0.5, 30 + 100 - 0.5]
    picture = np.zeros((400, 400, 3), np.uint8)
    point = np.array([[20.03, 4.97, 0.5]])
    paint_points(picture, point, np.array([SemanticClass.CAR], np.uint8), panel.inner)
    rows, columns = np.nonzero(picture.any(axis=-1))
    # u = 149.8, v = 99.2: the four pixels around.
    assert (set(rows.tolist()), set(columns.tolist())) == ({99, 100}, {149, 150})
    assert tuple(picture[rows[0], columns[0]]) == semantic_class_color(SemanticClass.CAR)

    # A square metre of sidewalk 12 to 13 m ahead and 3 to 4 m to the left of a base frame that
    # looks along -y of the world from (100, 50): world x 103 to 104, y 37 to 38.
    layers = np.zeros((80, 80), np.uint8)
    layers[4 * 7 : 4 * 8, 4 * 13 : 4 * 14] = GroundLayer.SIDEWALK
    ground = GroundRaster(layers, 90.0, 30.0, 0.25)
    world_T_base = pose_from_yaw(100.0, 50.0, 0.0, -math.pi / 2)
    drawn = draw_ground_layers(ground, world_T_base, panel.inner)
    color = np.array(semantic_class_color(SemanticClass.SIDEWALK))
    rows, columns = np.nonzero((drawn == color).all(axis=-1))
    assert (rows.min(), rows.max()) == (170, 179)
    assert (columns.min(), columns.max()) == (160, 169)
    assert len(rows) == 100


def test_points_of_a_frame_lie_in_their_boxes_and_on_the_ground(drive_file: Path) -> None:
    with Drive(drive_file) as drive:
        points, classes = frame_points(drive, FRAME)
        boxes = drive.boxes(FRAME)
    on_ground = (classes > SemanticClass.SKY) & (classes <= SemanticClass.TERRAIN)
    assert np.abs(points[on_ground, 2]).max() < 0.02
    for item in set(boxes.class_id.tolist()):
        mine = boxes.selected(boxes.class_id == item)
        shown = points[classes == item]
        inside = np.zeros(len(shown), bool)
        for row in range(len(mine)):
            local = mine.local_xy(shown[:, :2], np.full(len(shown), row))
            inside |= (np.abs(local) <= mine.size_m[row, :2] / 2 + 0.02).all(axis=-1)
        assert inside.all()


def test_the_scene_has_pasts_and_futures_in_the_base_frame(drive_file: Path) -> None:
    with Drive(drive_file) as drive:
        scene = scene_at(drive, FRAME)
        base_T_world = invert(drive.world_T_base[FRAME])
        moving = next(
            i for i in scene.objects if i.classes[0].name == 'bicycle' or i.instance == 1
        )
        past = scene.pasts[scene.objects.index(moving)]
        row = moving.instance - 1
        table = drive.objects
        world = np.stack([table.x_m[row], table.y_m[row], np.zeros(drive.frame_count)], -1)
    path = transform(base_T_world, world)[:, :2]
    assert past == pytest.approx(path[: FRAME + 1])
    future = moving.trajectories[0]
    assert future.time_step_s == 0.5
    assert future.positions_m[:, :2] == pytest.approx(path[[5, 10]])
    parked = next(item for item in scene.objects if item.instance == 2)
    assert parked.trajectories == ()


@pytest.mark.parametrize(
    ('rig', 'rows'),
    [
        ('car_6', [['front_left', 'front', 'front_right'], ['back_left', 'back', 'back_right']]),
        ('shuttle_4_fisheye', [['left', 'front', 'right'], ['rear']]),
        ('truck_5', [['left', 'front', 'right'], ['left_rear', 'right_rear']]),
        ('robot_3', [['left', 'front', 'right']]),
    ],
)
def test_cameras_are_laid_out_by_where_they_look(rig: str, rows: list[list[str]]) -> None:
    entries = load_rig_file(RIGS / f'{rig}.yaml').cameras
    cameras = tuple(camera for entry in entries if (camera := entry.camera()))
    assert [[cameras[i].name for i in row] for row in camera_rows(cameras)] == rows


@pytest.mark.parametrize('labelled', [True, False])
@pytest.mark.parametrize('rig', ['car_6', 'shuttle_4_fisheye', 'truck_5', 'robot_3'])
def test_images_of_a_sheet_are_equally_large_and_rows_fit(rig: str, labelled: bool) -> None:
    entries = load_rig_file(RIGS / f'{rig}.yaml').cameras
    cameras = tuple(camera for entry in entries if (camera := entry.camera()))
    rows = camera_rows(cameras)
    shapes = block_shapes(cameras, rows, labelled)
    assert len({shape.image_height for row in shapes for shape in row}) == 1
    for row, indices in zip(shapes, rows, strict=True):
        assert sum(shape.size_px[0] for shape in row) + 12 * (len(row) - 1) <= WIDTH_PX - 32
        for shape, index in zip(row, indices, strict=True):
            camera = cameras[index]
            aspect = shape.image_width / shape.image_height
            assert aspect == pytest.approx(camera.width / camera.height, rel=0.01)
            assert (shape.labels == 'none') != labelled
    widest = max(sum(shape.size_px[0] for shape in row) for row in shapes)
    assert widest > 0.95 * WIDTH_PX or shapes[0][0].image_height == 460


@pytest.mark.parametrize(
    ('labels', 'size', 'rects'),
    [
        ('none', (301, 200), []),
        # (301 - 3) / 2 = 149 wide, so 149 * 200 / 301 = 99 high.
        ('below', (301, 302), [Rect(0, 203, 149, 99), Rect(152, 203, 149, 99)]),
        # (200 - 3) / 2 = 98 high, so 98 * 301 / 200 = 147 wide.
        ('beside', (451, 200), [Rect(304, 0, 147, 98), Rect(304, 102, 147, 98)]),
    ],
)
def test_class_and_depth_images_have_half_the_size(
    labels: Literal['beside', 'below', 'none'], size: tuple[int, int], rects: list[Rect]
) -> None:
    shape = BlockShape(301, 200, labels)
    assert shape.size_px == size
    assert shape.parts() == (Rect(0, 0, 301, 200), *rects)


def test_depth_is_red_near_blue_far_black_nowhere() -> None:
    painted = paint_depth(np.array([[1.5, 60.0, 0.0]], np.float32)).astype(int)
    near, far, nothing = painted[0]
    assert near[0] > near[2] + 60 and far[2] > far[0] + 60
    assert nothing.tolist() == [0, 0, 0]


def test_dashes_leave_gaps() -> None:
    image = np.zeros((9, 100, 3), np.uint8)
    draw_dashed(image, [[(0, 4), (99, 4)]], (255, 255, 255), dash_px=6, gap_px=4)
    row = image[4, :, 0]
    assert (row[[3, 13, 53]] > 200).all()
    assert (row[[8, 18, 58]] < 80).all()


# Sheets and commands.


def test_sheets_of_labelled_and_other_frames(drive_file: Path) -> None:
    with Drive(drive_file) as drive:
        labelled, again, other = (draw_sheet(drive, frame) for frame in (5, 5, 6))
    assert labelled.shape[1] == other.shape[1] == WIDTH_PX
    assert np.array_equal(labelled, again)
    assert labelled.shape[0] == other.shape[0] and not np.array_equal(labelled, other)
    with Drive(drive_file) as drive, pytest.raises(DatasetError, match='has frames 0 to 10'):
        draw_sheet(drive, 11)


def look_arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    look_command.add_arguments(parser)
    return parser.parse_args(words)


def test_look_writes_one_sheet_or_a_folder(drive_file: Path, tmp_path: Path) -> None:
    out = tmp_path / 'one.png'
    assert look_command.main(look_arguments(str(drive_file), '--frame', '5', '-o', str(out))) == 0
    picture = cv2.imread(str(out))
    assert picture is not None and picture.shape[1] == WIDTH_PX
    assert look_command.main(look_arguments(str(drive_file), '-o', str(tmp_path / 'all'))) == 0
    written = [path.name for path in (tmp_path / 'all').iterdir()]
    assert written == ['drive_000000_000005.png']
    with pytest.raises(DatasetError, match='2 sheets need a folder'):
        look_command.main(look_arguments(str(drive_file), '--count', '2', '-o', str(out)))
    with pytest.raises(DatasetError, match="there is no drive 'x'; there are drive_000000 to"):
        look_command.main(look_arguments(str(drive_file), '--drive', 'x', '-o', str(out)))


def test_sheets_are_spread_over_drives_and_time() -> None:
    assert look_command.spread(10, 1) == [(5, 0.5)]
    assert look_command.spread(10, 2) == [(2, 0.5), (7, 0.5)]
    places = look_command.spread(2, 4)
    assert places == [(0, 0.25), (0, 0.75), (1, 0.25), (1, 0.75)]
    assert spread_frames((0, 5, 10, 15), 2) == [5, 15]
    assert spread_frames((0, 5), 4) == [0, 5]
    assert spread_frames((), 4) == []


def test_drives_are_found(drive_file: Path, tmp_path: Path) -> None:
    assert drive_files(drive_file) == [drive_file]
    with pytest.raises(DatasetError, match='no such file'):
        drive_files(tmp_path / 'none.zip')
    with pytest.raises(DatasetError, match=r'manifest\.json'):
        drive_files(tmp_path)
    assert pick([Path('a.zip'), Path('b.zip')], 'b') == [Path('b.zip')]


def test_work_on_all_cores_comes_back_in_order() -> None:
    values = list(range(-5, 5))
    assert list(on_all_cores(abs, values, 'number')) == [abs(value) for value in values]
