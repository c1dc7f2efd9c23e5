"""Model soups: one model out of several of one network, by averaging weights.

Wortsman et al. 2022, Model soups, arXiv 2203.05482.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bev_perception.errors import ModelError
from bev_trainer.averaging.tensors import State, check_alike


@dataclass(frozen=True, eq=False)
class GreedySoup:
    """What greedy selection came to.

    Attributes:
        state: the soup.
        members: which models are in it, best first.
        score: of the soup.
        scores: of every model alone, in the order they were given.
    """

    state: dict[str, Tensor]
    members: tuple[int, ...]
    score: float
    scores: tuple[float, ...]


def uniform_soup(states: Sequence[State], names: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Returns the mean of all models (the uniform soup of Wortsman et al. 2022).

    Sums are in float64: equal models give exactly their weights. Whole numbers are the largest.

    Args:
        states: of the models.
        names: of the models, for errors.

    Raises:
        ModelError: there are none, or they are not of one network.
    """
    _checked(states, names)
    return {name: mean([state[name] for state in states]) for name in states[0]}


def greedy_soup(
    states: Sequence[State],
    evaluate: Callable[[State], float],
    names: Sequence[str] | None = None,
) -> GreedySoup:
    """Returns the soup of recipe 1 of Wortsman et al. 2022.

    From the best model downwards each is added where the mean with it is no worse than without.

    Args:
        states: of the models.
        evaluate: returns a score on held-out data, higher is better; nan is worst of all.
        names: of the models, for errors.

    Raises:
        ModelError: there are none, they are not of one network, or no score is a number.
    """
    _checked(states, names)
    scores = [float(evaluate(state)) for state in states]
    ranked = [index for index in range(len(states)) if not math.isnan(scores[index])]
    if not ranked:
        raise ModelError('none of the models has a score: their losses are not finite')
    ranked.sort(key=lambda index: -scores[index])
    members, best = [ranked[0]], scores[ranked[0]]
    soup = uniform_soup([states[ranked[0]]])
    for index in ranked[1:]:
        candidate = uniform_soup([states[member] for member in (*members, index)])
        score = float(evaluate(candidate))
        if score >= best:
            members.append(index)
            soup, best = candidate, score
    return GreedySoup(soup, tuple(members), best, tuple(scores))


def mean(tensors: Sequence[Tensor]) -> Tensor:
    """Returns the mean in the type of the first; of whole numbers the largest."""
    first = tensors[0]
    if not first.is_floating_point():
        return torch.stack([tensor.detach() for tensor in tensors]).amax(dim=0)
    total = first.detach().double()
    for tensor in tensors[1:]:
        total = total + tensor.detach().double()
    return (total / len(tensors)).to(first.dtype)


def _checked(states: Sequence[State], names: Sequence[str] | None) -> None:
    if not states:
        raise ModelError('a soup needs at least one model')
    check_alike(states, names or [f'model {index + 1}' for index in range(len(states))])
