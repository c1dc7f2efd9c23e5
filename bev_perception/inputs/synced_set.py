"""What the synchroniser is told and what it gives: its settings, and sets of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from bev_perception.errors import ConfigError
from bev_perception.inputs.state import CameraState

T = TypeVar('T')


@dataclass(frozen=True)
class SyncConfig:
    """How images are grouped.

    Attributes:
        tolerance_s: an image joins a set when its reference lies within this of the set's; never
            more than 0.45 of the camera's own period, so that two frames of one camera cannot
            be confused.
        deadline_s: a set is released at the latest this long after its first image arrived.
        max_misses: a camera that missed this many sets in a row is no longer waited for; it is
            used again as soon as it delivers in time.
        backward_jump_s: a stamp this much before the camera's previous one is a time jump.
        max_open_sets: open sets at most; beyond, the oldest is released as it is.
    """

    tolerance_s: float = 0.05
    deadline_s: float = 0.1
    max_misses: int = 3
    backward_jump_s: float = 0.5
    max_open_sets: int = 8

    def __post_init__(self) -> None:
        for name in ('tolerance_s', 'deadline_s', 'backward_jump_s'):
            if not getattr(self, name) > 0:
                raise ConfigError(f'sync: {name} must be > 0, got {getattr(self, name)}')
        for name in ('max_misses', 'max_open_sets'):
            if getattr(self, name) < 1:
                raise ConfigError(f'sync: {name} must be >= 1, got {getattr(self, name)}')


@dataclass(frozen=True)
class SyncedItem(Generic[T]):
    """One image of a set: its own stamp and when it arrived."""

    stamp_ns: int
    arrival_ns: int
    item: T


@dataclass(frozen=True)
class Absence:
    """Why a camera has no image in a set, and the stamp of its latest image if there is one."""

    state: CameraState
    detail: str
    stamp_ns: int | None = None


@dataclass(frozen=True)
class SyncedSet(Generic[T]):
    """The images of one instant.

    Attributes:
        stamp_ns: lower median of the references of its images.
        epoch: number of resets before this set; a change means that time jumped.
        items: one entry per camera, in the order given to the synchroniser.
        first_arrival_ns: when the first of its images arrived.
    """

    stamp_ns: int
    epoch: int
    items: tuple[SyncedItem[T] | Absence, ...]
    first_arrival_ns: int
