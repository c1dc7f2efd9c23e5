"""`model.yaml`: everything that belongs to the weights and is not for a deployer to edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from bev_perception.config_errors import Location, Wording, first_problem
from bev_perception.config_yaml import YamlError, from_yaml
from bev_perception.errors import ConfigError
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.config_heads import HeadsSection
from bev_perception.model.config_sections import (
    FEATURE_STRIDE,
    BackboneSection,
    BevEncoderSection,
    DepthSection,
    GridSection,
    InputSection,
    NeckSection,
    Section,
    TrainingSection,
)
from bev_perception.model.config_view import MemorySection, RadarSection, ViewTransformSection


class ModelConfig(Section):
    """Validated content of `model.yaml`.

    Sections that are not given are parts that the model does not have; `depth` may be missing
    only where the view transform does not need it.
    """

    format: Annotated[int, Field(ge=2, le=2)]
    name: Annotated[str, Field(pattern=r'^[A-Za-z0-9][A-Za-z0-9_.+-]*$')]
    version: Annotated[str, Field(pattern=r'^[A-Za-z0-9][A-Za-z0-9_.+-]*$')]
    licence: Annotated[str, Field(min_length=1)]
    training: TrainingSection
    input: InputSection
    backbone: BackboneSection
    neck: NeckSection
    depth: DepthSection | None = None
    view_transform: ViewTransformSection
    radar: RadarSection | None = None
    grid: GridSection
    memory: MemorySection | None = None
    bev_encoder: BevEncoderSection
    heads: HeadsSection

    @model_validator(mode='after')
    def _depth_where_needed(self) -> ModelConfig:
        if self.depth is None and self.view_transform.kind != 'bilinear':
            raise ValueError(f"view transform '{self.view_transform.kind}' needs section 'depth'")
        return self

    def bev_grid(self) -> BevGrid:
        """Returns the raster of the BEV features, and of every head without one of its own."""
        return self.grid.bev_grid()

    def head_grid(self, head: str) -> BevGrid:
        """Returns the raster of a head's outputs: 'occupancy', 'objects' or 'motion'."""
        section = getattr(self.heads, head, None)
        return (
            self.bev_grid() if section is None or section.grid is None else section.grid.bev_grid()
        )

    def feature_size(self) -> tuple[int, int]:
        """Returns (height, width) of the image features that are lifted."""
        return self.input.height // FEATURE_STRIDE, self.input.width // FEATURE_STRIDE

    def to_yaml(self) -> str:
        """Returns the text of a `model.yaml` that parses back to an equal config."""
        content = json.loads(self.model_dump_json())
        return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=99)

    def canonical(self) -> bytes:
        """Returns bytes that are equal exactly when two configs are (comments do not count)."""
        content = json.loads(self.model_dump_json())
        return json.dumps(content, sort_keys=True, separators=(',', ':')).encode()


def load_model_config(path: Path) -> ModelConfig:
    """Returns the model description of a file.

    Raises:
        ConfigError: unreadable, not YAML, or a field is missing, unknown or wrong; one line.
    """
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, 'strerror', None) or 'not UTF-8 text'
        raise ConfigError(f'{path}: cannot read the model description: {reason}') from None
    return parse_model_config(text, str(path))


def parse_model_config(text: str, source: str) -> ModelConfig:
    """Returns the model description of YAML `text`; `source` names it in errors."""
    try:
        content = from_yaml(text, before_place=': ')
    except YamlError as error:
        raise ConfigError(f'{source}: {error}') from None
    if not isinstance(content, dict):
        raise ConfigError(f'{source}: expected a mapping of model fields at the top level')
    try:
        return ModelConfig.model_validate(content)
    except ValidationError as error:
        problem = first_problem(error, content, ModelConfig, _WORDING)
        raise ConfigError(f'{source}: {problem}') from None


def _place(location: Location, content: Any) -> str:
    """Returns for example: 'heads.objects.classes.0'."""
    return f"'{'.'.join(map(str, location))}'" if location else 'the model'


_WORDING = Wording(
    _place,
    'is unknown',
    'valid are',
    {
        'missing': 'is missing',
        'union_tag_invalid': "is of no known kind '{tag}'; choose from {expected_tags}",
        'union_tag_not_found': "needs a 'kind'",
    },
)
