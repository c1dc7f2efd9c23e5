"""What one may say about where frame sets and ground truth come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bev_perception.errors import ConfigError


@dataclass(frozen=True)
class BagOptions:
    """How recordings are read.

    Attributes:
        rig: rig file; None: made from the recording.
        base_frame: of a rig that is made here.
        truth_file: ground truth as JSON; None: from topics, else from `<bag>_objects.json`.
        truth_topics: with ground truth; empty: those under `/ground_truth/`.
    """

    rig: Path | None = None
    base_frame: str = 'base_link'
    truth_file: Path | None = None
    truth_topics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.truth_file is not None and self.truth_topics:
            raise ConfigError('ground truth is either a file or topics: name one of the two')


@dataclass(frozen=True)
class SceneOptions:
    """Which scenes of a source are wanted, and how they are read.

    Attributes:
        bag: for recordings.
        split: of a data set; None: everything.
        scenes: names of those wanted; empty: all.
        version: of nuScenes tables, the name of their folder; None: the only one there is.
        sweeps: whether images between nuScenes' key frames make frame sets, too.
    """

    bag: BagOptions = field(default_factory=BagOptions)
    split: str | None = None
    scenes: tuple[str, ...] = ()
    version: str | None = None
    sweeps: bool = False
