"""`bev-trainer convert`: which drives go where, and refusals in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bev_trainer.cli import main
from bev_trainer.dataset.manifest import DriveEntry, Manifest, SpecSection, file_sha256
from bev_trainer.dataset.reader import Drive
from support.bags import assert_one_line
from support.drives import SmallDrive, rig_of_lenses

from bev_perception.errors import BevError
from bev_perception.replay.bag_reader import BagReader

TOPIC = '/front/image/compressed'


@pytest.fixture(scope='module')
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a data set of three drives of one network and one of another."""
    root = tmp_path_factory.mktemp('dataset')
    rig = rig_of_lenses(32, 24)
    rig = rig.model_copy(update={'cameras': rig.cameras[:1]})
    entries = []
    for index in range(4):
        sketch = SmallDrive(
            name=f'drive_{index:06d}',
            network=f'net_{index // 3:06d}',
            split='train' if index < 3 else 'val',
            rig=rig,
            frames=2,
            label_frames=(0,),
            actors=(),
            seed=index,
        )
        path = sketch.write(root / 'drives')
        entries.append(
            DriveEntry(
                name=sketch.name,
                split=sketch.split,
                network=sketch.network,
                rig='one',
                weather='clear',
                frames=2,
                images=2,
                objects=0,
                gl_version='',
                sha256=file_sha256(path),
                bytes=path.stat().st_size,
            )
        )
    spec = SpecSection(
        scenes=4,
        seconds=0.2,
        rigs=(),
        size=None,
        supersample=1,
        seed=0,
        weather='clear',
        image_hz=10,
        label_hz=5,
        scenes_per_network=3,
    )
    manifest = Manifest(spec=spec, versions={}, drives=tuple(entries), maps=())
    (root / 'manifest.json').write_text(manifest.model_dump_json())
    return root


def run(*arguments: object) -> int:
    return main(['convert', *map(str, arguments)])


def jpegs(bag: Path) -> list[bytes]:
    with BagReader(bag) as reader:
        return [bytes(reader.decode(m).data) for m in reader.messages([TOPIC])]


def is_drive(bag: Path, dataset: Path, name: str) -> bool:
    with Drive(dataset / 'drives' / f'{name}.zip') as drive:
        return jpegs(bag) == [drive.jpeg(0, 0), drive.jpeg(1, 0)]


def test_one_named_drive_becomes_the_bag_itself(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out' / 'bag'
    assert run(dataset, '--to', 'bag', '--drive', 'drive_000002', '-o', out) == 0
    assert is_drive(out, dataset, 'drive_000002')
    assert capsys.readouterr().out == f'{out}\n'
    names = {path.name for path in out.parent.iterdir()}
    assert names == {'bag', 'bag_objects.json'}
    file = dataset / 'drives' / 'drive_000001.zip'
    assert run(file, '--to', 'bag', '--out', tmp_path / 'file') == 0
    assert is_drive(tmp_path / 'file', dataset, 'drive_000001')


def test_several_drives_become_a_folder_of_bags(dataset: Path, tmp_path: Path) -> None:
    names = ('drive_000003', 'drive_000000')
    assert run(dataset, '--to', 'bag', '--drive', *names, '-o', tmp_path / 'two') == 0
    assert {p.name for p in (tmp_path / 'two').iterdir() if p.is_dir()} == set(names)
    for name in names:
        assert is_drive(tmp_path / 'two' / name, dataset, name)
    # A split of one drive is a folder, too: what was asked for decides, not what there is.
    assert run(dataset, '--to', 'bag', '--split', 'val', '-o', tmp_path / 'val') == 0
    assert is_drive(tmp_path / 'val' / 'drive_000003', dataset, 'drive_000003')


def test_going_on_with_a_folder_of_bags(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (dataset, '--to', 'bag', '--split', 'train', '-o', tmp_path)
    (tmp_path / 'drive_000001').mkdir()
    assert run(*arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f'{tmp_path}: 1 bags are there already and are kept'
    assert lines[1:] == [str(tmp_path / 'drive_000000'), str(tmp_path / 'drive_000002')]
    assert list((tmp_path / 'drive_000001').iterdir()) == []
    assert run(*arguments) == 0
    assert capsys.readouterr().out.count('\n') == 1


def test_raw_images(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / 'raw'
    assert run(dataset, '--to', 'bag', '--drive', 'drive_000000', '--raw', '-o', out) == 0
    with BagReader(out) as reader:
        types = {t.name: t.type for t in reader.topics()}
    assert types['/front/image'] == 'sensor_msgs/msg/Image' and TOPIC not in types


def test_nuscenes_of_all_and_of_a_split(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more, expected in (((), [0, 1, 2, 3]), (('--split', 'val'), [3])):
        out = tmp_path / f'out{len(more)}'
        assert run(dataset, '--to', 'nuscenes', *more, '-o', out) == 0
        scenes = json.loads((out / 'v1.0-synth' / 'scene.json').read_text())
        assert [scene['name'] for scene in scenes] == [f'drive_{k:06d}' for k in expected]
        assert f'{len(expected)} scenes' in capsys.readouterr().out


def assert_one_error(capsys: pytest.CaptureFixture[str], *words: object) -> None:
    assert_one_line(BevError(capsys.readouterr().err.strip()), *words)


def test_refusals(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = dataset / 'drives' / 'drive_000001.zip'
    (tmp_path / 'there').mkdir()
    for arguments, words in (
        ((dataset, '--to', 'bag', '--drive', 'drive_9'), ("'drive_9'", 'drive_000003')),
        ((dataset, '--to', 'bag', '--split', 'test'), ("'test'", 'no drives')),
        ((dataset, '--to', 'bag', '--split', 'val', '--drive', 'drive_000000'), ("'val'",)),
        ((dataset, '--to', 'nuscenes', '--raw'), ('--raw',)),
        ((file, '--to', 'bag', '--split', 'val'), ('--split', 'drive_000001.zip')),
        ((tmp_path / 'none.zip', '--to', 'bag'), ('none.zip',)),
        ((tmp_path / 'none', '--to', 'nuscenes'), ('no such folder',)),
    ):
        assert run(*arguments, '-o', tmp_path / 'out') == 2
        assert_one_error(capsys, *words)
    for kind in ('bag', 'nuscenes'):
        assert run(dataset, '--to', kind, '--drive', 'drive_000000', '-o', tmp_path / 'there') == 2
        assert_one_error(capsys, tmp_path / 'there', 'exists already')
    assert [path.name for path in tmp_path.iterdir()] == ['there']
