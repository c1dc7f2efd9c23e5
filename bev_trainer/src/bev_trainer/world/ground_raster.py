"""The flat ground as a raster: which layers lie at which place of the world frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry import MultiPolygon

from bev_perception.geometry.grid import BevGrid
from bev_trainer.errors import SimulationError
from bev_trainer.world.classes import GroundLayer
from bev_trainer.world.road_map import RoadMap

FloatArray = NDArray[np.float64]

SAMPLED_LAYERS = (
    GroundLayer.DRIVABLE,
    GroundLayer.LANE_MARKING,
    GroundLayer.CROSSING,
    GroundLayer.SIDEWALK,
)
_MIN_SUBSAMPLES = 4  # per cell, along each side
_MAX_SPACING_M = 0.1  # of sub-samples: thinner than paint
_WHITE, _YELLOW = 16, 32  # bits while rasterising
_MAX_CELLS = 2**31


@dataclass(frozen=True, eq=False)
class GroundRaster:
    """Ground layers over a part of the world, parallel to the world's axes.

    Attributes:
        layers: uint8 [Y, X] of `GroundLayer` bits; cell (iy, ix) has its centre at
            (x_min_m + (ix + 0.5) resolution_m, y_min_m + (iy + 0.5) resolution_m).
        x_min_m: lower edge along x, world frame.
        y_min_m: lower edge along y.
        resolution_m: edge length of a cell.
    """

    layers: NDArray[np.uint8]
    x_min_m: float
    y_min_m: float
    resolution_m: float

    def at(self, x_m: ArrayLike, y_m: ArrayLike) -> NDArray[np.uint8]:
        """Returns the `GroundLayer` bits at points of the world frame; 0 outside the raster."""
        x = (np.asarray(x_m, np.float64) - self.x_min_m) / self.resolution_m
        y = (np.asarray(y_m, np.float64) - self.y_min_m) / self.resolution_m
        size_y, size_x = self.layers.shape
        with np.errstate(invalid='ignore'):
            inside = (x >= 0) & (x < size_x) & (y >= 0) & (y < size_y)
        row, column = (np.where(inside, value, 0).astype(np.int64) for value in (y, x))
        return np.where(inside, self.layers[row, column], np.uint8(0))

    def sample(self, world_T_base: ArrayLike, grid: BevGrid) -> NDArray[np.bool_]:
        """Returns bool [4, Y, X]: the layers, as in `SAMPLED_LAYERS`, on a grid of the base frame.

        A cell has a layer that covers at least half of it. Lane markings are thinner than cells:
        there it takes a strip as long as the cell and half as wide as the sub-samples are apart,
        so that lines do not break where they pass from one cell to the next.

        Args:
            world_T_base: [4, 4]; level.
            grid: cells of any size.
        """
        count = max(_MIN_SUBSAMPLES, int(np.ceil(grid.resolution_m / _MAX_SPACING_M - 1e-9)))
        bits = self._resampled(np.asarray(world_T_base, np.float64), grid, count)
        parts = bits.reshape(grid.size_y, count, grid.size_x, count)
        # Sums of a cell's sub-samples, all layers at once: 16 bits of a word each.
        counters, total = _counters(), np.zeros(grid.shape, np.uint64)
        for row, column in np.ndindex(count, count):
            total += counters[parts[:, row, :, column]]
        totals = np.stack([total >> np.uint64(16 * i) & np.uint64(0xFFFF) for i in range(4)])
        needed = np.full((len(SAMPLED_LAYERS), 1, 1), count * count / 2)
        needed[SAMPLED_LAYERS.index(GroundLayer.LANE_MARKING)] = count / 2
        return totals >= needed

    def _resampled(self, world_T_base: FloatArray, grid: BevGrid, count: int) -> NDArray[np.uint8]:
        """Returns the layers at `count` x `count` sub-samples of every cell, 0 outside."""
        step_m = grid.resolution_m / count
        first = (grid.x_min_m + 0.5 * step_m, grid.y_min_m + 0.5 * step_m)
        turn = world_T_base[:2, :2]
        start = turn @ first + world_T_base[:2, 3] - (self.x_min_m, self.y_min_m)
        # Maps (column, row) of sub-samples to (column, row) of cells here, centre to centre.
        matrix = np.column_stack([turn * step_m, start]) / self.resolution_m
        matrix[:, 2] -= 0.5
        columns, rows = grid.size_x * count, grid.size_y * count
        corners = [(x, y, 1) for x in (0, columns - 1) for y in (0, rows - 1)] @ matrix.T
        low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 1, 0, None)
        high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 2, 0, None)
        part = self.layers[low[1] : high[1], low[0] : high[0]]
        if not part.size:
            return np.zeros((rows, columns), np.uint8)
        matrix[:, 2] -= low
        # Picks the nearest cell, to 1/1024 of one. (OpenCV takes pictures of 32767 rows at most:
        # hence the part.)
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        picked = cv2.warpAffine(
            part, matrix, (columns, rows), flags=flags, borderMode=cv2.BORDER_CONSTANT
        )
        return np.asarray(picked, np.uint8)


def rasterise_ground(
    road_map: RoadMap,
    x_m: tuple[float, float],
    y_m: tuple[float, float],
    resolution_m: float,
) -> GroundRaster:
    """Returns the ground layers of a part of a road map.

    A cell has a layer when its centre lies in the layer's polygons. Stripes of crossings belong to
    the crossing: lane markings are white and yellow paint outside crossings.

    Args:
        road_map: of the world.
        x_m: range to cover, world frame; extended to whole cells.
        y_m: likewise.
        resolution_m: edge length of a cell; 0.1 keeps lines of 14 cm whole.

    Raises:
        SimulationError: the range is empty, or has too many cells.
    """
    size_x, size_y = (int(np.ceil((high - low) / resolution_m - 1e-6)) for low, high in (x_m, y_m))
    if min(size_x, size_y) < 1 or size_x * size_y > _MAX_CELLS:
        raise SimulationError(
            f'ground raster: x {x_m}, y {y_m} at {resolution_m} m makes {size_x} x {size_y} cells'
        )
    origin = np.array([x_m[0], y_m[0]])
    # One more column takes what lies beyond the right edge.
    toggles = np.zeros((size_y, size_x + 1), np.uint8)
    for polygons, bit in (
        (road_map.drivable, GroundLayer.DRIVABLE),
        (road_map.sidewalk, GroundLayer.SIDEWALK),
        (road_map.crossing, GroundLayer.CROSSING),
        (road_map.white_paint, _WHITE),
        (road_map.yellow_paint, _YELLOW),
    ):
        _toggle_edges(toggles, (_edges(polygons) - origin) / resolution_m - 0.5, int(bit))
    bits = np.bitwise_xor.accumulate(toggles[:, :-1], axis=1)
    layers = _final_bits()[bits]
    return GroundRaster(layers, float(x_m[0]), float(y_m[0]), float(resolution_m))


def _edges(polygons: MultiPolygon) -> FloatArray:
    """Returns all edges [n, 2, 2] of the outlines and holes of polygons that do not overlap."""
    parts = shapely.get_parts(polygons)
    if not polygons.is_valid:
        parts = shapely.get_parts(shapely.unary_union(shapely.make_valid(parts)))
    rings = shapely.get_rings(parts[shapely.get_dimensions(parts) == 2])
    coordinates, ring = shapely.get_coordinates(rings, return_index=True)
    edges = np.stack([coordinates[:-1], coordinates[1:]], axis=1)
    return edges[ring[:-1] == ring[1:]]


def _toggle_edges(toggles: NDArray[np.uint8], edges: FloatArray, bit: int) -> None:
    """Flips a bit at the first cell centre on or to the right of every edge, row by row.

    Seen along a row from the left, the inside of polygons begins and ends at their edges (the
    even-odd rule). An edge owns the rows of its lower end, up to but without its upper one.
    """
    rows, columns = toggles.shape
    low = np.where(edges[:, :1, 1:] <= edges[:, 1:, 1:], edges, edges[:, ::-1])
    start, end = low[:, 0], low[:, 1]
    first = np.clip(np.ceil(start[:, 1]), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(end[:, 1]), 0, rows).astype(np.int64)
    count = last - first
    edge = np.repeat(np.arange(len(edges)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    slope = (end[edge, 0] - start[edge, 0]) / (end[edge, 1] - start[edge, 1])
    x = start[edge, 0] + (row - start[edge, 1]) * slope
    column = np.clip(np.ceil(x), 0, columns - 1).astype(np.int64)
    np.bitwise_xor.at(toggles.ravel(), row * columns + column, np.uint8(bit))


def _final_bits() -> NDArray[np.uint8]:
    """Returns the table from bits while rasterising to `GroundLayer` bits."""
    bits = np.arange(256)
    kept = GroundLayer.DRIVABLE | GroundLayer.CROSSING | GroundLayer.SIDEWALK
    marking = (bits & (_WHITE | _YELLOW) != 0) & (bits & GroundLayer.CROSSING == 0)
    return (bits & int(kept) | np.where(marking, int(GroundLayer.LANE_MARKING), 0)).astype('u1')


def _counters() -> NDArray[np.uint64]:
    """Returns the table from `GroundLayer` bits to one count per layer, 16 bits each."""
    bits = np.arange(256)
    fields = [(bits & layer != 0).astype(np.uint64) for layer in SAMPLED_LAYERS]
    return np.bitwise_or.reduce([f << np.uint64(16 * i) for i, f in enumerate(fields)])
