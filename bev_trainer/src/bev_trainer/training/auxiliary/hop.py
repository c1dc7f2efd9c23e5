"""Historical object prediction: the objects of a frame from the frames around it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bev_perception.errors import ConfigError
from bev_perception.model.bev_model import BevModel
from bev_perception.model.heads.bev_heads import cell_parts
from bev_perception.model.heads.grid_sampler import GridSampler
from bev_perception.model.heads.objects import ObjectHead
from bev_perception.model.layers import ConvBnRelu, init_trunk
from bev_perception.model.memory import MemoryMotion
from bev_perception.model.memory.warp import inside_share, warp
from bev_perception.model.outputs import ModelOutputs
from bev_trainer.data.clip import Clip
from bev_trainer.losses.clip_step import FrameResult
from bev_trainer.losses.total import object_losses
from bev_trainer.training.auxiliary.task import AuxiliaryTask


class HistoricalObjects(AuxiliaryTask):
    """HoP (Zong et al. 2023, arXiv 2304.00967): a training task for models with a memory.

    The BEV features of the frame before the last are guessed from those of the other frames of
    the clip, and the objects of that frame are to be found in the guess (section 3). What the
    memory has made of the frame itself would give it away: the features are those before the
    memory, and so the images of that frame are not used at all. The paper has a decoder for the
    neighbours and a thinner one for all frames; clips here are short, and one decoder sees all
    the other frames, each brought to where the vehicle was (`warp`).

    Args:
        model: that is trained; only its description and widths are used.
        frames: of a clip.

    Raises:
        ConfigError: the model has no memory or no objects, or clips are single frames.
    """

    LOSSES = ('hop_heatmap', 'hop_boxes')

    def __init__(self, model: BevModel, frames: int) -> None:
        super().__init__()
        config, section = model.config, model.config.heads.objects
        if config.memory is None or section is None or frames < 2:
            raise ConfigError(
                'loss.hop needs a model with memory and objects, and clip.frames of 2 or more'
            )
        channels = model.view_transform.out_channels
        self._grid, target = config.bev_grid(), config.head_grid('objects')
        parts = cell_parts(self._grid, target)
        self.decoder = nn.Sequential(
            ConvBnRelu((channels + 1) * (frames - 1), channels),
            ConvBnRelu(channels, channels),
            ConvBnRelu(channels, channels),
        )
        init_trunk(self.decoder)
        self.sampler = GridSampler(self._grid, self._grid if parts > 1 else target)
        self.head = ObjectHead(channels, section.channels, len(section.classes), parts)

    def forward(self, clip: Clip, results: Sequence[FrameResult]) -> dict[str, Tensor]:
        """Returns the losses; none where a frame has no labels, or the past was dropped."""
        guessed = len(clip.frames) - 2
        targets, motions = clip.frames[guessed].targets, [frame.motion for frame in clip.frames]
        if len(results) != len(clip.frames) or targets is None or targets.heatmap is None:
            return {}
        steps = [step_back(*pair) for pair in itertools.pairwise(motions)]
        known = [step for step in steps if step is not None]
        if len(known) != len(steps):
            return {}
        seen = [
            self._brought(result.lifted, way_between(known, guessed, index))
            for index, result in enumerate(results)
            if index != guessed
        ]
        outputs = self.head(self.sampler(self.decoder(torch.cat(seen, dim=1))))
        found = dict(zip(ObjectHead.OUTPUTS, outputs, strict=True))
        losses = object_losses(ModelOutputs(**found), targets)
        return {
            'hop_heatmap': losses['heatmap'] + losses['existence'],
            'hop_boxes': losses['boxes'],
        }

    def _brought(self, lifted: Tensor, other_T_guessed: Tensor) -> Tensor:
        """Returns [B, C + 1, Y, X]: features of a frame at the guessed one, and where they are."""
        known = inside_share(other_T_guessed, self._grid).to(lifted.dtype)
        return torch.cat([warp(lifted, other_T_guessed, self._grid), known], dim=1)


def step_back(before: MemoryMotion | None, now: MemoryMotion | None) -> Tensor | None:
    """Returns [B, 3, 3], a point in the base frame now -> in that of the frame before.

    None where some past was dropped. By way of the memory frame, which `before` has left and
    `now` finds; for a ring that is the frame before itself.
    """
    if before is None or now is None or not bool(now.keep[:, 0].all()):
        return None
    return _product(_square(before.write), _square(now.read[:, 0]))


def way_between(steps: Sequence[Tensor], start: int, end: int) -> Tensor:
    """Returns [B, 2, 3], a point in the base frame of frame `start` -> in that of frame `end`.

    Args:
        steps: [B, 3, 3] of every frame but the first, to the frame before it.
        start: number of a frame.
        end: likewise.
    """
    way = torch.eye(3, device=steps[0].device).expand_as(steps[0])
    for step in steps[min(start, end) : max(start, end)]:
        way = _product(torch.linalg.inv(step), way) if end > start else _product(way, step)
    return way[:, :2]


def _product(one: Tensor, other: Tensor) -> Tensor:
    """Returns the product of motions in full precision, whatever that of the training is."""
    with torch.autocast(one.device.type, enabled=False):
        return one @ other


def _square(motion: Tensor) -> Tensor:
    """Returns [B, 3, 3] of planar motions [B, 2, 3]."""
    row = motion.new_tensor([0.0, 0.0, 1.0]).expand(len(motion), 1, 3)
    return torch.cat([motion, row], dim=1)
