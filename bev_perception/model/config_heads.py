"""The sections of `model.yaml` on heads and their decoding."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from bev_perception.model.config_sections import (
    Count,
    GridSection,
    Labels,
    Positive,
    Section,
    Share,
    unique,
)

Threshold = Annotated[float, Field(gt=0, lt=1)]


class OccupancySection(Section):
    """Occupancy and semantics share one trunk of `channels`.

    Attributes:
        channels: of the trunk.
        grid: range and resolution of these outputs; the model's when not given.
    """

    channels: Count
    grid: GridSection | None = None


class SemanticsSection(Section):
    """Semantic layers of the grid, each an independent probability.

    Attributes:
        classes: names of the layers.
        thresholds: probability of each layer from which on a cell counts as of it; None: 0.5.
    """

    classes: Labels
    thresholds: tuple[Threshold, ...] | None = None

    _no_doubles = field_validator('classes')(unique)

    @model_validator(mode='after')
    def _one_each(self) -> SemanticsSection:
        if self.thresholds is not None and len(self.thresholds) != len(self.classes):
            raise ValueError(
                f'{len(self.thresholds)} thresholds for {len(self.classes)} classes; give one each'
            )
        return self

    @model_serializer(mode='wrap')
    def _what_is_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = dump(self)
        return {name: value for name, value in content.items() if value is not None}


class ObjectsSection(Section):
    """Object head and its decoding.

    Attributes:
        channels: of the head's trunk.
        grid: range and resolution of these outputs; the model's when not given.
        classes: in the order of the heatmaps.
        existence_power: share of the existence probability in an object's score, from 0 (the
            heatmap alone) to 1.
        score_threshold: objects below it are dropped.
        max_objects: kept per frame, best first.
        nms_radius_m: of two objects with centres closer than this the better one stays.
    """

    channels: Count
    grid: GridSection | None = None
    classes: Labels
    existence_power: Share = 0.5
    score_threshold: Share
    max_objects: Count
    nms_radius_m: Annotated[float, Field(ge=0)]

    _no_doubles = field_validator('classes')(unique)


class MotionSection(Section):
    """Motion head and its decoding.

    Attributes:
        size: 'full' (Li et al. 2023, PowerBEV) or 'efficient' (Antunes-Garcia et al. 2024).
        channels: of the head's trunk.
        grid: range and resolution of these outputs; the model's when not given.
        steps: predicted steps after the present one.
        step_s: seconds between steps.
        threshold: probability above which a cell belongs to a movable object.
        instance_threshold: probability that one cell of an instance has at least.
        vote_radius_m: least distance of two instances' centres.
    """

    size: Literal['full', 'efficient']
    channels: Count
    grid: GridSection | None = None
    steps: Count
    step_s: Positive
    threshold: Threshold
    instance_threshold: Threshold | None = None
    vote_radius_m: Positive = 1.0


class TrajectoriesSection(Section):
    """Trajectory head: paths of objects with probabilities, `steps` of the motion head's step.

    Attributes:
        channels: of its attention.
        modes: paths per object.
        steps: predicted steps after the present one.
        step_s: seconds between steps.
    """

    channels: Count
    modes: Count
    steps: Count
    step_s: Positive


class HeadsSection(Section):
    """The heads of a model, at least one; those left out are None.

    Semantics come from the occupancy head, so the two go together; trajectories need objects.
    """

    occupancy: OccupancySection | None = None
    semantics: SemanticsSection | None = None
    objects: ObjectsSection | None = None
    motion: MotionSection | None = None
    trajectories: TrajectoriesSection | None = None

    @model_validator(mode='after')
    def _complete(self) -> HeadsSection:
        if not self.names:
            raise ValueError('must have occupancy, objects or motion')
        if (self.occupancy is None) != (self.semantics is None):
            raise ValueError('occupancy and semantics need each other')
        if self.trajectories is not None and self.objects is None:
            raise ValueError('trajectories need objects')
        return self

    @property
    def names(self) -> frozenset[str]:
        """Heads that the model has, out of `HEADS`."""
        return frozenset(
            name
            for name in ('occupancy', 'objects', 'motion', 'trajectories')
            if getattr(self, name) is not None
        )
