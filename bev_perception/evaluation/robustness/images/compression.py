"""Compression for a link that is too narrow."""

from __future__ import annotations

import cv2
import numpy as np

from bev_perception.evaluation.robustness.images.view import Image, View
from bev_perception.evaluation.robustness.perturbation import of_strength

# ImageNet-C: 25, 18, 15, 10, 7.
_QUALITIES = (25, 15, 7)


def jpeg(rgb: Image, strength: int, view: View) -> Image:
    """Returns the image after JPEG at a low quality, colours at half the resolution."""
    quality = int(of_strength(_QUALITIES, strength))
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
