"""Walking: how limbs of a mesh swing with the path travelled.

This is the statement in numpy of what the vertex shader does: scale the unit box to the size of
the instance, then turn each limb about the y axis through its pivot on the body's middle line.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_trainer.render.mesh import (
    ARM_SWING_RAD,
    HIP_HEIGHT,
    LEG_SWING_RAD,
    SHOULDER_HEIGHT,
    STRIDE_M,
    Mesh,
)

FloatArray = NDArray[np.float64]
NOMINAL_HEIGHT_M = 1.75  # of the body whose full cycle is STRIDE_M long

# By `Limb`: height of the pivot as a share of the body's height, and the angle at the top of a
# cycle. A positive angle turns right-handed about y (left): the limb's lower end goes back.
PIVOT_HEIGHTS: tuple[float, ...] = (0.0, HIP_HEIGHT, HIP_HEIGHT, SHOULDER_HEIGHT, SHOULDER_HEIGHT)
SWINGS_RAD: tuple[float, ...] = (
    0.0, LEG_SWING_RAD, -LEG_SWING_RAD, -ARM_SWING_RAD, ARM_SWING_RAD,
)  # fmt: skip


def stride_phase_rad(travelled_m: ArrayLike, height_m: ArrayLike) -> FloatArray:
    """Returns the phase of the walking cycle; taller bodies take longer strides."""
    stride_m = STRIDE_M * np.asarray(height_m, np.float64) / NOMINAL_HEIGHT_M
    return 2 * np.pi * np.asarray(travelled_m, np.float64) / stride_m


def limb_angles(travelled_m: ArrayLike, height_m: ArrayLike) -> FloatArray:
    """Returns [..., 5] angles by `Limb`, radians; see `SWINGS_RAD` for their sense.

    Args:
        travelled_m: [...] path since any fixed point; standing still keeps the pose.
        height_m: [...] of the body.
    """
    return np.sin(stride_phase_rad(travelled_m, height_m))[..., None] * np.array(SWINGS_RAD)


def posed_positions(
    mesh: Mesh, length_m: float, width_m: float, height_m: float, travelled_m: float
) -> FloatArray:
    """Returns [3 t, 3] corner points of an instance, limbs swung.

    The frame is the instance's own: x ahead, y left, z up, origin on the ground at the middle of
    the footprint; metres.

    Args:
        mesh: in its unit box.
        length_m: of the instance's box, along x.
        width_m: along y.
        height_m: along z.
        travelled_m: path since any fixed point.
    """
    points = mesh.positions.astype(np.float64) * (length_m, width_m, height_m)
    angles = limb_angles(travelled_m, height_m)[mesh.limbs]
    pivot_z = np.array(PIVOT_HEIGHTS)[mesh.limbs] * height_m
    cos, sin = np.cos(angles), np.sin(angles)
    x, z = points[:, 0], points[:, 2] - pivot_z
    return np.stack((x * cos + z * sin, points[:, 1], pivot_z + z * cos - x * sin), axis=1)
