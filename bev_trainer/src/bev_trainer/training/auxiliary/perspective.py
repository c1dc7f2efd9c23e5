"""Road users in the images themselves: what teaches the image backbone most directly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bev_perception.errors import ConfigError
from bev_perception.model.bev_model import BevModel
from bev_perception.model.heads.objects import PRIOR_PROBABILITY, PRIOR_SIZE_M
from bev_perception.model.layers import ConvBnRelu, init_output, init_trunk, prior_logit
from bev_trainer.data.clip import Clip
from bev_trainer.losses.clip_step import FrameResult
from bev_trainer.losses.objects import box_loss, center_focal_loss
from bev_trainer.targets.views import VIEW_CHANNELS
from bev_trainer.training.auxiliary.task import AuxiliaryTask

_PRIOR_DISTANCE_M = 20.0


class PerspectiveObjects(AuxiliaryTask):
    """Perspective supervision of BEVFormer v2 (Yang et al. 2022, arXiv 2211.10439, section 3.2).

    A detector on the image features of every camera, class and 3D box per feature pixel, whose
    gradients reach the backbone without passing through the view transform. The paper takes DD3D
    (FCOS3D in an ablation); here it is a head of centre heatmaps as the model's own
    (`view_targets`). Its proposals are not handed on: the task is for training alone.

    Args:
        model: that is trained; only its description is used.

    Raises:
        ConfigError: the model has no objects.
    """

    LOSSES = ('view_heatmap', 'view_boxes')

    def __init__(self, model: BevModel) -> None:
        super().__init__()
        section, channels = model.config.heads.objects, model.config.neck.channels
        if section is None:
            raise ConfigError('loss.perspective needs a model with objects')
        self._classes = len(section.classes)
        self.trunk = nn.Sequential(ConvBnRelu(channels, channels), ConvBnRelu(channels, channels))
        self.out = nn.Conv2d(channels, self._classes + VIEW_CHANNELS, 1)
        init_trunk(self.trunk)
        init_output(self.out)
        assert self.out.bias is not None
        with torch.no_grad():
            self.out.bias[: self._classes] = prior_logit(PRIOR_PROBABILITY)
            sizes = [math.log(size) for size in PRIOR_SIZE_M]
            prior = torch.tensor([math.log(_PRIOR_DISTANCE_M), *sizes])
            self.out.bias[self._classes + 2 : self._classes + 6] = prior

    def forward(self, clip: Clip, results: Sequence[FrameResult]) -> dict[str, Tensor]:
        """Returns the losses, over all cameras that show something."""
        labelled = [frame for frame in clip.frames if frame.targets is not None]
        heatmaps, boxes = [], []
        for frame, result in zip(labelled, results, strict=True):
            targets = frame.targets
            if result.image_features is None or targets is None:
                continue
            if targets.view_heatmap is None or targets.view_boxes is None:
                continue
            out = self.out(self.trunk(result.image_features))
            used = frame.camera_mask
            found, box = out.split((self._classes, VIEW_CHANNELS), dim=1)
            heatmaps.append(center_focal_loss(found, targets.view_heatmap[used]))
            boxes.append(box_loss(box, targets.view_boxes[used]))
        if not heatmaps:
            return {}
        return {
            'view_heatmap': torch.stack(heatmaps).mean(),
            'view_boxes': torch.stack(boxes).mean(),
        }
