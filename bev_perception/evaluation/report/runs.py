"""Runs as reports speak of them: with a letter, a colour and a title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bev_perception.evaluation.results import Evaluation, RunResult

CLEAN = 'clean'
COLORS = 8


@dataclass(frozen=True, eq=False)
class NamedRun:
    """A run that is shown in full.

    Attributes:
        key: 'A', 'B', ...
        color: number of its colour, 0 .. `COLORS` - 1.
        run: itself.
    """

    key: str
    color: int
    run: RunResult

    @property
    def title(self) -> str:
        """Title of the run."""
        return run_title(self.run)

    @property
    def untrained(self) -> bool:
        """Whether the model says that it never was trained."""
        return not self.run.trained_on.strip()


def run_title(run: RunResult) -> str:
    """Returns what a run is called: 'nano-1-0a1b2c3d4e5f on nuscenes'."""
    return condition_title(run.model, run.data, run.condition)


def condition_title(model: str, data: str, condition: str) -> str:
    """Returns what a run of a model over data under a condition is called."""
    return f'{model} on {data}' + ('' if condition == CLEAN else f', {condition}')


def named_runs(evaluation: Evaluation) -> tuple[NamedRun, ...]:
    """Returns the clean runs in order; all runs when none is clean."""
    clean = [run for run in evaluation.runs if run.condition == CLEAN]
    shown = clean or evaluation.runs
    return tuple(NamedRun(_letters(i), i % COLORS, run) for i, run in enumerate(shown))


def perturbed_runs(evaluation: Evaluation) -> tuple[RunResult, ...]:
    """Returns the runs under any other condition than the clean one."""
    return tuple(run for run in evaluation.runs if run.condition != CLEAN)


def data_names(runs: Sequence[NamedRun]) -> tuple[str, ...]:
    """Returns the data of some runs in order."""
    return tuple(dict.fromkeys(run.run.data for run in runs))


def on_data(runs: Sequence[NamedRun], data: str) -> tuple[NamedRun, ...]:
    """Returns those of the runs that are over some data."""
    return tuple(run for run in runs if run.run.data == data)


def scored_frames(run: RunResult) -> int:
    """Returns how many frames of a run were scored."""
    return sum(len(scene.notes) for scene in run.scenes)


def made_frames(run: RunResult) -> int:
    """Returns how many frames the model has made in a run."""
    return sum(scene.frames for scene in run.scenes)


def recorded_s(run: RunResult) -> float:
    """Returns the length of all scenes of a run."""
    return sum(scene.info.duration_s for scene in run.scenes)


def _letters(index: int) -> str:
    text = ''
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        text = chr(ord('A') + rest) + text
    return text


def scene_problems(runs: Sequence[RunResult]) -> tuple[tuple[str, str], ...]:
    """Returns (name of the scene, problem), each once, however many runs met it."""
    problems = ((s.info.name, p) for run in runs for s in run.scenes for p in s.problems)
    return tuple(dict.fromkeys(problems))
