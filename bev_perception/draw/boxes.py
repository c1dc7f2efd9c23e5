"""Wireframes of 3D boxes through a real camera: bent by its lens, cut where its view ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.bev_objects import footprint
from bev_perception.frame import BevObject
from bev_perception.geometry.camera import Camera

FloatArray = NDArray[np.float64]

# Corners 0-3: bottom, in the order of `footprint`; 4-7: top. Every face lists its four corners
# around, every edge its two corners and the two faces that meet there.
_FACES = ((0, 3, 7, 4), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (0, 1, 2, 3), (4, 5, 6, 7))
_FRONT_FACE = 0
_EDGES = (
    (0, 1, 1, 4), (1, 2, 2, 4), (2, 3, 3, 4), (3, 0, 0, 4),
    (4, 5, 1, 5), (5, 6, 2, 5), (6, 7, 3, 5), (7, 4, 0, 5),
    (0, 4, 0, 1), (1, 5, 1, 2), (2, 6, 2, 3), (3, 7, 0, 3),
)  # fmt: skip
_SAMPLES = 49
_BISECTIONS = 12


@dataclass(frozen=True)
class Wireframe:
    """One box in one image, in pixels of the camera's full picture.

    Attributes:
        near_edges: polylines [n, 2] of the edges on the camera's side.
        far_edges: polylines of the edges that the box itself hides.
        front: [n, 2] outline of the front face; None unless all of it has an image.
        front_faces_camera: the front face is one of those that the camera sees.
        bounds: u0, v0, u1, v1 of the part inside the picture.
    """

    near_edges: list[FloatArray]
    far_edges: list[FloatArray]
    front: FloatArray | None
    front_faces_camera: bool
    bounds: tuple[float, float, float, float]


def box_corners(item: BevObject) -> FloatArray:
    """Returns [8, 3] corners in the base frame: four below, the same four above."""
    ground = footprint(item)
    low, high = (item.center_m[2] + side * item.size_m[2] / 2 for side in (-1, 1))
    return np.concatenate(
        [np.column_stack([ground, np.full(4, low)]), np.column_stack([ground, np.full(4, high)])]
    )


def wireframe(item: BevObject, camera: Camera) -> Wireframe | None:
    """Returns the box as the camera sees it; None when no part lies inside the picture.

    Edges are subdivided, so that they follow the lens, and end where the camera sees nothing
    any more (behind it, or beyond the limit of its lens model), found by bisection.
    """
    corners = box_corners(item)
    starts, ends = (corners[[edge[side] for edge in _EDGES]] for side in (0, 1))
    shares = np.broadcast_to(np.linspace(0.0, 1.0, _SAMPLES), (len(_EDGES), _SAMPLES))
    uv, inside = camera.project_base(_along(starts, ends, shares))
    if not inside.any():
        return None
    drawable = _is_drawable(uv, camera)
    facing = _faces_towards(corners, camera.base_T_camera[:3, 3])
    near: list[FloatArray] = []
    far: list[FloatArray] = []
    for index, (_, _, face, other_face) in enumerate(_EDGES):
        target = near if facing[face] or facing[other_face] else far
        target += _runs(camera, starts[index], ends[index], uv[index], drawable[index])
    seen = uv[inside]
    (u0, v0), (u1, v1) = seen.min(axis=0), seen.max(axis=0)
    front = _front_outline(camera, corners)
    return Wireframe(near, far, front, bool(facing[_FRONT_FACE]), (u0, v0, u1, v1))


def _along(starts: FloatArray, ends: FloatArray, shares: FloatArray) -> FloatArray:
    """Returns points [E, S, 3] at shares [E, S] of the way from starts [E, 3] to ends [E, 3]."""
    return starts[:, None] + shares[..., None] * (ends - starts)[:, None]


def _is_drawable(uv: FloatArray, camera: Camera) -> NDArray[np.bool_]:
    """Returns [...]: has an image at most one picture away, so that lines to it stay exact."""
    size = np.array([camera.width, camera.height], np.float64)
    with np.errstate(invalid='ignore'):
        return np.all((uv > -size) & (uv < 2 * size), axis=-1)


def _runs(
    camera: Camera, start: FloatArray, end: FloatArray, uv: FloatArray, drawable: NDArray[np.bool_]
) -> list[FloatArray]:
    """Returns the drawable stretches of one sampled edge, each prolonged to its exact end."""
    padded = np.concatenate([[False], drawable, [False]])
    firsts = np.flatnonzero(padded[1:] & ~padded[:-1]).tolist()
    lasts = (np.flatnonzero(padded[:-1] & ~padded[1:]) - 1).tolist()
    runs = []
    for first, last in zip(firsts, lasts, strict=True):
        points = [uv[first : last + 1]]
        if first > 0:
            points.insert(0, _last_drawable(camera, start, end, first, first - 1))
        if last < _SAMPLES - 1:
            points.append(_last_drawable(camera, start, end, last, last + 1))
        runs.append(np.concatenate(points))
    return runs


def _last_drawable(
    camera: Camera, start: FloatArray, end: FloatArray, good_sample: int, bad_sample: int
) -> FloatArray:
    """Returns [1, 2]: image of the last drawable point between two samples of an edge."""
    good, bad = (sample / (_SAMPLES - 1) for sample in (good_sample, bad_sample))
    for _ in range(_BISECTIONS):
        middle = (good + bad) / 2
        uv, _ = camera.project_base(start + middle * (end - start))
        good, bad = (middle, bad) if _is_drawable(uv, camera) else (good, middle)
    return camera.project_base((start + good * (end - start))[None])[0]


def _faces_towards(corners: FloatArray, eye: FloatArray) -> NDArray[np.bool_]:
    """Returns [6]: the outer side of the face looks at the eye [3]."""
    centers = np.stack([corners[list(face)].mean(axis=0) for face in _FACES])
    outwards = centers - corners.mean(axis=0)
    return np.einsum('fc,fc->f', outwards, eye - centers) > 0.0


def _front_outline(camera: Camera, corners: FloatArray) -> FloatArray | None:
    around = corners[list(_FACES[_FRONT_FACE])]
    shares = np.broadcast_to(np.linspace(0.0, 1.0, 8, endpoint=False), (4, 8))
    uv, inside = camera.project_base(_along(around, np.roll(around, -1, axis=0), shares))
    if not (inside.any() and _is_drawable(uv, camera).all()):
        return None
    return uv.reshape(-1, 2)
