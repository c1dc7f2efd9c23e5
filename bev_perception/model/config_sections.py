"""The sections of `model.yaml` up to the BEV grid, and what all sections share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

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
Line = Annotated[str, Field(pattern=r'^[^\n]*$')]
Label = Annotated[str, Field(pattern=r'^[a-z][a-z0-9_]*$')]
Labels = Annotated[tuple[Label, ...], Field(min_length=1)]


class Section(BaseModel):
    """Base of every section: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra='forbid', frozen=True, allow_inf_nan=False)


def rising(limits: Range) -> Range:
    """Raises ValueError unless low < high."""
    if limits[0] >= limits[1]:
        raise ValueError(f'must be [low, high] with low < high, got {list(limits)}')
    return limits


def unique(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Raises ValueError when a name occurs twice."""
    doubled = sorted({label for label in labels if labels.count(label) > 1})
    if doubled:
        raise ValueError(f'names twice: {", ".join(doubled)}')
    return labels


class TrainingDataSection(Section):
    """Data that a model was trained on.

    Attributes:
        name: of the data set or recording.
        split: of it; empty for all.
        scenes: recordings.
        clips: that were drawn from them.
        weight: how often, relative to their number.
        sha256: of its manifest; without one, of the names and sizes of its files.
    """

    name: Line
    split: Line = ''
    scenes: Annotated[int, Field(ge=0)]
    clips: Annotated[int, Field(ge=0)]
    weight: Positive = 1.0
    sha256: Annotated[str, Field(pattern='^[0-9a-f]{64}$')]


class TrainingSection(Section):
    """Where the weights come from.

    Attributes:
        trained: False for seeded weights, whose outputs carry no meaning.
        description: what the model was trained on, one line.
        seed: of the initial weights, and of the order of the data.
        steps: of the optimiser; 0 where it is not known.
        code: version of the program that trained; empty where it is not known.
        data: what it was trained on; empty where it is not known.
    """

    trained: bool
    description: Line
    seed: Annotated[int, Field(ge=0)] = 0
    steps: Annotated[int, Field(ge=0)] = 0
    code: Line = ''
    data: tuple[TrainingDataSection, ...] = ()

    @model_serializer(mode='wrap')
    def _what_is_known(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = dump(self)
        unknown = [name for name in ('steps', 'code', 'data') if not content.get(name)]
        return {name: value for name, value in content.items() if name not in unknown}


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


class GridSection(Section):
    """BEV raster in the base frame; both ranges are whole numbers of cells."""

    x_m: Range
    y_m: Range
    resolution_m: Positive

    _ranges_rise = field_validator('x_m', 'y_m')(rising)

    @field_validator('resolution_m')
    @classmethod
    def _divides(cls, resolution_m: float, info: Any) -> float:
        if 'x_m' in info.data and 'y_m' in info.data:
            try:
                BevGrid.from_range(info.data['x_m'], info.data['y_m'], resolution_m)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return resolution_m

    def bev_grid(self) -> BevGrid:
        """Returns the raster."""
        return BevGrid.from_range(self.x_m, self.y_m, self.resolution_m)


class BevEncoderSection(Section):
    """BEV encoder: `widths` of the levels at half, quarter, ... resolution; `channels` out."""

    widths: Annotated[tuple[Count, ...], Field(min_length=1, max_length=5)]
    channels: Count
