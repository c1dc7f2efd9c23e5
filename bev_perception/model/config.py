"""`model.yaml`: everything that belongs to the weights and is not for a deployer to edit."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from bev_perception.config_file import dotted_wording, mapping_of, read_config, validated
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
    return parse_model_config(read_config(path, 'the model description'), str(path))


def parse_model_config(text: str, source: str) -> AnyModelConfig:
    """Returns the model description of YAML `text`; `source` names it in errors.

    One with an `architecture` is of a published network, one without of our own family.
    """
    content = mapping_of(text, source, 'of model fields')
    if 'architecture' in content:
        return validated(PublishedConfig, content, source, _WORDING)
    return validated(ModelConfig, content, source, _WORDING)


_WORDING = dotted_wording(
    'the model',
    {
        'union_tag_invalid': "is of no known kind '{tag}'; choose from {expected_tags}",
        'union_tag_not_found': "needs a 'kind'",
    },
)
