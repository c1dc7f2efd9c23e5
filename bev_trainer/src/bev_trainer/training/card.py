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
from bev_trainer.training.card_parts import LIMITS, NO_FIGURES, data_table, head, network, table
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
        head(config, model_id),
        network(config),
        _training(finished, config, calibrated),
        _figures(evaluation, model_id),
        LIMITS,
    ]
    return '\n\n'.join(parts) + '\n'


_ALL = 'all'  # as evaluations call it when no split was asked for


def _training(finished: Finished, config: ModelConfig, calibrated: Sequence[Calibrated]) -> str:
    run, section = finished.record.config.run, config.training
    before = finished.record.model.training
    weights = 'average along the training' if finished.weights == 'average' else 'last step'
    lines = [
        '## Training',
        '',
        data_table(section.data),
        '',
        f'- {plural(section.steps, "step")} of {plural(run.batch * run.accumulate, "clip")}, '
        f'seed {section.seed}, {run.precision}',
        *([f'- before that: {before.description}'] if before.trained else []),
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
        return NO_FIGURES
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
    return f'{text}\n\n{table(("Figure", "Value", ""), rows)}'
