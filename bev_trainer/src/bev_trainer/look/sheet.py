"""A contact sheet: one frame of a drive with all its labels, to be understood in one look."""

from __future__ import annotations

import math
from functools import reduce
from operator import add
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.palette import BACKGROUND, GOOD, PANEL, TEXT, TEXT_DIM, WARNING, Color
from bev_perception.draw.text import draw_text, fill_box, fit_text, text_size
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_trainer.dataset.description import DriveDescription
from bev_trainer.dataset.reader import Drive
from bev_trainer.look.agreement import GRID, Agreement, agreement
from bev_trainer.look.annotations import Scene, scene_at
from bev_trainer.look.bev_panel import draw_bev_panel
from bev_trainer.look.camera_block import GAP_PX as BLOCK_GAP_PX
from bev_trainer.look.camera_block import BlockShape, draw_camera_block
from bev_trainer.look.camera_truth import read_truth
from bev_trainer.look.key_panel import KEY_PX, draw_key_panel
from bev_trainer.look.map_panel import MapPanel
from bev_trainer.look.points_panel import draw_points_panel

Image = NDArray[np.uint8]

WIDTH_PX = 2400
_MARGIN_PX, _GAP_PX, _HEADER_PX = 16, 12, 84
_HIGHEST_IMAGE_PX, _WIDEST_ROW, _WIDEST_BESIDE = 460, 4, 2
_MAP_PX = 960
_SIDEWAYS_RAD, _BACKWARDS_RAD = math.radians(100.0), math.radians(135.0)
_SPLIT_COLORS: dict[str, Color] = {'train': GOOD, 'val': WARNING, 'test': (120, 160, 255)}


def draw_sheet(drive: Drive, frame: int) -> Image:
    """Returns uint8 [H, W, 3] RGB, the same for the same drive and frame.

    Cameras that look ahead or sideways are on top, from left to right; below them the labels
    from above and the images back-projected; then the cameras that look back. A frame without
    dense labels has images, boxes and tracks alone.

    Raises:
        DatasetError: the drive is damaged or has no such frame.
    """
    labelled = frame in drive.description.label_frames
    scene = scene_at(drive, frame)
    ahead, behind = _ahead_and_behind(drive.cameras)
    rows = [*_broken(ahead), *_broken(behind)]
    shapes = block_shapes(drive.cameras, rows, labelled)
    bands = [_draw_row(drive, frame, *both) for both in zip(rows, shapes, strict=True)]
    bands.insert(len(_broken(ahead)), _draw_middle(drive, frame, scene, labelled))
    height = _HEADER_PX + sum(_GAP_PX + len(band) for band in bands) + _MARGIN_PX
    sheet = np.empty((height, WIDTH_PX, 3), np.uint8)
    sheet[:] = BACKGROUND
    _draw_header(sheet[:_HEADER_PX], drive, frame, scene)
    y = _HEADER_PX
    for band in bands:
        _put(sheet, band, (WIDTH_PX - band.shape[1]) // 2, y + _GAP_PX)
        y += _GAP_PX + len(band)
    return sheet


def camera_rows(cameras: tuple[Camera, ...]) -> list[list[int]]:
    """Returns indices of cameras in rows: those ahead and sideways, then those that look back.

    Within a row what looks further to the left of the vehicle comes first, at most four in a row.
    """
    return [row for group in _ahead_and_behind(cameras) for row in _broken(group)]


def block_shapes(
    cameras: tuple[Camera, ...], rows: list[list[int]], labelled: bool
) -> list[list[BlockShape]]:
    """Returns the shape of every block: all images are equally high, as large as all rows allow.

    Class and depth images are beside the image in rows of one or two cameras, else below it.
    """
    width = WIDTH_PX - 2 * _MARGIN_PX
    height = float(_HIGHEST_IMAGE_PX)
    for row in rows:
        aspects = sum(cameras[i].width / cameras[i].height for i in row)
        gaps = (len(row) - 1) * _GAP_PX
        if labelled and len(row) <= _WIDEST_BESIDE:
            aspects, gaps = 1.5 * aspects, gaps + len(row) * BLOCK_GAP_PX
        height = min(height, (width - gaps) / aspects)
    shapes = []
    for row in rows:
        place: Literal['beside', 'below'] = 'beside' if len(row) <= _WIDEST_BESIDE else 'below'
        labels = place if labelled else 'none'
        widths = [int(height * cameras[i].width / cameras[i].height) for i in row]
        shapes.append([BlockShape(w, int(height), labels) for w in widths])
    return shapes


def _draw_row(drive: Drive, frame: int, row: list[int], shapes: list[BlockShape]) -> Image:
    """Returns one row of cameras, centred."""
    sizes = [shape.size_px for shape in shapes]
    picture = np.empty((max(height for _, height in sizes), WIDTH_PX, 3), np.uint8)
    picture[:] = BACKGROUND
    x = (WIDTH_PX - sum(width for width, _ in sizes) - _GAP_PX * (len(row) - 1)) // 2
    for index, shape in zip(row, shapes, strict=True):
        _put(picture, draw_camera_block(drive, frame, index, shape), x, 0)
        x += shape.size_px[0] + _GAP_PX
    return picture


def _draw_middle(drive: Drive, frame: int, scene: Scene, labelled: bool) -> Image:
    grid: BevGrid = drive.label_grid
    panel = MapPanel.fit(grid, _map_height(grid))
    parts = [draw_bev_panel(drive, frame, scene, panel)]
    measured = None
    if labelled:
        parts.append(draw_points_panel(drive, frame, panel))
        truths = read_truth(drive, frame, GRID)
        measured = reduce(add, (agreement(truth) for truth in truths), Agreement())
    parts.append(draw_key_panel(scene, measured, panel.height))
    gap = np.empty((panel.height, _GAP_PX, 3), np.uint8)
    gap[:] = BACKGROUND
    spaced = [piece for part in parts for piece in (part, gap)]
    return np.concatenate(spaced[:-1], axis=1)


def _map_height(grid: BevGrid) -> int:
    """Returns the height at which two maps and the key fit beside each other."""
    room = (WIDTH_PX - 2 * _MARGIN_PX - KEY_PX - 2 * _GAP_PX - 2 * MapPanel.AXES_PX) // 2
    return min(_MAP_PX, room * grid.size_x // grid.size_y)


def _draw_header(header: Image, drive: Drive, frame: int, scene: Scene) -> None:
    header[:] = PANEL
    description, left = drive.description, _MARGIN_PX + 2
    x = draw_text(header, description.name, (left, 26), 19.0, TEXT, 'lm', bold=True)[2] + 18
    color = _SPLIT_COLORS[description.split]
    width = text_size(description.split, 12.0, bold=True)[0]
    fill_box(header, (x, 13, x + width + 18, 39), color)
    draw_text(header, description.split, (x + 9, 26), 12.0, BACKGROUND, 'lm', bold=True)
    x += width + 18 + 24
    counts = f'{len(scene.objects)} road users, {len(scene.visible)} seen'
    draw_text(header, f'{weather_words(description)}', (x, 26), 13.0, TEXT, 'lm')
    draw_text(header, counts, (WIDTH_PX - left, 26), 13.0, TEXT, 'rm')
    first = drive.cameras[0]
    sizes = {(camera.width, camera.height) for camera in drive.cameras}
    size = f'{first.width} x {first.height}' if len(sizes) == 1 else 'several sizes'
    facts = [
        f'network {description.network}',
        f'rig {description.rig_name}: {len(drive.cameras)} cameras, {size}',
        f'seed {description.seed}',
        f'ego {ego_speed_mps(drive, frame):.1f} m/s',
    ]
    stamps = description.frame_stamps_ns
    time_s = (stamps[frame] - stamps[0]) / 1e9
    when = f'frame {frame} of {len(stamps)}   {time_s:.2f} s   stamp {stamps[frame]} ns'
    draw_text(header, when, (WIDTH_PX - left, 60), 11.5, TEXT_DIM, 'rm')
    room = WIDTH_PX - 3 * left - text_size(when, 11.5)[0]
    draw_text(header, fit_text('     '.join(facts), 11.5, room), (left, 60), 11.5, TEXT_DIM, 'lm')


def weather_words(description: DriveDescription) -> str:
    """Returns the weather of a drive in a few words."""
    weather = description.weather
    words = [weather.name.replace('_', ' ')]
    words.append(f'sun {math.degrees(weather.sun_elevation_rad):.0f} deg')
    words.append(f'clouds {weather.cloud_cover:.0%}')
    if weather.rain_mmph > 0:
        words.append(f'rain {weather.rain_mmph:.0f} mm/h')
    far = weather.visibility_m
    words.append(f'visibility {far / 1000:.1f} km' if far >= 1000 else f'visibility {far:.0f} m')
    if weather.lamps:
        words.append('lamps on')
    return ', '.join(words)


def ego_speed_mps(drive: Drive, frame: int) -> float:
    """Returns the speed of the base frame between the neighbours of a frame."""
    first, last = max(0, frame - 1), min(drive.frame_count - 1, frame + 1)
    stamps = drive.description.frame_stamps_ns
    if first == last:
        return 0.0
    way = drive.world_T_base[last, :3, 3] - drive.world_T_base[first, :3, 3]
    return float(np.linalg.norm(way)) / ((stamps[last] - stamps[first]) / 1e9)


def _ahead_and_behind(cameras: tuple[Camera, ...]) -> tuple[list[int], list[int]]:
    """Returns both groups, left first; all are ahead when none looks more back than sideways."""
    yaws = [_yaw(camera) for camera in cameras]
    backwards = any(abs(yaw) > _BACKWARDS_RAD for yaw in yaws)
    limit = _SIDEWAYS_RAD if backwards else math.pi
    ahead = [index for index, yaw in enumerate(yaws) if abs(yaw) <= limit]
    behind = [index for index in range(len(cameras)) if index not in ahead]
    ahead.sort(key=lambda index: -yaws[index])
    behind.sort(key=lambda index: yaws[index] % (2 * math.pi))
    return ahead, behind


def _yaw(camera: Camera) -> float:
    """Returns where a camera looks, about z from the front; one that looks down: where up is."""
    axis = camera.base_T_camera[:3, 2]
    if math.hypot(axis[0], axis[1]) < 0.05:
        axis = -camera.base_T_camera[:3, 1]
    return math.atan2(axis[1], axis[0])


def _broken(group: list[int]) -> list[list[int]]:
    """Returns a list in as few rows as possible, as even as possible."""
    count = -(-len(group) // _WIDEST_ROW)
    bounds = [round(len(group) * i / max(count, 1)) for i in range(count + 1)]
    return [group[bounds[i] : bounds[i + 1]] for i in range(count)]


def _put(sheet: Image, part: Image, x: int, y: int) -> None:
    sheet[y : y + part.shape[0], x : x + part.shape[1]] = part
