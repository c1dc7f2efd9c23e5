"""What every `model.yaml` says, whichever family of networks it describes."""

from __future__ import annotations

import json
from typing import Annotated

import yaml
from pydantic import Field

from bev_perception.geometry.grid import BevGrid
from bev_perception.model.config_heads import HeadsSection
from bev_perception.model.config_sections import (
    GridSection,
    InputSection,
    Section,
    TrainingSection,
)

Word = Annotated[str, Field(pattern=r'^[A-Za-z0-9][A-Za-z0-9_.+-]*$')]


class ModelDescription(Section):
    """The part of `model.yaml` that all models have, and all that running one needs."""

    format: Annotated[int, Field(ge=2, le=2)]
    name: Word
    version: Word
    licence: Annotated[str, Field(min_length=1)]
    training: TrainingSection
    input: InputSection
    grid: GridSection
    heads: HeadsSection

    def bev_grid(self) -> BevGrid:
        """Returns the raster of the BEV features, and of every head without one of its own."""
        return self.grid.bev_grid()

    def head_grid(self, head: str) -> BevGrid:
        """Returns the raster of a head's outputs: 'occupancy', 'objects' or 'motion'."""
        section = getattr(self.heads, head, None)
        return (
            self.bev_grid() if section is None or section.grid is None else section.grid.bev_grid()
        )

    def to_yaml(self) -> str:
        """Returns the text of a `model.yaml` that parses back to an equal config."""
        content = json.loads(self.model_dump_json())
        content['heads'] = content.pop('heads')  # last, as they come last
        return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=99)

    def canonical(self) -> bytes:
        """Returns bytes that are equal exactly when two configs are (comments do not count)."""
        content = json.loads(self.model_dump_json())
        return json.dumps(content, sort_keys=True, separators=(',', ':')).encode()
