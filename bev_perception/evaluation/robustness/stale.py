"""Cameras whose images are older than their stamps say."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bev_perception.evaluation.robustness.missing import never_sent
from bev_perception.evaluation.robustness.perturbation import (
    camera_title,
    require_cameras,
    with_changed,
)
from bev_perception.frame import CameraSample, FrameSet
from bev_perception.inputs.image import CameraImage
from bev_perception.units import NS_PER_S


@dataclass(frozen=True)
class CamerasMisstamped:
    """Cameras with images from some time ago under present stamps: a driver's clock is off.

    Nothing in the stream tells; the images are used. Of the recorded images, the one nearest to
    the wanted age is taken, but none that is less than two thirds as old: a recording at a low
    rate cannot hide the error. Before there is one, nothing has been sent.

    Attributes:
        cameras: whose clocks are off.
        delay_s: how much older the images are than their stamps say.
    """

    cameras: tuple[str, ...]
    delay_s: float
    group: str = 'clock'

    @property
    def name(self) -> str:
        """For tables."""
        return f'{camera_title(self.cameras)} stamped {self.delay_s:g} s late'

    def apply(self, frames: Iterator[FrameSet]) -> Iterator[FrameSet]:
        """Yields the frame sets with old images; keeps those of the time of the delay."""
        lines: dict[str, _DelayLine] = {}
        epoch: int | None = None
        for frame in frames:
            require_cameras(self.cameras, frame, self.name)
            if frame.epoch != epoch:
                epoch = frame.epoch
                lines = {name: _DelayLine(self.delay_s) for name in self.cameras}
            yield with_changed(frame, {name: line.sample for name, line in lines.items()})


class _DelayLine:
    """The latest images of one camera, oldest first."""

    def __init__(self, delay_s: float) -> None:
        self._delay_ns = round(delay_s * NS_PER_S)
        self._images: deque[tuple[int, CameraImage]] = deque()

    def sample(self, sample: CameraSample) -> CameraSample:
        """Returns the sample with an older image; one without an image stays what it is."""
        if sample.image is None or sample.stamp_ns is None:
            return sample
        self._images.append((sample.stamp_ns, sample.image))
        wanted_ns = sample.stamp_ns - self._delay_ns
        while len(self._images) > 1 and self._images[1][0] <= wanted_ns:
            self._images.popleft()
        youngest_ns = sample.stamp_ns - 2 * self._delay_ns // 3
        old = [item for item in self._images if item[0] <= youngest_ns]
        if not old:
            return never_sent(sample)
        _, image = min(old, key=lambda item: abs(item[0] - wanted_ns))
        return replace(sample, image=image)


@dataclass(frozen=True)
class CamerasFrozen:
    """Cameras that send the same image over and over, with present stamps, from some time on.

    Attributes:
        cameras: those that freeze.
        after_s: time between the first frame set and the image that stays.
    """

    cameras: tuple[str, ...]
    after_s: float
    group: str = 'frozen'

    @property
    def name(self) -> str:
        """For tables."""
        return f'{camera_title(self.cameras)} frozen after {self.after_s:g} s'

    def apply(self, frames: Iterator[FrameSet]) -> Iterator[FrameSet]:
        """Yields the frame sets with images that stay; keeps one image per camera."""
        stills: dict[str, _Still] = {}
        start: tuple[int, int] | None = None
        for frame in frames:
            require_cameras(self.cameras, frame, self.name)
            if start is None or frame.epoch != start[0]:
                start = frame.epoch, frame.stamp_ns
                stills = {name: _Still() for name in self.cameras}
            if frame.stamp_ns - start[1] < round(self.after_s * NS_PER_S):
                yield frame
            else:
                yield with_changed(frame, {name: still.sample for name, still in stills.items()})


class _Still:
    """The first image of one camera."""

    def __init__(self) -> None:
        self._image: CameraImage | None = None

    def sample(self, sample: CameraSample) -> CameraSample:
        """Returns the sample with the first image; one without an image stays what it is."""
        if sample.image is None:
            return sample
        self._image = self._image or sample.image
        return replace(sample, image=self._image)
