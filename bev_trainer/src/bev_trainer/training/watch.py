"""What validation counts: losses, and overlaps of what is said with what is there."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from bev_trainer.losses.clip_step import FrameResult
from bev_trainer.targets.frame import FrameTargets

Sums = dict[str, tuple[float, float]]


class Tally:
    """Losses and intersections over unions, pooled over frames.

    Args:
        layers: names of the semantic layers.
    """

    def __init__(self, layers: tuple[str, ...]) -> None:
        self._layers = layers
        self._sums: dict[str, Tensor] = {}

    def add(self, result: FrameResult, targets: FrameTargets, clips: int) -> None:
        """Takes the result of a frame of several clips, whose losses are means over them."""
        for name, loss in result.losses.items():
            self._add(f'loss/{name}', loss.detach().double() * clips, clips)
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

    def sums(self) -> Sums:
        """Returns what was counted, (part, whole) by name."""
        return {
            name: (part, whole)
            for name, pair in self._sums.items()
            for part, whole in [pair.tolist()]
        }

    def figures(self) -> dict[str, float]:
        """Returns losses ('loss/...') and overlaps ('iou/...'); those without any are left out."""
        return figures_of([self.sums()])

    def _overlap(self, name: str, logits: Tensor, truth: Tensor) -> None:
        counts, there, said = truth >= 0, truth == 1, logits > 0
        both = (said & there & counts).sum()
        either = ((said | there) & counts).sum()
        self._add(f'iou/{name}', both, either)

    def _add(self, name: str, part: Tensor, whole: Tensor | int) -> None:
        pair = torch.stack([part, torch.as_tensor(whole, device=part.device)]).double()
        self._sums[name] = self._sums[name] + pair if name in self._sums else pair


def figures_of(counted: Iterable[Sums]) -> dict[str, float]:
    """Returns the figures of several tallies of parts of the same clips."""
    total: dict[str, tuple[float, float]] = {}
    for sums in counted:
        for name, (part, whole) in sums.items():
            before = total.get(name, (0.0, 0.0))
            total[name] = before[0] + part, before[1] + whole
    return {name: part / whole for name, (part, whole) in total.items() if whole > 0}
