"""All heads of a model, each on a raster of its own."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from torch import Tensor, nn

from bev_perception.geometry.grid import BevGrid
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
    resolution (BEVerse, Zhang et al. 2022, section 3.3). Where its cells are whole parts of the
    model's and cover the same range, the head works at the model's resolution and its last layer
    answers for the parts (`CellOutput`), which costs a fraction of working on the finer grid.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        sections, channels = config.heads, config.bev_encoder.channels
        self.names: frozenset[str] = sections.names
        self._model_name = config.name
        grid = config.bev_grid()
        targets = {name: config.head_grid(name) for name in sorted(self.names - {'trajectories'})}
        parts = {name: cell_parts(grid, target) for name, target in targets.items()}
        self.samplers = nn.ModuleDict(
            {
                name: GridSampler(grid, grid if parts[name] > 1 else target)
                for name, target in targets.items()
            }
        )
        if sections.occupancy is not None and sections.semantics is not None:
            self.occupancy = OccupancyHead(
                channels,
                sections.occupancy.channels,
                len(sections.semantics.classes),
                parts['occupancy'],
            )
        if sections.objects is not None:
            self.objects = ObjectHead(
                channels,
                sections.objects.channels,
                len(sections.objects.classes),
                parts['objects'],
            )
        if sections.motion is not None:
            self.motion = _motion_head(channels, sections.motion, parts['motion'])
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


def cell_parts(source: BevGrid, target: BevGrid) -> int:
    """Returns into how many parts along each axis a head cuts the cells of the model's grid.

    More than one when its own covers the same range in whole parts of the cells.
    """
    parts = round(source.resolution_m / target.resolution_m)
    if parts < 2 or target.shape != (parts * source.size_y, parts * source.size_x):
        return 1
    ends, own = (
        np.array([grid.x_min_m, grid.y_min_m, grid.x_max_m, grid.y_max_m])
        for grid in (source, target)
    )
    return parts if np.allclose(ends, own, rtol=0.0, atol=1e-6 * source.resolution_m) else 1


def _motion_head(channels: int, section: MotionSection, parts: int) -> nn.Module:
    if section.size == 'full':
        return MotionHead(channels, section.channels, section.steps, parts=parts)
    return EfficientMotionHead(channels, section.channels, section.steps, parts)
