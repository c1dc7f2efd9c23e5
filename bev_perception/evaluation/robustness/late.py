"""Cameras whose images take too long to arrive."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from bev_perception.evaluation.robustness.missing import never_sent
from bev_perception.evaluation.robustness.perturbation import (
    camera_title,
    require_cameras,
    with_changed,
)
from bev_perception.frame import CameraSample, FrameSet
from bev_perception.inputs.state import CameraState
from bev_perception.inputs.synced_set import SyncConfig
from bev_perception.units import NS_PER_S


@dataclass(frozen=True)
class CamerasLate:
    """Cameras whose images arrive some time after the others', with their true stamps.

    What `CameraSynchronizer` makes of that depends on its deadline. Within it, the set waits
    for the image: results come later but are the same. Beyond, the set has gone without the
    camera, which is LATE from the first image that arrives for a set that is gone, and MISSING
    before. No image is ever used in a set of another instant. Sets count as released when their
    last image arrived, which holds once the camera is no longer waited for (`max_misses`).

    Attributes:
        cameras: those that are late.
        delay_s: between the arrival of the other cameras' images and of theirs.
        deadline_s: see `SyncConfig`.
    """

    cameras: tuple[str, ...]
    delay_s: float
    deadline_s: float = SyncConfig().deadline_s
    group: str = 'late'

    @property
    def name(self) -> str:
        """For tables."""
        return f'{camera_title(self.cameras)} late {self.delay_s:g} s'

    def apply(self, frames: Iterator[FrameSet]) -> Iterator[FrameSet]:
        """Yields the frame sets as they are released."""
        latecomers: dict[str, _Latecomer] = {}
        epoch: int | None = None
        for frame in frames:
            require_cameras(self.cameras, frame, self.name)
            if frame.epoch != epoch:
                epoch = frame.epoch
                latecomers = {name: _Latecomer(self.delay_s) for name in self.cameras}
            if self.delay_s <= self.deadline_s:
                yield self._waited(frame)
            else:
                changes = {name: partial(one.sample, frame) for name, one in latecomers.items()}
                yield with_changed(frame, changes)

    def _waited(self, frame: FrameSet) -> FrameSet:
        if not any(s.name in self.cameras and s.image is not None for s in frame.samples):
            return frame
        arrival_ns = frame.last_arrival_ns + round(self.delay_s * NS_PER_S)
        return replace(frame, last_arrival_ns=arrival_ns, wait_s=frame.wait_s + self.delay_s)


class _Latecomer:
    """What is known of one late camera: stamps of images on their way, and the latest arrived."""

    def __init__(self, delay_s: float) -> None:
        self._delay_ns = round(delay_s * NS_PER_S)
        self._on_their_way: deque[tuple[int, int, int]] = deque()
        self._released: deque[tuple[int, int]] = deque()
        self._latest: tuple[str, int] | None = None

    def sample(self, frame: FrameSet, sample: CameraSample) -> CameraSample:
        """Returns the sample of the camera in a set, given the recorded one."""
        self._arrive(frame.last_arrival_ns)
        self._released.append((frame.last_arrival_ns, frame.stamp_ns))
        while not self._on_their_way and len(self._released) > 1:
            self._released.popleft()
        if sample.image is None or sample.stamp_ns is None:
            return sample
        arrival_ns = frame.last_arrival_ns + self._delay_ns
        self._on_their_way.append((arrival_ns, frame.stamp_ns, sample.stamp_ns))
        if self._latest is None:
            return never_sent(sample)
        return CameraSample(sample.name, CameraState.LATE, *self._latest)

    def _arrive(self, now_ns: int) -> None:
        """Takes what has arrived; the words are those of `CameraSynchronizer`."""
        while self._on_their_way and self._on_their_way[0][0] <= now_ns:
            arrival_ns, reference_ns, stamp_ns = self._on_their_way.popleft()
            while len(self._released) > 1 and self._released[1][0] <= arrival_ns:
                self._released.popleft()
            behind_s = (self._released[0][1] - reference_ns) / NS_PER_S
            self._latest = f'{behind_s:.2f} s behind the newest released set', stamp_ns
