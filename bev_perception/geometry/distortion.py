"""Lens models: from viewing rays to distorted normalised image coordinates and back.

Definitions are those of OpenCV, which ROS names `plumb_bob`, `rational_polynomial`
(`cv2.projectPoints` with 5 and 8 coefficients) and `equidistant` (`cv2.fisheye`; Kannala and
Brandt, "A generic camera model and calibration method", PAMI 2006, eq. 6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.errors import CalibrationError

FloatArray = NDArray[np.float64]

COEFFICIENT_COUNTS = {'none': 0, 'plumb_bob': 5, 'rational_polynomial': 8, 'equidistant': 4}

_MAX_PLANAR_ANGLE_RAD = np.deg2rad(89.9)
_TABLE_SIZE = 4096
_MAX_NEWTON_STEPS = 30
_RESIDUAL_TOLERANCE = 1e-11
_MARGIN = 1e-9  # keeps off the limit itself, which may be a pole


@dataclass(frozen=True)
class Distortion:
    """A lens model with its coefficients; validated, hashable.

    Every polynomial lens model folds back beyond some angle, where two directions share one
    image point. Rays beyond the limit, computed once, have no image here.

    Attributes:
        model: 'none', 'plumb_bob', 'rational_polynomial' or 'equidistant'.
        coefficients: none: (); plumb_bob: k1 k2 p1 p2 k3; rational_polynomial:
            k1 k2 p1 p2 k3 k4 k5 k6; equidistant: k1 k2 k3 k4.
    """

    model: str
    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.model not in COEFFICIENT_COUNTS:
            raise CalibrationError(
                f"distortion model '{self.model}' is not known; "
                f'use one of {", ".join(COEFFICIENT_COUNTS)}'
            )
        values = tuple(float(value) for value in self.coefficients)
        if len(values) != COEFFICIENT_COUNTS[self.model]:
            raise CalibrationError(
                f"distortion model '{self.model}' takes {COEFFICIENT_COUNTS[self.model]} "
                f'coefficients, got {len(values)}'
            )
        if not np.all(np.isfinite(values)):
            raise CalibrationError(f'distortion coefficients must be finite, got {values}')
        object.__setattr__(self, 'coefficients', values)

    @classmethod
    def from_ros(cls, model: str, coefficients: Sequence[float]) -> Distortion:
        """Returns the lens of a `sensor_msgs/CameraInfo` with this `distortion_model` and `d`.

        No coefficients, or zeros, mean an ideal lens. `plumb_bob` may leave out k3; zeros beyond
        the eighth coefficient of `rational_polynomial` (thin prism, tilt) are dropped.

        Raises:
            CalibrationError: unknown model, or a number of coefficients it does not have.
        """
        values = [float(value) for value in coefficients]
        if model in ('', 'none', 'plumb_bob', 'rational_polynomial') and not any(values):
            return cls('none')
        if model == 'equidistant' and not values:
            values = [0.0] * COEFFICIENT_COUNTS[model]
        if model == 'plumb_bob' and len(values) == 4:
            values.append(0.0)
        if model == 'rational_polynomial' and not any(values[8:]):
            values = values[:8]
        return cls(model, tuple(values))

    @property
    def is_planar(self) -> bool:
        """Whether the ideal camera behind the lens is a pinhole (rays within 90 degrees)."""
        return self.model != 'equidistant'

    @property
    def is_pinhole(self) -> bool:
        """Whether the lens is an exact pinhole: no distortion at all."""
        return self.is_planar and not any(self.coefficients)

    @cached_property
    def limit(self) -> float:
        """Where the model folds back: largest tan(angle), for equidistant largest angle in rad."""
        if self.is_pinhole:
            return float('inf')
        if self.is_planar:
            return _first_zero(self._planar_slope, np.tan(_table(_MAX_PLANAR_ANGLE_RAD)))
        return _first_zero(self._angle_slope, _table(np.pi))

    def distort(self, rays: ArrayLike) -> FloatArray:
        """Returns normalised image coordinates [..., 2] of rays [..., 3] of any length.

        NaN where a ray has no image: behind the camera or beyond the limit of the model.
        """
        rays = np.asarray(rays, dtype=np.float64)
        if not self.is_planar:
            return self._distort_angle(rays)
        z = rays[..., 2:]
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
            xy = np.where(z > 0.0, rays[..., :2] / z, np.nan)
        if self.is_pinhole:
            return xy
        inside = np.hypot(xy[..., 0], xy[..., 1]) < self.limit
        return self._distort_planar(np.where(inside[..., None], xy, np.nan))

    def undistort(self, xy: ArrayLike) -> FloatArray:
        """Returns rays [..., 3] of normalised image coordinates [..., 2].

        Rays have z = 1, for `equidistant` unit length. NaN where the model reaches no such point.
        """
        xy = np.asarray(xy, dtype=np.float64)
        if not self.is_planar:
            return self._undistort_angle(xy)
        planar = xy if self.is_pinhole else self._undistort_planar(xy)
        z = np.where(np.isnan(planar[..., :1]), np.nan, 1.0)
        return np.concatenate([planar, z], axis=-1)

    # Brown-Conrady: x_d = x R(r^2) + tangential terms, R = N / D.

    def _radial(self, s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns (R, dR/ds) at s = r^2."""
        k1, k2, _, _, k3, k4, k5, k6 = (*self.coefficients, 0.0, 0.0, 0.0)[:8]
        numerator = 1.0 + s * (k1 + s * (k2 + s * k3))
        denominator = 1.0 + s * (k4 + s * (k5 + s * k6))
        slope = (k1 + s * (2.0 * k2 + s * 3.0 * k3)) * denominator
        slope = slope - numerator * (k4 + s * (2.0 * k5 + s * 3.0 * k6))
        return numerator / denominator, slope / denominator**2

    def _planar_slope(self, r: FloatArray) -> FloatArray:
        """Returns a lower bound of the Jacobian's smallest eigenvalue at radius r, any direction.

        The Jacobian is symmetric, so where the bound is positive on a disc the map is one-to-one.
        Its radial part has the eigenvalues R and d(rR)/dr, its tangential part a norm of 6 |p| r.
        """
        radial, slope = self._radial(r**2)
        tangential = 6.0 * np.hypot(self.coefficients[2], self.coefficients[3]) * r
        return np.minimum(radial, radial + 2.0 * r**2 * slope) - tangential

    def _distort_planar(self, xy: FloatArray) -> FloatArray:
        x, y = xy[..., 0], xy[..., 1]
        p1, p2 = self.coefficients[2:4]
        s = x**2 + y**2
        radial, _ = self._radial(s)
        return np.stack(
            [
                x * radial + 2.0 * p1 * x * y + p2 * (s + 2.0 * x**2),
                y * radial + p1 * (s + 2.0 * y**2) + 2.0 * p2 * x * y,
            ],
            axis=-1,
        )

    def _planar_newton_step(self, xy: FloatArray, residual: FloatArray) -> FloatArray:
        x, y = xy[..., 0], xy[..., 1]
        p1, p2 = self.coefficients[2:4]
        radial, slope = self._radial(x**2 + y**2)
        xx = radial + 2.0 * x**2 * slope + 2.0 * p1 * y + 6.0 * p2 * x
        yy = radial + 2.0 * y**2 * slope + 6.0 * p1 * y + 2.0 * p2 * x
        mixed = 2.0 * (x * y * slope + p1 * x + p2 * y)
        determinant = xx * yy - mixed**2
        step = np.stack(
            [
                yy * residual[..., 0] - mixed * residual[..., 1],
                xx * residual[..., 1] - mixed * residual[..., 0],
            ],
            axis=-1,
        )
        return step / determinant[..., None]

    def _undistort_planar(self, xy_distorted: FloatArray) -> FloatArray:
        reach = (1.0 - _MARGIN) * self.limit
        radii = np.tan(_table(np.arctan(reach)))
        distance = np.linalg.norm(xy_distorted, axis=-1, keepdims=True)
        guess = np.interp(distance, radii * self._radial(radii**2)[0], radii)
        xy = xy_distorted * guess / np.maximum(distance, 1e-300)
        tolerance = _RESIDUAL_TOLERANCE * (1.0 + distance[..., 0])
        for _ in range(_MAX_NEWTON_STEPS):
            residual = xy_distorted - self._distort_planar(xy)
            solved = np.linalg.norm(residual, axis=-1) <= tolerance
            if np.all(solved | np.isnan(residual[..., 0])):
                break
            better = _clip_radius(xy + self._planar_newton_step(xy, residual), reach)
            xy = np.where(solved[..., None], xy, better)
        return np.where(solved[..., None], xy, np.nan)

    # Kannala-Brandt: the distance from the centre is a polynomial of the angle.

    def _angle(self, theta: FloatArray) -> FloatArray:
        k1, k2, k3, k4 = self.coefficients
        s = theta**2
        return theta * (1.0 + s * (k1 + s * (k2 + s * (k3 + s * k4))))

    def _angle_slope(self, theta: FloatArray) -> FloatArray:
        k1, k2, k3, k4 = self.coefficients
        s = theta**2
        return 1.0 + s * (3.0 * k1 + s * (5.0 * k2 + s * (7.0 * k3 + s * 9.0 * k4)))

    def _distort_angle(self, rays: FloatArray) -> FloatArray:
        across = np.hypot(rays[..., 0], rays[..., 1])
        theta = np.arctan2(across, rays[..., 2])
        inside = (theta < self.limit) & ((across > 0.0) | (rays[..., 2] > 0.0))
        scale = self._angle(np.where(inside, theta, np.nan)) / np.maximum(across, 1e-300)
        return rays[..., :2] * scale[..., None]

    def _undistort_angle(self, xy: FloatArray) -> FloatArray:
        distance = np.linalg.norm(xy, axis=-1)
        angles = _table(self.limit)
        theta = np.interp(distance, self._angle(angles), angles)
        tolerance = _RESIDUAL_TOLERANCE * (1.0 + distance)
        for _ in range(_MAX_NEWTON_STEPS):
            residual = distance - self._angle(theta)
            solved = np.abs(residual) <= tolerance
            if np.all(solved | np.isnan(residual)):
                break
            better = np.clip(theta + residual / self._angle_slope(theta), 0.0, self.limit)
            theta = np.where(solved, theta, better)
        theta = np.where(solved, theta, np.nan)
        across = np.sin(theta) / np.maximum(distance, 1e-300)
        return np.concatenate([xy * across[..., None], np.cos(theta)[..., None]], axis=-1)


def _table(upper: float) -> FloatArray:
    return np.linspace(0.0, upper, _TABLE_SIZE)


def _first_zero(slope: Callable[[FloatArray], FloatArray], samples: FloatArray) -> float:
    """Returns where `slope` (positive at 0) first reaches 0; the last sample if it never does."""
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        beyond = np.flatnonzero(~(slope(samples) > 0.0))
        if beyond.size == 0:
            return float(samples[-1])
        low, high = samples[beyond[0] - 1], samples[beyond[0]]
        while (middle := 0.5 * (low + high)) not in (low, high):
            if slope(middle) > 0.0:
                low = middle
            else:
                high = middle
    return float(low)


def _clip_radius(xy: FloatArray, radius: float) -> FloatArray:
    distance = np.linalg.norm(xy, axis=-1, keepdims=True)
    return xy * np.minimum(1.0, radius / np.maximum(distance, 1e-300))
