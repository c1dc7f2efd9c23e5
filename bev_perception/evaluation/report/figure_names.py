"""Names of figures: their parts, their titles, and which of them come first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bev_perception.evaluation.report.numbers import defined
from bev_perception.evaluation.results import RunResult

_FAMILY_TITLES = {
    'detection': 'Objects: nuScenes detection',
    'tracking': 'Objects over time: tracking',
    'iou': 'Areas: intersection over union',
    'future_iou': 'Areas ahead in time: future IoU',
    'vpq': 'Instances over time: video panoptic quality',
    'occupancy': 'Occupancy: calibration and unknown area',
    'forecast': 'Paths of objects',
}

# What a reader looks for first; of each row the first that an evaluation has, by preference.
_HEADLINES: tuple[tuple[str, ...], ...] = (
    (r'detection/NDS',),
    (r'detection/mAP',),
    (r'detection/AP@2m/car',),
    (r'tracking/AMOTA',),
    (
        r'iou/long/(vehicle|movable|car)',
        r'iou/long/mean',
        r'iou/[^/]+/(vehicle|movable|car)',
        r'iou/[^/]+/mean',
        r'iou/.+',
    ),
    (r'iou/long/drivable',),
    (r'future_iou/long', r'future_iou/.+'),
    (r'vpq/long/vehicles/VPQ', r'vpq/.*vehicles/VPQ'),
    (r'vpq/long/VPQ', r'vpq/.*VPQ'),
    (r'forecast/minADE', r'forecast/minADE_\d+', r'forecast/.*minADE.*'),
    (r'forecast/moving_vehicles/to_constant_velocity/minADE',),
    (r'occupancy/ECE', r'occupancy/.*ECE.*'),
    (r'occupancy/unknown_share',),
)

_EXPLAINED = (
    (r'detection/NDS', 'nuScenes detection score: precision and errors of boxes in one number'),
    (r'detection/mAP', 'mean average precision over classes and centre distances'),
    (r'detection/AP@2m/.+', 'average precision, centres at most 2 m off'),
    (r'tracking/AMOTA', 'tracking accuracy, averaged over recall'),
    (r'iou/.+/mean', 'overlap of predicted and true cells, mean over classes'),
    (r'iou/.+', 'overlap of predicted and true cells, all frames pooled'),
    (r'future_iou/.+', 'the same, now and at the instants ahead'),
    (r'vpq/.*vehicles/VPQ', 'vehicles found and kept over time'),
    (r'vpq/.*VPQ', 'instances found and kept over time'),
    (r'forecast/.*to_constant_velocity/minADE', 'the same over that of constant velocity'),
    (r'forecast/.*minADE.*', 'mean distance of the best path from the true one'),
    (r'forecast/.*minFDE.*', 'distance at the end of the best path'),
    (r'occupancy/.*ECE.*', 'how far probabilities are from frequencies'),
    (r'occupancy/unknown_share', 'share of cells that no camera sees'),
)


# Lines break after the dot.
SEPARATOR = '\N{NO-BREAK SPACE}· '


@dataclass(frozen=True)
class FigureName:
    """The parts of 'family/group/item'.

    Attributes:
        family: the first part; empty when there is a single one.
        group: what is between, joined by '/'; often empty.
        item: the last part.
    """

    family: str
    group: str
    item: str

    @classmethod
    def parse(cls, name: str) -> FigureName:
        """Returns the parts of a name."""
        parts = name.split('/')
        return cls(parts[0] if len(parts) > 1 else '', '/'.join(parts[1:-1]), parts[-1])


def family_title(family: str) -> str:
    """Returns a heading for a family, also for ones that nobody has heard of."""
    if not family:
        return 'Other figures'
    return _FAMILY_TITLES.get(family, spaced(family).capitalize())


def figure_title(name: str) -> str:
    """Returns a short title: 'NDS', 'AP@2m · car', 'IoU · long · vehicle', 'VPQ · long'."""
    family, *rest = name.split('/')
    if family in ('iou', 'future_iou'):
        rest = ['Future IoU' if family == 'future_iou' else 'IoU', *rest]
    elif len(rest) > 1 and not rest[-1].islower() and '/'.join(rest[:-1]).islower():
        rest = [rest[-1], *rest[:-1]]
    return SEPARATOR.join(spaced(part) for part in rest or [family])


def explanation(name: str) -> str:
    """Returns one line about a figure; empty when none is known."""
    return next((text for pattern, text in _EXPLAINED if re.fullmatch(pattern, name)), '')


def spaced(part: str) -> str:
    """Returns 'constant_velocity' as words; symbols such as 'minADE_3' stay."""
    return part.replace('_', ' ') if part == part.lower() and not part[-1:].isdigit() else part


def all_names(runs: Iterable[RunResult]) -> tuple[str, ...]:
    """Returns the names of all figures of some runs, in the order of their first appearance."""
    return tuple(dict.fromkeys(name for run in runs for name in run.figures))


def families(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the families of some names: known ones in their order, then the others."""
    found = dict.fromkeys(FigureName.parse(name).family for name in names)
    known = [family for family in _FAMILY_TITLES if family in found]
    return (*known, *(family for family in found if family not in _FAMILY_TITLES))


def headline_names(runs: Sequence[RunResult]) -> tuple[str, ...]:
    """Returns the names of the figures to show first, none of them n/a in all of the runs.

    A family that nothing is known about is stood for by its first figure.
    """
    names = [
        name
        for name in all_names(runs)
        if any(name in run.figures and defined(run.figures[name].value) for run in runs)
    ]
    chosen = [found for row in _HEADLINES if (found := _first_match(row, names)) is not None]
    for family in families(names):
        if family not in _FAMILY_TITLES:
            chosen.append(next(n for n in names if FigureName.parse(n).family == family))
    return tuple(chosen)


def _first_match(patterns: Sequence[str], names: Sequence[str]) -> str | None:
    for pattern in patterns:
        for name in names:
            if re.fullmatch(pattern, name):
                return name
    return None
