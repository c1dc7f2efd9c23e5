"""Every scene with its headline figures, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bev_perception.evaluation.report.figure_names import headline_names
from bev_perception.evaluation.report.numbers import defined, duration_text, share_text
from bev_perception.evaluation.report.runs import NamedRun, data_names, on_data
from bev_perception.evaluation.report.views.cells import Cell, Heading, figure_cell, heading
from bev_perception.evaluation.report.views.health import USED
from bev_perception.evaluation.results import SceneResult

_OPEN_ROWS = 25
_MOST_COLUMNS = 12


@dataclass(frozen=True)
class SceneRow:
    """One scene.

    Attributes:
        name: of the scene.
        length: of the recording, as text.
        frames: 'scored of made' of the first run.
        used: share of camera images that were used, as text.
        cells: per figure and run, in this order.
        problems: what was left out.
    """

    name: str
    length: str
    frames: str
    used: str
    cells: tuple[Cell, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class SceneTable:
    """The scenes of one data set.

    Attributes:
        data: name.
        runs: beside each other.
        figures: columns, each for all runs.
        rows: to show at once.
        folded: the others.
    """

    data: str
    runs: tuple[NamedRun, ...]
    figures: tuple[Heading, ...]
    rows: tuple[SceneRow, ...]
    folded: tuple[SceneRow, ...]


def scene_tables(runs: Sequence[NamedRun]) -> tuple[SceneTable, ...]:
    """Returns one table per data set; as many figures as fit for all of its runs."""
    tables = []
    for data in data_names(runs):
        of_data = on_data(runs, data)
        names = headline_names([run.run for run in of_data])
        names = names[: max(1, _MOST_COLUMNS // len(of_data))]
        scenes = dict.fromkeys(scene.info.name for run in of_data for scene in run.run.scenes)
        by_run = [{s.info.name: s for s in run.run.scenes} for run in of_data]
        found = [(_order(scene, by_run, names), scene) for scene in scenes]
        rows = tuple(_row(scene, of_data, by_run, names) for _, scene in sorted(found))
        if rows:
            headings = tuple(heading(name, of_data) for name in names)
            tables.append(
                SceneTable(data, of_data, headings, rows[:_OPEN_ROWS], rows[_OPEN_ROWS:])
            )
    return tuple(tables)


def _row(
    name: str,
    runs: Sequence[NamedRun],
    by_run: Sequence[dict[str, SceneResult]],
    names: Sequence[str],
) -> SceneRow:
    scene = next(scenes[name] for scenes in by_run if name in scenes)
    states = [state for note in scene.notes for state in note.cameras]
    cells = tuple(
        figure_cell(scenes[name].figures.get(figure), figure, run.key)
        if name in scenes
        else Cell()
        for figure in names
        for run, scenes in zip(runs, by_run, strict=True)
    )
    problems = dict.fromkeys(
        problem for scenes in by_run if name in scenes for problem in scenes[name].problems
    )
    return SceneRow(
        name,
        duration_text(scene.info.duration_s),
        f'{len(scene.notes)} of {scene.frames}',
        share_text(states.count(USED) / len(states) if states else None),
        cells,
        tuple(problems),
    )


def _order(
    name: str, by_run: Sequence[dict[str, SceneResult]], names: Sequence[str]
) -> tuple[float, float, str]:
    """Returns what sorts the worst scene by the first figure first, those without one last."""
    values = []
    for scenes in by_run:
        estimate = scenes[name].figures.get(names[0]) if name in scenes and names else None
        if estimate is not None and estimate.value is not None and defined(estimate.value):
            values.append(estimate.value if estimate.better == 'higher' else -estimate.value)
    return (0.0, sum(values) / len(values), name) if values else (1.0, 0.0, name)
