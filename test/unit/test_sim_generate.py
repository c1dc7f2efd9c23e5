"""Data sets made by worker processes: equal bytes, resumed, never half, one line when it fails."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from bev_trainer.dataset.manifest import drive_path, load_dataset, map_path
from bev_trainer.errors import BevError, DatasetError, SimulationError
from bev_trainer.simulate.generate import Progress, generate, header_of
from bev_trainer.simulate.output import OutputFolder
from bev_trainer.simulate.plan import DatasetSpec, Plan, plan
from bev_trainer.simulate.work import WORK
from support import tiny_makers
from support.tiny_makers import UNLUCKY, InlinePool, makers, write_rig

from bev_perception.parallel.pool import LocalPool


@pytest.fixture(scope='module')
def rig(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_rig(tmp_path_factory.mktemp('rig'))


def small_plan(rig: str, scenes: int = 4, **changes) -> Plan:
    values = {'seconds': 0.3, 'size': (32, 16), 'scenes_per_network': 2, 'label_hz': 5}
    return plan(DatasetSpec(scenes=scenes, rigs=(rig,), **{**values, **changes}))


def make(made: Plan, root: Path, who=None, pool=None, report=lambda progress: None):
    return generate(made, who or makers(), root, pool or InlinePool(), report)


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def names(*drives: int) -> set[str]:
    return {f'drive_{index:06d}' for index in drives}


def whole(root: Path) -> set[str]:
    return {path.stem for path in (root / 'drives').glob('*.zip')}


class Kept:
    """Notes how many drives a run found, and which it made."""

    def __init__(self) -> None:
        self.kept = -1
        self.made: list[str] = []

    def __call__(self, progress: Progress) -> None:
        self.kept = progress.kept
        if progress.last:
            self.made.append(progress.last)


@pytest.fixture(scope='module')
def original(tmp_path_factory: pytest.TempPathFactory, rig: str) -> Path:
    """Returns the data set that one run makes, one task after the other."""
    root = tmp_path_factory.mktemp('original')
    make(small_plan(rig), root)
    return root


@pytest.fixture
def expected(tmp_path: Path, original: Path) -> dict[str, bytes]:
    """Returns all files of `original`, of which there is a copy in tmp_path / 'expected'."""
    shutil.copytree(original, tmp_path / 'expected')
    return contents(original)


def test_any_number_of_workers_gives_equal_bytes(tmp_path, rig, expected) -> None:
    assert set(expected) == {
        'dataset.json', 'manifest.json', 'maps/net_000000.geojson', 'maps/net_000001.geojson',
        *(f'drives/{name}.zip' for name in names(0, 1, 2, 3)),
    }  # fmt: skip
    for name, pool in {'1': LocalPool(1), '2': LocalPool(2), '5': InlinePool(5)}.items():
        make(small_plan(rig), tmp_path / name, pool=pool)
        assert contents(tmp_path / name) == expected


def test_manifest_describes_the_files(tmp_path, rig) -> None:
    made = small_plan(rig)
    manifest = make(made, tmp_path / 'out')
    dataset = load_dataset(tmp_path / 'out')
    dataset.verify()
    assert dataset.manifest == manifest
    assert [entry.name for entry in manifest.drives] == [job.name for job in made.drives]
    assert [entry.network for entry in manifest.drives] == ['net_000000'] * 2 + ['net_000001'] * 2
    assert [entry.split for entry in manifest.drives] == ['train', 'train', 'val', 'val']
    assert [(entry.frames, entry.images) for entry in manifest.drives] == [(3, 6)] * 4


def test_progress_counts(tmp_path, rig) -> None:
    seen = []
    make(
        small_plan(rig),
        tmp_path / 'out',
        report=lambda p: seen.append((p.drives, p.images, len(p.records), p.made_images)),
    )
    assert seen == [(4, 24, done, 6 * done) for done in range(5)]


def test_complete_data_set_is_left_alone(tmp_path, rig, expected) -> None:
    root, report = tmp_path / 'expected', Kept()
    times = {name: (root / name).stat().st_mtime_ns for name in expected if 'manifest' not in name}
    idle = makers(tiny_makers.buggy_drive, tiny_makers.forbidden_world)
    make(small_plan(rig), root, idle, report=report)
    assert (report.kept, report.made) == (4, [])
    assert contents(root) == expected
    assert times == {name: (root / name).stat().st_mtime_ns for name in times}


@pytest.mark.parametrize('harm', ['missing', 'truncated', 'flipped', 'another', 'not a file'])
def test_what_is_broken_is_made_again(tmp_path, rig, expected, harm) -> None:
    root = tmp_path / 'expected'
    path = drive_path(root, 'drive_000001')
    content = path.read_bytes()
    path.unlink()
    if harm == 'truncated':
        path.write_bytes(content[:-100])
    elif harm == 'flipped':
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif harm == 'another':
        shutil.copy(drive_path(root, 'drive_000000'), path)
    elif harm == 'not a file':
        path.symlink_to(root / 'nowhere')
    report = Kept()
    make(small_plan(rig), root, report=report)
    assert (report.kept, report.made) == (3, ['drive_000001'])
    assert contents(root) == expected


def test_broken_map_is_made_again(tmp_path, rig, expected) -> None:
    root = tmp_path / 'expected'
    path = map_path(root, 'net_000001')
    path.write_bytes(path.read_bytes()[:-3])
    make(small_plan(rig), root, makers(tiny_makers.buggy_drive))
    assert contents(root) == expected
    path.unlink()
    make(small_plan(rig), root, makers(tiny_makers.buggy_drive))
    assert contents(root) == expected


@pytest.mark.parametrize(
    ('bad', 'said'),
    [
        (tiny_makers.dying_drive, f'{UNLUCKY}: its process was ended by SIGKILL'),
        (tiny_makers.refused_drive, f'{UNLUCKY}: OpenGL is not up to it'),
        (tiny_makers.full_disk_drive, 'No space left on device'),
        (tiny_makers.limited_drive, 'File too large'),
    ],
)
def test_failure_in_a_worker_is_one_line_and_resumed(tmp_path, rig, expected, bad, said) -> None:
    root = tmp_path / 'out'
    with pytest.raises(SimulationError) as caught:
        make(small_plan(rig), root, makers(bad), LocalPool(1))
    message = str(caught.value)
    assert said in message and UNLUCKY in message and '\n' not in message
    # A process that was killed could not tidy up, all others have.
    assert bool(list((root / 'drives').glob('.*'))) == (bad is tiny_makers.dying_drive)
    # What came before is whole, nothing else counts, and there is no data set yet.
    assert whole(root) == names(0, 1)
    with pytest.raises(DatasetError, match='is not complete; run the same'):
        load_dataset(root)
    report = Kept()
    make(small_plan(rig), root, report=report)
    assert (report.kept, report.made) == (2, ['drive_000002', 'drive_000003'])
    assert contents(root) == expected


def test_lost_process_is_replaced_once(tmp_path, rig, expected) -> None:
    root = tmp_path / 'out'
    make(small_plan(rig), root, makers(tiny_makers.dying_once_drive), LocalPool(1))
    assert (tmp_path / 'died').exists()
    assert contents(root) == expected


def test_bug_in_a_worker_keeps_its_traceback(tmp_path, rig) -> None:
    with pytest.raises(RuntimeError, match=r'(?s)tiny_makers.*ZeroDivisionError: a bug') as caught:
        make(small_plan(rig), tmp_path / 'out', makers(tiny_makers.buggy_drive))
    assert not isinstance(caught.value, BevError)


def test_too_few_ways_through_the_traffic(tmp_path, rig) -> None:
    with pytest.raises(SimulationError, match=r'net_000000: only 1 of 2 drives .* lower --scenes'):
        make(small_plan(rig), tmp_path / 'out', makers(make_world=tiny_makers.poor_world))


def test_data_set_grows(tmp_path, rig, expected) -> None:
    root, report = tmp_path / 'expected', Kept()
    made = small_plan(rig, scenes=7)
    make(made, root, report=report)
    assert report.kept == 4 and set(report.made) == names(4, 5, 6)
    load_dataset(root).verify()
    make(made, tmp_path / 'at once')
    assert contents(root) == contents(tmp_path / 'at once')


def test_growing_interrupted_keeps_the_old_drives(tmp_path, rig, expected) -> None:
    root = tmp_path / 'expected'
    with pytest.raises(RuntimeError):
        make(small_plan(rig, scenes=5), root, makers(tiny_makers.buggy_drive))
    assert whole(root) == names(0, 1, 2, 3)
    report = Kept()
    make(small_plan(rig, scenes=5), root, report=report)
    assert (report.kept, report.made) == (4, ['drive_000004'])


def test_data_set_does_not_shrink(tmp_path, rig, expected) -> None:
    root = tmp_path / 'expected'
    with pytest.raises(SimulationError, match='of 4 scenes; it can grow, but not shrink to 3'):
        make(small_plan(rig, scenes=3), root)
    assert contents(root) == expected


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ({'seed': 1}, 'seed 0, now it is 1;'),
        ({'seconds': 0.5}, 'seconds 0.3, now it is 0.5;'),
        ({'size': (24, 16)}, r"rig 'two' \(sha256\) [0-9a-f]{12}, now it is [0-9a-f]{12} \("),
        ({'weather': 'fog'}, 'weather mixed, now it is fog;'),
        ({'label_hz': 10}, 'label_hz 5, now it is 10;'),
    ],
)
def test_another_data_set_is_refused(tmp_path, rig, expected, changes, said) -> None:
    root = tmp_path / 'expected'
    with pytest.raises(SimulationError, match=f'{root}: holds a data set with {said}'):
        make(small_plan(rig, **changes), root)
    assert contents(root) == expected


def test_another_version_is_refused(tmp_path, rig, expected, monkeypatch) -> None:
    monkeypatch.setattr('bev_trainer.simulate.generate.version', lambda name: '0.0.1')
    with pytest.raises(SimulationError, match=r'version of numpy .*, now it is 0\.0\.1; choose'):
        make(small_plan(rig), tmp_path / 'expected')


def test_folder_of_something_else_is_refused(tmp_path, rig) -> None:
    (tmp_path / 'home').mkdir()
    (tmp_path / 'home' / 'thesis.tex').write_text('years of work')
    with pytest.raises(SimulationError, match=r"holds no data set, but 'thesis\.tex'"):
        make(small_plan(rig), tmp_path / 'home')
    assert list(contents(tmp_path / 'home')) == ['thesis.tex']


def test_broken_header_is_refused(tmp_path, rig, expected) -> None:
    (tmp_path / 'expected' / 'dataset.json').write_text('{')
    with pytest.raises(SimulationError, match=r'dataset\.json: .*; choose another --out'):
        make(small_plan(rig), tmp_path / 'expected')


def test_unwritable_folder(tmp_path, rig) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(SimulationError, match=r'file(/out)?: Not a directory'):
        make(small_plan(rig), tmp_path / 'file' / 'out')


def test_second_run_at_the_same_folder_is_refused(tmp_path, rig) -> None:
    made, root = small_plan(rig), tmp_path / 'out'
    with (
        OutputFolder(root, header_of(made, makers())).opened(),
        pytest.raises(SimulationError, match='another run is making this data set; wait'),
    ):
        make(made, root)
    make(made, root)
    assert whole(root) == names(0, 1, 2, 3)


def test_no_room_on_the_disk(tmp_path, rig, monkeypatch) -> None:
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr('shutil.disk_usage', lambda path: usage(1e9, 1e9 - 5e6, 5e6))
    with pytest.raises(SimulationError, match=r'about \S+ MB are needed, 5 MB are free; make'):
        make(small_plan(rig), tmp_path / 'out')
    assert whole(tmp_path / 'out') == set()


def test_remains_of_a_killed_run_are_removed(tmp_path, rig, expected) -> None:
    root = tmp_path / 'out'
    for remains in (
        'drives/.drive_000000.zip.abc.part', 'maps/.net_000000.geojson.x', '.dataset.json.y',
        f'{WORK}/worlds/.net_000000.json.gz', f'{WORK}/scratch/net_000000/half',
        f'{WORK}/records/drive_000000.json',
    ):  # fmt: skip
        path = root / remains
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('half')
    make(small_plan(rig), root)
    assert contents(root) == expected


def test_broken_world_is_made_again(tmp_path, rig, expected) -> None:
    root = tmp_path / 'out'
    with pytest.raises(SimulationError):
        make(small_plan(rig), root, makers(tiny_makers.refused_drive))
    world = root / WORK / 'worlds' / 'net_000001.json.gz'
    world.write_bytes(world.read_bytes()[:-20])
    make(small_plan(rig), root)
    assert contents(root) == expected


def test_folder_that_a_worker_does_not_see(tmp_path, rig) -> None:
    from bev_trainer.simulate.work import make_drive_file, make_world_files

    made = small_plan(rig)
    for call in (
        lambda: make_world_files(makers(), made.networks[0], tmp_path / 'nowhere'),
        lambda: make_drive_file(makers(), made.drives[0], tmp_path / 'nowhere'),
    ):
        with pytest.raises(SimulationError, match=r'is not there on .*folder that all machines'):
            call()
    assert not (tmp_path / 'nowhere').exists()
