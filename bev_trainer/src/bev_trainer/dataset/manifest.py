"""What a data set says about itself (`manifest.json`), and the way to its drives."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bev_trainer.dataset.description import Split
from bev_trainer.errors import DatasetError

MANIFEST = 'manifest.json'
HEADER = 'dataset.json'
DRIVES = 'drives'
MAPS = 'maps'
SPLITS: tuple[Split, ...] = get_args(Split)

_Sha256 = Annotated[str, Field(pattern='^[0-9a-f]{64}$')]
_Count = Annotated[int, Field(ge=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class RigSection(_Section):
    """A rig as asked for.

    Attributes:
        name: stem of its file.
        sha256: of its content, at the size of the images.
    """

    name: str
    sha256: _Sha256


class SpecSection(_Section):
    """Everything the content of a data set follows from; see `simulate.plan.DatasetSpec`."""

    scenes: Annotated[int, Field(ge=1)]
    seconds: float
    rigs: tuple[RigSection, ...]
    size: tuple[int, int] | None
    supersample: int
    seed: int
    weather: str
    image_hz: int
    label_hz: int
    scenes_per_network: int


class Header(_Section):
    """`dataset.json`: what is being made, written before anything else.

    Attributes:
        format: version of the lay-out.
        spec: what was asked for.
        versions: of the packages that decide about the bytes.
    """

    format: Literal[1] = 1
    spec: SpecSection
    versions: dict[str, str]


class DriveEntry(_Section):
    """One drive of the data set.

    Attributes:
        name: the file is `drives/<name>.zip`.
        split: that of its network.
        network: name of the road network.
        rig: name of the rig.
        weather: kind of weather.
        frames: reference instants.
        images: camera images.
        objects: road users that come near.
        gl_version: of the OpenGL that drew it.
        sha256: of the file.
        bytes: size of the file.
    """

    name: str
    split: Split
    network: str
    rig: str
    weather: str
    frames: _Count
    images: _Count
    objects: _Count
    gl_version: str
    sha256: _Sha256
    bytes: _Count


class MapEntry(_Section):
    """One road map: `maps/<network>.geojson`."""

    network: str
    sha256: _Sha256
    bytes: _Count


class Manifest(_Section):
    """`manifest.json`: the whole data set, written after everything else.

    Attributes:
        format: version of the lay-out.
        spec: what was asked for.
        versions: of the packages that decide about the bytes.
        drives: in the order of the plan.
        maps: by network.
    """

    format: Literal[1] = 1
    spec: SpecSection
    versions: dict[str, str]
    drives: tuple[DriveEntry, ...]
    maps: tuple[MapEntry, ...]


@dataclass(frozen=True)
class Dataset:
    """A complete data set on disk.

    Attributes:
        root: its folder.
        manifest: what it holds.
    """

    root: Path
    manifest: Manifest

    def drives(self, split: Split | None = None, rig: str | None = None) -> list[Path]:
        """Returns the drive files of a split and of a rig, in the order of the manifest.

        Args:
            split: None: all.
            rig: name; None: all.
        """
        return [
            drive_path(self.root, entry.name)
            for entry in self.manifest.drives
            if split in (None, entry.split) and rig in (None, entry.rig)
        ]

    def rigs(self) -> list[str]:
        """Returns the names of the rigs of the drives."""
        return list(dict.fromkeys(entry.rig for entry in self.manifest.drives))

    def verify(self) -> None:
        """Reads every file and compares it with the manifest.

        Raises:
            DatasetError: names the first file that is missing or differs.
        """
        for entry in self.manifest.drives:
            _verify_file(drive_path(self.root, entry.name), entry)
        for street in self.manifest.maps:
            _verify_file(map_path(self.root, street.network), street)


def load_dataset(root: str | Path) -> Dataset:
    """Returns the data set in a folder.

    Raises:
        DatasetError: there is none, it is not complete yet, or its manifest is wrong.
    """
    root = Path(root)
    path = root / MANIFEST
    if not path.is_file():
        raise DatasetError(f'{root}: {_why_no_manifest(root)}')
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DatasetError(f'{path}: cannot be read: {error.strerror}') from error
    except ValidationError as error:
        raise DatasetError(f'{path}: {one_line(error)}') from error
    return Dataset(root, manifest)


def is_dataset(root: Path) -> bool:
    """Returns whether there is a data set in a folder, complete or not."""
    return (root / DRIVES).is_dir() and any((root / n).is_file() for n in (HEADER, MANIFEST))


def drive_path(root: Path, name: str) -> Path:
    """Returns where a drive lies."""
    return root / DRIVES / f'{name}.zip'


def map_path(root: Path, network: str) -> Path:
    """Returns where the map of a network lies."""
    return root / MAPS / f'{network}.geojson'


def file_sha256(path: Path) -> str:
    """Returns the hash of a file, hexadecimal; raises OSError."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def one_line(error: ValidationError) -> str:
    """Returns the first problem: which field, and what is wrong with it."""
    first = error.errors()[0]
    place = '.'.join(str(part) for part in first['loc']) or 'content'
    return f'{place}: {first["msg"][:1].lower()}{first["msg"][1:]}'.replace('\n', ' ')


def _verify_file(path: Path, entry: DriveEntry | MapEntry) -> None:
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            raise DatasetError(f'{path}: has {size} bytes, the manifest says {entry.bytes}')
        if file_sha256(path) != entry.sha256:
            raise DatasetError(f'{path}: its content is not what the manifest says (sha256)')
    except FileNotFoundError as error:
        raise DatasetError(f'{path}: is missing, the manifest lists it') from error
    except OSError as error:
        raise DatasetError(f'{path}: cannot be read: {error.strerror}') from error


def _why_no_manifest(root: Path) -> str:
    if not root.exists():
        return 'no such folder'
    if (root / HEADER).exists():
        return 'is not complete; run the same `bev-trainer simulate` again to go on with it'
    return f'is not a data set: it has no {MANIFEST}'
