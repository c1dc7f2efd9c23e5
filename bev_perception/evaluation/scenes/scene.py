"""A drive with ground truth: what an evaluation runs over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import FrameSet


@dataclass(frozen=True)
class SceneInfo:
    """What is said about a scene in reports.

    Attributes:
        name: unique within an evaluation; becomes a file name.
        source: the data that it belongs to, for example 'nuscenes' or 'synthetic'.
        cameras: of its rig, in order.
        duration_s: of the recording.
    """

    name: str
    source: str
    cameras: tuple[str, ...]
    duration_s: float


class OpenScene(Protocol):
    """A scene that can be read.

    Attributes:
        info: about it.
        truth: whole.
        problems: what could not be read and is left out, one line each.
    """

    @property
    def info(self) -> SceneInfo: ...

    @property
    def truth(self) -> SceneTruth: ...

    @property
    def problems(self) -> tuple[str, ...]: ...

    def frame_sets(self) -> Iterator[FrameSet]:
        """Yields the frame sets in order; may be asked again, from the start."""


class Scene(Protocol):
    """A scene that can be opened; picklable, so that other processes can open it.

    Attributes:
        name: see `SceneInfo`.
    """

    @property
    def name(self) -> str: ...

    def open(self) -> AbstractContextManager[OpenScene]:
        """Opens the scene.

        Raises:
            BevError: it cannot be evaluated at all: one line with what, where and what to do.
        """
