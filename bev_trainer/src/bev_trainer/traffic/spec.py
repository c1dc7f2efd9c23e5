"""What traffic to make."""

from __future__ import annotations

from dataclasses import dataclass

from bev_perception.geometry.rig_file import RigFileVehicle


@dataclass(frozen=True)
class TrafficSpec:
    """One road network with its traffic and its ego drives.

    Attributes:
        network_seed: decides everything that is random.
        vehicle: the vehicle under test.
        drives: how many ego drives there shall be.
        drive_s: seconds that each lasts.
        radius_m: about half the size of the network.
    """

    network_seed: int
    vehicle: RigFileVehicle
    drives: int
    drive_s: float
    radius_m: float = 205.0
