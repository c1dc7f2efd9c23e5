"""A set of calibrated cameras on one vehicle."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera


@dataclass(frozen=True)
class CameraRig:
    """Cameras in a fixed order, posed in one base frame; names are unique.

    Attributes:
        base_frame: frame that every `base_T_camera` maps to.
        cameras: any number, any placement.

    Raises:
        ConfigError: two cameras share a name.
    """

    base_frame: str
    cameras: tuple[Camera, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, 'cameras', tuple(self.cameras))
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise ConfigError(f"rig: camera name '{twice[0]}' is used twice; rename one")

    @property
    def names(self) -> tuple[str, ...]:
        """Camera names, in rig order."""
        return tuple(camera.name for camera in self.cameras)

    def key(self) -> bytes:
        """Returns a hash of base frame, names, order and the geometry of all cameras."""
        digest = hashlib.sha256(repr((self.base_frame, self.names)).encode())
        for camera in self.cameras:
            digest.update(camera.key())
        return digest.digest()
