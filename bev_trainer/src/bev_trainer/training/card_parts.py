"""What the cards of all models have in common."""

from __future__ import annotations

from collections.abc import Sequence

from bev_perception.model.config import AnyModelConfig, ModelConfig
from bev_perception.model.config_sections import TrainingDataSection

NO_FIGURES = '## Figures\n\nNone were given.'
LIMITS = """## Limits

- Probabilities and errors hold for data like that above; other rigs, places, weather and traffic
  are another matter until they are measured (`bev evaluate`).
- Cells that no camera sees are unknown, and what is said there counts for nothing.
- It is a component for development and research, not a safety device."""


def head(config: AnyModelConfig, model_id: str) -> str:
    """Returns what model this is."""
    return '\n'.join(
        [
            f'# {config.name} {config.version}',
            '',
            f'Model `{model_id}`, licence {config.licence}.',
            'Load it with `bev replay`, `bev evaluate` or the node; `model.yaml` describes it '
            'in full.',
        ]
    )


def network(config: ModelConfig) -> str:
    """Returns what it takes and tells."""
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
    return '## Network\n\n' + table(('', ''), rows)


def data_table(data: Sequence[TrainingDataSection]) -> str:
    """Returns what a model has learned from."""
    rows = [
        (
            item.name,
            item.split or 'all',
            str(item.scenes),
            str(item.clips),
            f'{item.weight:g}',
            item.sha256[:12],
        )
        for item in data
    ]
    return table(('Data', 'Split', 'Recordings', 'Clips', 'Weight', 'SHA-256'), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown."""
    return '\n'.join(map(_row, (head, ['---'] * len(head), *rows)))


def _range(limits: tuple[float, float]) -> str:
    return f'{limits[0]:g} to {limits[1]:g}'


def _row(cells: Sequence[str]) -> str:
    return f'| {" | ".join(cell.replace("|", chr(92) + "|") for cell in cells)} |'
