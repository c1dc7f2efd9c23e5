"""Learning rates over the steps of a training."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from bev_trainer.config.sections import OptimiserSection, decay_steps


def rate_factor(section: OptimiserSection, steps: int) -> Callable[[int], float]:
    """Returns the function from step to share of the highest rate.

    'wsd' is warm-up, stable, decay with the 1 - sqrt shape of Haegele et al. 2024 (section 3.2),
    which can be prolonged from before the decay; 'cosine' that of Loshchilov and Hutter 2017
    (eq. 5, one cycle).
    """
    warmup = section.warmup_steps
    decay = decay_steps(section, steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if section.schedule == 'cosine':
            share = min(1.0, (step - warmup) / max(1, steps - warmup))
            return 0.5 * (1.0 + math.cos(math.pi * share))
        left = min(1.0, max(0.0, (steps - step) / decay))
        return 1.0 - math.sqrt(1.0 - left)

    return factor


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Returns the parameters: matrices and convolutions with decay, vectors without."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {'params': [p for p in parameters if p.ndim > 1], 'weight_decay': weight_decay},
        {'params': [p for p in parameters if p.ndim <= 1], 'weight_decay': 0.0},
    ]
