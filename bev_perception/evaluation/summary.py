"""From the records of scenes to the results of a run, and to the difference of two runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bev_perception.evaluation.bootstrap import draws, intervals, paired_intervals
from bev_perception.evaluation.figure import Figure
from bev_perception.evaluation.metric import Metric
from bev_perception.evaluation.results import (
    Comparison,
    Difference,
    Estimate,
    RunResult,
    SceneResult,
)
from bev_perception.evaluation.scene_run import SceneRun

FRAMES_SHOWN = 10


@dataclass(frozen=True)
class BootstrapOptions:
    """How intervals are made.

    Attributes:
        replicates: draws; 0 for no intervals.
        seed: of the draws.
    """

    replicates: int = 200
    seed: int = 0


@dataclass(frozen=True, eq=False)
class RunScenes:
    """All scenes of one run, before they are pooled.

    Attributes:
        model, trained_on, data, condition: see `RunResult`.
        metrics: that made the records.
        scenes: in the order asked for.
    """

    model: str
    trained_on: str
    data: str
    condition: str
    metrics: Sequence[Metric[Any]]
    scenes: tuple[SceneRun, ...]

    def records(self, family: str) -> list[list[Any]]:
        """Returns the records of a family, by scene; frames without one are left out."""
        return [[r for r in scene.records[family] if r is not None] for scene in self.scenes]


def summarise(run: RunScenes, options: BootstrapOptions) -> RunResult:
    """Returns the results of a run, pooled over its scenes."""
    figures: dict[str, Estimate] = {}
    drawn = draws(len(run.scenes), options.replicates, options.seed) if run.scenes else None
    for metric in run.metrics:
        records = run.records(metric.name)
        bounds = (
            intervals(metric, records, drawn)
            if drawn is not None and len(drawn) and len(records) > 1
            else {}
        )
        for name, figure in metric.summarise(records).items():
            low, high = (
                bounds.get(name, (None, None)) if figure.value is not None else (None, None)
            )
            figures[name] = Estimate(figure.value, low, high, figure.better, figure.unit)
    return RunResult(
        model=run.model,
        trained_on=run.trained_on,
        data=run.data,
        condition=run.condition,
        figures=figures,
        curves={n: c for m in run.metrics for n, c in m.curves(run.records(m.name)).items()},
        confusions={
            n: c for m in run.metrics for n, c in m.confusions(run.records(m.name)).items()
        },
        scenes=tuple(_scene(run, index) for index in range(len(run.scenes))),
    )


def compare(first: RunScenes, second: RunScenes, options: BootstrapOptions) -> Comparison:
    """Returns how the second run differs from the first, over the scenes that both have."""
    places = {scene.info.name: row for row, scene in enumerate(second.scenes)}
    rows = [row for row, scene in enumerate(first.scenes) if scene.info.name in places]
    partners = [places[first.scenes[row].info.name] for row in rows]
    others = {metric.name: metric for metric in second.metrics}
    found: list[Difference] = []
    for metric in first.metrics:
        other = others.get(metric.name)
        if other is None:
            continue
        old, new = first.records(metric.name), second.records(metric.name)
        old, new = [old[row] for row in rows], [new[row] for row in partners]
        bounds = {}
        if len(rows) > 1 and options.replicates:
            drawn = draws(len(rows), options.replicates, options.seed)
            bounds = paired_intervals((metric, other), old, new, drawn)
        before, after = metric.summarise(old), other.summarise(new)
        found += [
            _difference(name, before[name], after[name], bounds.get(name))
            for name in before
            if name in after
        ]
    return Comparison(
        _title(first), _title(second), tuple(found), _frames(first, second, rows, partners)
    )


def _title(run: RunScenes) -> str:
    return f'{run.model} on {run.data}'


def _difference(
    name: str, before: Figure, after: Figure, bounds: tuple[float, float] | None
) -> Difference:
    old, new = before.value, after.value
    if old is None or new is None:
        return Difference(name, old, new, None, None, None, 'n/a')
    low, high = bounds if bounds is not None else (None, None)
    verdict: Literal['better', 'worse', 'same'] = 'same'
    if low is not None and high is not None and (low > 0 or high < 0):
        verdict = 'better' if (low > 0) == (before.better == 'higher') else 'worse'
    return Difference(name, old, new, new - old, low, high, verdict)


def _frames(
    first: RunScenes, second: RunScenes, rows: Sequence[int], partners: Sequence[int]
) -> tuple[tuple[str, int, float, float], ...]:
    """Returns the frames whose scores differ most."""
    found = []
    for row, partner in zip(rows, partners, strict=True):
        scene, other = first.scenes[row], second.scenes[partner]
        theirs = {note.stamp_ns: note.score for note in other.notes}
        for note in scene.notes:
            score = theirs.get(note.stamp_ns)
            if note.score is not None and score is not None:
                found.append((scene.info.name, note.stamp_ns, note.score, score))
    found.sort(key=lambda item: (-abs(item[3] - item[2]), item[0], item[1]))
    return tuple(item for item in found[:FRAMES_SHOWN] if item[2] != item[3])


def _scene(run: RunScenes, index: int) -> SceneResult:
    scene = run.scenes[index]
    figures: Mapping[str, Estimate] = {
        name: Estimate(figure.value, None, None, figure.better, figure.unit)
        for metric in run.metrics
        for name, figure in metric.summarise([run.records(metric.name)[index]]).items()
    }
    return SceneResult(scene.info, scene.frames, scene.notes, figures, scene.problems)
