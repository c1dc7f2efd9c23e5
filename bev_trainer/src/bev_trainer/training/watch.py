"""What validation counts: losses, and overlaps of what is said with what is there."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from bev_trainer.targets.frame import FrameTargets
from bev_trainer.training.clip_step import FrameResult


class Tally:
    """Losses and intersections over unions, pooled over frames.

    Args:
        layers: names of the semantic layers.
    """

    def __init__(self, layers: tuple[str, ...]) -> None:
        self._layers = layers
        self._losses: dict[str, list[float]] = defaultdict(list)
        self._counts: dict[str, Tensor] = {}

    def add(self, result: FrameResult, targets: FrameTargets) -> None:
        """Takes the results of a frame."""
        for name, loss in result.losses.items():
            self._losses[name].append(float(loss))
        outputs = result.outputs
        if outputs.occupancy_logits is not None and targets.occupancy is not None:
            self._overlap('occupied', outputs.occupancy_logits, targets.occupancy)
        if outputs.semantic_logits is not None and targets.semantics is not None:
            for index, name in enumerate(self._layers):
                self._overlap(name, outputs.semantic_logits[:, index], targets.semantics[:, index])
        if outputs.motion_logits is not None and targets.motion is not None:
            known = torch.isfinite(targets.motion)
            truth = torch.where(known, targets.motion, -1.0)
            self._overlap('movable_now', outputs.motion_logits[:, 0], truth[:, 0])
            self._overlap('movable_ahead', outputs.motion_logits[:, 1:], truth[:, 1:])

    def figures(self) -> dict[str, float]:
        """Returns losses ('loss/...') and overlaps ('iou/...'); those without any are left out."""
        found = {
            f'loss/{name}': sum(values) / len(values) for name, values in self._losses.items()
        }
        for name, (both, either) in self._counts.items():
            if either > 0:
                found[f'iou/{name}'] = float(both / either)
        return found

    def _overlap(self, name: str, logits: Tensor, truth: Tensor) -> None:
        counts, there, said = truth >= 0, truth == 1, logits > 0
        both = (said & there & counts).sum()
        either = ((said | there) & counts).sum()
        added = torch.stack([both, either]).double().cpu()
        self._counts[name] = self._counts.get(name, torch.zeros(2, dtype=torch.double)) + added
