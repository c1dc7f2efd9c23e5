"""How much room a data set takes, before it is made."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from bev_trainer.errors import SimulationError
from bev_trainer.simulate.job import DriveJob

# Measured at 352x128 and 704x256, rounded up: see `bev-trainer simulate --plan`.
_JPEG_BYTES_PER_PIXEL = 0.4
_LABEL_BYTES_PER_PIXEL = 0.45
_OBSERVED_BYTES = 4_000
_BYTES_PER_DRIVE = 1_500_000
_BYTES_PER_NETWORK = 8_000_000


def estimated_bytes(drives: Sequence[DriveJob]) -> int:
    """Returns how large drives become, with their maps and worlds; on the safe side."""
    networks = {drive.network for drive in drives}
    return sum(map(_drive_bytes, drives)) + _BYTES_PER_NETWORK * len(networks)


def check_space(root: Path, drives: Sequence[DriveJob]) -> None:
    """Raises SimulationError when the disk has less room than the drives are likely to need."""
    needed = estimated_bytes(drives)
    free = shutil.disk_usage(root).free
    if free < needed:
        raise SimulationError(
            f'{root}: about {as_size(needed)} are needed, {as_size(free)} are free; '
            'make room, choose another --out, or ask for less'
        )


def as_size(count: int) -> str:
    """Returns a number of bytes for people, for example '1.3 GB'."""
    size = float(count)
    for unit in ('B', 'kB', 'MB', 'GB'):
        if size < 999.5:
            return f'{size:.3g} {unit}'
        size /= 1000
    return f'{size:.3g} TB'


def _drive_bytes(drive: DriveJob) -> int:
    pixels, cameras = 0, drive.rig.cameras
    for camera in cameras:
        assert camera.intrinsics is not None
        pixels += camera.intrinsics.width * camera.intrinsics.height
    labelled = len(drive.label_frames)
    images = drive.frames * pixels * _JPEG_BYTES_PER_PIXEL
    labels = labelled * (pixels * _LABEL_BYTES_PER_PIXEL + len(cameras) * _OBSERVED_BYTES)
    return int(images + labels) + _BYTES_PER_DRIVE
