"""The card of a model: what people should know before they use it."""

from __future__ import annotations

from collections.abc import Sequence

from bev_perception.errors import ConfigError
from bev_perception.evaluation.report.figure_names import explanation, headline_names
from bev_perception.evaluation.report.numbers import plural
from bev_perception.evaluation.report.runs import CLEAN
from bev_perception.evaluation.report.terminal import estimate_text
from bev_perception.evaluation.results import Evaluation, RunResult
from bev_perception.model.config import ModelConfig
from bev_trainer.training.calibrate import Calibrated
from bev_trainer.training.finished import Finished


def card_of(
    finished: Finished,
    config: ModelConfig,
    model_id: str,
    calibrated: Sequence[Calibrated],
    evaluation: Evaluation | None,
) -> str:
    """Returns the Markdown of a card.

    Args:
        finished: the training.
        config: description of the model as it is stored.
        model_id: of the model folder.
        calibrated: what calibration was good for; empty: the model was not calibrated.
        evaluation: of this very model; None: there are no figures.

    Raises:
        ConfigError: the evaluation is of other models.
    """
    parts = [
        _head(config, model_id),
        _network(config),
        _training(finished, config, calibrated),
        _figures(evaluation, model_id),
        _LIMITS,
    ]
    return '\n\n'.join(parts) + '\n'


_ALL = 'all'  # as evaluations call it when no split was asked for
_LIMITS = """## Limits

- Probabilities and errors hold for data like that above; other rigs, places, weather and traffic
  are another matter until they are measured (`bev evaluate`).
- Cells that no camera sees are unknown, and what is said there counts for nothing.
- It is a component for development and research, not a safety device."""


def _head(config: ModelConfig, model_id: str) -> str:
    return '\n'.join(
        [
            f'# {config.name} {config.version}',
            '',
            f'Model `{model_id}`, licence {config.licence}.',
            'Load it with `bev replay`, `bev evaluate` or the node; `model.yaml` describes it '
            'in full.',
        ]
    )


def _network(config: ModelConfig) -> str:
    heads, grid = config.heads, config.grid
    rows = [
        ('Cameras', f'any number, {config.input.width} x {config.input.height} pixels each'),
        ('Backbone', config.backbone.name),
        ('View transform', config.view_transform.kind),
        ('Memory', config.memory.kind if config.memory else 'none'),
        (
            'Grid',
            f'x {_range(grid.x_m)} m, y {_range(grid.y_m)} m, {grid.resolution_m:g} m per cell',
        ),
    ]
    if heads.semantics is not None:
        rows.append(('Layers', ', '.join(heads.semantics.classes)))
    if heads.objects is not None:
        rows.append(('Objects', ', '.join(heads.objects.classes)))
    if heads.motion is not None:
        ahead = f'{heads.motion.steps} steps of {heads.motion.step_s:g} s ahead'
        rows.append(('Motion', ahead))
    return '## Network\n\n' + _table(('', ''), rows)


def _training(finished: Finished, config: ModelConfig, calibrated: Sequence[Calibrated]) -> str:
    run, section = finished.record.config.run, config.training
    data = [
        (
            item.name,
            item.split or 'all',
            str(item.scenes),
            str(item.clips),
            f'{item.weight:g}',
            item.sha256[:12],
        )
        for item in section.data
    ]
    weights = 'average along the training' if finished.weights == 'average' else 'last step'
    lines = [
        '## Training',
        '',
        _table(('Data', 'Split', 'Recordings', 'Clips', 'Weight', 'SHA-256'), data),
        '',
        f'- {plural(section.steps, "step")} of {plural(run.batch * run.accumulate, "clip")}, '
        f'seed {section.seed}, '
        f'{run.precision}',
        f'- weights: {weights}',
        f'- program: bev_trainer {section.code}',
    ]
    lines += [f'- calibrated {item}' for item in calibrated]
    if not calibrated:
        lines.append('- probabilities are not calibrated')
    elif finished.learned_too:
        lines.append(f'- calibrated on what it has learned from, too: {finished.learned_too}')
    return '\n'.join(lines)


def _figures(evaluation: Evaluation | None, model_id: str) -> str:
    if evaluation is None:
        return '## Figures\n\nNone were given.'
    runs = [run for run in evaluation.runs if run.model == model_id and run.condition == CLEAN]
    if not runs:
        known = ', '.join(dict.fromkeys(run.model for run in evaluation.runs)) or 'nothing'
        raise ConfigError(f'the results are of {known}, and the model is {model_id}')
    split = evaluation.settings.get('split', _ALL)
    blocks = ['## Figures', *(_figures_of(run, split) for run in runs)]
    blocks.append(f'Made by `{evaluation.command}`.')
    return '\n\n'.join(blocks)


def _figures_of(run: RunResult, split: str) -> str:
    rows = [
        (name, estimate_text(run.figures.get(name)), explanation(name))
        for name in headline_names([run])
    ]
    frames = sum(len(scene.notes) for scene in run.scenes)
    place = run.data if split == _ALL else f'{run.data}, split {split}'
    text = f'On {place}: {plural(len(run.scenes), "scene")}, {plural(frames, "frame")}'
    text += '; 95 % intervals over scenes.' if len(run.scenes) > 1 else '.'
    return f'{text}\n\n{_table(("Figure", "Value", ""), rows)}'


def _range(limits: tuple[float, float]) -> str:
    return f'{limits[0]:g} to {limits[1]:g}'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return '\n'.join(map(_row, (head, ['---'] * len(head), *rows)))


def _row(cells: Sequence[str]) -> str:
    return f'| {" | ".join(cell.replace("|", chr(92) + "|") for cell in cells)} |'
