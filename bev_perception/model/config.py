"""`model.yaml`: everything that belongs to the weights and is not for a deployer to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator

from bev_perception.config_errors import Location, Wording, first_problem
from bev_perception.config_yaml import YamlError, from_yaml
from bev_perception.errors import ConfigError
from bev_perception.model.config_base import ModelDescription
from bev_perception.model.config_published import PublishedConfig
from bev_perception.model.config_sections import (
    FEATURE_STRIDE,
    BackboneSection,
    BevEncoderSection,
    DepthSection,
    NeckSection,
)
from bev_perception.model.config_view import MemorySection, RadarSection, ViewTransformSection


class ModelConfig(ModelDescription):
    """Validated content of `model.yaml` of our own family of networks.

    Sections that are not given are parts that the model does not have; `depth` may be missing
    only where the view transform does not need it.
    """

    backbone: BackboneSection
    neck: NeckSection
    depth: DepthSection | None = None
    view_transform: ViewTransformSection
    radar: RadarSection | None = None
    memory: MemorySection | None = None
    bev_encoder: BevEncoderSection

    @model_validator(mode='after')
    def _depth_where_needed(self) -> ModelConfig:
        if self.depth is None and self.view_transform.kind != 'bilinear':
            raise ValueError(f"view transform '{self.view_transform.kind}' needs section 'depth'")
        return self

    def feature_size(self) -> tuple[int, int]:
        """Returns (height, width) of the image features that are lifted."""
        return self.input.height // FEATURE_STRIDE, self.input.width // FEATURE_STRIDE


AnyModelConfig = ModelConfig | PublishedConfig


def own_family(config: AnyModelConfig) -> ModelConfig:
    """Returns the description as one of our own family.

    Raises:
        ConfigError: it is of a published network.
    """
    if isinstance(config, PublishedConfig):
        raise ConfigError(
            f"model '{config.name}' is a published network ({config.architecture}); this is for "
            f'models whose parts are chosen one by one'
        )
    return config


def load_model_config(path: Path) -> AnyModelConfig:
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


def parse_model_config(text: str, source: str) -> AnyModelConfig:
    """Returns the model description of YAML `text`; `source` names it in errors.

    One with an `architecture` is of a published network, one without of our own family.
    """
    try:
        content = from_yaml(text, before_place=': ')
    except YamlError as error:
        raise ConfigError(f'{source}: {error}') from None
    if not isinstance(content, dict):
        raise ConfigError(f'{source}: expected a mapping of model fields at the top level')
    schema: type[AnyModelConfig] = PublishedConfig if 'architecture' in content else ModelConfig
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        problem = first_problem(error, content, schema, _WORDING)
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
