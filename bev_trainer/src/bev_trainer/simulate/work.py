"""What worker processes do: make a world, make a drive; both leave whole files or none."""

from __future__ import annotations

import dataclasses
import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bev_perception.files import write_atomically
from bev_trainer.dataset.manifest import DRIVES, HEADER, map_path
from bev_trainer.errors import DatasetError, SimulationError
from bev_trainer.simulate.job import DriveJob, NetworkJob
from bev_trainer.simulate.map_geojson import map_geojson
from bev_trainer.simulate.record import DriveRecord
from bev_trainer.world.storage import load_world, save_world
from bev_trainer.world.world import World

WORK = '.work'


@dataclass(frozen=True)
class Makers:
    """Who makes worlds and drives; functions at the top level of modules, for other processes.

    Attributes:
        make_world: of a network; its second argument is an empty folder for its own files.
        make_drive: writes `<name>.zip` into the folder given as third argument.
        packages: distributions that decide about the bytes of what is made.
    """

    make_world: Callable[[NetworkJob, Path], World]
    make_drive: Callable[[DriveJob, World, Path], DriveRecord]
    packages: tuple[str, ...]


def world_path(root: Path, network: str) -> Path:
    """Returns where a world is kept while its drives are made."""
    return root / WORK / 'worlds' / f'{network}.json.gz'


def record_path(root: Path, drive: str) -> Path:
    """Returns where it is noted, until the manifest is written, that a drive was made."""
    return root / WORK / 'records' / f'{drive}.json'


def scratch_path(root: Path, network: str) -> Path:
    """Returns the folder for intermediate files of a world."""
    return root / WORK / 'scratch' / network


def make_world_files(makers: Makers, job: NetworkJob, root: Path) -> None:
    """Makes the world and the map of a network, or finds that an earlier run did.

    Raises:
        SimulationError: the world cannot be made.
        OSError: it cannot be written.
    """
    _check_shared(root)
    path = world_path(root, job.name)
    if _loads(path):
        return
    scratch = scratch_path(root, job.name)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    world = dataclasses.replace(makers.make_world(job, scratch), name=job.name)
    if len(world.ego_drives) < job.drives:
        raise SimulationError(
            f'only {len(world.ego_drives)} of {job.drives} drives found a way through the '
            'traffic; lower --scenes-per-network or --seconds, or change --seed'
        )
    write_atomically(map_path(root, job.name), map_geojson(job.name, world.road_map))
    # The world comes last: when it is there, the map is, too.
    partial = path.with_name(f'.{path.name}')
    save_world(world, partial)
    partial.replace(path)
    shutil.rmtree(scratch)


def make_drive_file(makers: Makers, job: DriveJob, root: Path) -> DriveRecord:
    """Makes a drive in the world that is there, and notes that it did.

    Raises:
        SimulationError: the drive cannot be made.
        OSError: it cannot be written.
    """
    _check_shared(root)
    world = _world(world_path(root, job.network))
    record = makers.make_drive(job, world, root / DRIVES)
    write_atomically(record_path(root, job.name), record_json(record))
    return record


def record_json(record: DriveRecord) -> bytes:
    """Returns all of a record that does not differ from run to run."""
    content = dataclasses.asdict(record)
    del content['stage_s']
    return (json.dumps(content, indent=1) + '\n').encode()


def read_record(path: Path) -> DriveRecord | None:
    """Returns the record in a file; None when it is missing or broken."""
    try:
        return DriveRecord(**json.loads(path.read_bytes()), stage_s={})
    except (OSError, ValueError, TypeError):
        return None


def _check_shared(root: Path) -> None:
    if not (root / HEADER).is_file():
        raise SimulationError(
            f'{root} is not there on {socket.gethostname()}; --out must be a folder that all '
            'machines share'
        )


@lru_cache(maxsize=1)
def _world(path: Path) -> World:
    return load_world(path)


def _loads(path: Path) -> bool:
    try:
        _world(path)
    except (DatasetError, SimulationError, OSError):
        return False
    return True
