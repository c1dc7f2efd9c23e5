"""All perturbations of a rig, in groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

from bev_perception.errors import ConfigError
from bev_perception.evaluation.robustness.calibration import CalibrationOff, Quantity
from bev_perception.evaluation.robustness.images.corruption import CORRUPTIONS, ImagesCorrupted
from bev_perception.evaluation.robustness.late import CamerasLate
from bev_perception.evaluation.robustness.missing import CamerasMissing
from bev_perception.evaluation.robustness.odometry import (
    OdometryDrift,
    OdometryLate,
    OdometryMissing,
    OdometryNoise,
    OdometryScale,
)
from bev_perception.evaluation.robustness.perturbation import (
    STRENGTHS,
    Perturbation,
    of_strength,
)
from bev_perception.evaluation.robustness.stale import CamerasFrozen, CamerasMisstamped
from bev_perception.inputs.synced_set import SyncConfig

# With more cameras, only pairs of neighbours are left out: all pairs would be too many.
MAX_CAMERAS_FOR_ALL_PAIRS = 6

_LATE_DEADLINES = (0.5, 3.0)
_CLOCK_OFF_S = (0.1, 0.2, 0.5)
_FROZEN_AFTER_S = 0.2
_CALIBRATION_OFF: dict[Quantity, tuple[float, ...]] = {
    'pitch': (0.5, 1.0, 2.0),
    'yaw': (0.5, 1.0, 2.0),
    'roll': (0.5, 1.0, 2.0),
    'height': (0.1, 0.2, 0.4),
    'forward': (0.1, 0.2, 0.4),
    'left': (0.1, 0.2, 0.4),
    'focal': (1.0, 2.0, 5.0),
}
_SINGLE_CAMERA_OFF: tuple[Quantity, ...] = ('pitch', 'yaw')
_ODOMETRY_LATE_S = (0.1, 0.2, 0.5)
# White noise: metres and degrees; drift: the same after a second.
_ODOMETRY_NOISE = ((0.02, 0.1), (0.05, 0.3), (0.2, 1.0))
_ODOMETRY_DRIFT = ((0.05, 0.2), (0.15, 0.5), (0.5, 2.0))
_ODOMETRY_SCALE_PERCENT = (2.0, 5.0, 10.0)

_Maker = Callable[[tuple[str, ...], tuple[int, ...]], Iterator[Perturbation]]


def catalogue(
    cameras: Sequence[str],
    groups: Sequence[str] | None = None,
    strengths: Sequence[int] = STRENGTHS,
    sync: SyncConfig | None = None,
) -> tuple[Perturbation, ...]:
    """Returns the perturbations of a rig, in the order of `GROUPS`; names are unique.

    Args:
        cameras: names, in the order of the rig; neighbours should follow each other.
        groups: out of `GROUPS`; None for all.
        strengths: of those that are graded: 1 mild, 2 bad, 3 severe but real.
        sync: how images are grouped; decides what becomes of a late one.

    Raises:
        ConfigError: no cameras, a camera named twice, or an unknown group or strength.
    """
    _check(cameras, groups, strengths)
    chosen = tuple(strength for strength in STRENGTHS if strength in strengths)
    makers: dict[str, _Maker] = {**_MAKERS, 'late': _late(sync or SyncConfig())}
    made: list[Perturbation] = []
    absent: set[frozenset[str]] = set()
    for group in GROUPS:
        if groups is not None and group not in groups:
            continue
        for perturbation in makers[group](tuple(cameras), chosen):
            if isinstance(perturbation, CamerasMissing):
                # In small rigs, all but one are a pair, or a single one.
                if frozenset(perturbation.cameras) in absent:
                    continue
                absent.add(frozenset(perturbation.cameras))
            made.append(perturbation)
    return tuple(made)


def _check(cameras: Sequence[str], groups: Sequence[str] | None, strengths: Sequence[int]) -> None:
    if not cameras or len(set(cameras)) != len(cameras):
        named = ', '.join(cameras) or 'none'
        raise ConfigError(f'robustness: camera names must be given and differ, got {named}')
    _check_choice('group', GROUPS if groups is None else groups, GROUPS)
    _check_choice('strength', strengths, STRENGTHS)


def _check_choice(kind: str, asked: Sequence[str | int], valid: Sequence[str | int]) -> None:
    unknown = [item for item in asked if item not in valid]
    if unknown or not asked:
        problem = f"{kind} '{unknown[0]}' is unknown" if unknown else f'no {kind} is chosen'
        raise ConfigError(f'robustness: {problem}; choose from {", ".join(map(str, valid))}')


def _missing(cameras: tuple[str, ...], strengths: tuple[int, ...]) -> Iterator[Perturbation]:
    if len(cameras) > 1:
        yield from (CamerasMissing((name,)) for name in cameras)


def _pairs(cameras: tuple[str, ...], strengths: tuple[int, ...]) -> Iterator[Perturbation]:
    """Yields pairs that leave at least one camera."""
    if len(cameras) < 3:
        return
    pairs = list(combinations(cameras, 2))
    if len(cameras) > MAX_CAMERAS_FOR_ALL_PAIRS:
        pairs = list(zip(cameras, (*cameras[1:], cameras[0]), strict=True))
    yield from (CamerasMissing(pair, 'pairs') for pair in pairs)


def _alone(cameras: tuple[str, ...], strengths: tuple[int, ...]) -> Iterator[Perturbation]:
    if len(cameras) < 2:
        return
    for name in cameras:
        others = tuple(other for other in cameras if other != name)
        yield CamerasMissing(others, 'alone', f'all but camera {name} missing')


def _late(sync: SyncConfig) -> _Maker:
    def make(cameras: tuple[str, ...], strengths: tuple[int, ...]) -> Iterator[Perturbation]:
        if len(cameras) < 2:
            return  # late is what comes after the other cameras
        for deadlines in _LATE_DEADLINES:
            delay_s = round(deadlines * sync.deadline_s, 3)
            yield from (CamerasLate((name,), delay_s, sync.deadline_s) for name in cameras)

    return make


def _clock(cameras: tuple[str, ...], strengths: tuple[int, ...]) -> Iterator[Perturbation]:
    for strength in strengths:
        delay_s = of_strength(_CLOCK_OFF_S, strength)
        yield from (CamerasMisstamped((name,), delay_s) for name in cameras)


def _frozen(cameras: tuple[str, ...], strengths: tuple[int, ...]) -> Iterator[Perturbation]:
    yield from (CamerasFrozen((name,), _FROZEN_AFTER_S) for name in cameras)


def _images(cameras: tuple[str, ...], strengths: tuple[int, ...]) -> Iterator[Perturbation]:
    for kind in CORRUPTIONS:
        yield from (ImagesCorrupted(kind, strength) for strength in strengths)


def _calibration(cameras: tuple[str, ...], strengths: tuple[int, ...]) -> Iterator[Perturbation]:
    for quantity, levels in _CALIBRATION_OFF.items():
        amounts = [of_strength(levels, strength) for strength in strengths]
        for amount in (*(-amount for amount in reversed(amounts)), *amounts):
            yield CalibrationOff(quantity, amount)


def _calibration_single(
    cameras: tuple[str, ...], strengths: tuple[int, ...]
) -> Iterator[Perturbation]:
    if len(cameras) < 2:
        return
    for quantity in _SINGLE_CAMERA_OFF:
        for strength in strengths:
            amount = of_strength(_CALIBRATION_OFF[quantity], strength)
            for name in cameras:
                yield CalibrationOff(quantity, amount, (name,), 'calibration_single')


def _odometry(cameras: tuple[str, ...], strengths: tuple[int, ...]) -> Iterator[Perturbation]:
    yield OdometryMissing()
    places = [STRENGTHS.index(strength) for strength in strengths]
    yield from (OdometryLate(_ODOMETRY_LATE_S[place]) for place in places)
    yield from (OdometryNoise(*_ODOMETRY_NOISE[place]) for place in places)
    yield from (OdometryDrift(*_ODOMETRY_DRIFT[place]) for place in places)
    percents = [_ODOMETRY_SCALE_PERCENT[place] for place in places]
    for percent in (*(-percent for percent in reversed(percents)), *percents):
        yield OdometryScale(percent)


_MAKERS: dict[str, _Maker] = {
    'missing': _missing,
    'pairs': _pairs,
    'alone': _alone,
    'late': _late(SyncConfig()),
    'clock': _clock,
    'frozen': _frozen,
    'images': _images,
    'calibration': _calibration,
    'calibration_single': _calibration_single,
    'odometry': _odometry,
}
GROUPS = tuple(_MAKERS)
