"""From messages to frame sets: synchronisation, calibration and ego motion in one place.

The live node and the bag replay feed the same `FrameAssembler`; it owns no clock and no thread.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from bev_perception.frame import CameraSample, CameraState, FrameSet
from bev_perception.inputs.calibration import (
    CalibrationStore,
    CalibrationUnavailable,
    CameraInfo,
    CameraSource,
    TransformSource,
)
from bev_perception.inputs.camera_statistics import CameraStatistics
from bev_perception.inputs.ego_motion import EgoMotionSource
from bev_perception.inputs.image import CameraImage
from bev_perception.inputs.sync import CameraSynchronizer
from bev_perception.inputs.synced_set import Absence, SyncConfig, SyncedItem, SyncedSet
from bev_perception.units import NS_PER_S


@dataclass(frozen=True)
class AssemblerConfig:
    """How frame sets are put together.

    Attributes:
        base_frame: frame of the outputs.
        sync: grouping of images.
        wait_for_ego_motion: hold a set back, within its deadline, until the ego pose at its
            stamp is known without extrapolation.
    """

    base_frame: str = 'base_link'
    sync: SyncConfig = field(default_factory=SyncConfig)
    wait_for_ego_motion: bool = True


class _Patience:
    """Whether something that keeps failing is still worth waiting for."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._failures: Counter[str] = Counter()

    def worth_waiting(self, what: str) -> bool:
        return self._failures[what] < self._limit

    def note(self, what: str, arrived: bool) -> None:
        self._failures[what] = 0 if arrived else self._failures[what] + 1


EGO_MOTION = 'ego motion'


class FrameAssembler:
    """Collects images, calibrations and poses; gives frame sets in the order of their stamps.

    Args:
        sources: the rig, in the order of its outputs.
        config: how sets are put together.
        transforms: answers placements of cameras that are not fixed.
        ego_motion: ego poses, fed by the caller.
    """

    def __init__(
        self,
        sources: tuple[CameraSource, ...],
        config: AssemblerConfig,
        transforms: TransformSource,
        ego_motion: EgoMotionSource,
    ) -> None:
        self._sources = sources
        self._config = config
        self._calibrations = CalibrationStore(sources, config.base_frame, transforms)
        self._ego_motion = ego_motion
        self._sync: CameraSynchronizer[CameraImage] = CameraSynchronizer(
            [s.name for s in sources],
            config.sync,
            {s.name: s.trigger_offset_s for s in sources},
        )
        self._waiting: deque[SyncedSet[CameraImage]] = deque()
        self._patience = _Patience(config.sync.max_misses)

    @property
    def epoch(self) -> int:
        """Number of time jumps seen so far."""
        return self._sync.epoch

    def add_info(self, camera: str, info: CameraInfo) -> None:
        """Takes the newest CameraInfo of a camera."""
        self._calibrations.set_info(camera, info)

    def add_image(
        self, camera: str, stamp_ns: int, image: CameraImage, now_ns: int
    ) -> list[FrameSet]:
        """Takes one image; returns the frame sets that became ready."""
        epoch = self._sync.epoch
        released = self._sync.add(camera, stamp_ns, image, now_ns)
        if self._sync.epoch != epoch:
            self._forget()
        return self._ready(released, now_ns)

    def add_set(self, images: dict[str, tuple[int, CameraImage]], now_ns: int) -> list[FrameSet]:
        """Takes images that somebody else has already grouped (stamp_ns and image per camera)."""
        stamps = sorted(s for s, _ in images.values())
        items: list[SyncedItem[CameraImage] | Absence] = [
            SyncedItem(images[s.name][0], now_ns, images[s.name][1])
            if s.name in images
            else Absence(CameraState.MISSING, 'not in the set of the message filter')
            for s in self._sources
        ]
        stamp_ns = stamps[(len(stamps) - 1) // 2]
        return self._ready([SyncedSet(stamp_ns, self.epoch, tuple(items), now_ns)], now_ns)

    def poll(self, now_ns: int) -> list[FrameSet]:
        """Returns the frame sets that are ready or due at `now_ns`."""
        return self._ready(self._sync.poll(now_ns), now_ns)

    def flush(self, now_ns: int) -> list[FrameSet]:
        """Returns everything that is left, complete or not (end of a recording)."""
        self._waiting.extend(self._sync.flush(now_ns))
        return [
            self._frame_set(self._waiting.popleft(), now_ns) for _ in range(len(self._waiting))
        ]

    def reset(self) -> None:
        """Forgets images and poses: time jumped."""
        self._sync.reset()
        self._forget()

    def statistics(self, now_ns: int) -> tuple[CameraStatistics, ...]:
        """Returns the present figures of every camera's stream."""
        return self._sync.statistics(now_ns)

    def _forget(self) -> None:
        self._waiting.clear()
        self._ego_motion.clear()

    def _ready(self, released: list[SyncedSet[CameraImage]], now_ns: int) -> list[FrameSet]:
        self._waiting.extend(released)
        ready = []
        while self._waiting and self._is_ready(self._waiting[0], now_ns):
            ready.append(self._frame_set(self._waiting.popleft(), now_ns))
        return ready

    def _is_ready(self, synced: SyncedSet[CameraImage], now_ns: int) -> bool:
        """Returns whether calibration and ego pose are there, or waiting longer is not allowed."""
        if now_ns - synced.first_arrival_ns >= self._config.sync.deadline_s * NS_PER_S:
            return True
        if (
            self._config.wait_for_ego_motion
            and self._patience.worth_waiting(EGO_MOTION)
            and not self._ego_motion.covers(synced.stamp_ns)
        ):
            return False
        return all(
            self._sample(source, item).state is CameraState.USED
            for source, item in zip(self._sources, synced.items, strict=True)
            if isinstance(item, SyncedItem) and self._patience.worth_waiting(source.name)
        )

    def _frame_set(self, synced: SyncedSet[CameraImage], now_ns: int) -> FrameSet:
        samples = tuple(
            self._sample(source, item)
            for source, item in zip(self._sources, synced.items, strict=True)
        )
        self._patience.note(EGO_MOTION, self._ego_motion.covers(synced.stamp_ns))
        for sample, item in zip(samples, synced.items, strict=True):
            if isinstance(item, SyncedItem):
                self._patience.note(sample.name, sample.state is CameraState.USED)
        arrivals = [i.arrival_ns for i in synced.items if isinstance(i, SyncedItem)]
        return FrameSet(
            stamp_ns=synced.stamp_ns,
            epoch=synced.epoch,
            base_frame=self._config.base_frame,
            samples=samples,
            odom_T_base=self._ego_motion.pose_at(synced.stamp_ns),
            last_arrival_ns=max(arrivals),
            wait_s=(now_ns - synced.first_arrival_ns) / NS_PER_S,
        )

    def _sample(
        self, source: CameraSource, item: SyncedItem[CameraImage] | Absence
    ) -> CameraSample:
        if isinstance(item, Absence):
            return CameraSample(source.name, item.state, item.detail, item.stamp_ns)
        try:
            camera = self._calibrations.camera(source.name, item.stamp_ns)
        except CalibrationUnavailable as error:
            return CameraSample(source.name, error.state, str(error), item.stamp_ns)
        return CameraSample(source.name, CameraState.USED, '', item.stamp_ns, item.item, camera)
