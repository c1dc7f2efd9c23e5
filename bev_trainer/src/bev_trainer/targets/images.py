"""Targets in the image: which depth bin every feature pixel sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.model.view_transform import DepthBins

NO_DEPTH = -1


def depth_bins_of(depth_m: NDArray[np.float32], bins: DepthBins, stride: int) -> NDArray[np.int16]:
    """Returns int16 [h, w]: the bin of the nearest depth in each block of pixels, or -1.

    As in BEVDepth (Li et al. 2022, section 3.1: of the points that fall in a feature pixel the
    nearest counts). -1 where nothing is known or it lies outside the bins.

    Args:
        depth_m: [H, W] of the network's input image, 0 where unknown; multiples of the stride.
        bins: of the model.
        stride: pixels per feature pixel.
    """
    height, width = depth_m.shape
    blocks = depth_m.reshape(height // stride, stride, width // stride, stride)
    nearest = np.where(blocks > 0, blocks, np.inf).min(axis=(1, 3))
    index = np.floor((nearest - bins.min_m) / bins.width_m)
    inside = (index >= 0) & (index < bins.count)
    return np.where(inside, index, NO_DEPTH).astype(np.int16)
