"""Errors that a user can act on. Programs print them as one line and exit non-zero."""

from __future__ import annotations

from bev_perception.inputs.state import CameraState


class BevError(Exception):
    """Base of every error whose message is meant for the user: what, where, what to do."""


class ConfigError(BevError):
    """A parameter, rig file or model description is wrong."""


class CalibrationError(BevError):
    """A camera calibration is incomplete or impossible."""


class ModelError(BevError):
    """A model folder cannot be loaded: missing file, bad description, weights that do not fit."""


class BagError(BevError):
    """A recording is missing, corrupt, or lacks what is needed."""


class RosUnavailableError(BevError):
    """ROS 2 or the generated messages of this package are not importable."""


class ImageError(BevError):
    """One camera image cannot be used; carries the reason as a machine-readable state.

    Attributes:
        state: the `CameraState` that the camera gets in this frame.
    """

    def __init__(self, state: CameraState, message: str) -> None:
        super().__init__(message)
        self.state = state


class TransformUnavailable(BevError):
    """No transform is known between two frames at the asked time."""
