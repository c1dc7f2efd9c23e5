"""One loss out of those of all heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bev_perception.model.outputs import ModelOutputs
from bev_trainer.losses.motion import flow_loss, segmentation_loss, trajectory_loss
from bev_trainer.losses.objects import box_loss, center_focal_loss
from bev_trainer.losses.occupancy import depth_loss, masked_log_loss
from bev_trainer.targets.frame import FrameTargets

LOSSES = (
    'occupancy', 'semantics', 'heatmap', 'existence', 'boxes', 'motion', 'flow', 'trajectories',
    'depth',
)  # fmt: skip


def head_losses(
    outputs: ModelOutputs,
    targets: FrameTargets,
    *,
    paths: tuple[Tensor, Tensor] | None = None,
    depth: Tensor | None = None,
    pos_weight: float = 2.0,
) -> dict[str, Tensor]:
    """Returns the losses of all heads for which there are both outputs and targets, by name.

    Args:
        outputs: of the model.
        targets: of the same frames.
        paths: mode logits and offsets of the trajectory head at the targets' places.
        depth: [B, N, D, h, w] probabilities of the image encoder.
        pos_weight: see `masked_log_loss`.
    """
    losses: dict[str, Tensor] = {}
    if outputs.occupancy_logits is not None and targets.occupancy is not None:
        losses['occupancy'] = masked_log_loss(outputs.occupancy_logits, targets.occupancy)
    if outputs.semantic_logits is not None and targets.semantics is not None:
        losses['semantics'] = masked_log_loss(
            outputs.semantic_logits, targets.semantics, pos_weight
        )
    if outputs.heatmap_logits is not None and targets.heatmap is not None:
        losses |= object_losses(outputs, targets)
    if outputs.motion_logits is not None and targets.motion is not None:
        assert outputs.motion_flow is not None and targets.flow is not None
        losses['motion'] = segmentation_loss(outputs.motion_logits, targets.motion, pos_weight)
        losses['flow'] = flow_loss(outputs.motion_flow, targets.flow, targets.motion)
    if paths is not None and targets.offsets_m is not None:
        assert targets.path_valid is not None
        losses['trajectories'] = trajectory_loss(*paths, targets.offsets_m, targets.path_valid)
    if depth is not None and targets.depth_bin is not None:
        losses['depth'] = depth_loss(depth, targets.depth_bin)
    return losses


def object_losses(outputs: ModelOutputs, targets: FrameTargets) -> dict[str, Tensor]:
    """Returns the losses of an object head whose outputs and targets are there."""
    assert outputs.heatmap_logits is not None and targets.heatmap is not None
    assert outputs.existence_logits is not None and targets.boxes is not None
    assert outputs.center_offset is not None and outputs.center_z is not None
    assert outputs.log_size is not None and outputs.yaw_sin_cos is not None
    assert outputs.velocity is not None
    boxes = [
        outputs.center_offset,
        outputs.center_z,
        outputs.log_size,
        outputs.yaw_sin_cos,
        outputs.velocity,
    ]
    anything = targets.heatmap.amax(dim=1, keepdim=True)
    return {
        'heatmap': center_focal_loss(outputs.heatmap_logits, targets.heatmap),
        'existence': center_focal_loss(outputs.existence_logits, anything),
        'boxes': box_loss(torch.cat(boxes, dim=1), targets.boxes),
    }


class UncertaintyWeights(nn.Module):
    """Weighs losses by learned uncertainties (Kendall, Gal and Cipolla 2018, eq. 10).

    loss = sum of exp(-s) * loss_i + s / 2, s the logarithm of a task's noise; in the long run each
    task's weighted loss comes to one half.

    Args:
        names: of the losses.
    """

    def __init__(self, names: Sequence[str] = LOSSES) -> None:
        super().__init__()
        self.log_noise = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in names})

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Returns the weighted sum of losses by name."""
        parts = []
        for name, loss in losses.items():
            log_noise = self.log_noise[name]
            parts.append(torch.exp(-log_noise) * loss + 0.5 * log_noise)
        return torch.stack(parts).sum() if parts else self.nothing()

    def nothing(self) -> Tensor:
        """Returns the loss where nothing is asked: zero, with gradients that are zero too."""
        return 0.0 * torch.stack(list(self.log_noise.values())).sum()
