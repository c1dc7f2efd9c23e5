"""The makers of real worlds and drives: SUMO and OpenGL."""

from __future__ import annotations

from pathlib import Path

from bev_trainer.simulate.job import NetworkJob
from bev_trainer.simulate.make_drive import drawing_context, make_drive
from bev_trainer.simulate.work import Makers
from bev_trainer.traffic.maker import make_world
from bev_trainer.traffic.spec import TrafficSpec
from bev_trainer.traffic.tools import sumo_home
from bev_trainer.world.world import World

PACKAGES = (
    'bev_trainer',
    'eclipse-sumo',
    'moderngl',
    'numpy',
    'opencv-python-headless',
    'shapely',
    'zlib-ng',
)


def network_world(job: NetworkJob, scratch: Path) -> World:
    """Returns the world of a network; see `make_world`.

    Raises:
        SimulationError: it cannot be made, or could not be drawn: no time is spent on it then.
    """
    sumo_home()
    drawing_context()
    return make_world(TrafficSpec(job.seed, job.vehicle, job.drives, job.seconds), scratch)


REAL = Makers(network_world, make_drive, PACKAGES)
