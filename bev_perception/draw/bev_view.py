"""From metres to pixels: the one place where the bird's-eye view is turned, forward up."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.draw.layout import Rect
from bev_perception.geometry.grid import BevGrid


@dataclass(frozen=True)
class BevView:
    """Where a grid lies in a picture: x (forward) points up, y (left) points left.

    Attributes:
        grid: the grid shown.
        area: pixels that its cells fill, corner to corner.
    """

    grid: BevGrid
    area: Rect

    @classmethod
    def fit(cls, grid: BevGrid, panel: Rect) -> BevView:
        """Returns the largest undistorted view of `grid` in `panel`, centred, top-aligned."""
        scale = min(panel.width / grid.size_y, panel.height / grid.size_x)
        width, height = round(grid.size_y * scale), round(grid.size_x * scale)
        area = Rect(panel.x + (panel.width - width) // 2, panel.y, max(1, width), max(1, height))
        return cls(grid, area)

    @property
    def scale_px_per_m(self) -> float:
        return self.area.height / (self.grid.size_x * self.grid.resolution_m)

    def to_px(self, xy_m: ArrayLike) -> NDArray[np.float64]:
        """Returns [..., 2] (u, v): where points (x, y) in metres lie; integers = pixel centres."""
        xy = np.asarray(xy_m, np.float64)
        left_m, up_m = self.grid.y_max_m - xy[..., 1], self.grid.x_max_m - xy[..., 0]
        u = self.area.x + left_m * self.scale_px_per_m - 0.5
        v = self.area.y + up_m * self.scale_px_per_m - 0.5
        return np.stack([u, v], axis=-1)

    def rotate(self, cells: NDArray) -> NDArray:
        """Returns cells [Y, X, ...] as picture rows and columns [X, Y, ...]: forward up."""
        return np.ascontiguousarray(np.swapaxes(cells, 0, 1)[::-1, ::-1])

    def enlarge(self, cells: NDArray, smooth: bool = False) -> NDArray:
        """Returns cells [Y, X, ...] as they fill `area`, one flat patch per cell or smoothed."""
        interpolation = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
        size = self.area.width, self.area.height
        return cv2.resize(self.rotate(cells), size, interpolation=interpolation)
