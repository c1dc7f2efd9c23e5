"""The sections of `model.yaml`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from bev_perception.config_errors import nearest
from bev_perception.errors import ConfigError
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.backbone import BACKBONES

FEATURE_STRIDE = 8
COARSEST_STRIDE = 16

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Range = tuple[float, float]
Rgb = tuple[float, float, float]
Label = Annotated[str, Field(pattern=r'^[a-z][a-z0-9_]*$')]
Labels = Annotated[tuple[Label, ...], Field(min_length=1)]


class Section(BaseModel):
    """Base of every section: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra='forbid', frozen=True, allow_inf_nan=False)


def _rising(limits: Range) -> Range:
    if limits[0] >= limits[1]:
        raise ValueError(f'must be [low, high] with low < high, got {list(limits)}')
    return limits


def _unique(labels: tuple[str, ...]) -> tuple[str, ...]:
    doubled = sorted({label for label in labels if labels.count(label) > 1})
    if doubled:
        raise ValueError(f'names twice: {", ".join(doubled)}')
    return labels


class TrainingSection(Section):
    """Where the weights come from.

    Attributes:
        trained: False for seeded weights, whose outputs carry no meaning.
        description: what the model was trained on, one line.
        seed: of the initial weights.
    """

    trained: bool
    description: Annotated[str, Field(pattern=r'^[^\n]*$')]
    seed: Annotated[int, Field(ge=0)] = 0


class InputSection(Section):
    """Image that the network sees, per camera.

    Attributes:
        width: pixels, a multiple of the backbone's coarsest stride.
        height: likewise.
        mean_rgb: subtracted from RGB 0..255.
        std_rgb: divides the difference.
        horizon_share: where the horizon lies, from 0 (top) to 1 (bottom), as far as the
            camera's image allows; what is beyond the input's height is cropped.
    """

    width: Count
    height: Count
    mean_rgb: Rgb
    std_rgb: tuple[Positive, Positive, Positive]
    horizon_share: Share

    @field_validator('width', 'height')
    @classmethod
    def _divisible(cls, size: int) -> int:
        if size % COARSEST_STRIDE:
            raise ValueError(
                f'must be a multiple of the backbone stride {COARSEST_STRIDE}, got {size}'
            )
        return size


class BackboneSection(Section):
    """Image backbone by name (see `bev_perception.model.backbone.BACKBONES`)."""

    name: str

    @field_validator('name')
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in BACKBONES:
            proposal = nearest(name, list(BACKBONES), 'valid are')
            raise ValueError(f"no backbone '{name}'{proposal}")
        return name


class NeckSection(Section):
    """Image neck: `channels` of the features at stride 8."""

    channels: Count


class DepthSection(Section):
    """Depth bins, of equal width, from `min_m` to `max_m`."""

    min_m: Positive
    max_m: Positive
    bins: Annotated[int, Field(ge=2)]

    @field_validator('max_m')
    @classmethod
    def _beyond_min(cls, max_m: float, info: Any) -> float:
        if max_m <= info.data.get('min_m', 0.0):
            raise ValueError(f'must be greater than min_m, got {max_m}')
        return max_m


class LiftSection(Section):
    """View transform: context `channels`, and the height range of points that are collected."""

    channels: Count
    z_range_m: Range

    _z_rises = field_validator('z_range_m')(_rising)


class GridSection(Section):
    """BEV raster in the base frame; both ranges are whole numbers of cells."""

    x_m: Range
    y_m: Range
    resolution_m: Positive

    _ranges_rise = field_validator('x_m', 'y_m')(_rising)

    @field_validator('resolution_m')
    @classmethod
    def _divides(cls, resolution_m: float, info: Any) -> float:
        if 'x_m' in info.data and 'y_m' in info.data:
            try:
                BevGrid.from_range(info.data['x_m'], info.data['y_m'], resolution_m)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return resolution_m


class BevEncoderSection(Section):
    """BEV encoder: `widths` of the levels at half, quarter, ... resolution; `channels` out."""

    widths: Annotated[tuple[Count, ...], Field(min_length=1, max_length=5)]
    channels: Count


class OccupancySection(Section):
    """Occupancy and semantics share one trunk of `channels`."""

    channels: Count


class SemanticsSection(Section):
    """Semantic layers of the grid, each an independent probability."""

    classes: Labels

    _no_doubles = field_validator('classes')(_unique)


class ObjectsSection(Section):
    """Object head and its decoding.

    Attributes:
        channels: of the head's trunk.
        classes: in the order of the heatmaps.
        score_threshold: objects below it are dropped.
        max_objects: kept per frame, best first.
        nms_radius_m: of two objects with centres closer than this the better one stays.
    """

    channels: Count
    classes: Labels
    score_threshold: Share
    max_objects: Count
    nms_radius_m: Annotated[float, Field(ge=0)]

    _no_doubles = field_validator('classes')(_unique)


class MotionSection(Section):
    """Motion head and its decoding.

    Attributes:
        channels: of the head's trunk.
        steps: predicted steps after the present one.
        step_s: seconds between steps.
        threshold: probability above which a cell belongs to a movable object.
    """

    channels: Count
    steps: Count
    step_s: Positive
    threshold: Annotated[float, Field(gt=0, lt=1)]


class HeadsSection(Section):
    """The three heads; semantics come from the occupancy head."""

    occupancy: OccupancySection
    semantics: SemanticsSection
    objects: ObjectsSection
    motion: MotionSection
