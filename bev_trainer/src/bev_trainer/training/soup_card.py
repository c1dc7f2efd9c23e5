"""The card of a soup: what it is made of."""

from __future__ import annotations

from collections.abc import Sequence

from bev_perception.model.config import AnyModelConfig, ModelConfig
from bev_perception.model.folder import LoadedModel
from bev_trainer.training.card_parts import LIMITS, NO_FIGURES, data_table, head, network, table

METHODS = {
    'uniform': 'mean of all',
    'greedy': 'mean of those that help on validation clips of {data}',
    'stock': 'between base and mean, layer by layer (Model Stock)',
}


def soup_card(
    config: AnyModelConfig,
    model_id: str,
    method: str,
    members: Sequence[LoadedModel],
    base: LoadedModel | None = None,
    data: str | None = None,
    recalibrated: str | None = None,
) -> str:
    """Returns the Markdown of a card.

    Args:
        config: description of the soup as it is stored.
        model_id: of its folder.
        method: of averaging; one of `METHODS`.
        members: what is in it.
        base: that took part as anchor.
        data: name of the data it was made with; None: it was made with none.
        recalibrated: clips that the statistics of batch normalisation are of; None: averages.
    """
    parts = [head(config, model_id)]
    if isinstance(config, ModelConfig):
        parts.append(network(config))
    rows = [(model.model_id, model.config.training.description) for model in members]
    lines = [
        '## Soup',
        '',
        table(('Model', 'Training'), rows),
        '',
        f'- method: {method}, {METHODS[method].format(data=data)}',
    ]
    if base is not None:
        lines.append(f'- base: {base.model_id}, {base.config.training.description}')
    lines.append(f'- statistics of batch normalisation: {recalibrated or "averages"}')
    lines.append('- calibration of probabilities: averages')
    parts.append('\n'.join(lines))
    if config.training.data:
        parts.append(f'## Data of all of them\n\n{data_table(config.training.data)}')
    return '\n\n'.join([*parts, NO_FIGURES, LIMITS]) + '\n'
