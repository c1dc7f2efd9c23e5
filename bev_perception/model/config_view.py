"""The sections of `model.yaml` on how images, radar and the past become BEV features."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from bev_perception.model.config_sections import (
    Count,
    Labels,
    Positive,
    Range,
    Section,
    rising,
    unique,
)


class LiftSplatSection(Section):
    """Depth bins of every pixel summed into cells (Philion and Fidler 2020).

    Attributes:
        channels: of the context that is lifted.
        z_range_m: height range of points that are collected.
    """

    kind: Literal['lift_splat']
    channels: Count
    z_range_m: Range

    _z_rises = field_validator('z_range_m')(rising)


class BilinearSection(Section):
    """Image features sampled at voxels, without depth (Harley et al. 2022, Simple-BEV).

    Attributes:
        channels: of context and BEV features.
        z_range_m: height range of the voxels.
        levels: of voxels over that range.
    """

    kind: Literal['bilinear']
    channels: Count
    z_range_m: Range
    levels: Count

    _z_rises = field_validator('z_range_m')(rising)


class MatrixSection(Section):
    """Columns of the image times a matrix from calibration (Zhou et al. 2022, MatrixVT).

    Attributes:
        channels: of the context that is lifted.
        z_range_m: height range of points that are collected.
        ring_ray: split the matrix into ring and ray, which is not exact but needs dense products
            only.
    """

    kind: Literal['matrix']
    channels: Count
    z_range_m: Range
    ring_ray: bool = False

    _z_rises = field_validator('z_range_m')(rising)


class ForwardBackwardSection(Section):
    """Lift-splat, then cells left empty look back into the images (Li et al. 2023, FB-BEV).

    Attributes:
        channels: of context and BEV features.
        z_range_m: height range of points that are collected.
        levels: heights over that range at which an empty cell looks back.
    """

    kind: Literal['forward_backward']
    channels: Count
    z_range_m: Range
    levels: Count

    _z_rises = field_validator('z_range_m')(rising)


class SemanticPointsSection(Section):
    """Pixels as points with depth and class (Ng et al. 2020, BEV-Seg).

    Attributes:
        channels: of the context from which classes are told.
        z_range_m: height range of points that are collected.
        classes: of pixels.
    """

    kind: Literal['semantic_points']
    channels: Count
    z_range_m: Range
    classes: Labels

    _z_rises = field_validator('z_range_m')(rising)
    _no_doubles = field_validator('classes')(unique)


ViewTransformSection = Annotated[
    LiftSplatSection
    | BilinearSection
    | MatrixSection
    | ForwardBackwardSection
    | SemanticPointsSection,
    Field(discriminator='kind'),
]


class RadarSection(Section):
    """Radar points as a raster beside the BEV features: `features` numbers per point."""

    features: Count


class RecurrentMemorySection(Section):
    """One BEV state that goes on from frame to frame (Han et al. 2023, VideoBEV).

    Attributes:
        channels: of the bottleneck in which past and present are fused.
        max_gap_s: frames farther apart do not remember each other.
    """

    kind: Literal['recurrent']
    channels: Count
    max_gap_s: Positive


class RingMemorySection(Section):
    """The BEV maps of the last frames, each warped once (Huang and Huang 2022, BEVDet4D).

    Attributes:
        channels: of the bottleneck in which past and present are fused.
        slots: frames that are kept.
        max_gap_s: frames farther apart do not remember each other.
    """

    kind: Literal['ring']
    channels: Count
    slots: Count
    max_gap_s: Positive


MemorySection = Annotated[RecurrentMemorySection | RingMemorySection, Field(discriminator='kind')]
