"""Probabilities that come true as often as they say, fitted on clips that were held out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bev_perception.model.bev_model import BevModel
from bev_perception.model.heads.calibration import LogitCalibration, fit_calibration
from bev_perception.model.outputs import ModelOutputs
from bev_trainer.averaging.modes import evaluating
from bev_trainer.data.clip import Clip
from bev_trainer.targets.frame import UNKNOWN, FrameTargets
from bev_trainer.training.clip_step import run_clip

_MOST_CELLS = 2**22  # of an output; four million say enough about two numbers


@dataclass(frozen=True)
class Calibrated:
    """What a calibration was good for.

    Attributes:
        name: of the outputs.
        before, after: mean log loss of the cells that are known, on the clips it was fitted to.
    """

    name: str
    before: float
    after: float

    def __str__(self) -> str:
        return f'{self.name}: log loss {self.before:.4f} before, {self.after:.4f} after'


@torch.no_grad()
def calibrate(model: BevModel, clips: Iterable[Clip]) -> list[Calibrated]:
    """Fits the calibration of occupancy, semantics and motion, each output by itself.

    Losses that give rare cells a higher weight teach probabilities that are too high; this puts
    them right (`fit_calibration`: Platt 1999, Guo et al. 2017).

    Args:
        model: whose calibration is replaced.
        clips: batches, of data that the weights were not fitted to.
    """
    reset_calibration(model)
    cells: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {}
    with evaluating(model):
        for clip in clips:
            asked = [frame.targets for frame in clip.frames if frame.targets is not None]
            for result, targets in zip(run_clip(model, clip), asked, strict=True):
                for name, found in _known_cells(result.outputs, targets).items():
                    cells.setdefault(name, []).append(found)
    return [_fit(model, name, found) for name, found in cells.items()]


@torch.no_grad()
def reset_calibration(model: BevModel) -> None:
    """Makes probabilities those of the network itself, as its losses see them."""
    for module in model.modules():
        if isinstance(module, LogitCalibration):
            module.scale.fill_(1.0)
            module.bias.zero_()


def _fit(model: BevModel, name: str, found: list[tuple[Tensor, Tensor, Tensor]]) -> Calibrated:
    logits, truth, known = (_thinned(list(parts)) for parts in zip(*found, strict=True))
    calibration = model.heads.get_submodule(name).calibration
    assert isinstance(calibration, LogitCalibration)
    scale, bias = fit_calibration(logits, truth, known)
    calibration.refine(scale, bias)
    after = logits * scale[:, None, None] + bias[:, None, None]
    losses = (_log_loss(values, truth, known) for values in (logits, after))
    return Calibrated(name, *losses)


def _known_cells(
    outputs: ModelOutputs, targets: FrameTargets
) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Returns logits, truth and what is known of it, [B, C, Y, X] on the CPU, by head."""
    found = {}
    told = targets.occupancy, targets.semantics
    if outputs.occupancy_logits is not None and any(part is not None for part in told):
        assert outputs.semantic_logits is not None
        parts = outputs.occupancy_logits, outputs.semantic_logits
        logits, truth = (
            torch.cat(parts, dim=1),
            torch.cat(
                [
                    torch.full_like(part, UNKNOWN, dtype=torch.int8) if own is None else own
                    for part, own in zip(parts, told, strict=True)
                ],
                dim=1,
            ),
        )
        found['occupancy'] = logits.float().cpu(), (truth == 1).cpu(), (truth >= 0).cpu()
    if outputs.motion_logits is not None and targets.motion is not None:
        motion = targets.motion.cpu()
        found['motion'] = outputs.motion_logits.float().cpu(), motion == 1, motion.isfinite()
    return found


def _thinned(parts: list[Tensor]) -> Tensor:
    """Returns [1, C, 1, n] cells of all frames, evenly thinned out to what is enough."""
    flat = [part.transpose(0, 1).flatten(1) for part in parts]
    step = -(-sum(part.shape[1] for part in flat) // _MOST_CELLS)
    return torch.cat([part[:, ::step] for part in flat], dim=1)[None, :, None]


def _log_loss(logits: Tensor, truth: Tensor, known: Tensor) -> float:
    loss = functional.binary_cross_entropy_with_logits(logits, truth.float(), reduction='none')
    return float(loss[known].double().mean())
