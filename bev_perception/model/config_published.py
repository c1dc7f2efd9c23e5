"""`model.yaml` of networks that others published: what their weights fix, and what is left."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from bev_perception.errors import ConfigError
from bev_perception.model.config_base import ModelDescription
from bev_perception.model.config_heads import (
    HeadsSection,
    MotionSection,
    OccupancySection,
    SemanticsSection,
)
from bev_perception.model.config_sections import (
    GridSection,
    InputSection,
    Positive,
    Section,
    TrainingSection,
)
from bev_perception.model.published.lift_splat_shoot import LiftSplatShootSetup
from bev_perception.model.published.power_bev import FRAMES, PowerBevSetup
from bev_perception.model.published.power_bev_motion import FRAME_STEP_S
from bev_perception.model.published.simple_bev import SimpleBevSetup
from bev_perception.model.published.stages import MEAN_RGB, STD_RGB

Architecture = Literal['lift_splat_shoot', 'simple_bev', 'power_bev']
PublishedSetup = LiftSplatShootSetup | SimpleBevSetup | PowerBevSetup

FORMAT = 2
POWER_BEV_EXTENTS_M = (50.0, 15.0)
# What may differ from publication without another network.
FREE = ('input.horizon_share', 'heads.motion.threshold', 'heads.motion.steps')
# Where the horizon of nuScenes' front camera lies in the published crops.
HORIZON_SHARE = {'lift_splat_shoot': 0.47, 'simple_bev': 0.54, 'power_bev': 0.45}
_TOLERANCE = 1e-6
_DIGITS = 6


class PastSection(Section):
    """The BEV maps that are kept of frames before.

    Attributes:
        slots: kept maps, as many as there are frames in a second; two are enough for the two
            frames a second of nuScenes.
        max_gap_s: frames farther apart do not remember each other.
    """

    slots: Annotated[int, Field(ge=FRAMES - 1)]
    max_gap_s: Positive


# Enough for twelve frames a second.
DEFAULT_PAST = PastSection(slots=12, max_gap_s=1.5)


class PublishedConfig(ModelDescription):
    """Validated content of the `model.yaml` of a published network.

    Input size, grid and heads are those that the weights were trained with; they are written
    down, as in every `model.yaml`, and checked.

    Attributes:
        architecture: which network.
        reference_height_m: of Simple-BEV's reference camera over the base frame's origin; the
            camera stands in the middle of the grid.
        memory: of PowerBEV.
    """

    architecture: Architecture
    reference_height_m: float | None = None
    memory: PastSection | None = None

    @model_validator(mode='after')
    def _as_published(self) -> PublishedConfig:
        for field, owner in (('memory', 'power_bev'), ('reference_height_m', 'simple_bev')):
            given = getattr(self, field) is not None
            if given != (self.architecture == owner):
                raise ValueError(
                    f"'{self.architecture}' {'takes no' if given else 'needs'} '{field}'"
                )
        setup = self.setup()
        published = {
            'input': published_input(self.architecture, setup),
            'grid': published_grid(setup),
            'heads': published_heads(setup),
        }
        wanted = dict(_leaves({key: part.model_dump() for key, part in published.items()}))
        found = dict(_leaves(self.model_dump(include=set(published))))
        for field in sorted({*wanted, *found}):
            if field not in FREE and not _same(found.get(field), wanted.get(field)):
                raise ValueError(
                    f"'{self.architecture}' was published with {field} "
                    f'{_plain(wanted.get(field))}, got {_plain(found.get(field))}'
                )
        return self

    def setup(self) -> PublishedSetup:
        """Returns the sizes of the network.

        Raises:
            ValueError: the network needs a head that is not there.
        """
        if self.architecture == 'lift_splat_shoot':
            return LiftSplatShootSetup()
        if self.architecture == 'simple_bev':
            x_m, y_m = (_middle(limits) for limits in (self.grid.x_m, self.grid.y_m))
            assert self.reference_height_m is not None
            return SimpleBevSetup(reference_m=(x_m, y_m, self.reference_height_m))
        if self.heads.motion is None:
            raise ValueError("'power_bev' needs 'heads.motion'")
        extent_m = min(POWER_BEV_EXTENTS_M, key=lambda extent: abs(extent - self.grid.x_m[1]))
        return PowerBevSetup(extent_m=extent_m, steps_ahead=self.heads.motion.steps)


def describe_published(
    setup: PublishedSetup, name: str, version: str, licence: str, training: TrainingSection
) -> PublishedConfig:
    """Returns the description of a network of these sizes.

    Raises:
        ConfigError: they are not those of published weights; one line.
    """
    architecture = _architecture(setup)
    try:
        config = PublishedConfig(
            format=FORMAT,
            name=name,
            version=version,
            licence=licence,
            training=training,
            architecture=architecture,
            input=published_input(architecture, setup),
            grid=published_grid(setup),
            reference_height_m=setup.reference_m[2] if isinstance(setup, SimpleBevSetup) else None,
            memory=DEFAULT_PAST if architecture == 'power_bev' else None,
            heads=published_heads(setup),
        )
    except ValidationError as error:
        reason = error.errors()[0]['msg'].removeprefix('Value error, ')
        raise ConfigError(f'weights of another model: {reason}') from None
    if config.setup() != setup:
        raise ConfigError(
            f'weights of another model: {setup}, but {architecture!r} was published as '
            f'{config.setup()}'
        )
    return config


def published_input(architecture: Architecture, setup: PublishedSetup) -> InputSection:
    """Returns the images that the weights were trained with."""
    return InputSection(
        width=setup.image_width,
        height=setup.image_height,
        mean_rgb=_rounded(MEAN_RGB),
        std_rgb=_rounded(STD_RGB),
        horizon_share=HORIZON_SHARE[architecture],
    )


def published_grid(setup: PublishedSetup) -> GridSection:
    """Returns the grid of a network's outputs."""
    grid = setup.grid()
    x_m, y_m = (grid.x_min_m, grid.x_max_m), (grid.y_min_m, grid.y_max_m)
    return GridSection(
        x_m=(round(x_m[0], _DIGITS), round(x_m[1], _DIGITS)),
        y_m=(round(y_m[0], _DIGITS), round(y_m[1], _DIGITS)),
        resolution_m=grid.resolution_m,
    )


def published_heads(setup: PublishedSetup) -> HeadsSection:
    """Returns the heads of a network; all of them know vehicles and nothing else."""
    semantics = SemanticsSection(classes=('vehicle',))
    if not isinstance(setup, PowerBevSetup):
        return HeadsSection(occupancy=OccupancySection(channels=128), semantics=semantics)
    return HeadsSection(
        occupancy=OccupancySection(channels=16),
        semantics=semantics,
        motion=MotionSection(
            size='full', channels=16, steps=setup.steps_ahead, step_s=FRAME_STEP_S, threshold=0.5
        ),
    )


def _architecture(setup: PublishedSetup) -> Architecture:
    if isinstance(setup, LiftSplatShootSetup):
        return 'lift_splat_shoot'
    return 'simple_bev' if isinstance(setup, SimpleBevSetup) else 'power_bev'


def _leaves(content: Mapping[str, Any], place: str = '') -> Iterator[tuple[str, Any]]:
    """Yields ('heads.motion.steps', 4) and the like of nested mappings, but not what is None."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f'{place}{key}.')
        elif value is not None:
            yield f'{place}{key}', value


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(found, tuple) and isinstance(wanted, tuple):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    if isinstance(found, float) and isinstance(wanted, float):
        return math.isclose(found, wanted, abs_tol=_TOLERANCE)
    return bool(found == wanted)


def _plain(value: Any) -> str:
    return 'none' if value is None else f'{list(value) if isinstance(value, tuple) else value}'


def _middle(limits: tuple[float, float]) -> float:
    return round(sum(limits) / 2.0, _DIGITS)


def _rounded(rgb: tuple[float, float, float]) -> tuple[float, float, float]:
    red, green, blue = (round(value, _DIGITS) for value in rgb)
    return red, green, blue
