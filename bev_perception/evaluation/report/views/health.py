"""What became of each camera over time, scene by scene."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bev_perception.evaluation.report.charts.strip import (
    Stretch,
    score_strip,
    stretches,
    strip,
    time_cells,
)
from bev_perception.evaluation.report.charts.svg import Svg
from bev_perception.evaluation.report.numbers import duration_text, share_text
from bev_perception.evaluation.report.runs import NamedRun, data_names, on_data
from bev_perception.evaluation.results import SceneResult
from bev_perception.inputs.state import CameraState
from bev_perception.units import NS_PER_S

USED = CameraState.USED.name
_OPEN_SCENES = 12


@dataclass(frozen=True)
class CameraHealth:
    """One camera over a scene.

    Attributes:
        name: of the camera.
        used: share of frames, as text.
        others: other states with their shares, as text.
    """

    name: str
    used: str
    others: str


@dataclass(frozen=True)
class SceneHealth:
    """One scene.

    Attributes:
        scene: name.
        cameras: in rig order.
        strip: their states over time, in the same order.
        score: score of frames over time.
        length: time from the first to the last frame, as text.
        dropped: reasons for which the past was dropped, with their counts.
    """

    scene: str
    cameras: tuple[CameraHealth, ...]
    strip: Svg
    score: Svg
    length: str
    dropped: str


@dataclass(frozen=True)
class DataHealth:
    """All scenes of a run.

    Attributes:
        run: itself.
        same: other runs over the same data, with the same states.
        open: scenes to show at once, those with the most trouble first.
        folded: other scenes with trouble.
        quiet: how many scenes had none.
        states: that occur, for the legend.
    """

    run: NamedRun
    same: tuple[NamedRun, ...]
    open: tuple[SceneHealth, ...]
    folded: tuple[SceneHealth, ...]
    quiet: int
    states: tuple[str, ...]


def state_class(state: str) -> str:
    """Returns the class of the style sheet for a state of a camera."""
    names = {one.name for one in CameraState}
    return f'st-{state.lower().replace("_", "-")}' if state in names else 'st-other'


def health_views(runs: Sequence[NamedRun]) -> tuple[DataHealth, ...]:
    """Returns the cameras of all scenes, once for runs of which the cameras did the same."""
    views = []
    for data in data_names(runs):
        by_states: dict[object, list[NamedRun]] = {}
        for run in on_data(runs, data):
            by_states.setdefault(_states(run), []).append(run)
        views += [_view(run, tuple(same)) for run, *same in by_states.values()]
    return tuple(view for view in views if view.open or view.quiet)


def _states(run: NamedRun) -> tuple[object, ...]:
    return tuple(
        (scene.info.name, tuple((n.stamp_ns, n.cameras) for n in scene.notes))
        for scene in run.run.scenes
    )


def _view(run: NamedRun, same: tuple[NamedRun, ...]) -> DataHealth:
    scenes = [scene for scene in run.run.scenes if scene.notes]
    trouble = {id(scene): _trouble(scene) for scene in scenes}
    order = sorted(scenes, key=lambda scene: (-trouble[id(scene)], scene.info.name))
    troubled = [scene for scene in order if trouble[id(scene)] > 0]
    shown = troubled or order[:1]
    states = Counter(s for scene in scenes for note in scene.notes for s in note.cameras)
    known = [one.name for one in CameraState if one.name in states]
    return DataHealth(
        run,
        same,
        tuple(_scene(scene) for scene in shown[:_OPEN_SCENES]),
        tuple(_scene(scene) for scene in shown[_OPEN_SCENES:]),
        len(scenes) - len(troubled),
        (*known, *sorted(state for state in states if state not in known)),
    )


def _trouble(scene: SceneResult) -> float:
    """Returns the share of camera images that were not used, dropped pasts included."""
    wrong = sum(state != USED for note in scene.notes for state in note.cameras)
    wrong += sum(bool(note.past_dropped) for note in scene.notes)
    return wrong / max(sum(len(note.cameras) for note in scene.notes), 1)


def _scene(scene: SceneResult) -> SceneHealth:
    stamps = [note.stamp_ns for note in scene.notes]
    cells = time_cells(stamps)
    names = scene.info.cameras
    count = max([len(names), *(len(note.cameras) for note in scene.notes)])
    cameras: list[CameraHealth] = []
    rows: list[list[Stretch]] = []
    for index in range(count):
        seen = [
            (cell, note.cameras[index])
            for cell, note in zip(cells.tolist(), scene.notes, strict=True)
            if index < len(note.cameras)
        ]
        states = [state for _, state in seen]
        rows.append(stretches([cell for cell, _ in seen], states, USED))
        cameras.append(_camera(names[index] if index < len(names) else f'#{index}', states))
    reasons = Counter(note.past_dropped for note in scene.notes if note.past_dropped)
    marks = [c for c, n in zip(cells.tolist(), scene.notes, strict=True) if n.past_dropped]
    classes = {state: state_class(state) for row in rows for state in {s.state for s in row}}
    cell_count = int(cells[-1]) + 1
    return SceneHealth(
        scene.info.name,
        tuple(cameras),
        strip(rows, cell_count, classes),
        score_strip(cells, [note.score for note in scene.notes], marks),
        duration_text((stamps[-1] - stamps[0]) / NS_PER_S),
        ', '.join(f'{reason} ({times})' for reason, times in sorted(reasons.items())),
    )


def _camera(name: str, states: Sequence[str]) -> CameraHealth:
    counts = Counter(states)
    whole = max(len(states), 1)
    others = [
        f'{state.replace("_", " ").lower()} {share_text(times / whole)}'
        for state, times in counts.most_common()
        if state != USED
    ]
    return CameraHealth(name, share_text(counts[USED] / whole), ', '.join(others))
