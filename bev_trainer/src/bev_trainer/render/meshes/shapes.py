"""Building blocks of meshes, in metres: lofts, boxes, tubes, ellipsoids, flat plates.

Everything is made of parts, small triangle soups with a material and a limb a triangle. Corners
run counter-clockwise seen from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_trainer.render.mesh import Limb

Array = NDArray[np.float64]
SMALLEST_AREA_M2 = 1e-8


@dataclass(frozen=True, eq=False)
class Part:
    """Triangles under construction.

    Attributes:
        corners: [t, 3, 3] corner points, metres.
        normals: [t, 3, 3] unit normals of the corners.
        materials: uint8 [t].
        limbs: uint8 [t].
    """

    corners: Array
    normals: Array
    materials: NDArray[np.uint8]
    limbs: NDArray[np.uint8]

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Part:
        """Returns the part shifted."""
        return replace(self, corners=self.corners + np.array((x, y, z)))

    def stretched(self, x: float = 1.0, y: float = 1.0, z: float = 1.0) -> Part:
        """Returns the part scaled by positive factors about the origin."""
        normals = self.normals / (x, y, z)
        normals /= np.linalg.norm(normals, axis=2, keepdims=True)
        return replace(self, corners=self.corners * (x, y, z), normals=normals)

    def mirrored(self) -> Part:
        """Returns the part as seen in a mirror: left and right exchanged, limbs included."""
        flip = np.array((1.0, -1.0, 1.0))
        swap = np.array((0, 2, 1, 4, 3), dtype=np.uint8)
        return Part(
            self.corners[:, ::-1] * flip,
            self.normals[:, ::-1] * flip,
            self.materials,
            swap[self.limbs],
        )

    def turned(self, axis: str, angle_rad: float) -> Part:
        """Returns the part turned about an axis through the origin ('x', 'y' or 'z')."""
        first, second = {'x': (1, 2), 'y': (2, 0), 'z': (0, 1)}[axis]
        turn = np.eye(3)
        cos, sin = np.cos(angle_rad), np.sin(angle_rad)
        turn[first, first], turn[first, second] = cos, -sin
        turn[second, first], turn[second, second] = sin, cos
        return replace(self, corners=self.corners @ turn.T, normals=self.normals @ turn.T)

    def of_limb(self, limb: Limb) -> Part:
        """Returns the part as one limb."""
        return replace(self, limbs=np.full(len(self.limbs), limb, dtype=np.uint8))

    def smooth(self, crease_deg: float = 40.0) -> Part:
        """Returns the part with corner normals averaged over the triangles that meet there.

        Triangles take part by their angle at the corner (Thürmer and Wüthrich, 1998), if they
        have the same material and their planes differ by less than the crease angle.
        """
        points = np.round(self.corners.reshape(-1, 3), 4)
        _, group = np.unique(points, axis=0, return_inverse=True)
        unit = np.repeat(_area_vectors(self.corners), 3, axis=0)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        material = np.repeat(self.materials, 3)
        group = group.reshape(-1)
        near = (group[:, None] == group[None]) & (material[:, None] == material[None])
        near &= unit @ unit.T > np.cos(np.radians(crease_deg))
        mean = near @ (unit * _corner_angles(self.corners).reshape(-1, 1))
        mean /= np.linalg.norm(mean, axis=1, keepdims=True)
        return replace(self, normals=mean.reshape(-1, 3, 3))

    def bounds(self) -> tuple[Array, Array]:
        """Returns the lowest and the highest corner of the axis-aligned box around the part."""
        points = self.corners.reshape(-1, 3)
        return points.min(axis=0), points.max(axis=0)


def _area_vectors(corners: Array) -> Array:
    edge_a, edge_b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.cross(edge_a, edge_b) / 2


def _corner_angles(corners: Array) -> Array:
    """Returns [t, 3] angles of triangles at their corners."""
    ahead = np.roll(corners, -1, axis=1) - corners
    back = np.roll(corners, 1, axis=1) - corners
    cross = np.linalg.norm(np.cross(ahead, back), axis=2)
    return np.arctan2(cross, np.einsum('tcx,tcx->tc', ahead, back))


def triangles(corners: ArrayLike, materials: ArrayLike) -> Part:
    """Returns flat triangles [t, 3, 3] with one material or one each; slivers are left out."""
    points = np.asarray(corners, dtype=np.float64).reshape(-1, 3, 3)
    chosen = np.broadcast_to(np.asarray(materials, dtype=np.uint8), len(points))
    vectors = _area_vectors(points)
    areas = np.linalg.norm(vectors, axis=1)
    keep = areas > SMALLEST_AREA_M2
    normals = vectors[keep] / areas[keep, None]
    limbs = np.zeros(int(keep.sum()), dtype=np.uint8)
    return Part(points[keep], np.repeat(normals[:, None], 3, axis=1), chosen[keep], limbs)


def merge(*parts: Part) -> Part:
    """Returns all parts as one."""
    return Part(
        np.concatenate([part.corners for part in parts]),
        np.concatenate([part.normals for part in parts]),
        np.concatenate([part.materials for part in parts]),
        np.concatenate([part.limbs for part in parts]),
    )


def both_sides(part: Part) -> Part:
    """Returns a part of the left side together with its mirror image."""
    return merge(part, part.mirrored())


def polygon(points: ArrayLike, material: int) -> Part:
    """Returns a flat convex polygon [n, 3], counter-clockwise seen from outside."""
    ring = np.asarray(points, dtype=np.float64)
    fan = [(ring[0], ring[i], ring[i + 1]) for i in range(1, len(ring) - 1)]
    return triangles(np.array(fan), material)


def loft(
    rings: ArrayLike,
    materials: ArrayLike,
    closed: bool = True,
    start: int | None = None,
    end: int | None = None,
) -> Part:
    """Returns the skin over a row of rings.

    Args:
        rings: [k, m, 3] points, counter-clockwise seen from where the last ring is.
        materials: one, or broadcast to [k - 1, m] (m - 1 when open) for each face.
        closed: whether the last point of a ring joins its first.
        start: material of a flat lid on the first ring; None for no lid.
        end: likewise on the last ring.
    """
    grid = np.asarray(rings, dtype=np.float64)
    ahead = np.roll(grid, -1, axis=1) if closed else grid[:, 1:]
    here = grid if closed else grid[:, :-1]
    lower = np.stack((here[:-1], ahead[:-1], ahead[1:]), axis=2)
    upper = np.stack((here[:-1], ahead[1:], here[1:]), axis=2)
    faces = np.stack((lower, upper), axis=2)
    chosen = np.broadcast_to(np.asarray(materials, dtype=np.uint8), faces.shape[:2])
    parts = [triangles(faces, np.repeat(chosen.reshape(-1), 2))]
    if start is not None:
        parts.append(polygon(grid[0, ::-1], start))
    if end is not None:
        parts.append(polygon(grid[-1], end))
    return merge(*parts)


def box(low: Sequence[float], high: Sequence[float], material: int, open_faces: str = '') -> Part:
    """Returns an axis-aligned box; `open_faces` names faces to leave out, of 'x-x+y-y+z-z+'."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    faces = {
        'x-': ((x0, y0, z0), (x0, y0, z1), (x0, y1, z1), (x0, y1, z0)),
        'x+': ((x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)),
        'y-': ((x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)),
        'y+': ((x0, y1, z0), (x0, y1, z1), (x1, y1, z1), (x1, y1, z0)),
        'z-': ((x0, y0, z0), (x0, y1, z0), (x1, y1, z0), (x1, y0, z0)),
        'z+': ((x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)),
    }
    return merge(
        *(polygon(face, material) for name, face in faces.items() if name not in open_faces)
    )


def circle(sides: int, phase: float = 0.0) -> Array:
    """Returns [sides, 2] points of the unit circle, counter-clockwise."""
    angles = 2 * np.pi * (np.arange(sides) + phase) / sides
    return np.stack((np.cos(angles), np.sin(angles)), axis=1)


def tube(
    points: ArrayLike,
    radii: float | Sequence[float],
    sides: int,
    materials: int | Sequence[int],
    lids: bool = True,
) -> Part:
    """Returns a round tube along a path.

    Args:
        points: [k, 3] path; rings stand across it, at bends half-way.
        radii: one, or one for each point.
        sides: corners of a ring.
        materials: one, or one for each of the k - 1 stretches.
        lids: whether both ends are closed.
    """
    path = np.asarray(points, dtype=np.float64)
    runs = np.diff(path, axis=0)
    runs /= np.linalg.norm(runs, axis=1, keepdims=True)
    along = np.concatenate((runs[:1], runs[:-1] + runs[1:], runs[-1:]))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    whole = path[-1] - path[0]
    upright = abs(whole[2]) > 0.9 * np.linalg.norm(whole)
    first = np.cross((1.0, 0.0, 0.0) if upright else (0.0, 0.0, 1.0), along)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(along, first)
    unit = circle(sides, 0.5)
    ring = unit[:, :1] * first[:, None] + unit[:, 1:] * second[:, None]
    radius = np.broadcast_to(np.asarray(radii, dtype=np.float64), len(path))
    rings = path[:, None] + radius[:, None, None] * ring
    chosen = np.broadcast_to(np.asarray(materials, dtype=np.uint8), len(path) - 1)
    start, end = (int(chosen[0]), int(chosen[-1])) if lids else (None, None)
    skin = loft(rings, chosen[:, None], start=start, end=end)
    return skin.smooth(50 if sides > 6 else 75 if sides > 4 else 40)


def ellipsoid(
    center: Sequence[float],
    radii: Sequence[float],
    sides: int,
    rows: int,
    materials: ArrayLike,
    from_share: float = 0.0,
) -> Part:
    """Returns a smooth ellipsoid.

    Args:
        center: metres.
        radii: along x, y, z.
        sides: corners of a ring, from +x over +y.
        rows: bands from bottom to top.
        materials: one, or broadcast to [rows, sides].
        from_share: 0 for all, 0.5 for the upper half: leaves out the bottom, by angle.
    """
    tilt = np.pi * (np.linspace(from_share, 1.0, rows + 1) - 0.5)
    unit = circle(sides)
    rings = np.empty((rows + 1, sides, 3))
    rings[..., :2] = np.cos(tilt)[:, None, None] * unit
    rings[..., 2] = np.sin(tilt)[:, None]
    rings[np.abs(rings) < 1e-12] = 0.0
    part = loft(rings, materials)
    round_normals = part.corners / np.linalg.norm(part.corners, axis=2, keepdims=True)
    return replace(part, normals=round_normals).stretched(*radii).moved(*center)


def decal(corners: ArrayLike, material: int, lift_m: float = 0.006) -> Part:
    """Returns a convex polygon [n, 3] lifted off the surface it lies on, along its normal."""
    flat = polygon(corners, material)
    return replace(flat, corners=flat.corners + lift_m * flat.normals[0, 0])


def disc(center: Sequence[float], radius: float, axis: str, sides: int, material: int) -> Part:
    """Returns a flat regular polygon that faces along +x, +y or +z ('x', 'y', 'z')."""
    unit = circle(sides, 0.5) * radius
    places = {'x': (1, 2), 'y': (2, 0), 'z': (0, 1)}[axis]
    points = np.tile(np.asarray(center, dtype=np.float64), (sides, 1))
    points[:, places[0]] += unit[:, 0]
    points[:, places[1]] += unit[:, 1]
    return polygon(points, material)
