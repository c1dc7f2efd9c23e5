"""How the votes of a motion head become instances, fitted on clips that were held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.decode.instances import MotionMaps, decode_instances
from bev_perception.evaluation.metrics.panoptic_counts import PanopticCounts, panoptic_counts
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.heads.calibration import LogitCalibration
from bev_perception.model.outputs import ModelOutputs
from bev_trainer.targets.frame import FrameTargets

T = TypeVar('T')

_RADII_M = (1.0, 1.5, 2.0, 2.5, 3.0)
_SURE = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True)
class MotionSample:
    """What a motion head says of one frame, and what is true.

    Attributes:
        said: its maps, the probabilities calibrated.
        truth: those of a perfect head; NaN where nothing counts.
    """

    said: MotionMaps
    truth: MotionMaps


@dataclass(frozen=True)
class InstanceDecoding:
    """The keys of `MotionSection` that decoding goes by."""

    threshold: float
    instance_threshold: float
    vote_radius_m: float


@dataclass(frozen=True, eq=False)
class RawMotion:
    """Outputs and targets of the motion head in one frame, on the CPU.

    Attributes:
        logits, motion: [T + 1, Y, X].
        flow, target_flow: [T + 1, 2, Y, X] in metres.
    """

    logits: Tensor
    flow: Tensor
    motion: Tensor
    target_flow: Tensor

    def sample(self, calibration: LogitCalibration) -> MotionSample:
        """Returns the maps, probabilities as a calibration has them."""
        scale, bias = (part.cpu()[:, None, None] for part in (calibration.scale, calibration.bias))
        probability = torch.sigmoid(self.logits * scale + bias)
        return MotionSample(
            MotionMaps(probability.numpy(), self.flow.numpy()),
            MotionMaps(self.motion.numpy(), self.target_flow.numpy()),
        )


def raw_motion(outputs: ModelOutputs, targets: FrameTargets) -> Iterator[RawMotion]:
    """Yields what a batch says of motion, frame by frame; nothing where it is not asked."""
    parts = outputs.motion_logits, outputs.motion_flow, targets.motion, targets.flow
    if not any(part is None for part in parts):
        for frame in zip(*(part.float().cpu() for part in parts if part is not None), strict=True):
            yield RawMotion(*frame)


class EvenlyKept(Generic[T]):
    """Keeps at most so many of a row of things, evenly spread, whatever its length.

    Args:
        most: that are kept.
    """

    def __init__(self, most: int) -> None:
        self._most, self._every, self._seen = most, 1, 0
        self.kept: list[T] = []

    def add(self, item: T) -> None:
        """Takes the next one."""
        if self._seen % self._every == 0:
            self.kept.append(item)
        self._seen += 1
        if len(self.kept) > self._most:
            self.kept, self._every = self.kept[::2], 2 * self._every


def fit_instances(
    samples: Sequence[MotionSample], grid: BevGrid, threshold: float
) -> InstanceDecoding:
    """Returns the decoding with the best instances: first the radius is fitted, then the other.

    The best have the greatest product of VPQ and of the overlap of their cells with the truth:
    VPQ alone would give up every road user that is not certain.

    Args:
        samples: frames.
        grid: of their maps.
        threshold: probability from which on a cell counts.
    """
    truths = [_true_instances(sample, grid) for sample in samples]

    def worth(decoding: InstanceDecoding) -> float:
        return _worth(samples, truths, grid, decoding)

    start = InstanceDecoding(threshold, threshold, _RADII_M[0])
    radii = [replace(start, vote_radius_m=radius_m) for radius_m in _RADII_M]
    best = max(radii, key=worth)
    higher = [replace(best, instance_threshold=sure) for sure in _SURE if sure > threshold]
    return max([best, *higher], key=worth)


def _worth(
    samples: Sequence[MotionSample],
    truths: Sequence[NDArray[np.int32]],
    grid: BevGrid,
    decoding: InstanceDecoding,
) -> float:
    counts, both, either = PanopticCounts(), 0, 0
    for sample, truth in zip(samples, truths, strict=True):
        found = decode_instances(
            sample.said,
            grid,
            decoding.threshold,
            vote_radius_m=decoding.vote_radius_m,
            instance_threshold=decoding.instance_threshold,
        )
        known = np.isfinite(sample.truth.probability)
        counts += panoptic_counts(found, truth, known)
        both += int(((found > 0) & (truth > 0) & known).sum())
        either += int((((found > 0) | (truth > 0)) & known).sum())
    return counts.quality * both / max(either, 1)


def _true_instances(sample: MotionSample, grid: BevGrid) -> NDArray[np.int32]:
    """Returns int32 [T + 1, Y, X]: perfect maps decode to what is there."""
    there = np.nan_to_num(sample.truth.probability, nan=0.0)
    return decode_instances(MotionMaps(there, sample.truth.flow_m), grid)
