"""How good a model is on held-out clips, as one number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch

from bev_perception.model.bev_model import BevModel
from bev_trainer.averaging.modes import evaluating
from bev_trainer.data.clip import Clip
from bev_trainer.data.clip_source import ClipSource
from bev_trainer.data.lost_parts import telling
from bev_trainer.losses.clip_step import mean_losses, run_clip

_LEAST = 1e-6  # of a loss: below it there was nothing to lose


@torch.inference_mode()
def losses_of(model: BevModel, clips: Iterable[Clip]) -> dict[str, float]:
    """Returns the mean of each loss over batches of clips, the model in evaluation mode."""
    found: dict[str, list[float]] = {}
    with evaluating(model):
        for clip in clips:
            for name, loss in mean_losses(run_clip(model, clip)).items():
                found.setdefault(name, []).append(float(loss))
    return {name: sum(values) / len(values) for name, values in found.items()}


def total_of(losses: dict[str, float]) -> float:
    """Returns the uncertainty-weighted total at the weights that make it smallest.

    `UncertaintyWeights` comes to rest where every weighted loss is one half; there its total is
    the sum of (1 + log 2 loss) / 2. So one per cent less counts alike in every loss, whatever its
    unit.
    """
    return sum(0.5 * (1.0 + math.log(2.0 * max(loss, _LEAST))) for loss in losses.values())


def even_clips(source: ClipSource, count: int, batch: int) -> Iterator[Clip]:
    """Yields `count` clips spread evenly over a source, or all if it has fewer, in batches.

    Images that they go without are said in the log.
    """
    total = source.clips
    count = min(count, total)
    chosen = [(2 * index + 1) * total // (2 * count) for index in range(count)]
    yield from telling(
        Clip.collate([source.clip(index, None) for index in chosen[start : start + batch]])
        for start in range(0, count, batch)
    )
