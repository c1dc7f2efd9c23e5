"""How much worse every figure becomes under perturbations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bev_perception.evaluation.figure import Better
from bev_perception.evaluation.results import Estimate


@dataclass(frozen=True)
class PerturbedRun:
    """Figures under one perturbation.

    Attributes:
        name: of the perturbation.
        group: of the perturbation.
        figures: by name.
    """

    name: str
    group: str
    figures: Mapping[str, Estimate]


@dataclass(frozen=True)
class Drop:
    """One figure under one perturbation, against the clean run.

    Attributes:
        perturbation, group, figure: names.
        better: which way the figure is better.
        unit: of the figure.
        clean, perturbed: values; None for n/a.
        absolute: how much worse, in the unit of the figure; negative where it became better;
            None when one value is n/a.
        relative: `absolute` as a share of the clean value's size; None as well when that is 0.
    """

    perturbation: str
    group: str
    figure: str
    better: Better
    unit: str
    clean: float | None
    perturbed: float | None
    absolute: float | None
    relative: float | None


@dataclass(frozen=True)
class GroupMean:
    """Mean over the perturbations of a group, as mean corruption errors are made.

    1 - `relative` of a score is the mean resilience rate of RoboBEV (Xie et al., 2023): the mean
    over corruptions and strengths of the perturbed score, as a share of the clean one.

    Attributes:
        group, figure: names.
        unit: of the figure.
        count: perturbations with a defined drop.
        absolute, relative: means over these; None when there are none.
        worst: name of the perturbation with the largest absolute drop; empty likewise.
        worst_absolute: its drop.
    """

    group: str
    figure: str
    unit: str
    count: int
    absolute: float | None
    relative: float | None
    worst: str
    worst_absolute: float | None


@dataclass(frozen=True)
class DropTable:
    """All drops.

    Attributes:
        figures: names, in the order of the columns.
        drops: one per perturbation and figure, perturbations in the order of the runs.
        means: one per group and figure, groups in the order in which they came.
    """

    figures: tuple[str, ...]
    drops: tuple[Drop, ...]
    means: tuple[GroupMean, ...]


def drop_table(
    clean: Mapping[str, Estimate],
    runs: Sequence[PerturbedRun],
    figures: Sequence[str] | None = None,
) -> DropTable:
    """Returns the drops of figures; n/a stays n/a and takes no part in means.

    Args:
        clean: figures of the run without perturbation.
        runs: the same model over the same scenes.
        figures: names out of `clean`; None for all of them.

    Raises:
        ValueError: a figure is not in `clean`.
    """
    names = tuple(clean if figures is None else figures)
    unknown = [name for name in names if name not in clean]
    if unknown:
        raise ValueError(f"figure '{unknown[0]}' is not among those of the clean run")
    drops = tuple(drop(name, clean[name], run) for run in runs for name in names)
    groups = dict.fromkeys(run.group for run in runs)
    means = (
        _mean([d for d in drops if (d.group, d.figure) == (group, name)])
        for group in groups
        for name in names
    )
    return DropTable(names, drops, tuple(means))


def drop(figure: str, clean: Estimate, run: PerturbedRun) -> Drop:
    """Returns how much worse a figure is in a perturbed run."""
    found = run.figures.get(figure)
    value = None if found is None else found.value
    absolute = relative = None
    if clean.value is not None and value is not None:
        absolute = clean.value - value if clean.better == 'higher' else value - clean.value
        relative = absolute / abs(clean.value) if clean.value else None
    return Drop(
        run.name,
        run.group,
        figure,
        clean.better,
        clean.unit,
        clean.value,
        value,
        absolute,
        relative,
    )


def _mean(drops: Sequence[Drop]) -> GroupMean:
    """Returns the mean of the drops of one figure in one group."""
    defined = [(d.absolute, d.perturbation) for d in drops if d.absolute is not None]
    relative = [d.relative for d in drops if d.relative is not None]
    worst = max(defined, key=lambda item: item[0], default=(None, ''))
    return GroupMean(
        drops[0].group,
        drops[0].figure,
        drops[0].unit,
        len(defined),
        sum(value for value, _ in defined) / len(defined) if defined else None,
        sum(relative) / len(relative) if relative else None,
        worst[1],
        worst[0],
    )
