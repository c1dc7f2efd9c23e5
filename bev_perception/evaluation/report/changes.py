"""Perturbed runs beside their clean one: how far figures move, by kind of perturbation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bev_perception.evaluation.report.numbers import defined
from bev_perception.evaluation.report.runs import CLEAN
from bev_perception.evaluation.results import Evaluation, RunResult
from bev_perception.evaluation.robustness.drops import Drop, DropTable, PerturbedRun, drop_table

# Names of conditions are those of `robustness.catalogue`; names of cameras may be anything.
_OFF = '(pitch|yaw|roll|height|forward|left|focal) [-+]'
_KINDS = (
    ('One camera missing', r'^camera .* missing$'),
    ('Two cameras missing', r'^cameras .* missing$'),
    ('All but one camera missing', r'^all but .* missing$'),
    ('One camera late', r'^camera .* late [\d.]+ s$'),
    ('One camera stamped late', r'^camera .* stamped [\d.]+ s late$'),
    ('One camera frozen', r'^camera .* frozen after [\d.]+ s$'),
    ('Images corrupted', r'^(cameras? .* )?\w+ \d$'),
    ('Calibration of all cameras off', f'^{_OFF}'),
    ('Calibration of one camera off', f'^camera .* {_OFF}'),
    ('Odometry', r'^odometry '),
    ('Other conditions', r''),
)


@dataclass(frozen=True, eq=False)
class Perturbed:
    """The perturbed runs of one model over one data set.

    Attributes:
        model, trained_on, data: of all of them.
        clean: the clean run; None when there is none.
        runs: in order.
    """

    model: str
    trained_on: str
    data: str
    clean: RunResult | None
    runs: tuple[RunResult, ...]

    def drops(self, names: Sequence[str]) -> DropTable | None:
        """Returns how much worse those figures become that the clean run has a value of.

        None when there are none.
        """
        if self.clean is None:
            return None
        figures = self.clean.figures
        known = [name for name in names if name in figures and defined(figures[name].value)]
        runs = [
            PerturbedRun(r.condition, condition_kind(r.condition), r.figures) for r in self.runs
        ]
        return drop_table(figures, runs, known) if known else None


def perturbed_by_model(evaluation: Evaluation) -> tuple[Perturbed, ...]:
    """Returns the perturbed runs by model and data, each with its clean run."""
    groups: dict[tuple[str, str, str], list[RunResult]] = {}
    for run in evaluation.runs:
        groups.setdefault((run.model, run.trained_on, run.data), []).append(run)
    return tuple(
        Perturbed(
            *identity,
            next((run for run in runs if run.condition == CLEAN), None),
            tuple(run for run in runs if run.condition != CLEAN),
        )
        for identity, runs in groups.items()
        if any(run.condition != CLEAN for run in runs)
    )


def change(drop: Drop) -> float | None:
    """Returns perturbed minus clean; None when one of them is n/a."""
    if drop.clean is None or drop.perturbed is None:
        return None
    return drop.perturbed - drop.clean


def condition_kind(condition: str) -> str:
    """Returns the title of the kind of perturbation that a condition is of."""
    return next(title for title, pattern in _KINDS if re.search(pattern, condition))


def by_kind(conditions: Sequence[str]) -> dict[str, list[str]]:
    """Returns conditions by kind, kinds always in the same order."""
    found = {title: [c for c in conditions if condition_kind(c) == title] for title, _ in _KINDS}
    return {title: members for title, members in found.items() if members}
