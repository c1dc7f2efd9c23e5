"""Measures how exact the drives of a data set are, and says which are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

from bev_trainer.dataset.manifest import file_sha256
from bev_trainer.dataset.reader import Drive
from bev_trainer.errors import DatasetError
from bev_trainer.look.agreement import GRID, LIMITS, Agreement, agreement
from bev_trainer.look.camera_truth import read_truth


@dataclass(frozen=True)
class DriveJob:
    """A drive to check.

    Attributes:
        path: of the file.
        sha256: that it must have; None: not known.
        frames: how many label frames to look at, spread over the drive.
    """

    path: Path
    sha256: str | None
    frames: int


@dataclass(frozen=True)
class DriveCheck:
    """What became of it.

    Attributes:
        name: of the drive.
        frames: label frames looked at.
        measured: over all cameras of these frames.
        rig: of the drive.
        weather: of the drive.
        problem: why the file cannot be read or is not the one that was made; '' when it is.
    """

    name: str
    frames: int
    measured: Agreement
    rig: str = ''
    weather: str = ''
    problem: str = ''

    @property
    def passed(self) -> bool:
        """Whether the file is whole and everything is within its limits."""
        return not self.problem and not self.measured.failures()


def check_drive(job: DriveJob) -> DriveCheck:
    """Returns what was measured; a damaged file is a result, not an error."""
    name = job.path.stem
    try:
        _check_hash(job)
        with Drive(job.path) as drive:
            rig, weather = drive.description.rig_name, drive.description.weather.name
            frames = spread_frames(drive.description.label_frames, job.frames)
            truths = (truth for frame in frames for truth in read_truth(drive, frame, GRID))
            measured = reduce(add, (agreement(truth) for truth in truths), Agreement())
    except DatasetError as error:
        return DriveCheck(name, 0, Agreement(), problem=str(error))
    return DriveCheck(name, len(frames), measured, rig, weather)


def spread_frames(frames: Sequence[int], count: int) -> list[int]:
    """Returns at most `count` of the frames, each in the middle of its share of the drive."""
    count = min(count, len(frames))
    return [frames[int((i + 0.5) * len(frames) / count)] for i in range(count)]


def table_head() -> str:
    """Returns the lines above the rows of a table of checks."""
    heads = ''.join(f'{name:>13}' for name in LIMITS)
    limits = ''.join(f'{f">= {100 * limit:.2f} %":>13}' for limit in LIMITS.values())
    return f'{_words("drive", "rig", "weather", "frames")}{heads}\n{_words("limits")}{limits}'


def table_row(check: DriveCheck) -> str:
    """Returns the row of a drive: shares in per cent, what failed marked with '!'."""
    if check.problem:
        return f'{check.name:13}  FAIL  {check.problem}'
    failures = check.measured.failures()
    shares = [
        f'{_percent(check.measured, name)}{"!" if name in failures else " "}' for name in LIMITS
    ]
    verdict = 'ok' if check.passed else 'FAIL'
    words = _words(check.name, check.rig, check.weather, str(check.frames))
    return words + ''.join(f'{share:>13}' for share in shares) + f'  {verdict}'


def _words(name: str, rig: str = '', weather: str = '', frames: str = '') -> str:
    return f'{name:13} {rig:18} {weather:10} {frames:>6}'


def _percent(measured: Agreement, name: str) -> str:
    share = getattr(measured, name)
    return f'{100 * share.value:.3f} %' if share.total else '-'


def _check_hash(job: DriveJob) -> None:
    if job.sha256 is None:
        return
    try:
        found = file_sha256(job.path)
    except OSError as error:
        raise DatasetError(f'{job.path}: cannot be read: {error.strerror}') from error
    if found != job.sha256:
        raise DatasetError(f'{job.path}: its content is not what the manifest says (sha256)')
