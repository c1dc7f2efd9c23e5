"""A study file: what is trained in how many ways, and what all of it is tested on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from bev_perception.config_file import dotted_wording, mapping_of, read_config, validated
from bev_perception.evaluation.robustness.catalogue import GROUPS
from bev_perception.model.config_sections import Count, Positive, Section

FIGURES = (
    'iou/long/vehicle', 'iou/long/drivable', 'detection/AP@2m/car', 'future_iou/long',
    'vpq/long/vehicles/VPQ', 'vpq/long/VPQ',
)  # fmt: skip


class ArmSection(Section):
    """One way to come to a model; without any key, the training file as it is.

    Attributes:
        model: what is different in `model.yaml`, merged into it; null takes a section out.
        training: what is different in the training file.
        of: another arm whose trainings are used instead of own ones...
        weights: ... with these of its weights, ...
        soup: ... or with the mean of the models of all seeds.
    """

    model: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    of: str | None = None
    weights: Literal['average', 'last'] | None = None
    soup: Literal['uniform'] | None = None

    @model_validator(mode='after')
    def _trained_or_derived(self) -> ArmSection:
        if self.of is None and (self.weights or self.soup):
            raise ValueError("'weights' and 'soup' need 'of': the arm that was trained")
        if self.of is not None and (self.model or self.training):
            raise ValueError("'of' takes the trainings of another arm: nothing else can differ")
        if self.of is not None and (self.weights is None) == (self.soup is None):
            raise ValueError("'of' needs one of 'weights' and 'soup'")
        return self


class LookSection(Section):
    """Data that all models are tested on, as `bev evaluate` does.

    Attributes:
        path: data set or recordings, relative to the study file.
        split: of the data set; None: all of it.
        scenes: at most so many, evenly spread; None: all.
        rate_hz: frame sets are thinned out to this rate; None: all of them.
        robustness: groups of perturbations; figures are means over those of a group.
    """

    path: Path
    split: str | None = 'test'
    scenes: Count | None = None
    rate_hz: Positive | None = 2.0
    robustness: tuple[str, ...] = ()

    @model_validator(mode='after')
    def _groups_exist(self) -> LookSection:
        for group in self.robustness:
            if group not in GROUPS:
                raise ValueError(f"no perturbations '{group}'; there are {', '.join(GROUPS)}")
        return self


class StudyConfig(Section):
    """Content of a study file; paths are relative to it.

    Attributes:
        training: training file that all arms share.
        seeds: every arm is trained with each.
        arms: by name; the first one is what the others are compared with.
        tests: by name.
        calibrate: validation clips that each model is calibrated on before its tests, so that none
            is judged by how far its probabilities are off; None: models are tested as trained.
        figures: of `bev evaluate`, those that are told.
    """

    training: Path
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    arms: dict[str, ArmSection] = Field(min_length=1)
    tests: dict[str, LookSection] = Field(min_length=1)
    calibrate: Count | None = None
    figures: tuple[str, ...] = Field(FIGURES, min_length=1)

    @model_validator(mode='after')
    def _arms_go_together(self) -> StudyConfig:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError('seeds: the same one twice is the same training twice')
        trained = [name for name, arm in self.arms.items() if arm.of is None]
        for name, arm in self.arms.items():
            if arm.of is not None and arm.of not in trained:
                raise ValueError(f"arm '{name}': '{arm.of}' is no arm that is trained")
            if arm.soup and len(self.seeds) < 2:
                raise ValueError(f"arm '{name}': a soup needs two seeds or more")
            if arm.soup and self.calibrate:
                raise ValueError(f"arm '{name}': a soup cannot be calibrated as others are")
        slugs = [slug(name) for name in self.arms]
        if len(set(slugs)) < len(slugs):
            raise ValueError('arms: names must differ in more than punctuation')
        return self


def slug(name: str) -> str:
    """Returns what a name is called in folders: small letters, digits and underscores."""
    words = ''.join(c if c.isalnum() and c.isascii() else ' ' for c in name.lower()).split()
    return '_'.join(words)


def load_study(path: Path) -> StudyConfig:
    """Returns a study file with its paths made absolute.

    Raises:
        ConfigError: unreadable, not YAML, or a key is missing, unknown or impossible; one line.
    """
    study = parse_study(read_config(path, 'the study file'), str(path))
    base = path.resolve().parent
    tests = {
        name: test.model_copy(update={'path': base / test.path})
        for name, test in study.tests.items()
    }
    return study.model_copy(update={'training': base / study.training, 'tests': tests})


def parse_study(text: str, source: str) -> StudyConfig:
    """Returns the study that YAML `text` describes; `source` names it in errors.

    Raises:
        ConfigError: see `load_study`.
    """
    return validated(StudyConfig, mapping_of(text, source), source, dotted_wording('the study'))
