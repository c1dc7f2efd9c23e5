"""One picture per frame of a recording: its cameras with projected boxes beside the BEV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.frame import draw_frame
from bev_perception.draw.png import save_png
from bev_perception.errors import ImageError
from bev_perception.frame import BevFrame
from bev_perception.geometry.camera import Camera
from bev_perception.inputs.calibration import CameraSource
from bev_perception.inputs.conversion import image_from_msg, stamp_to_ns
from bev_perception.inputs.image import CameraImage, decode
from bev_perception.replay.bag_reader import BagReader


@dataclass(frozen=True)
class CameraView:
    """What a picture shows of one camera: its image and the calibration that fits it."""

    image: CameraImage
    camera: Camera


def paint_frame(
    frame: BevFrame, views: Mapping[str, CameraView], folder: Path, title: str, trained: bool
) -> Path:
    """Writes the picture of one frame, named by its stamp; returns its path."""
    pixels = {name: _decoded(view) for name, view in views.items()}
    cameras = {name: view.camera for name, view in views.items()}
    path = folder / f'{frame.stamp_ns}.png'
    save_png(path, draw_frame(frame, pixels, cameras, title, trained=trained))
    return path


@dataclass
class _Pending:
    """A frame whose images are still being collected."""

    frame: BevFrame
    wanted: set[str]
    views: dict[str, CameraView] = field(default_factory=dict)


def views_from_bag(
    reader: BagReader,
    sources: Sequence[CameraSource],
    cameras: Mapping[str, Camera],
    frames: Iterable[BevFrame],
) -> Iterator[tuple[BevFrame, dict[str, CameraView]]]:
    """Yields each frame with the images it says it rests on, found in the bag by their stamps.

    Images are held only until their frame has them all; cameras without calibration and images
    that the bag does not hold are left out.
    """
    by_image: dict[tuple[str, int], _Pending] = {}
    for frame in frames:
        wanted = {c.name: c.stamp_ns for c in frame.cameras if c.stamp_ns and c.name in cameras}
        pending = _Pending(frame, set(wanted))
        for name, stamp_ns in wanted.items():
            by_image[name, stamp_ns] = pending
        if not wanted:
            yield frame, {}
    names = {s.image_topic: s.name for s in sources}
    for message in reader.messages(names):
        decoded = reader.decode(message)
        name = names[message.topic]
        found = by_image.pop((name, stamp_to_ns(decoded.header.stamp)), None)
        if found is None:
            continue
        found.views[name] = CameraView(image_from_msg(decoded), cameras[name])
        found.wanted.discard(name)
        if not found.wanted:
            yield found.frame, found.views
    for left in {id(p): p for p in by_image.values()}.values():
        yield left.frame, left.views


def _decoded(view: CameraView) -> NDArray[np.uint8] | None:
    try:
        return decode(view.image, view.camera, 1)
    except ImageError:
        return None
