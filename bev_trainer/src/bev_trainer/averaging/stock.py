"""Model Stock: a few fine-tuned models and the one they come from, layer by layer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from bev_perception.errors import ModelError
from bev_trainer.averaging.soup import mean
from bev_trainer.averaging.tensors import State, check_alike


@dataclass(frozen=True, eq=False)
class ModelStock:
    """What came of the models.

    Attributes:
        state: the weights.
        ratios: by layer, from 0 (as in the base) to 1 (as in the mean of the models).
    """

    state: dict[str, Tensor]
    ratios: dict[str, float]


def model_stock(
    states: Sequence[State],
    base: State,
    statistics: Collection[str] = (),
    names: Sequence[str] | None = None,
) -> ModelStock:
    """Returns (1 - t) * base + t * mean of the models, with a ratio t for every layer.

    Jang, Yun and Han 2024 (Model Stock, arXiv 2403.19522): fine-tuned weights lie around a centre
    on a thin shell, in directions at right angles to each other and to the way from the base to
    the centre. The point nearest to the centre on the line from the base to the mean of N models
    is then at t = N cos / (1 + (N - 1) cos), with cos = h^2 / (h^2 + r^2) of the angle at which
    the base sees two models (h: distance of the centre, r: radius of the shell). For two models
    that is 2 cos / (1 + cos). cos is the mean over all pairs; negative ones count as 0.

    A layer is one module: its weight, bias and statistics share a ratio, which only what is
    learned decides. A layer that no model has moved keeps the base's weights.

    Args:
        states: of at least two models.
        base: of the model that they were fine-tuned from.
        statistics: names of tensors that are not learned (`statistics_of`).
        names: of base and models, base first, for errors.

    Raises:
        ModelError: there are fewer than two models, or they are not of one network.
    """
    if len(states) < 2:
        raise ModelError(f'Model Stock needs at least two models, got {len(states)}')
    labels = names or ['the base', *[f'model {index + 1}' for index in range(len(states))]]
    check_alike([base, *states], labels)
    result: dict[str, Tensor] = {}
    ratios = {}
    for layer, tensors in _layers(base).items():
        learned = [name for name in tensors if name not in statistics]
        ratio = _ratio([_way(state, base, learned) for state in states])
        ratios[layer] = ratio
        for name in tensors:
            result[name] = _between(base[name], mean([state[name] for state in states]), ratio)
    return ModelStock({name: result[name] for name in base}, ratios)


def interpolation_ratio(cosine: float, models: int) -> float:
    """Returns t of the cosine between models seen from the base; see `model_stock`."""
    cosine = min(max(cosine, 0.0), 1.0)
    return models * cosine / (1.0 + (models - 1) * cosine)


def _layers(state: State) -> dict[str, list[str]]:
    """Returns the names of tensors by the module that they belong to."""
    layers: dict[str, list[str]] = {}
    for name in state:
        layers.setdefault(name.rpartition('.')[0], []).append(name)
    return layers


def _way(state: State, base: State, names: Sequence[str]) -> Tensor:
    """Returns float64 [n]: from the base to a model in one layer."""
    ways = [
        (state[name].detach().double() - base[name].detach().double()).flatten()
        for name in names
        if base[name].is_floating_point()
    ]
    return torch.cat(ways) if ways else torch.zeros(0, dtype=torch.float64)


def _ratio(ways: Sequence[Tensor]) -> float:
    """Returns t; 1 where there is nothing to learn, so that statistics are plain means."""
    if not ways[0].numel():
        return 1.0
    cosines = []
    for one, other in combinations(ways, 2):
        lengths = float(one.norm() * other.norm())
        cosines.append(float(one @ other) / lengths if lengths > 0.0 else 0.0)
    return interpolation_ratio(sum(cosines) / len(cosines), len(ways))


def _between(base: Tensor, average: Tensor, ratio: float) -> Tensor:
    if not base.is_floating_point():
        return average
    return torch.lerp(base.detach().double(), average.double(), ratio).to(base.dtype)
