"""Images that are blurred, noisy, dark, dirty, foggy or badly compressed.

The corruptions are those of `bev_perception.evaluation.robustness.images`, on images of the
model's input. Who trains with a kind of them and then evaluates it does not measure what a model
makes of damage that it has never seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bev_perception.evaluation.robustness.images.corruption import CORRUPTIONS
from bev_perception.evaluation.robustness.images.view import View
from bev_perception.geometry.camera import Camera
from bev_perception.model.config_sections import Section, Share
from bev_trainer.augment.colors import Images

Kind = Literal['motion_blur', 'noise', 'low_light', 'lens_dirt', 'jpeg', 'fog']
Strength = Literal[1, 2, 3]


class CorruptionAugmentation(Section):
    """How often images are damaged.

    Attributes:
        share: of the clips.
        camera_share: of their cameras, each by itself, but one at least.
        kinds: of which one is drawn for a clip.
        strengths: likewise; 1 is mild, 2 is bad, 3 is severe.
    """

    share: Share = 0.0
    camera_share: Share = 0.5
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = (
        'motion_blur', 'noise', 'low_light', 'lens_dirt', 'jpeg', 'fog',
    )  # fmt: skip
    strengths: Annotated[tuple[Strength, ...], Field(min_length=1)] = (1, 2)


@dataclass(frozen=True, eq=False)
class Corruption:
    """Damage to some of the N cameras in all frames of a clip.

    Attributes:
        kind: of `CORRUPTIONS`.
        strength: likewise.
        damaged: bool [N].
        token: what is random in the damage follows from it, and from camera and instant.
    """

    kind: Kind
    strength: Strength
    damaged: NDArray[np.bool_]
    token: int

    def __call__(self, images: Images, cameras: Sequence[Camera | None], stamp_ns: int) -> Images:
        """Returns uint8 [N, H, W, 3] RGB of the same shape; what does not change is not copied.

        Args:
            images: of one frame.
            cameras: of these images; None for those that are not there.
            stamp_ns: of the frame.
        """
        rows = [row for row in np.flatnonzero(self.damaged).tolist() if cameras[row] is not None]
        if not rows:
            return images
        changed = images.copy()
        for row in rows:
            camera = cameras[row]
            assert camera is not None
            view = View(replace(camera, name=f'{camera.name} {self.token}'), stamp_ns)
            changed[row] = CORRUPTIONS[self.kind](images[row], self.strength, view)
        return changed


def draw_corruption(
    augmentation: CorruptionAugmentation, cameras: int, rng: np.random.Generator
) -> Corruption | None:
    """Returns the damage to a clip of `cameras` cameras at random; None: none."""
    chosen, kind, strength = rng.random(3)
    damaged = rng.random(cameras) < augmentation.camera_share
    damaged[rng.integers(cameras)] = True
    token = int(rng.integers(1 << 32))
    if chosen >= augmentation.share:
        return None
    return Corruption(
        kind=augmentation.kinds[int(kind * len(augmentation.kinds))],
        strength=augmentation.strengths[int(strength * len(augmentation.strengths))],
        damaged=damaged,
        token=token,
    )


def blanked(images: Images, shown: Sequence[NDArray[np.bool_] | None]) -> Images:
    """Returns the images with 0 where they show nothing, as the model's input always has.

    Args:
        images: uint8 [N, H, W, 3].
        shown: per camera, bool [H, W] of the pixels that show the scene; None: none does.
    """
    whole = [valid is not None and bool(valid.all()) for valid in shown]
    if all(whole):
        return images
    blank = images.copy()
    for index, valid in enumerate(shown):
        if valid is None:
            blank[index] = 0
        elif not whole[index]:
            blank[index][~valid] = 0
    return blank
