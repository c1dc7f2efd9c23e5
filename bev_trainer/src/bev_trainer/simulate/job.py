"""The pieces of work that a data set is made of; each is independent of all others of its kind."""

from __future__ import annotations

from dataclasses import dataclass

from bev_perception.geometry.rig_file import RigFile, RigFileVehicle
from bev_trainer.dataset.description import Split
from bev_trainer.world.weather import WeatherName


@dataclass(frozen=True)
class NetworkJob:
    """One road network with its traffic.

    Attributes:
        name: 'net_000123'.
        seed: of roads, scenery and traffic; differs between all networks of a data set.
        vehicle: the ego vehicle of its drives, which takes part in its traffic.
        drives: ways through it that are wanted.
        seconds: length of each.
    """

    name: str
    seed: int
    vehicle: RigFileVehicle
    drives: int
    seconds: float


@dataclass(frozen=True)
class DriveJob:
    """One drive file.

    Attributes:
        index: in the data set.
        name: 'drive_000000'.
        network: name of its network.
        network_seed: of its network.
        drive: which of `World.ego_drives`.
        seed: of the drive's own random streams, below 2**53.
        rig_name: stem of the rig file.
        rig: with intrinsics of the images to draw.
        split: that of its network.
        weather: kind of weather.
        seconds: length.
        image_hz: frames per second.
        label_hz: frames per second with dense labels; divides `image_hz`.
        supersample: samples per pixel, along each side.
    """

    index: int
    name: str
    network: str
    network_seed: int
    drive: int
    seed: int
    rig_name: str
    rig: RigFile
    split: Split
    weather: WeatherName
    seconds: float
    image_hz: int
    label_hz: int
    supersample: int

    @property
    def frames(self) -> int:
        """How many frames fit into the drive."""
        return frame_count(self.seconds, self.image_hz)

    @property
    def label_frames(self) -> tuple[int, ...]:
        """Indices of the frames that carry dense labels."""
        return tuple(range(0, self.frames, self.image_hz // self.label_hz))

    @property
    def images(self) -> int:
        """Camera images in the drive."""
        return self.frames * len(self.rig.cameras)


def frame_count(seconds: float, image_hz: int) -> int:
    """Returns how many frames, evenly spaced from 0 on, lie before `seconds`."""
    return max(int(seconds * image_hz + 1e-6), 0)
