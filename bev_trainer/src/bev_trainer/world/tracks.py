"""Paths of road users through time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bev_trainer.world.catalogue import Rgb
from bev_trainer.world.classes import SemanticClass

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class MotionState:
    """Where a road user is at one time, world frame.

    Attributes:
        x_m: box centre.
        y_m: likewise.
        yaw_rad: heading of the box.
        vx_mps: velocity of the box centre.
        vy_mps: likewise.
        ax_mps2: acceleration of the box centre.
        ay_mps2: likewise.
        travelled_m: path length since the track began (drives the gait of pedestrians).
    """

    x_m: float
    y_m: float
    yaw_rad: float
    vx_mps: float
    vy_mps: float
    ax_mps2: float
    ay_mps2: float
    travelled_m: float


@dataclass(frozen=True, eq=False)
class Track:
    """One road user on its way; parked vehicles are tracks that stand.

    Samples are evenly spaced. Between samples everything is interpolated linearly (yaw the short
    way), so that images at any instant and labels agree exactly.

    Attributes:
        name: unique in the world.
        object_class: what it is.
        model: its shape, a key of `catalogue.MODELS`.
        color_rgb: linear paint or clothes, 0..1.
        length_m: of the box.
        width_m: likewise.
        height_m: likewise; the box stands on the ground.
        start_s: world time of the first sample.
        step_s: between samples.
        x_m: [n] box centre, world frame.
        y_m: [n].
        yaw_rad: [n], unwrapped (no jumps of 2 pi).
        parked: stands for the whole time.
    """

    name: str
    object_class: SemanticClass
    model: str
    color_rgb: Rgb
    length_m: float
    width_m: float
    height_m: float
    start_s: float
    step_s: float
    x_m: FloatArray
    y_m: FloatArray
    yaw_rad: FloatArray
    parked: bool = False

    @property
    def end_s(self) -> float:
        """World time of the last sample; a parked vehicle has no end."""
        return float('inf') if self.parked else self.start_s + self.step_s * (len(self.x_m) - 1)

    def exists(self, time_s: float) -> bool:
        """Whether the road user is in the world at a time."""
        return self.parked or self.start_s <= time_s <= self.end_s

    @cached_property
    def samples(self) -> FloatArray:
        """[n, 8]: the values of `MotionState`, in its order, at every sample."""
        if self.parked:
            still = np.zeros(5)
            return np.concatenate([[self.x_m[0], self.y_m[0], self.yaw_rad[0]], still])[None]
        position = np.stack([self.x_m, self.y_m], axis=-1)
        if len(position) == 1:
            velocity = np.zeros_like(position)
            acceleration = velocity
        else:
            velocity = np.gradient(position, self.step_s, axis=0)
            acceleration = np.gradient(velocity, self.step_s, axis=0)
        steps = np.linalg.norm(np.diff(position, axis=0), axis=-1)
        travelled = np.concatenate([[0.0], np.cumsum(steps)])
        return np.column_stack([position, self.yaw_rad, velocity, acceleration, travelled])

    def state(self, time_s: float) -> MotionState:
        """Returns the state at a time; raises ValueError when it does not exist then."""
        if not self.exists(time_s):
            raise ValueError(f'{self.name} does not exist at {time_s} s')
        columns = self.samples
        if len(columns) == 1:
            return MotionState(*columns[0].tolist())
        place = (time_s - self.start_s) / self.step_s
        index = min(int(place), len(columns) - 2)
        share = place - index
        row = (1.0 - share) * columns[index] + share * columns[index + 1]
        return MotionState(*row.tolist())
