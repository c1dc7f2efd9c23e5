"""Errors of the trainer that a user can act on; programs print them as one line."""

from __future__ import annotations

from bev_perception.errors import BevError


class SimulationError(BevError):
    """A synthetic drive cannot be made: SUMO, OpenGL, the rig or the disk is not up to it."""


class DatasetError(BevError):
    """A data set or a drive in it is missing, incomplete or corrupt."""
