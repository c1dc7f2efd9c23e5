"""results.json: everything but timings and pictures, and its reader."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bev_perception.errors import BevError
from bev_perception.evaluation.metric import Confusion, Curve
from bev_perception.evaluation.report.json_text import json_text
from bev_perception.evaluation.results import (
    Comparison,
    Difference,
    Estimate,
    Evaluation,
    FrameNote,
    Refusal,
    RunResult,
    SceneResult,
)
from bev_perception.evaluation.scenes.scene import SceneInfo

FORMAT = 1
_KIND = 'bev_perception evaluation'


def results_json(evaluation: Evaluation) -> str:
    """Returns an evaluation as JSON, without timings and pictures: equal ones give equal text."""
    return json_text(
        {
            'format': FORMAT,
            'kind': _KIND,
            'command': evaluation.command,
            'settings': dict(evaluation.settings),
            'refusals': [vars(refusal) for refusal in evaluation.refusals],
            'runs': [_run_to_json(run) for run in evaluation.runs],
            'comparisons': [_comparison_to_json(one) for one in evaluation.comparisons],
        }
    )


def read_results(path: Path) -> Evaluation:
    """Returns the evaluation that a results.json holds: without timings and pictures.

    Points of curves that are not finite come back as NaN.

    Raises:
        BevError: it cannot be read, or is something else.
    """
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, 'strerror', None) or 'not a text file'
        raise BevError(f'{path}: cannot be read: {reason}') from None
    try:
        return parse_results(text)
    except BevError as error:
        raise BevError(f'{path}: {error}') from None


def parse_results(text: str) -> Evaluation:
    """Returns the evaluation of a text that `results_json` made.

    Raises:
        BevError: it is something else.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise BevError(f'is not JSON ({error}); name a results.json of an evaluation') from None
    if not isinstance(content, dict) or content.get('kind') != _KIND:
        raise BevError('holds no evaluation; name a results.json that bev evaluate has written')
    if content.get('format') != FORMAT:
        raise BevError(
            f'has format {content.get("format")}, this version reads {FORMAT}; evaluate again'
        )
    try:
        return Evaluation(
            command=content['command'],
            runs=tuple(_run_from_json(run) for run in content['runs']),
            comparisons=tuple(_comparison_from_json(one) for one in content['comparisons']),
            refusals=tuple(Refusal(**refusal) for refusal in content['refusals']),
            settings=content['settings'],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BevError(f'is damaged ({type(error).__name__}: {error}); evaluate again') from None


def _run_to_json(run: RunResult) -> dict[str, Any]:
    return {
        'model': run.model,
        'trained_on': run.trained_on,
        'data': run.data,
        'condition': run.condition,
        'figures': {name: vars(figure) for name, figure in run.figures.items()},
        'curves': {name: vars(curve) for name, curve in run.curves.items()},
        'confusions': {name: vars(table) for name, table in run.confusions.items()},
        'scenes': [_scene_to_json(scene, run.figures) for scene in run.scenes],
    }


def _run_from_json(content: Mapping[str, Any]) -> RunResult:
    figures = {name: Estimate(**figure) for name, figure in content['figures'].items()}
    return RunResult(
        content['model'],
        content['trained_on'],
        content['data'],
        content['condition'],
        figures,
        {name: _curve_from_json(curve) for name, curve in content['curves'].items()},
        {name: _confusion_from_json(table) for name, table in content['confusions'].items()},
        tuple(_scene_from_json(scene, figures) for scene in content['scenes']),
    )


def _short(figure: Estimate, whole: Estimate | None) -> Any:
    """Returns the value alone where the figure of the whole run says the rest."""
    if whole is not None and figure == _plain(figure.value, whole):
        return figure.value
    return vars(figure)


def _unshort(content: Any, whole: Estimate | None) -> Estimate:
    if isinstance(content, Mapping):
        return Estimate(**content)
    if whole is None:
        raise ValueError('a figure of a scene that its run does not have')
    return _plain(content, whole)


def _plain(value: float | None, like: Estimate) -> Estimate:
    """Returns a figure without an interval."""
    return Estimate(value, None, None, like.better, like.unit)


def _curve_from_json(content: Mapping[str, Any]) -> Curve:
    x, y = (np.array(content[axis], np.float64).reshape(-1) for axis in ('x', 'y'))
    return Curve(x, y, content['x_label'], content['y_label'])


def _confusion_from_json(content: Mapping[str, Any]) -> Confusion:
    truth, predicted = tuple(content['truth']), tuple(content['predicted'])
    counts = np.array(content['counts'], np.int64).reshape(len(truth), len(predicted))
    return Confusion(truth, predicted, counts)


def _scene_to_json(scene: SceneResult, whole: Mapping[str, Estimate]) -> dict[str, Any]:
    return {
        **vars(scene.info),
        'frames': scene.frames,
        'problems': scene.problems,
        'figures': {name: _short(f, whole.get(name)) for name, f in scene.figures.items()},
        'notes': _notes_to_json(scene.notes),
    }


def _scene_from_json(content: Mapping[str, Any], whole: Mapping[str, Estimate]) -> SceneResult:
    info = SceneInfo(
        content['name'], content['source'], tuple(content['cameras']), content['duration_s']
    )
    return SceneResult(
        info,
        content['frames'],
        _notes_from_json(content['notes']),
        {name: _unshort(f, whole.get(name)) for name, f in content['figures'].items()},
        tuple(content['problems']),
    )


def _notes_to_json(notes: Sequence[FrameNote]) -> dict[str, Any]:
    """Returns columns; states of cameras, which rarely change, with how many frames they last."""
    stretches = itertools.groupby(note.cameras for note in notes)
    return {
        'stamp_ns': [note.stamp_ns for note in notes],
        'score': [note.score for note in notes],
        'unknown_share': [note.unknown_share for note in notes],
        'cameras': [[list(states), len(list(same))] for states, same in stretches],
        'past_dropped': {
            str(index): note.past_dropped for index, note in enumerate(notes) if note.past_dropped
        },
    }


def _notes_from_json(content: Mapping[str, Any]) -> tuple[FrameNote, ...]:
    cameras = [tuple(states) for states, count in content['cameras'] for _ in range(count)]
    columns = zip(
        content['stamp_ns'], cameras, content['score'], content['unknown_share'], strict=True
    )
    dropped = content['past_dropped']
    return tuple(FrameNote(*row, dropped.get(str(index), '')) for index, row in enumerate(columns))


def _comparison_to_json(comparison: Comparison) -> dict[str, Any]:
    return {
        'first': comparison.first,
        'second': comparison.second,
        'differences': [vars(difference) for difference in comparison.differences],
        'frames': comparison.frames,
    }


def _comparison_from_json(content: Mapping[str, Any]) -> Comparison:
    return Comparison(
        content['first'],
        content['second'],
        tuple(Difference(**difference) for difference in content['differences']),
        tuple((scene, stamp, first, second) for scene, stamp, first, second in content['frames']),
    )
