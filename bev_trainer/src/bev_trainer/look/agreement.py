"""How exactly the images, the boxes and the bird's-eye view of a drive agree.

Each measure compares two labels that were made in different ways: pixels by the renderer, boxes
and cells from tracks and polygons. A flipped axis, a turned camera, a wrong clock or a scaled
depth shows in at least one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_trainer.labels.bev import BEV_LAYERS
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.look.camera_truth import CameraTruth, back_project, pixel_rays, pixel_spans_m
from bev_trainer.world.classes import (
    DRIVABLE_CLASSES,
    GROUND_CLASSES,
    VEHICLE_CLASSES,
    SemanticClass,
)

FloatArray = NDArray[np.float64]

_MARGIN_PX = 1.0
_TOLERANCE_M = 0.03


@dataclass(frozen=True)
class Share:
    """How many of some pixels are as they should be."""

    hits: int = 0
    total: int = 0

    def __add__(self, other: Share) -> Share:
        return Share(self.hits + other.hits, self.total + other.total)

    @property
    def value(self) -> float:
        """From 0 to 1; 1 where there is nothing to be wrong."""
        return self.hits / self.total if self.total else 1.0

    @classmethod
    def of(cls, right: NDArray[np.bool_]) -> Share:
        """Returns the share of true values."""
        return cls(int(np.count_nonzero(right)), right.size)


@dataclass(frozen=True)
class Agreement:
    """Shares of pixels that agree with the other labels.

    Attributes:
        masks: pixels of instances, that lie inside the projection of their own 3D box, grown by
            one pixel.
        points: pixels of instances, whose depth puts them into that box, within 3 cm and half of
            what a pixel spans there.
        ground: pixels of ground classes, whose depth puts them within 3 cm of the ground.
        drivable: fine pixels of drivable classes, that fall into drivable cells.
        vehicles: fine pixels of vehicles, that fall into cells of the layer of their class, give
            or take 3 cm: sides of boxes may run along the edges of cells.

    A pixel is fine when it spans half a cell at most, measured across its viewing ray: a coarser
    one shows more than the cell it falls into. With the cells of `GRID` and a focal length of 550
    pixels all within 69 m are.
    """

    masks: Share = Share()
    points: Share = Share()
    ground: Share = Share()
    drivable: Share = Share()
    vehicles: Share = Share()

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.masks + other.masks,
            self.points + other.points,
            self.ground + other.ground,
            self.drivable + other.drivable,
            self.vehicles + other.vehicles,
        )

    def failures(self) -> tuple[str, ...]:
        """Returns the names of the measures that are below their limits."""
        return tuple(name for name, low in LIMITS.items() if getattr(self, name).value < low)


LIMITS = {'masks': 0.999, 'points': 0.999, 'ground': 0.999, 'drivable': 0.97, 'vehicles': 0.995}

# A cell that the kerb cuts is either drivable or not, so that some of its pixels are wrong with
# the best of labels. Cells of the labels, half a metre wide, are too coarse for a camera that is
# knee-high beside the kerb: such cells fill much of its image. The range is that of most models.
GRID = BevGrid.from_range((-50.0, 50.0), (-50.0, 50.0), 0.25)


def agreement(truth: CameraTruth) -> Agreement:
    """Returns all measures for one camera at one instant."""
    points_m = back_project(truth.camera, truth.depth_m)
    return Agreement(
        masks_in_boxes(truth.camera, truth.instances, truth.boxes),
        points_in_boxes(truth.camera, truth.instances, points_m, truth.boxes),
        ground_at_zero(truth.classes, points_m),
        drivable_in_cells(truth, points_m),
        vehicles_in_cells(truth, points_m),
    )


def masks_in_boxes(camera: Camera, instances: NDArray[np.uint16], boxes: BoxArray) -> Share:
    """Returns the share of instance pixels within a pixel of the projection of their box.

    A pixel lies in the projection exactly when its viewing ray meets the box: this holds for any
    lens. Instances without a box are wrong.

    Args:
        camera: whose image it is.
        instances: uint16 [H, W].
        boxes: in the base frame, at the time of the image.
    """
    v, u = np.nonzero(instances)
    rows = _rows_of(boxes, instances[v, u])
    known = rows >= 0
    inside = np.zeros(len(u), bool)
    inside[known] = _rays_meet(camera, pixel_rays(camera)[v[known], u[known]], boxes, rows[known])
    missed = np.flatnonzero(known & ~inside)
    steps = np.array([-1.0, -0.5, 0.0, 0.5, 1.0]) * _MARGIN_PX
    for shift in np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2):
        if not len(missed):
            break
        rays = camera.rays(np.stack([u[missed], v[missed]], axis=-1) + shift)
        inside[missed] = _rays_meet(camera, rays, boxes, rows[missed])
        missed = missed[~inside[missed]]
    return Share.of(inside)


def points_in_boxes(
    camera: Camera, instances: NDArray[np.uint16], points_m: FloatArray, boxes: BoxArray
) -> Share:
    """Returns the share of instance pixels whose point lies in their box.

    It may stand out by 3 cm and half of what a pixel spans at its distance: images of lenses are
    taken from pinhole images without mixing pixels, so that what a pixel shows is up to half a
    pixel beside its viewing ray.

    Args:
        camera: whose image it is.
        instances: uint16 [H, W].
        points_m: [H, W, 3] what they show, in the base frame; NaN for nothing.
        boxes: in the base frame, at the time of the image.
    """
    shown = (instances > 0) & np.isfinite(points_m[..., 2])
    rows = _rows_of(boxes, instances[shown])
    inside = rows >= 0
    limit_m = _TOLERANCE_M + 0.5 * pixel_spans_m(camera, points_m)[shown][inside]
    known, points_m = rows[inside], points_m[shown][inside]
    height_m = points_m[:, 2:] - boxes.center_m[known, 2:]
    local = np.concatenate([boxes.local_xy(points_m[:, :2], known), height_m], axis=-1)
    over_m = np.max(np.abs(local) - 0.5 * boxes.size_m[known], axis=-1)
    inside[inside] = over_m <= limit_m
    return Share.of(inside)


def ground_at_zero(classes: NDArray[np.uint8], points_m: FloatArray) -> Share:
    """Returns the share of ground pixels that lie on the ground, z = 0, within 3 cm.

    Args:
        classes: uint8 [H, W].
        points_m: [H, W, 3] what they show, in the base frame; NaN for nothing.
    """
    shown = _is_one_of(classes, GROUND_CLASSES) & np.isfinite(points_m[..., 2])
    return Share.of(np.abs(points_m[shown, 2]) <= _TOLERANCE_M)


def drivable_in_cells(truth: CameraTruth, points_m: FloatArray) -> Share:
    """Returns the share of fine pixels of drivable classes, inside the grid, in drivable cells."""
    shown = _are_fine(truth, points_m) & _is_one_of(truth.classes, DRIVABLE_CLASSES)
    return _in_layer(truth, points_m[shown, :2], 'drivable', 0.0)


def vehicles_in_cells(truth: CameraTruth, points_m: FloatArray) -> Share:
    """Returns the share of fine vehicle pixels, inside the grid, in cells of their class."""
    share, fine = Share(), _are_fine(truth, points_m)
    for item in VEHICLE_CLASSES:
        xy_m = points_m[fine & (truth.classes == item), :2]
        share += _in_layer(truth, xy_m, item.label, _TOLERANCE_M)
    return share


def _are_fine(truth: CameraTruth, points_m: FloatArray) -> NDArray[np.bool_]:
    return pixel_spans_m(truth.camera, points_m) <= 0.5 * truth.grid.resolution_m


def _in_layer(truth: CameraTruth, xy_m: FloatArray, layer: str, slack_m: float) -> Share:
    """Returns the share of points [k, 2] on the grid with a cell of the layer within the slack."""
    cells = truth.layers[BEV_LAYERS.index(layer)]
    xy_m = xy_m[truth.grid.to_cell(xy_m[:, 0], xy_m[:, 1])[2]]
    right = np.zeros(len(xy_m), bool)
    shifts_m = slack_m * np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)])
    for shift_m in np.unique(shifts_m, axis=0):
        iy, ix, inside = truth.grid.to_cell(*(xy_m + shift_m).T)
        right[inside] |= cells[iy[inside], ix[inside]]
    return Share.of(right)


def _is_one_of(classes: NDArray[np.uint8], wanted: tuple[SemanticClass, ...]) -> NDArray[np.bool_]:
    table = np.zeros(256, bool)
    table[list(wanted)] = True
    return table[classes]


def _rows_of(boxes: BoxArray, instances: NDArray[np.uint16]) -> NDArray[np.intp]:
    """Returns which box each instance [k] has; -1: none."""
    table = np.full(65536, -1, np.intp)
    table[boxes.instance] = np.arange(len(boxes))
    return table[instances]


def _rays_meet(
    camera: Camera, rays: FloatArray, boxes: BoxArray, rows: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Returns bool [k]: ray k, from the camera on, meets box `rows[k]` (slab method)."""
    origin = camera.base_T_camera[:3, 3]
    directions = rays @ camera.base_T_camera[:3, :3].T
    cos, sin = np.cos(boxes.yaw_rad), np.sin(boxes.yaw_rad)
    zero, one = np.zeros_like(cos), np.ones_like(cos)
    turns = np.stack([cos, sin, zero, -sin, cos, zero, zero, zero, one], -1).reshape(-1, 3, 3)
    start = np.einsum('nij,nj->ni', turns, origin - boxes.center_m)[rows]
    local = np.einsum('kij,kj->ki', turns[rows], directions)
    half = 0.5 * boxes.size_m[rows]
    with np.errstate(divide='ignore', invalid='ignore'):
        low, high = (-half - start) / local, (half - start) / local
    near = np.fmax.reduce(np.fmin(low, high), axis=-1)
    far = np.fmin.reduce(np.fmax(low, high), axis=-1)
    return np.isfinite(rays[:, 0]) & (near <= far) & (far > 0.0)
