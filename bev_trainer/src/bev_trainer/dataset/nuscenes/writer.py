"""Writes drives as a data set that nuScenes' development kit loads."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bev_trainer.dataset.manifest import SPLITS, map_path
from bev_trainer.dataset.nuscenes.map_mask import write_map_mask
from bev_trainer.dataset.nuscenes.names import LIDAR, VERSION, camera_channels, constant_tables
from bev_trainer.dataset.nuscenes.scene import SceneExport, key_frames
from bev_trainer.dataset.nuscenes.tables import Tables
from bev_trainer.dataset.reader import Drive
from bev_trainer.dataset.tokens import token
from bev_trainer.errors import DatasetError


def write_nuscenes(drives: Iterable[Path], output: Path, *, root: Path | None = None) -> None:
    """Writes drives of any rigs as one data set in nuScenes' lay-out.

    Tables are in `v1.0-synth/`. Samples are the label frames nearest to every half second of a
    drive; images between two samples are sweeps, those outside are left out. Ego poses are those
    at each camera's own instant. Boxes are those within 80 m, hidden ones included. `LIDAR_TOP`
    lies in base_link: its points come from the depth images. K is that of the images, which keep
    their distortion: `calibrated_sensor` names the lens in additional columns. Other additional
    columns hold what nuScenes has no place for (exact velocities, weather).

    Args:
        drives: drive files, all of different names.
        output: folder to make.
        root: of the data set, for its road maps.

    Raises:
        DatasetError: the output exists or cannot be written, a drive cannot be read, or has no
            label frame.
    """
    output = Path(output).absolute()
    if output.exists():
        raise DatasetError(f'{output}: exists already; remove it or choose another name')
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f'.{output.name}.', dir=output.parent) as scratch:
            made = Path(scratch) / output.name
            _Export(made, root).write(drives)
            os.replace(made, output)
    except OSError as error:
        reason = error.strerror or error
        raise DatasetError(f'{output}: cannot be written: {reason}; nothing was left') from error


class _Export:
    def __init__(self, folder: Path, root: Path | None) -> None:
        self._folder, self._root = folder, root
        self._channels: set[str] = set()
        # By network.
        self._drives: dict[str, list[Path]] = {}
        self._logs: dict[str, list[str]] = {}
        self._scenes: dict[str, list[str]] = {split: [] for split in SPLITS}

    def write(self, drives: Iterable[Path]) -> None:
        (self._folder / VERSION).mkdir(parents=True)
        (self._folder / 'maps').mkdir()
        with Tables(self._folder / VERSION) as tables:
            for table, rows in constant_tables().items():
                for row in rows:
                    tables.add(table, **row)
            for path in drives:
                self._add_drive(tables, path)
            if not self._drives:
                raise DatasetError('there are no drives to convert')
            for channel in sorted(self._channels):
                modality = 'lidar' if channel == LIDAR else 'camera'
                name = token('sensor', channel)
                tables.add('sensor', token=name, channel=channel, modality=modality)
            for network in sorted(self._drives):
                self._add_map(tables, network)
        splits = {f'synth_{split}': names for split, names in self._scenes.items()}
        text = json.dumps(splits, indent=1) + '\n'
        (self._folder / VERSION / 'splits.json').write_text(text, encoding='utf-8')

    def _add_drive(self, tables: Tables, path: Path) -> None:
        with Drive(path) as drive:
            description = drive.description
            keys = key_frames(description)
            if not keys:
                raise DatasetError(f'{path}: has no frame with dense labels')
            scenes = self._scenes[description.split]
            if any(description.name in names for names in self._scenes.values()):
                raise DatasetError(f"{path}: another drive is called '{description.name}', too")
            SceneExport(drive, self._folder, tables, keys).write()
            scenes.append(description.name)
            channels = camera_channels([camera.name for camera in drive.cameras])
            self._channels.update(channels, [LIDAR])
            self._drives.setdefault(description.network, []).append(path)
            self._logs.setdefault(description.network, []).append(token('log', description.name))

    def _add_map(self, tables: Tables, network: str) -> None:
        name = token('map', network)
        write_map_mask(self._folder / 'maps' / f'{name}.png', self._drives[network])
        source = None if self._root is None else map_path(self._root, network)
        if source is not None and source.is_file():
            shutil.copyfile(source, map_path(self._folder, network))
        tables.add(
            'map',
            token=name,
            log_tokens=self._logs[network],
            category='semantic_prior',
            filename=f'maps/{name}.png',
            location=network,
        )
