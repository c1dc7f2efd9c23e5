"""What a study came to: figures by test, arm and seed, each beside those of the first arm."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bev_perception.evaluation.predictor import ModelPredictor
from bev_perception.evaluation.results import Comparison, Difference, Estimate, Evaluation
from bev_perception.evaluation.robustness.catalogue import catalogue
from bev_trainer.study.plan import StudyConfig

CLEAN = 'clean'


@dataclass(frozen=True)
class Reading:
    """A figure of one model.

    Attributes:
        test, condition, arm, figure: which one; a condition is 'clean', or a group of
            perturbations whose mean it is.
        seed: None where one model stands for all seeds.
        value: None for n/a.
        low, high: 95 % bootstrap interval over scenes, where there is one.
        change: against the first arm with the same seed; None for the first arm itself, or n/a.
        verdict: 'better' or 'worse' where the paired interval leaves out 0, else 'same'; empty
            where none was made.
    """

    test: str
    condition: str
    arm: str
    figure: str
    seed: int | None
    value: float | None
    low: float | None = None
    high: float | None = None
    change: float | None = None
    verdict: str = ''


def title_of(model: Path) -> str:
    """Returns what an evaluation calls the model of a folder."""
    return ModelPredictor(model).info().title


def readings(
    study: StudyConfig,
    test: str,
    titles: Mapping[str, Sequence[str]],
    evaluations: Sequence[Evaluation],
) -> list[Reading]:
    """Returns the figures of all arms on one test.

    Args:
        study: which figures are asked for.
        test: its name.
        titles: of the models, by arm, seed by seed; the same for all seeds if there is only one.
        evaluations: by seed; each begins with the model of the first arm.
    """
    found = []
    for arm, names in titles.items():
        single = len(names) < len(study.seeds)
        pairs = list(zip(study.seeds, evaluations, strict=True))
        for index, (seed, evaluation) in enumerate(pairs[:1] if single else pairs):
            name = names[0] if single else names[index]
            for figure in study.figures:
                found.append(_clean(test, arm, figure, None if single else seed, name, evaluation))
                found += _perturbed(study, test, arm, figure, seed, name, evaluation)
    return found


def _clean(
    test: str, arm: str, figure: str, seed: int | None, title: str, evaluation: Evaluation
) -> Reading:
    estimate = _estimate(evaluation, title, CLEAN, figure)
    difference = _difference(evaluation.comparisons, title, figure)
    return Reading(
        test, CLEAN, arm, figure, seed,
        None if estimate is None else estimate.value,
        None if estimate is None else estimate.low,
        None if estimate is None else estimate.high,
        None if difference is None else difference.change,
        '' if difference is None or difference.change is None else difference.verdict,
    )  # fmt: skip


def _perturbed(
    study: StudyConfig,
    test: str,
    arm: str,
    figure: str,
    seed: int | None,
    title: str,
    evaluation: Evaluation,
) -> list[Reading]:
    """Returns means over the conditions of each group of perturbations."""
    first = evaluation.runs[0].model
    cameras = evaluation.runs[0].scenes[0].info.cameras
    found = []
    for group in study.tests[test].robustness:
        conditions = [item.name for item in catalogue(cameras, (group,))]
        own = _mean(evaluation, title, conditions, figure)
        base = _mean(evaluation, first, conditions, figure)
        change = None if own is None or base is None or title == first else own - base
        found.append(Reading(test, group, arm, figure, seed, own, change=change))
    return found


def _mean(
    evaluation: Evaluation, title: str, conditions: Sequence[str], figure: str
) -> float | None:
    estimates = [_estimate(evaluation, title, name, figure) for name in conditions]
    values = [item.value for item in estimates if item is not None and item.value is not None]
    return statistics.fmean(values) if len(values) == len(conditions) and values else None


def _estimate(evaluation: Evaluation, title: str, condition: str, figure: str) -> Estimate | None:
    for run in evaluation.runs:
        if (run.model, run.condition) == (title, condition):
            return run.figures.get(figure)
    return None


def _difference(comparisons: Sequence[Comparison], title: str, figure: str) -> Difference | None:
    for comparison in comparisons:
        if comparison.second.startswith(f'{title} on '):
            return next((d for d in comparison.differences if d.name == figure), None)
    return None
