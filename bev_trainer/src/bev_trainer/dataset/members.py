"""Names of what is in a drive file.

A drive file is a zip. Images are stored as they are; arrays (`.npy`) are compressed by the zip.
Cameras go by their index in the rig, since their names may hold anything.
"""

from __future__ import annotations

from typing import Literal

LabelKind = Literal['class', 'instance', 'depth']

DESCRIPTION = 'drive.json'
GROUND = 'ground.png'
WORLD_T_BASE = 'poses/world_T_base.npy'
CAMERA_WORLD_T_BASE = 'poses/camera_world_T_base.npy'


def image(frame: int, camera: int) -> str:
    """Member with the JPEG of a camera at a frame."""
    return f'images/{camera:02d}/{frame:06d}.jpg'


def label(kind: LabelKind, frame: int, camera: int) -> str:
    """Member with a label image (PNG) of a camera at a frame."""
    return f'labels/{camera:02d}/{frame:06d}.{kind}.png'


def observed(frame: int) -> str:
    """Member with the observed cells of a frame: uint8, the bits [N, Y, X] packed in C order."""
    return f'observed/{frame:06d}.npy'


def objects(column: str) -> str:
    """Member with a column of the `ObjectTable`."""
    return f'objects/{column}.npy'
