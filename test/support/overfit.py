"""A model taught a handful of frames by heart, and how well it knows them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from bev_trainer.data.clip import Clip
from bev_trainer.losses.clip_step import FrameResult, mean_losses, run_clip
from bev_trainer.losses.total import UncertaintyWeights
from bev_trainer.targets.frame import FrameTargets

from bev_perception.decode.instances import MotionMaps, decode_instances
from bev_perception.evaluation.metrics.panoptic_counts import PanopticCounts, panoptic_counts
from bev_perception.model.bev_model import BevModel
from bev_perception.runtime import postprocess


@dataclass(frozen=True)
class Knowledge:
    """How well a model knows frames, everything read through its own decoding.

    Attributes:
        occupancy_iou: over cells that count.
        semantic_iou: likewise, all layers together.
        missed: objects that are not found within half a metre, with the right class.
        invented: found objects without one.
        objects: in all.
        panoptic: video panoptic quality.
        min_ade_m: of the best mode, mean over objects and steps.
    """

    occupancy_iou: float
    semantic_iou: float
    missed: int
    invented: int
    objects: int
    panoptic: float
    min_ade_m: float


def learn(
    model: BevModel, clips: Clip, steps: int, rate: float, report: Callable[[str], None]
) -> None:
    """Trains on one batch of clips, over and over (AdamW, one cycle, bfloat16 where it pays).

    Two fifths before the end batch normalisation goes over to its running statistics: those of
    four frames say little about what holds in evaluation, and frames with and without a past
    differ in them.
    """
    weights = UncertaintyWeights()
    parameters = [*model.parameters(), *weights.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    model.train()
    for step in range(steps):
        if step == steps * 3 // 5:
            for part in model.modules():
                if isinstance(part, torch.nn.BatchNorm2d):
                    part.eval()
        optimiser.zero_grad()
        with torch.autocast('cpu', torch.bfloat16):
            losses = mean_losses(run_clip(model, clips))
        weights(losses).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 10.0)
        optimiser.step()
        schedule.step()
        if step % 10 == 0 or step == steps - 1:
            said = ', '.join(f'{name} {loss.item():.3f}' for name, loss in losses.items())
            report(f'step {step}: {said}')


@torch.inference_mode()
def knowledge(model: BevModel, clips: Clip) -> Knowledge:
    """Returns how well a model in evaluation mode knows the frames of clips."""
    frames = [frame for frame in clips.frames if frame.targets is not None]
    hits = np.zeros((2, 2))  # occupancy, semantics; intersection, union
    missed = invented = objects = 0
    panoptic = PanopticCounts()
    ways: list[float] = []
    for frame, result in zip(frames, run_clip(model, clips), strict=True):
        targets = frame.targets
        assert targets is not None
        hits += _overlaps(result, targets)
        ways += _ways(result, targets)
        for index in range(len(frame.images)):
            wrong = _object_errors(model, result, targets, index)
            missed, invented, objects = missed + wrong[0], invented + wrong[1], objects + wrong[2]
            panoptic = panoptic + _panoptic(model, result, targets, index)
    occupancy, semantics = (hits[:, 0] / np.maximum(hits[:, 1], 1.0)).tolist()
    quality = panoptic.quality
    return Knowledge(
        occupancy, semantics, missed, invented, objects, quality, float(np.mean(ways))
    )


def _overlaps(result: FrameResult, targets: FrameTargets) -> np.ndarray:
    pairs = (
        (result.outputs.occupancy_logits, targets.occupancy),
        (result.outputs.semantic_logits, targets.semantics),
    )
    found = []
    for logits, target in pairs:
        assert logits is not None and target is not None
        said, true, counts = logits > 0, target == 1, target >= 0
        found.append((int((said & true & counts).sum()), int(((said | true) & counts).sum())))
    return np.array(found, float)


def _ways(result: FrameResult, targets: FrameTargets) -> list[float]:
    assert result.paths is not None and targets.offsets_m is not None
    assert targets.path_valid is not None
    error = (result.paths[1].float() - targets.offsets_m[:, :, None]).norm(dim=-1)
    valid = targets.path_valid[:, :, None].float()
    mean = (error * valid).sum(dim=-1) / valid.sum(dim=-1).clamp(min=1)
    best = mean.min(dim=-1).values
    return best[targets.path_valid.any(dim=-1)].tolist()


def _object_errors(
    model: BevModel, result: FrameResult, targets: FrameTargets, index: int
) -> tuple[int, int, int]:
    """Returns (missed, invented, all) objects of one frame."""
    section, grid = model.config.heads.objects, model.config.head_grid('objects')
    assert section is not None and targets.heatmap is not None and targets.boxes is not None
    outputs = dataclasses.replace(
        result.outputs,
        **{
            field.name: value[index : index + 1]
            for field in dataclasses.fields(result.outputs)
            for value in [getattr(result.outputs, field.name)]
            if value is not None
        },
    )
    found = list(postprocess.objects(outputs, section, grid, 0.3) or ())
    centers = torch.nonzero(targets.heatmap[index] >= 1.0).tolist()
    missed = 0
    for kind, iy, ix in centers:
        offset = targets.boxes[index, :2, iy, ix].numpy()
        center = grid.cell_centers()[iy, ix] + offset * grid.resolution_m
        near = [
            item
            for item in found
            if item.classes[0].index == kind
            and np.hypot(*(np.array(item.center_m[:2]) - center)) < 0.5
        ]
        missed += not near
        if near:
            found.remove(near[0])
    return missed, len(found), len(centers)


def _panoptic(
    model: BevModel, result: FrameResult, targets: FrameTargets, index: int
) -> PanopticCounts:
    grid = model.config.head_grid('motion')
    outputs = result.outputs
    assert outputs.motion_logits is not None and outputs.motion_flow is not None
    assert targets.motion is not None and targets.flow is not None
    asked = torch.isfinite(targets.motion[index])
    said = outputs.motion_logits[index].float().sigmoid() * asked
    labels = [
        decode_instances(MotionMaps(probability.numpy(), flow.float().numpy()), grid, 0.5)
        for probability, flow in (
            (said, outputs.motion_flow[index]),
            (targets.motion[index].nan_to_num(0.0), targets.flow[index]),
        )
    ]
    return panoptic_counts(labels[0], labels[1])
