"""A prediction on its way to being scored."""

from __future__ import annotations

from dataclasses import dataclass

from bev_perception.frame import BevFrame


@dataclass(frozen=True, eq=False)
class Prediction:
    """A bird's-eye view and how long it took.

    Attributes:
        frame: what was predicted.
        latency_s: live: from the stamp of the images to publication; offline: of all stages.
    """

    frame: BevFrame
    latency_s: float
