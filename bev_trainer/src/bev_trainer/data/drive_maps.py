"""Maps of what is where around a drive, as networks are trained for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_trainer.data.drive_labels import DriveFrame
from bev_trainer.dataset.reader import Drive
from bev_trainer.labels.bev import GROUND_LAYERS
from bev_trainer.targets.occupancy import occupancy_target, semantic_target

OCCUPANCY = 'occupancy'
MIN_PIXELS = 10  # as in training: fewer do not make a road user visible


def map_layers(drive: Drive, frame: int) -> dict[str, NDArray[np.int8]]:
    """Returns int8 [Y, X] on the drive's label grid, by layer: 1 there, 0 not, -1 unknown.

    The ground layers, and 'occupancy': whatever stands, road users that a camera shows and what
    never moves alike. Known is what a camera sees, and the whole footprints of shown road users.

    Args:
        drive: open drive file.
        frame: one of its label frames.
    """
    labels, grid = DriveFrame(drive, frame, MIN_PIXELS), drive.label_grid
    objects = labels.objects((0.0,))
    ground = semantic_target(labels, objects, grid, GROUND_LAYERS)
    return {
        OCCUPANCY: occupancy_target(labels, objects, grid),
        **dict(zip(GROUND_LAYERS, ground, strict=True)),
    }
