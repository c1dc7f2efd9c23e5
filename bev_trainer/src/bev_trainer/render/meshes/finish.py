"""From a part in metres to a mesh in its unit box."""

from __future__ import annotations

import numpy as np

from bev_trainer.render.mesh import Mesh
from bev_trainer.render.meshes.shapes import Part


def finished(part: Part, length_m: float, width_m: float, height_m: float) -> Mesh:
    """Returns the part as a mesh that touches all six faces of its box.

    The part is stretched and shifted to the box; it should be close to that size already.
    """
    low, high = part.bounds()
    factors = np.array((length_m, width_m, height_m)) / (high - low)
    fitted = part.stretched(*factors)
    low, high = fitted.bounds()
    middle = (low + high) / 2
    return _unit(fitted.moved(-middle[0], -middle[1], -low[2]), length_m, width_m, height_m)


def finished_walker(part: Part, length_m: float, width_m: float, height_m: float) -> Mesh:
    """Returns a walking body as a mesh; along x its middle line stays where it is.

    Across and upwards the body fills its box, limbs hanging; along x swung limbs do.
    """
    low, high = part.bounds()
    fitted = part.moved(z=-low[2]).stretched(
        1.0, width_m / (2 * max(high[1], -low[1])), height_m / (high[2] - low[2])
    )
    return _unit(fitted, length_m, width_m, height_m)


def _unit(part: Part, length_m: float, width_m: float, height_m: float) -> Mesh:
    points = part.corners.reshape(-1, 3) / (length_m, width_m, height_m)
    points = np.clip(points, (-0.5, -0.5, 0.0), (0.5, 0.5, 1.0))
    mesh = Mesh(
        points.astype(np.float32),
        part.normals.reshape(-1, 3).astype(np.float32),
        np.repeat(part.materials, 3),
        np.repeat(part.limbs, 3),
    )
    for array in (mesh.positions, mesh.normals, mesh.materials, mesh.limbs):
        array.setflags(write=False)
    return mesh
