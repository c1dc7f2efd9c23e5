"""Probabilities that come true as often as they say, and thresholds that suit them.

Both are fitted on clips that were held out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import ModelConfig
from bev_perception.model.config_heads import MotionSection
from bev_perception.model.heads.calibration import LogitCalibration, fit_calibration
from bev_perception.model.outputs import ModelOutputs
from bev_trainer.averaging.modes import evaluating
from bev_trainer.data.clip import Clip
from bev_trainer.losses.clip_step import run_clip
from bev_trainer.targets.frame import UNKNOWN, FrameTargets
from bev_trainer.training.calibrate_instances import (
    EvenlyKept,
    InstanceDecoding,
    RawMotion,
    fit_instances,
    raw_motion,
)

_MOST_CELLS = 2**22  # of an output; four million say enough about two numbers
_MOST_FRAMES = 64  # for instances, which are decoded again and again


@dataclass(frozen=True)
class Calibrated:
    """What a calibration was good for.

    Attributes:
        name: of the outputs.
        before, after: mean log loss of the cells that are known, on the clips it was fitted to.
        thresholds: probability from which on a cell should count, for the greatest overlap with
            the truth: of each output of 'occupancy', one for all of 'motion'.
        instances: of 'motion'.
    """

    name: str
    before: float
    after: float
    thresholds: tuple[float, ...] = ()
    instances: InstanceDecoding | None = None

    def __str__(self) -> str:
        return f'{self.name}: log loss {self.before:.4f} before, {self.after:.4f} after'


@torch.no_grad()
def calibrate(model: BevModel, clips: Iterable[Clip]) -> list[Calibrated]:
    """Fits the calibration of occupancy, semantics and motion, each output by itself.

    Then the thresholds and how votes become instances, which are for the description of the model
    (`with_thresholds`).

    Losses that give rare cells a higher weight teach probabilities that are too high; this puts
    them right (`fit_calibration`: Platt 1999, Guo et al. 2017).

    Args:
        model: whose calibration is replaced.
        clips: batches, of data that the weights were not fitted to.
    """
    reset_calibration(model)
    cells: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {}
    motion = EvenlyKept[RawMotion](_MOST_FRAMES)
    with evaluating(model):
        for clip in clips:
            asked = [frame.targets for frame in clip.frames if frame.targets is not None]
            for result, targets in zip(run_clip(model, clip), asked, strict=True):
                for name, found in _known_cells(result.outputs, targets).items():
                    cells.setdefault(name, []).append(found)
                for frame in raw_motion(result.outputs, targets):
                    motion.add(frame)
    fitted = [_fit(model, name, found) for name, found in cells.items()]
    return [_with_instances(model, item, motion.kept) for item in fitted]


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
    losses = _log_loss(logits, truth, known), _log_loss(after, truth, known)
    outputs = [(after[:, c], truth[:, c], known[:, c]) for c in range(after.shape[1])]
    if name == 'motion':
        outputs = [(after, truth, known)]
    thresholds = tuple(
        best_threshold(torch.sigmoid(values[where]), there[where])
        for values, there, where in outputs
    )
    return Calibrated(name, losses[0], losses[1], thresholds)


def _with_instances(model: BevModel, item: Calibrated, frames: Sequence[RawMotion]) -> Calibrated:
    if item.name != 'motion':
        return item
    calibration = model.heads.get_submodule('motion').calibration
    assert isinstance(calibration, LogitCalibration)
    samples = [frame.sample(calibration) for frame in frames]
    fitted = fit_instances(samples, model.config.head_grid('motion'), item.thresholds[0])
    return replace(item, instances=fitted)


def with_thresholds(config: ModelConfig, calibrated: Sequence[Calibrated]) -> ModelConfig:
    """Returns the description of a model with the thresholds that were found for it."""
    sections: dict[str, Any] = {}
    for item in calibrated:
        if item.instances is not None and config.heads.motion is not None:
            update: dict[str, Any] = asdict(item.instances)
            sections['motion'] = config.heads.motion.model_copy(update=update)
        elif item.name == 'occupancy' and config.heads.semantics is not None:
            update = {'thresholds': item.thresholds[1:]}
            sections['semantics'] = config.heads.semantics.model_copy(update=update)
    return config.model_copy(update={'heads': config.heads.model_copy(update=sections)})


def without_fits(config: ModelConfig) -> ModelConfig:
    """Returns the description without what was fitted to other weights than those to be trained.

    The threshold of motion stays: a description always has one.
    """
    sections: dict[str, Any] = {}
    if config.heads.semantics is not None:
        sections['semantics'] = config.heads.semantics.model_copy(update={'thresholds': None})
    if config.heads.motion is not None:
        plain = {
            name: MotionSection.model_fields[name].default
            for name in ('instance_threshold', 'vote_radius_m')
        }
        sections['motion'] = config.heads.motion.model_copy(update=plain)
    return config.model_copy(update={'heads': config.heads.model_copy(update=sections)})


def best_threshold(probability: Tensor, truth: Tensor) -> float:
    """Returns the threshold, in hundredths, with the greatest intersection over union.

    Args:
        probability: [n].
        truth: bool [n]; with nothing in it the threshold is 0.5.
    """
    if not truth.any():
        return 0.5
    steps = torch.arange(1, 100, dtype=torch.float64) / 100
    found = torch.sort(probability.double()).values
    right = torch.sort(probability[truth].double()).values
    said = len(found) - torch.searchsorted(found, steps)
    both = len(right) - torch.searchsorted(right, steps)
    overlap = both.double() / (said + len(right) - both).double()
    return float(steps[int(overlap.argmax())])


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
