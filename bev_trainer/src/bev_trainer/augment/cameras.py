"""Cameras that are missing, late or frozen for a clip or a part of it.

Training without some of the sensors makes a model that does with those that are left (MetaBEV, Ge
et al., ICCV 2023, section 3.4). Cameras that lag behind their stamps and cameras that send one
image over and over are used on a vehicle, as nothing tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bev_perception.model.config_sections import Count, Section, Share
from bev_perception.units import NS_PER_S

Seconds = Annotated[float, Field(ge=0, le=10)]


class CameraDropout(Section):
    """Which cameras are missing.

    Attributes:
        each_share: share of the clips in which a camera is missing, each by itself.
        some_share: share of the clips in which some cameras are missing together...
        some_cameras: ... from one up to so many, each number as likely.
        midway_share: share of these cameras that get lost in the course of the clip; the others
            are missing from the start.
    """

    each_share: Share = 0.0
    some_share: Share = 0.0
    some_cameras: Count = 1
    midway_share: Share = 0.0


class OldImages(Section):
    """Which cameras show the past.

    Attributes:
        late_share: share of the cameras of clips whose images are all older than they should be.
        late_s: by this much at most.
        frozen_share: share of the cameras of clips that show one image from some time on.
        frozen_s: at most so long before the last frame.
    """

    late_share: Share = 0.0
    late_s: Seconds = 0.2
    frozen_share: Share = 0.0
    frozen_s: Seconds = 1.0


@dataclass(frozen=True, eq=False)
class CameraPlan:
    """What the N cameras give in the S frames of a clip.

    Attributes:
        present: bool [S, N].
        age_ns: int64 [S, N], how much older than the frame the image is; 0: as it should be.
    """

    present: NDArray[np.bool_]
    age_ns: NDArray[np.int64]

    def shown(self, stamps_ns: Sequence[int], frames: Sequence[int]) -> NDArray[np.int64]:
        """Returns int64 [S, N]: whose image each camera shows in the frames of the clip.

        Out of all frames of a recording the one nearest to the wanted instant, the earlier of
        two; the first, where the recording does not reach as far back.

        Args:
            stamps_ns: of the recording, rising.
            frames: of the clip: places in `stamps_ns`.
        """
        stamps = np.asarray(stamps_ns, np.int64)
        now = np.asarray(frames, np.int64)[:, None]
        wanted = stamps[now] - self.age_ns
        after = np.clip(np.searchsorted(stamps, wanted), 1, max(len(stamps) - 1, 1))
        before = after - 1
        after = np.minimum(after, len(stamps) - 1)
        return np.where(wanted - stamps[before] <= stamps[after] - wanted, before, after)

    def seen(self) -> NDArray[np.bool_]:
        """Returns bool [S, N]: the camera was present then or earlier in the clip."""
        return np.logical_or.accumulate(self.present, axis=0)


def draw_cameras(
    dropout: CameraDropout,
    old: OldImages,
    stamps_ns: Sequence[int],
    cameras: int,
    rng: np.random.Generator,
) -> CameraPlan:
    """Returns what the cameras of a clip give, at random; one at least is never missing.

    Args:
        dropout: which are missing.
        old: which show the past.
        stamps_ns: of the S frames of the clip, rising.
        cameras: N of the rig, without those that fill it up.
        rng: the same numbers are drawn whatever the shares are.
    """
    missing_rng, old_rng = rng.spawn(2)
    stamps = np.asarray(stamps_ns, np.int64)
    return CameraPlan(
        present=_present(dropout, len(stamps), cameras, missing_rng),
        age_ns=_ages_ns(old, stamps, cameras, old_rng),
    )


def _present(
    dropout: CameraDropout, frames: int, cameras: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    missing = rng.random(cameras) < dropout.each_share
    count = int(rng.integers(dropout.some_cameras)) + 1
    together, order = rng.random() < dropout.some_share, rng.permutation(cameras)
    if together:
        missing[order[:count]] = True
    # One is left over, any of them.
    if missing.all():
        missing[order[-1:]] = False
    midway = rng.random(cameras) < dropout.midway_share
    lost = 1 + np.floor(rng.random(cameras) * (frames - 1)).astype(np.int64)
    first = np.where(midway & (frames > 1), lost, 0)
    return ~(missing & (np.arange(frames)[:, None] >= first))


def _ages_ns(
    old: OldImages, stamps_ns: NDArray[np.int64], cameras: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    late, frozen = rng.random((2, cameras)) < [[old.late_share], [old.frozen_share]]
    late_ns, frozen_ns = (
        rng.random((2, cameras)) * [[old.late_s * NS_PER_S], [old.frozen_s * NS_PER_S]]
    ).astype(np.int64)
    since = np.maximum(stamps_ns[:, None] - (stamps_ns[-1] - frozen_ns), 0)
    return np.where(frozen, since, 0) + np.where(late, late_ns, 0)
