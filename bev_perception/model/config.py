"""`model.yaml`: everything that belongs to the weights and is not for a deployer to edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from bev_perception.config_errors import Location, Wording, first_problem
from bev_perception.config_yaml import YamlError, from_yaml
from bev_perception.errors import ConfigError
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.config_sections import (
    FEATURE_STRIDE,
    BackboneSection,
    BevEncoderSection,
    DepthSection,
    GridSection,
    HeadsSection,
    InputSection,
    LiftSection,
    NeckSection,
    Section,
    TrainingSection,
)


class ModelConfig(Section):
    """Validated content of `model.yaml`."""

    format: Annotated[int, Field(ge=1, le=1)]
    name: Annotated[str, Field(pattern=r'^[A-Za-z0-9][A-Za-z0-9_.+-]*$')]
    version: Annotated[str, Field(pattern=r'^[A-Za-z0-9][A-Za-z0-9_.+-]*$')]
    licence: Annotated[str, Field(min_length=1)]
    training: TrainingSection
    input: InputSection
    backbone: BackboneSection
    neck: NeckSection
    depth: DepthSection
    lift: LiftSection
    grid: GridSection
    bev_encoder: BevEncoderSection
    heads: HeadsSection

    def bev_grid(self) -> BevGrid:
        """Returns the raster of every BEV output."""
        return BevGrid.from_range(self.grid.x_m, self.grid.y_m, self.grid.resolution_m)

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
    return f"'{'.'.join(map(str, location))}'"


_WORDING = Wording(_place, 'is unknown', 'valid are', {'missing': 'is missing'})
