"""All that is drawn at random for one clip, each part from numbers of its own.

So a part that is switched off, or changed, leaves the others as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bev_perception.geometry.camera import Camera
from bev_perception.model.config_sections import Section, Share
from bev_trainer.augment.cameras import CameraDropout, CameraPlan, OldImages, draw_cameras
from bev_trainer.augment.colors import ColorAugmentation, ColorChange, Images, draw_colors
from bev_trainer.augment.corruptions import (
    Corruption,
    CorruptionAugmentation,
    blanked,
    draw_corruption,
)
from bev_trainer.augment.rig import CalibrationNoise, RigAugmentation


class AugmentSection(Section):
    """How clips are changed in training; by default not at all.

    Attributes:
        rig: cameras that are mounted otherwise.
        calibration: errors in what a model is told of the cameras' poses.
        dropout: cameras that are missing.
        old_images: cameras that show the past.
        colors: brightness, contrast, gamma, saturation, hue.
        corruptions: blur, noise, dirt and the like.
        mirror_share: share of the clips that are mirrored.
        turn_deg: the base frame is turned by this much at most, either way.
    """

    rig: RigAugmentation = RigAugmentation()
    calibration: CalibrationNoise = CalibrationNoise()
    dropout: CameraDropout = CameraDropout()
    old_images: OldImages = OldImages()
    colors: ColorAugmentation = ColorAugmentation()
    corruptions: CorruptionAugmentation = CorruptionAugmentation()
    mirror_share: Share = 0.0
    turn_deg: Annotated[float, Field(ge=0, le=180)] = 0.0


@dataclass(frozen=True, eq=False)
class ClipChange:
    """How one clip is changed.

    Attributes:
        rig_rng: chooses the draw of `RigPool.remaps`.
        calibration_rng: of `misplaced`, camera by camera.
        cameras: which are missing and which show the past.
        colors: of all cameras.
        corruption: of some; None: of none.
        mirror: whether it is mirrored.
        turn_rad: of the base frame, see `augment.turn`.
    """

    rig_rng: np.random.Generator
    calibration_rng: np.random.Generator
    cameras: CameraPlan
    colors: ColorChange
    corruption: Corruption | None
    mirror: bool
    turn_rad: float

    def pixels(
        self,
        images: Images,
        cameras: Sequence[Camera | None],
        shown: Sequence[NDArray[np.bool_] | None],
        stamp_ns: int,
    ) -> Images:
        """Returns the images of a frame, uint8 [N, H, W, 3] RGB, in other colours and damaged.

        Args:
            images: the model's input before it is mirrored.
            cameras: of these images; None for those that are not there.
            shown: per camera, bool [H, W] of the pixels that show the scene; others stay black.
            stamp_ns: of the frame.
        """
        changed = self.colors(images)
        if self.corruption is not None:
            changed = self.corruption(changed, cameras, stamp_ns)
        return images if changed is images else blanked(changed, shown)


def draw_change(
    section: AugmentSection, stamps_ns: Sequence[int], cameras: int, rng: np.random.Generator
) -> ClipChange:
    """Returns how a clip is changed, at random.

    Args:
        section: what may be drawn.
        stamps_ns: of the frames of the clip.
        cameras: of its rig, without those that fill it up.
        rng: of this clip.
    """
    rig, calibration, lost, colors, damage, whole = rng.spawn(6)
    mirrored, turned = whole.random(2)
    return ClipChange(
        rig_rng=rig,
        calibration_rng=calibration,
        cameras=draw_cameras(section.dropout, section.old_images, stamps_ns, cameras, lost),
        colors=draw_colors(section.colors, cameras, colors),
        corruption=draw_corruption(section.corruptions, cameras, damage),
        mirror=bool(mirrored < section.mirror_share),
        turn_rad=float(np.deg2rad(section.turn_deg) * (2.0 * turned - 1.0)),
    )
