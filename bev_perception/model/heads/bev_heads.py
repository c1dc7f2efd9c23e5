"""All heads of a model, each on a raster of its own."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn

from bev_perception.model.config import ModelConfig
from bev_perception.model.config_heads import MotionSection
from bev_perception.model.heads.grid_sampler import GridSampler
from bev_perception.model.heads.motion import MotionHead
from bev_perception.model.heads.motion_efficient import EfficientMotionHead
from bev_perception.model.heads.objects import ObjectHead
from bev_perception.model.heads.occupancy import OccupancyHead
from bev_perception.model.heads.trajectories import TrajectoryHead
from bev_perception.model.outputs import HeadNames, ModelOutputs


class BevHeads(nn.Module):
    """The heads that a description asks for; each sees the BEV through its own range and
    resolution (BEVerse, Zhang et al. 2022, section 3.3).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        sections, channels = config.heads, config.bev_encoder.channels
        self.names: frozenset[str] = sections.names
        self._model_name = config.name
        grid = config.bev_grid()
        self.samplers = nn.ModuleDict(
            {
                name: GridSampler(grid, config.head_grid(name))
                for name in sorted(self.names - {'trajectories'})
            }
        )
        if sections.occupancy is not None and sections.semantics is not None:
            self.occupancy = OccupancyHead(
                channels, sections.occupancy.channels, len(sections.semantics.classes)
            )
        if sections.objects is not None:
            self.objects = ObjectHead(
                channels, sections.objects.channels, len(sections.objects.classes)
            )
        if sections.motion is not None:
            self.motion = _motion_head(channels, sections.motion)
        if sections.trajectories is not None:
            section = sections.trajectories
            self.trajectories = TrajectoryHead(
                channels, section.channels, section.modes, section.steps, section.step_s, grid
            )

    def forward(self, bev: Tensor, heads: Collection[str]) -> ModelOutputs:
        """Returns the outputs of `heads`, trajectories excepted, on BEV features [B, C, Y, X]."""
        found: dict[str, Tensor] = {}
        if 'occupancy' in heads:
            logits = self.occupancy(self.samplers['occupancy'](bev))
            found.update(zip(('occupancy_logits', 'semantic_logits'), logits, strict=True))
        if 'objects' in heads:
            maps = self.objects(self.samplers['objects'](bev))
            found.update(zip(ObjectHead.OUTPUTS, maps, strict=True))
        if 'motion' in heads:
            motion = self.motion(self.samplers['motion'](bev))
            found.update(zip(('motion_logits', 'motion_flow'), motion, strict=True))
        return ModelOutputs(**found)

    def forecast(self, bev: Tensor, places: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mode logits [B, M, K] and offsets [B, M, K, T, 2] in m (`TrajectoryHead`).

        Raises:
            ConfigError: the model has no trajectory head.
        """
        self.known({'trajectories'})
        logits, offsets_m = self.trajectories(bev, places, velocity)
        return logits, offsets_m

    def known(self, heads: Collection[str] | None) -> frozenset[str]:
        """Returns the heads asked for; None means all that the model has.

        Raises:
            ConfigError: there is no head of that name, or the model does not have it.
        """
        return HeadNames(self._model_name, self.names).known(heads)


def _motion_head(channels: int, section: MotionSection) -> nn.Module:
    kind = MotionHead if section.size == 'full' else EfficientMotionHead
    return kind(channels, section.channels, section.steps)
