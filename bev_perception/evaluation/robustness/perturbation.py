"""What a perturbation is, and what all of them need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from bev_perception.errors import ConfigError
from bev_perception.frame import CameraSample, FrameSet

# 1 is mild, 2 is bad, 3 is severe but seen on real vehicles.
STRENGTHS = (1, 2, 3)

SampleChange = Callable[[CameraSample], CameraSample]


class Perturbation(Protocol):
    """One condition under which an evaluation is repeated; a picklable frozen dataclass.

    The same frame sets give the same perturbed ones, in any process and any order of scenes:
    what is random is drawn from names and stamps (see `seeds`). Frame sets stay as many, with
    their stamps and epochs, so that clean and perturbed runs are scored at the same instants.
    """

    @property
    def name(self) -> str:
        """Unique in a catalogue, for tables: 'camera cam_front missing', 'motion_blur 2'."""

    @property
    def group(self) -> str:
        """What it is averaged with, one of `catalogue.GROUPS`."""

    def apply(self, frames: Iterator[FrameSet]) -> Iterator[FrameSet]:
        """Yields the frame sets of one scene, perturbed, keeping no more of them than needed.

        Raises:
            ConfigError: a camera of the perturbation is not in the rig.
        """


def camera_title(cameras: Sequence[str]) -> str:
    """Returns how cameras are named in tables: 'camera a', 'cameras a, b'."""
    return f'camera{"s" if len(cameras) > 1 else ""} {", ".join(cameras)}'


def require_cameras(cameras: Sequence[str], frames: FrameSet, perturbation: str) -> None:
    """Checks that cameras are in the rig of a frame set.

    Raises:
        ConfigError: one is not; leaving it alone would look like perfect robustness.
    """
    rig = [sample.name for sample in frames.samples]
    unknown = [name for name in cameras if name not in rig]
    if unknown:
        raise ConfigError(
            f"perturbation '{perturbation}': camera '{unknown[0]}' is not in the rig; "
            f'choose from {", ".join(rig)}'
        )


def with_changed(frames: FrameSet, changes: Mapping[str, SampleChange]) -> FrameSet:
    """Returns the frame set with the samples of some cameras changed, the order kept."""
    samples = tuple(
        changes[sample.name](sample) if sample.name in changes else sample
        for sample in frames.samples
    )
    return replace(frames, samples=samples)


def of_strength(levels: Sequence[float], strength: int) -> float:
    """Returns the level of a strength, one per `STRENGTHS`.

    Raises:
        ConfigError: there is no such strength.
    """
    if strength not in STRENGTHS:
        raise ConfigError(
            f'strength {strength} is unknown; choose {", ".join(map(str, STRENGTHS))}'
        )
    return levels[STRENGTHS.index(strength)]
