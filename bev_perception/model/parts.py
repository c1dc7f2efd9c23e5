"""The parts of the network that `model.yaml` chooses by name."""

from __future__ import annotations

from bev_perception.model.config import ModelConfig
from bev_perception.model.config_sections import FEATURE_STRIDE
from bev_perception.model.config_view import (
    BilinearSection,
    ForwardBackwardSection,
    LiftSplatSection,
    MatrixSection,
    RingMemorySection,
)
from bev_perception.model.memory import BevMemory, MemoryFrames, RecurrentMemory, RingMemory
from bev_perception.model.view_transform import DepthBins, LiftSplat, ViewTransform
from bev_perception.model.view_transform.bilinear import Bilinear
from bev_perception.model.view_transform.forward_backward import ForwardBackward
from bev_perception.model.view_transform.lift_splat_transform import LiftSplatTransform
from bev_perception.model.view_transform.matrix import MatrixTransform
from bev_perception.model.view_transform.semantic_points import SemanticPoints


def create_lift_splat(config: ModelConfig) -> LiftSplat:
    """Returns the geometry of lifted points: feature pixels, depth bins, grid."""
    assert config.depth is not None
    height, width = config.feature_size()
    return LiftSplat(
        grid=config.bev_grid(),
        bins=DepthBins(config.depth.min_m, config.depth.max_m, config.depth.bins),
        z_range_m=config.view_transform.z_range_m,
        feature_height=height,
        feature_width=width,
        stride=FEATURE_STRIDE,
    )


def create_view_transform(config: ModelConfig) -> ViewTransform:
    """Returns the view transform that a description asks for, with fresh weights."""
    section = config.view_transform
    if isinstance(section, BilinearSection):
        height, width = config.feature_size()
        return Bilinear(
            config.bev_grid(),
            section.z_range_m,
            section.levels,
            (height, width),
            FEATURE_STRIDE,
            section.channels,
            section.channels,
        )
    geometry = create_lift_splat(config)
    if isinstance(section, LiftSplatSection):
        return LiftSplatTransform(geometry, section.channels)
    if isinstance(section, MatrixSection):
        return MatrixTransform(geometry, section.channels, ring_ray=section.ring_ray)
    if isinstance(section, ForwardBackwardSection):
        return ForwardBackward(geometry, section.channels, levels=section.levels)
    return SemanticPoints(geometry, section.channels, len(section.classes))


def create_memory(config: ModelConfig, channels: int) -> BevMemory | None:
    """Returns the memory that a description asks for, with fresh weights; None for none."""
    section = config.memory
    if section is None:
        return None
    if isinstance(section, RingMemorySection):
        return RingMemory(channels, config.bev_grid(), section.slots, section.channels)
    return RecurrentMemory(channels, config.bev_grid(), section.channels)


def create_memory_frames(config: ModelConfig) -> MemoryFrames | None:
    """Returns what follows the vehicle's motion for the memory of a model; None without one."""
    section = config.memory
    if section is None:
        return None
    slots = section.slots if isinstance(section, RingMemorySection) else 1
    return MemoryFrames(section.kind, slots, config.bev_grid(), section.max_gap_s)
