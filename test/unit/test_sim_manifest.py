"""Data sets by their manifest: what is read back, and what is said of broken ones."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from bev_trainer.dataset.description import Split
from bev_trainer.dataset.manifest import (
    DriveEntry,
    Header,
    Manifest,
    MapEntry,
    RigSection,
    SpecSection,
    drive_path,
    load_dataset,
    map_path,
)
from bev_trainer.errors import DatasetError

SPEC = SpecSection(
    scenes=3, seconds=2.5, rigs=(RigSection(name='two', sha256='0' * 64),), size=None,
    supersample=1, seed=2**62, weather='mixed', image_hz=10, label_hz=2, scenes_per_network=1,
)  # fmt: skip
SPLITS: tuple[Split, ...] = ('train', 'val', 'train')


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data set whose drives are a few bytes."""
    drives, maps = [], []
    for index, split in enumerate(SPLITS):
        name, network = f'drive_{index:06d}', f'net_{index:06d}'
        drive, street = f'drive {index}'.encode(), f'map {index}'.encode()
        for path, content in (
            (drive_path(tmp_path, name), drive), (map_path(tmp_path, network), street)
        ):  # fmt: skip
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        drives.append(
            DriveEntry(
                name=name, split=split, network=network, rig='two', weather='fog', frames=25,
                images=50, objects=index, gl_version='4.5', bytes=len(drive),
                sha256=hashlib.sha256(drive).hexdigest(),
            )
        )  # fmt: skip
        digest = hashlib.sha256(street).hexdigest()
        maps.append(MapEntry(network=network, sha256=digest, bytes=len(street)))
    manifest = Manifest(
        spec=SPEC, versions={'numpy': '2.0'}, drives=tuple(drives), maps=tuple(maps)
    )
    (tmp_path / 'manifest.json').write_text(manifest.model_dump_json(indent=1))
    return tmp_path


def test_round_trip(root: Path) -> None:
    dataset = load_dataset(root)
    assert dataset.manifest.spec == SPEC
    assert dataset.manifest.versions == {'numpy': '2.0'}
    assert [entry.objects for entry in dataset.manifest.drives] == [0, 1, 2]
    assert load_dataset(str(root)).manifest == dataset.manifest
    dataset.verify()


def test_drives_by_split(root: Path) -> None:
    dataset = load_dataset(root)
    assert [path.name for path in dataset.drives()] == [f'drive_{k:06d}.zip' for k in range(3)]
    assert [path.stem for path in dataset.drives('train')] == ['drive_000000', 'drive_000002']
    assert dataset.drives('val') == [root / 'drives' / 'drive_000001.zip']
    assert dataset.drives('test') == []


@pytest.mark.parametrize('file', ['drives/drive_000001.zip', 'maps/net_000002.geojson'])
@pytest.mark.parametrize(
    ('harm', 'said'),
    [
        (lambda content: content[:-1], 'bytes, the manifest says'),
        (lambda content: content[:-1] + b'x', 'its content is not what the manifest says'),
        (None, 'is missing, the manifest lists it'),
    ],
)
def test_verify_names_the_broken_file(root: Path, file: str, harm, said: str) -> None:
    path = root / file
    content = path.read_bytes()
    path.unlink()
    if harm is not None:
        path.write_bytes(harm(content))
    with pytest.raises(DatasetError) as caught:
        load_dataset(root).verify()
    assert str(caught.value).startswith(f'{path}: ') and said in str(caught.value)


def test_verify_of_a_folder_in_the_place_of_a_file(root: Path) -> None:
    path = drive_path(root, 'drive_000000')
    path.unlink()
    path.mkdir()
    with pytest.raises(DatasetError, match=str(path)):
        load_dataset(root).verify()


def test_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match='nowhere: no such folder'):
        load_dataset(tmp_path / 'nowhere')
    with pytest.raises(DatasetError, match=r'is not a data set: it has no manifest\.json'):
        load_dataset(tmp_path)


def test_incomplete_data_set(root: Path) -> None:
    (root / 'manifest.json').unlink()
    header = Header(spec=SPEC, versions={})
    (root / 'dataset.json').write_text(header.model_dump_json())
    with pytest.raises(DatasetError, match=r'is not complete; run the same `bev-trainer simul'):
        load_dataset(root)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda content: content.pop('drives'), r'manifest\.json: drives: field required'),
        (lambda content: content.update(format=2), r'manifest\.json: format: input should be 1'),
        (lambda content: content.update(colour=2), r'manifest\.json: colour: extra inputs are'),
        (
            lambda content: content['drives'][1].update(sha256='beef'),
            r'manifest\.json: drives\.1\.sha256: string should match',
        ),
        (
            lambda content: content['drives'][2].update(split='trian'),
            r'manifest\.json: drives\.2\.split: input should be',
        ),
    ],
)
def test_wrong_manifest(root: Path, change, said: str) -> None:
    path = root / 'manifest.json'
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=said) as caught:
        load_dataset(root)
    assert '\n' not in str(caught.value)


def test_truncated_manifest(root: Path) -> None:
    path = root / 'manifest.json'
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DatasetError, match=r'manifest\.json: content: invalid JSON'):
        load_dataset(root)
