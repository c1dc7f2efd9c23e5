"""The bird's-eye-view grid: one raster in the base frame, laid out like nav_msgs/OccupancyGrid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.errors import ConfigError


@dataclass(frozen=True)
class BevGrid:
    """A raster of square cells parallel to the base frame's x and y axes.

    Arrays over the grid are [..., y, x]: index (iy, ix) is the cell whose centre is
    (x_min_m + (ix + 0.5) * resolution_m, y_min_m + (iy + 0.5) * resolution_m).
    Ravelled, they are the `data` of a `nav_msgs/OccupancyGrid` with origin (x_min_m, y_min_m).

    Attributes:
        x_min_m: lower edge along x (forward).
        y_min_m: lower edge along y (left).
        resolution_m: edge length of a cell.
        size_x: number of cells along x (columns, `info.width`).
        size_y: number of cells along y (rows, `info.height`).
    """

    x_min_m: float
    y_min_m: float
    resolution_m: float
    size_x: int
    size_y: int

    def __post_init__(self) -> None:
        if not (np.isfinite(self.x_min_m) and np.isfinite(self.y_min_m)):
            raise ConfigError(f'grid: x_min_m and y_min_m must be finite, got {self}')
        if not (np.isfinite(self.resolution_m) and self.resolution_m > 0):
            raise ConfigError(f'grid: resolution_m must be > 0, got {self.resolution_m}')
        if self.size_x < 1 or self.size_y < 1:
            raise ConfigError(f'grid: needs at least one cell, got {self.size_x} x {self.size_y}')

    @classmethod
    def from_range(
        cls, x_m: tuple[float, float], y_m: tuple[float, float], resolution_m: float
    ) -> BevGrid:
        """Returns the grid that covers [x_m[0], x_m[1]) x [y_m[0], y_m[1]).

        Raises:
            ConfigError: a range is empty or not a whole number of cells.
        """
        if not (np.isfinite(resolution_m) and resolution_m > 0):
            raise ConfigError(f'grid: resolution_m must be > 0, got {resolution_m}')
        sizes = []
        for axis, (low, high) in (('x', x_m), ('y', y_m)):
            cells = (high - low) / resolution_m
            if not np.isfinite(cells) or cells < 1 or abs(cells - round(cells)) > 1e-6:
                raise ConfigError(
                    f'grid: {axis} range [{low}, {high}) is not a whole number of cells of '
                    f'{resolution_m} m; change the range or the resolution'
                )
            sizes.append(round(cells))
        return cls(x_m[0], y_m[0], resolution_m, sizes[0], sizes[1])

    @property
    def shape(self) -> tuple[int, int]:
        """(size_y, size_x), the shape of an array over this grid."""
        return self.size_y, self.size_x

    @property
    def x_max_m(self) -> float:
        return self.x_min_m + self.size_x * self.resolution_m

    @property
    def y_max_m(self) -> float:
        return self.y_min_m + self.size_y * self.resolution_m

    def axis_centers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns (x [X], y [Y]): coordinates in metres of the cell centres along each axis."""
        x = self.x_min_m + (np.arange(self.size_x, dtype=np.float64) + 0.5) * self.resolution_m
        y = self.y_min_m + (np.arange(self.size_y, dtype=np.float64) + 0.5) * self.resolution_m
        return x, y

    def cell_centers(self) -> NDArray[np.float64]:
        """Returns [Y, X, 2]: (x, y) in metres of every cell centre."""
        x, y = self.axis_centers()
        return np.stack(np.meshgrid(x, y, indexing='xy'), axis=-1)

    def to_cell(self, x_m: ArrayLike, y_m: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
        """Returns (iy, ix, inside) of points; indices outside the grid are not clipped."""
        x = np.floor((np.asarray(x_m, dtype=np.float64) - self.x_min_m) / self.resolution_m)
        y = np.floor((np.asarray(y_m, dtype=np.float64) - self.y_min_m) / self.resolution_m)
        inside = (x >= 0) & (x < self.size_x) & (y >= 0) & (y < self.size_y)
        with np.errstate(invalid='ignore'):  # NaN and infinity have no index and are not inside
            return y.astype(np.int64), x.astype(np.int64), inside
