"""A recording as a scene: frame sets as the live node makes them, and ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bev_perception.errors import BagError
from bev_perception.evaluation.scenes.bag_rig import UsableRig, usable_rig
from bev_perception.evaluation.scenes.bag_truth import read_bag_truth
from bev_perception.evaluation.scenes.forgiving_reader import ForgivingReader
from bev_perception.evaluation.scenes.options import BagOptions
from bev_perception.evaluation.scenes.scene import SceneInfo
from bev_perception.evaluation.truth.message_types import learn_truth_types
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import FrameSet
from bev_perception.inputs.rig_sources import sources_from_rig_file
from bev_perception.inputs.synced_set import SyncConfig
from bev_perception.replay.frame_sets import FrameSetReader, ReplayRig
from bev_perception.units import NS_PER_S

_REACH_NS = NS_PER_S // 2


@dataclass(frozen=True)
class BagScene:
    """A recording that can be evaluated (`Scene`).

    Attributes:
        name: unique in an evaluation.
        path: bag folder, or .mcap or .db3 file.
        options: how to read it.
    """

    name: str
    path: Path
    options: BagOptions = field(default_factory=BagOptions)

    @contextmanager
    def open(self) -> Iterator[OpenBag]:
        """Opens the recording; what cannot be evaluated is in `problems`.

        Raises:
            BagError: it cannot be opened, has no usable camera or no usable ground truth.
            BevError: the rig file or the ground-truth file is wrong.
        """
        learn_truth_types()
        with ForgivingReader(self.path) as reader:
            yield _opened(reader, self)


class OpenBag:
    """An open recording (`OpenScene`).

    `problems` may grow while frame sets are read: what is broken is found where it is.

    Args:
        reader: open.
        scene: what is read.
        rig: usable with this recording.
        truth: of the recording.
        problems: found so far.
    """

    def __init__(
        self,
        reader: ForgivingReader,
        scene: BagScene,
        rig: UsableRig,
        truth: SceneTruth,
        problems: tuple[str, ...],
    ) -> None:
        names = tuple(camera.name for camera in rig.rig.cameras)
        self.info = SceneInfo(scene.name, 'bag', names, reader.duration_s())
        self.truth = truth
        self._reader = reader
        self._found = list(problems)
        self._rig = ReplayRig(
            sources_from_rig_file(rig.rig), rig.rig.base_frame, rig.rig.odometry_topic or ''
        )
        self._frame_set_reader()  # refuses what it cannot read, now

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read and is left out, one line each."""
        return tuple(dict.fromkeys([*self._found, *self._reader.problems]))

    def frame_sets(self) -> Iterator[FrameSet]:
        """Yields the frame sets in order, up to where the recording is damaged."""
        stamps = self.truth.stamps_ns
        first_ns = last_ns = None
        for frames in self._frame_set_reader():
            first_ns = frames.stamp_ns if first_ns is None else min(first_ns, frames.stamp_ns)
            last_ns = max(last_ns or 0, frames.stamp_ns)
            yield frames
        if first_ns is None or last_ns is None:
            self._found.append('no frame set: no camera image could be used')
        elif last_ns < stamps[0] - _REACH_NS or first_ns > stamps[-1] + _REACH_NS:
            self._found.append(
                f'the ground truth is of another time ({stamps[0]} to {stamps[-1]} ns) than the '
                f'images ({first_ns} to {last_ns} ns)'
            )

    def _frame_set_reader(self) -> FrameSetReader:
        return FrameSetReader(self._reader, self._rig, SyncConfig())


def _opened(reader: ForgivingReader, scene: BagScene) -> OpenBag:
    try:
        rig = usable_rig(reader, scene.options)
        truth = read_bag_truth(
            reader, scene.options, rig.rig.base_frame, rig.rig.odometry_topic or ''
        )
        return OpenBag(reader, scene, rig, truth.truth, (*rig.problems, *truth.problems))
    except BagError as error:
        if reader.problems:
            raise BagError(f'{error} ({reader.problems[-1]})') from error
        raise
