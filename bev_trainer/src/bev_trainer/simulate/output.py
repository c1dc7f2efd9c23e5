"""The folder a data set grows in: what is in it already, and what a killed run has left."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from bev_perception.files import write_atomically
from bev_perception.parallel.pool import os_error_text
from bev_trainer.dataset.description import DriveDescription
from bev_trainer.dataset.manifest import (
    DRIVES,
    HEADER,
    MANIFEST,
    MAPS,
    DriveEntry,
    Header,
    Manifest,
    MapEntry,
    drive_path,
    file_sha256,
    load_dataset,
    map_path,
    one_line,
)
from bev_trainer.dataset.reader import Drive
from bev_trainer.dataset.writer import remove_unfinished
from bev_trainer.errors import DatasetError, SimulationError
from bev_trainer.simulate.job import DriveJob
from bev_trainer.simulate.record import DriveRecord
from bev_trainer.simulate.work import WORK, read_record, record_path

_LOCK = 'lock'


class OutputFolder:
    """A data set in the making.

    Args:
        root: its folder.
        header: of what is to be in it.
    """

    def __init__(self, root: Path, header: Header) -> None:
        self.root = root
        self._header = header

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Makes the folder this data set's own, for as long as the block lasts.

        Raises:
            SimulationError: it belongs to another data set, another run is at it, or it cannot
                be written.
        """
        with writable(self.root):
            self._claim()
        with writable(self.root), self._locked():
            self._write_header()
            self._tidy()
            yield

    def finished(self, jobs: Sequence[DriveJob]) -> dict[str, DriveRecord]:
        """Returns the records of the drives that earlier runs have made whole, by name."""
        records = {name: self._record(entry) for name, entry in self._entries().items()}
        for job in jobs:
            noted = read_record(record_path(self.root, job.name))
            if noted is not None:
                records[job.name] = noted
        return {
            job.name: records[job.name]
            for job in jobs
            if job.name in records and self._is_whole(job, records[job.name])
        }

    def complete(self, jobs: Sequence[DriveJob], records: dict[str, DriveRecord]) -> Manifest:
        """Writes the manifest, which makes the data set complete, and removes everything else."""
        manifest = Manifest(
            spec=self._header.spec,
            versions=self._header.versions,
            drives=tuple(_entry(job, records[job.name]) for job in jobs),
            maps=tuple(self._map(network) for network in dict.fromkeys(j.network for j in jobs)),
        )
        content = manifest.model_dump_json(indent=1) + '\n'
        write_atomically(self.root / MANIFEST, content.encode())
        shutil.rmtree(self.root / WORK)
        return manifest

    def _claim(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        found = self._found()
        if found is None:
            strangers = [p.name for p in sorted(self.root.iterdir()) if not _is_ours(p.name)]
            if strangers:
                raise SimulationError(
                    f"{self.root}: holds no data set, but '{strangers[0]}'; choose another --out"
                )
        else:
            self._check_same(found)
        for folder in (DRIVES, MAPS, f'{WORK}/worlds', f'{WORK}/records'):
            (self.root / folder).mkdir(parents=True, exist_ok=True)

    def _found(self) -> Header | None:
        path = self.root / HEADER
        if not path.exists():
            return None
        try:
            return Header.model_validate_json(path.read_bytes())
        except ValidationError as error:
            reason = one_line(error)
            raise SimulationError(f'{path}: {reason}; choose another --out') from error

    def _check_same(self, found: Header) -> None:
        theirs, ours = _flat(found), _flat(self._header)
        scenes = int(theirs.pop('scenes')), int(ours.pop('scenes'))
        names = sorted({*theirs, *ours})
        differing = [name for name in names if theirs.get(name) != ours.get(name)]
        if differing:
            name, more = differing[0], len(differing) - 1
            raise SimulationError(
                f'{self.root}: holds a data set with {name} {theirs.get(name, "absent")}, now it '
                f'is {ours.get(name, "absent")}{f" (and {more} more)" if more else ""}; '
                'choose another --out'
            )
        if scenes[1] < scenes[0]:
            raise SimulationError(
                f'{self.root}: is a data set of {scenes[0]} scenes; it can grow, but '
                f'not shrink to {scenes[1]}; choose another --out'
            )

    def _write_header(self) -> None:
        content = (self._header.model_dump_json(indent=1) + '\n').encode()
        path = self.root / HEADER
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content)

    def _tidy(self) -> None:
        remove_unfinished(self.root / DRIVES)
        for folder, pattern in (('', '.dataset.json.*'), ('', '.manifest.json.*'), (MAPS, '.*')):
            for path in (self.root / folder).glob(pattern):
                path.unlink()
        for folder in ('worlds', 'records'):
            for path in (self.root / WORK / folder).glob('.*'):
                path.unlink()
        shutil.rmtree(self.root / WORK / 'scratch', ignore_errors=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.root / WORK / _LOCK).open('w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SimulationError(
                    f'{self.root}: another run is making this data set; wait for it or stop it'
                ) from error
            yield

    def _entries(self) -> dict[str, DriveEntry]:
        manifest = self._manifest()
        return {entry.name: entry for entry in manifest.drives} if manifest else {}

    def _manifest_maps(self) -> tuple[MapEntry, ...]:
        manifest = self._manifest()
        return manifest.maps if manifest else ()

    def _manifest(self) -> Manifest | None:
        """Returns the manifest of an earlier run that came to its end."""
        try:
            return load_dataset(self.root).manifest
        except DatasetError:
            return None

    def _has_map(self, network: str, noted: MapEntry | None) -> bool:
        path = map_path(self.root, network)
        return path.is_file() and (noted is None or file_sha256(path) == noted.sha256)

    def _record(self, entry: DriveEntry) -> DriveRecord:
        return DriveRecord(
            name=entry.name,
            frames=entry.frames,
            images=entry.images,
            objects=entry.objects,
            sha256=entry.sha256,
            bytes=entry.bytes,
            gl_version=entry.gl_version,
            stage_s={},
        )

    def _is_whole(self, job: DriveJob, record: DriveRecord) -> bool:
        path = drive_path(self.root, job.name)
        try:
            if path.stat().st_size != record.bytes or file_sha256(path) != record.sha256:
                return False
            with Drive(path) as drive:
                return _matches(drive.description, job)
        except (DatasetError, OSError):
            return False

    def _map(self, network: str) -> MapEntry:
        path = map_path(self.root, network)
        return MapEntry(network=network, sha256=file_sha256(path), bytes=path.stat().st_size)

    def networks_with_maps(self, jobs: Sequence[DriveJob]) -> set[str]:
        """Returns the networks of drives whose maps are there, as an earlier run left them."""
        noted = {entry.network: entry for entry in self._manifest_maps()}
        networks = dict.fromkeys(job.network for job in jobs)
        return {name for name in networks if self._has_map(name, noted.get(name))}


@contextmanager
def writable(root: Path) -> Iterator[None]:
    """Turns errors of the system into one line that names the file, or else the folder."""
    try:
        yield
    except OSError as error:
        place = '' if error.filename else f'{root}: '
        raise SimulationError(f'{place}{os_error_text(error)}') from error


def _entry(job: DriveJob, record: DriveRecord) -> DriveEntry:
    return DriveEntry(
        name=job.name,
        split=job.split,
        network=job.network,
        rig=job.rig_name,
        weather=job.weather,
        frames=record.frames,
        images=record.images,
        objects=record.objects,
        gl_version=record.gl_version,
        sha256=record.sha256,
        bytes=record.bytes,
    )


def _matches(description: DriveDescription, job: DriveJob) -> bool:
    found = (
        description.name,
        description.split,
        description.network,
        description.seed,
        description.rig_name,
        description.rig,
        description.weather.name,
        len(description.frame_stamps_ns),
        description.label_frames,
    )
    wanted = (
        job.name,
        job.split,
        job.network,
        job.seed,
        job.rig_name,
        job.rig,
        job.weather,
        job.frames,
        job.label_frames,
    )
    return found == wanted


def _flat(header: Header) -> dict[str, str]:
    """Returns everything that must be equal, as text for messages."""
    spec = header.spec.model_dump(mode='json')
    rigs = {f"rig '{rig['name']}' (sha256)": rig['sha256'][:12] for rig in spec.pop('rigs')}
    order = ', '.join(rig.name for rig in header.spec.rigs)
    size = spec.pop('size')
    versions = {f'version of {name}': text for name, text in header.versions.items()}
    plain = {name: json.dumps(value).strip('"') for name, value in spec.items()}
    sizes = {'size': 'x'.join(map(str, size)) if size else 'of the rig'}
    return {'rigs': order, **plain, **sizes, **rigs, **versions}


def _is_ours(name: str) -> bool:
    return name in (WORK, DRIVES, MAPS) or name.startswith(f'.{HEADER}.') or name == os.curdir
