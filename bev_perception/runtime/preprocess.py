"""Camera images of a frame set to the network's input: decode, then one remap per camera."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import CalibrationError, ImageError
from bev_perception.frame import CameraReport, CameraSample, CameraState
from bev_perception.geometry.model_input import ImageRemap, InputRemaps
from bev_perception.inputs.image import decode
from bev_perception.model.config_sections import InputSection
from bev_perception.units import NS_PER_S


@dataclass(frozen=True)
class PreparedImages:
    """The network's view of a frame set.

    Attributes:
        images: uint8 [N, H, W, 3] RGB; zero where a camera is not used.
        used: bool [N].
        remaps: one per camera, None where its calibration is unknown.
        reports: one per camera, with the reason where it is not used.
    """

    images: NDArray[np.uint8]
    used: NDArray[np.bool_]
    remaps: tuple[ImageRemap | None, ...]
    reports: tuple[CameraReport, ...]


class ImagePreprocessor:
    """Prepares the images of a rig; remap tables are kept until a calibration changes.

    Args:
        section: the model's input size.
        workers: threads that decode and remap cameras side by side.
    """

    def __init__(self, section: InputSection, workers: int) -> None:
        self._size = section.height, section.width
        self._remaps = InputRemaps(section.width, section.height, section.horizon_share)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix='bev_preprocess')

    def prepare(self, samples: Sequence[CameraSample], stamp_ns: int) -> PreparedImages:
        """Returns the images of all cameras; one that cannot be used is reported, not raised."""
        images = np.zeros((len(samples), *self._size, 3), dtype=np.uint8)
        outcomes = list(self._pool.map(self._fill, samples, images))
        reports = tuple(
            _report(sample, stamp_ns, error)
            for sample, (_, error) in zip(samples, outcomes, strict=True)
        )
        used = np.array([r.state is CameraState.USED for r in reports], dtype=bool)
        return PreparedImages(images, used, tuple(remap for remap, _ in outcomes), reports)

    def _fill(
        self, sample: CameraSample, out: NDArray[np.uint8]
    ) -> tuple[ImageRemap | None, ImageError | None]:
        """Writes the remapped image of one camera; returns its remap and what went wrong."""
        if sample.camera is None:
            return None, None
        try:
            remap = self._remaps.get(sample.camera)
        except CalibrationError as error:
            return None, ImageError(CameraState.BAD_CALIBRATION, str(error))
        if sample.image is None:
            return remap, None
        try:
            out[...] = remap(decode(sample.image, sample.camera, remap.reduction))
        except ImageError as error:
            return remap, error
        return remap, None


def _report(sample: CameraSample, stamp_ns: int, error: ImageError | None) -> CameraReport:
    age_s = None if sample.stamp_ns is None else (stamp_ns - sample.stamp_ns) / NS_PER_S
    state, detail = sample.state, sample.detail
    if error is not None:
        state, detail = error.state, str(error)
    return CameraReport(sample.name, state, detail, sample.stamp_ns, age_s)
