"""Ideal pinhole views: what OpenGL draws of a camera, side by side in one atlas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

NEAR_M, FAR_M = 0.15, 6000.0
_ATLAS_WIDTH = 2048


@dataclass(frozen=True, eq=False)
class View:
    """A pinhole picture that belongs to one camera of the rig.

    Attributes:
        camera: index in the rig.
        camera_R_view: [3, 3] rotation from the view's optical frame to the camera's.
        K: [3, 3] pinhole matrix, pixel centres at integer coordinates.
        width: pixels.
        height: pixels.
        x: of its first column in the atlas.
        y: of its first row in the atlas.
    """

    camera: int
    camera_R_view: FloatArray
    K: FloatArray
    width: int
    height: int
    x: int = 0
    y: int = 0

    def clip_T_optical(self) -> FloatArray:
        """Returns the [4, 4] OpenGL projection; clip y points down, so row 0 is the top row."""
        matrix = np.zeros((4, 4))
        matrix[0, :3] = self.K[0] * (2.0 / self.width)
        matrix[1, :3] = self.K[1] * (2.0 / self.height)
        matrix[0, 2] += 1.0 / self.width - 1.0
        matrix[1, 2] += 1.0 / self.height - 1.0
        matrix[2, 2] = (FAR_M + NEAR_M) / (FAR_M - NEAR_M)
        matrix[2, 3] = -2.0 * FAR_M * NEAR_M / (FAR_M - NEAR_M)
        matrix[3, 2] = 1.0
        return matrix

    def rays_of_fragments(self) -> FloatArray:
        """Returns [3, 3]: (x, y, 1) of `gl_FragCoord` in the atlas to the ray with z = 1."""
        pixel = np.array([[1.0, 0.0, -0.5 - self.x], [0.0, 1.0, -0.5 - self.y], [0.0, 0.0, 1.0]])
        return np.linalg.inv(self.K) @ pixel

    @cached_property
    def side_planes(self) -> FloatArray:
        """[4, 3] unit inward normals, camera's frame, of the planes through the eye."""
        u = np.array([-0.5, self.width - 0.5])
        v = np.array([-0.5, self.height - 0.5])
        corners = np.array([[u[i], v[j], 1.0] for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))])
        rays = corners @ np.linalg.inv(self.K).T
        normals = np.cross(rays, np.roll(rays, -1, axis=0))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        return np.asarray(normals @ self.camera_R_view.T)

    def scaled(self, factor: int) -> View:
        """Returns the view of `factor` times as many pixels along each side, placed likewise."""
        if factor == 1:
            return self
        K = self.K * np.array([[factor], [factor], [1.0]])
        K[:2, 2] += 0.5 * (factor - 1)
        size = (self.width * factor, self.height * factor)
        return replace(
            self, K=K, width=size[0], height=size[1], x=self.x * factor, y=self.y * factor
        )


def pack(views: Sequence[View]) -> tuple[tuple[View, ...], tuple[int, int]]:
    """Returns the views placed on shelves of an atlas, in order, and the atlas (width, height)."""
    limit = max([_ATLAS_WIDTH, *(view.width for view in views)])
    places: dict[int, View] = {}
    x = y = shelf = right = 0
    for index in sorted(range(len(views)), key=lambda i: (-views[i].height, i)):
        view = views[index]
        if x + view.width > limit:
            x, y, shelf = 0, y + shelf, 0
        places[index] = replace(view, x=x, y=y)
        x, shelf = x + view.width, max(shelf, view.height)
        right = max(right, x)
    return tuple(places[index] for index in range(len(views))), (right, y + shelf)
