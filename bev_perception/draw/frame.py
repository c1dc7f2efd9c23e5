"""One picture per frame: header, all cameras with their boxes, and the bird's-eye view."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from datetime import datetime, timezone

import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.bev import draw_bev
from bev_perception.draw.cameras import draw_camera
from bev_perception.draw.layout import Rect, mosaic
from bev_perception.draw.legend import LEGEND_PX
from bev_perception.draw.palette import BACKGROUND, BAD, GOOD, PANEL, TEXT, TEXT_DIM, WARNING
from bev_perception.draw.text import draw_text, fill_box, fit_text, text_size
from bev_perception.frame import BevFrame, CameraState
from bev_perception.geometry.camera import Camera
from bev_perception.units import NS_PER_S

Image = NDArray[np.uint8]

_HEADER_PX = 66
_MARGIN_PX = 12
_GAP_PX = 6
_DEFAULT_ASPECT = 16 / 9
_WIDEST_MAP, _NARROWEST_MAP = 0.44, 0.25
_LINE_PX = 12.0


def draw_frame(
    frame: BevFrame,
    images: Mapping[str, Image | None],
    cameras: Mapping[str, Camera | None],
    title: str,
    *,
    trained: bool,
    size_px: tuple[int, int] = (1920, 1080),
) -> Image:
    """Returns uint8 [height, width, 3] RGB: every camera of the frame beside its BEV.

    Args:
        frame: what to show; its camera reports decide which cameras appear, in rig order.
        images: camera name to RGB [H, W, 3] at any resolution; absent or None: no image.
        cameras: camera name to calibration; absent or None: no boxes.
        title: headline.
        trained: False marks the picture clearly as the output of untrained weights.
        size_px: (width, height); legible from about 1600 x 900.
    """
    width, height = size_px
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = BACKGROUND
    _draw_header(picture[:_HEADER_PX], frame, title, trained)
    top, low = _HEADER_PX + _MARGIN_PX, height - _MARGIN_PX
    map_width = _map_width(frame, width, low - top)
    map_left = width - _MARGIN_PX - map_width
    picture[top:low, map_left : map_left + map_width] = draw_bev(frame, (map_width, low - top))
    panel = Rect(_MARGIN_PX, top, map_left - 2 * _MARGIN_PX, low - top)
    _draw_cameras(picture, panel, frame, images, cameras)
    return picture


def _map_width(frame: BevFrame, width: int, height: int) -> int:
    """Returns how wide the BEV is: as its grid needs at full height, within sensible shares."""
    wanted = (height - LEGEND_PX) * frame.grid.size_y / frame.grid.size_x
    return round(min(max(wanted, _NARROWEST_MAP * width), _WIDEST_MAP * width))


def _draw_cameras(
    picture: Image,
    panel: Rect,
    frame: BevFrame,
    images: Mapping[str, Image | None],
    cameras: Mapping[str, Camera | None],
) -> None:
    names = [report.name for report in frame.cameras]
    aspects = _aspects(names, images, cameras)
    for report, tile in zip(
        frame.cameras, mosaic(aspects, panel.width, panel.height, _GAP_PX), strict=True
    ):
        x, y = panel.x + tile.x, panel.y + tile.y
        picture[y : y + tile.height, x : x + tile.width] = draw_camera(
            images.get(report.name),
            cameras.get(report.name),
            frame.objects or (),
            report,
            (tile.width, tile.height),
        )


def _aspects(
    names: list[str],
    images: Mapping[str, Image | None],
    cameras: Mapping[str, Camera | None],
) -> list[float]:
    """Returns width / height per camera; one of unknown shape gets the middle of the others."""
    known: dict[str, float] = {}
    for name in names:
        camera, image = cameras.get(name), images.get(name)
        if camera is not None:
            known[name] = camera.width / camera.height
        elif image is not None:
            known[name] = image.shape[1] / image.shape[0]
    fallback = statistics.median(known.values()) if known else _DEFAULT_ASPECT
    return [known.get(name, fallback) for name in names]


def _draw_header(header: Image, frame: BevFrame, title: str, trained: bool) -> None:
    """Draws two lines: what and when; then model, cameras and time per stage."""
    header[:] = PANEL
    width, left = header.shape[1], _MARGIN_PX + 2
    stamp = _stamp_text(frame.stamp_ns)
    stamp_width = text_size(stamp, _LINE_PX)[0]
    draw_text(header, stamp, (width - left, 20), _LINE_PX, TEXT_DIM, 'rm')
    text = fit_text(title, 17.0, width - stamp_width - 260, bold=True)
    x = draw_text(header, text, (left, 20), 17.0, TEXT, 'lm', bold=True)[2]
    if not trained:
        _draw_badge(header, (x + 16, 20), 'UNTRAINED MODEL')
    used = sum(report.state is CameraState.USED for report in frame.cameras)
    share = f'cameras {used}/{len(frame.cameras)}'
    color = GOOD if used == len(frame.cameras) else (WARNING if used else BAD)
    x = draw_text(header, share, (left, 48), _LINE_PX, color, 'lm', bold=True)[2] + 24
    count = f'{len(frame.objects)} objects' if frame.objects is not None else ''
    x = draw_text(header, count, (x, 48), _LINE_PX, TEXT, 'lm')[2] + 24 if count else x
    stages = fit_text(_stages_text(frame.stage_s), _LINE_PX, (width - x) * 0.66)
    stages_width = text_size(stages, _LINE_PX)[0]
    draw_text(header, stages, (width - left, 48), _LINE_PX, TEXT_DIM, 'rm')
    model = f'model {frame.model_id}' if frame.model_id else ''
    model = fit_text(model, _LINE_PX, width - left - stages_width - 24 - x)
    draw_text(header, model, (x, 48), _LINE_PX, TEXT, 'lm')


def _draw_badge(header: Image, at_px: tuple[int, int], text: str) -> None:
    width, _ = text_size(text, _LINE_PX, bold=True)
    x, y = at_px
    fill_box(header, (x, y - 13, x + width + 18, y + 13), WARNING)
    draw_text(header, text, (x + 9, y), _LINE_PX, BACKGROUND, 'lm', bold=True)


def _stamp_text(stamp_ns: int) -> str:
    seconds, rest = divmod(stamp_ns, NS_PER_S)
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    clock = moment.strftime('%Y-%m-%d %H:%M:%S')
    return f'stamp {seconds}.{rest:09d}   {clock}.{rest // 1_000_000:03d} UTC'


def _stages_text(stage_s: Mapping[str, float]) -> str:
    if not stage_s:
        return ''
    parts = [f'{name} {seconds * 1e3:.1f}' for name, seconds in stage_s.items()]
    return ' | '.join([f'total {sum(stage_s.values()) * 1e3:.1f} ms', *parts])
