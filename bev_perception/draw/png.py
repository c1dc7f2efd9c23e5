"""Pictures on disk."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.files import write_atomically


def save_png(path: Path | str, rgb: NDArray[np.uint8]) -> None:
    """Writes uint8 [H, W, 3] RGB as PNG; readers see the old file or all of the new one.

    The folder is made when it does not exist.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _, encoded = cv2.imencode('.png', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    write_atomically(path, encoded.tobytes())
