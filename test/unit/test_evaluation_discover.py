"""What there is to evaluate at a path: recordings, nuScenes tables, other packages' data sets."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bev_trainer.data.drive_labels import DriveFrame
from bev_trainer.data.drive_maps import MIN_PIXELS
from bev_trainer.data.drive_scene import LAYERS, drive_scenes
from bev_trainer.dataset.bag.writer import write_bag as write_drive_bag
from bev_trainer.dataset.manifest import load_dataset
from bev_trainer.dataset.nuscenes.writer import write_nuscenes
from bev_trainer.dataset.reader import Drive
from bev_trainer.errors import DatasetError
from bev_trainer.labels.bev import GROUND_LAYERS
from bev_trainer.targets.occupancy import occupancy_target, semantic_target
from support.bags import MCAP, SQLITE3, assert_one_line, small_drive, storage_file, write_bag
from support.drives import GRID, PERIOD_NS, START_NS, SmallDrive

from bev_perception.errors import BevError
from bev_perception.evaluation.scenes import discover as discover_module
from bev_perception.evaluation.scenes.bag import BagScene
from bev_perception.evaluation.scenes.discover import GROUP, discover
from bev_perception.evaluation.scenes.options import BagOptions, SceneOptions
from bev_perception.evaluation.scenes.scene import OpenScene
from bev_perception.frame import CameraState


def names(path: Path, **options: Any) -> list[str]:
    scenes, refusals = discover(path, SceneOptions(**options))
    assert refusals == []
    return [scene.name for scene in scenes]


def refused(path: Path, *words: object, **options: Any) -> None:
    with pytest.raises(BevError) as error:
        discover(path, SceneOptions(**options))
    assert_one_line(error.value, *words)


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Returns the entry points of the group, name to value, to be filled by the test."""
    found: dict[str, str] = {}

    def entry_points(group: str) -> list[metadata.EntryPoint]:
        assert group == 'bev_perception.datasets' == GROUP
        return [metadata.EntryPoint(name, value, group) for name, value in found.items()]

    monkeypatch.setattr(discover_module.metadata, 'entry_points', entry_points)
    return found


@pytest.fixture(scope='module')
def bags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a, b/c, d/c and e_2.mcap on its own, with ground truth beside all but one."""
    folder = tmp_path_factory.mktemp('bags')
    small_drive((0.0, 0.0, 0.0), 0.2).write(folder / 'a')
    for place in ('b/c', 'd/c'):
        (folder / place).parent.mkdir()
        shutil.copytree(folder / 'a', folder / place)
    shutil.copy(storage_file(folder / 'a'), folder / 'e_2.mcap')
    (folder / 'notes.txt').write_text('nothing')
    return folder


def test_one_recording(bags: Path, entries: dict[str, str]) -> None:
    options = BagOptions(base_frame='rear_axle')
    (scene,), refusals = discover(bags / 'a', SceneOptions(bag=options))
    assert scene == BagScene('a', bags / 'a', options) and refusals == []
    assert names(bags / 'e_2.mcap') == ['e_2']
    assert names(storage_file(bags / 'a'))
    (scene,), _ = discover(bags / 'a', SceneOptions())
    with scene.open() as found:
        assert found.info.name == 'a' and len(found.truth.frames) == 2


def test_a_folder_of_recordings(bags: Path, entries: dict[str, str]) -> None:
    scenes, refusals = discover(bags, SceneOptions())
    assert refusals == []
    assert [scene.name for scene in scenes] == ['a', 'b_c', 'd_c', 'e_2']
    assert names(bags / 'b') == ['c']
    assert names(bags, scenes=('d_c', 'a')) == ['a', 'd_c']
    found, refusals = discover(bags, SceneOptions(scenes=('x', 'a')))
    assert [s.name for s in found] == ['a'] and [r.name for r in refusals] == ['x']
    assert 'no scene of this name' in refusals[0].reason and 'a to e_2' in refusals[0].reason


def test_names_are_unique(tmp_path: Path, entries: dict[str, str]) -> None:
    for place, plugin in (('a/b', MCAP), ('a_b', SQLITE3), ('a_b_2', MCAP)):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        write_bag(tmp_path / place, [], plugin)
    scenes, _ = discover(tmp_path, SceneOptions())
    found = {scene.name: scene.path.relative_to(tmp_path) for scene in scenes}  # type: ignore
    assert found == {'a_b': Path('a/b'), 'a_b_3': Path('a_b'), 'a_b_2': Path('a_b_2')}


def test_options_that_do_not_fit_recordings(bags: Path, entries: dict[str, str]) -> None:
    refused(bags, bags, "split 'val'", 'data sets', split='val')
    truth = BagOptions(truth_file=bags / 'a_objects.json')
    refused(bags, bags, 'one recording', 'there are 4', bag=truth)
    assert names(bags / 'a', bag=truth) == ['a']


def test_nothing_to_evaluate(tmp_path: Path, entries: dict[str, str]) -> None:
    refused(tmp_path / 'none', tmp_path / 'none', 'no such file')
    (tmp_path / 'a.txt').write_text('')
    entries.update(broken='no_such_package:reader', other=f'{__name__}:nobody')
    for path in (tmp_path, tmp_path / 'a.txt'):
        refused(path, path, 'nothing to evaluate', 'broken, other', "'broken' cannot be loaded")


# Data sets of other packages.


@dataclass(frozen=True)
class StubScene:
    """A scene of nothing."""

    name: str

    @contextmanager
    def open(self) -> Iterator[OpenScene]:
        raise AssertionError('finding scenes does not open them')
        yield


def nobody(path: Path, split: str | None) -> None:
    return None


def theirs(path: Path, split: str | None) -> list[StubScene] | None:
    if path.name != 'theirs':
        return None
    if split == 'bad':
        raise DatasetError(f"{path}: has no split 'bad'")
    return [StubScene(f'{split} {k}') for k in (1, 2, 2)]


def test_other_packages_are_asked(tmp_path: Path, bags: Path, entries: dict[str, str]) -> None:
    entries.update(b=f'{__name__}:theirs', a=f'{__name__}:nobody')
    folder = tmp_path / 'theirs'
    folder.mkdir()
    scenes, refusals = discover(folder, SceneOptions(split='val'))
    assert [scene.name for scene in scenes] == ['val 1', 'val 2']
    assert [r.name for r in refusals] == ['val 2'] and 'another scene' in refusals[0].reason
    assert names(folder, scenes=('None 1',)) == ['None 1']
    refused(folder, folder, "no split 'bad'", split='bad')
    # They are not asked for what is a recording.
    shutil.copytree(bags / 'a', tmp_path / 'x' / 'theirs')
    assert names(tmp_path / 'x' / 'theirs') == ['theirs']
    # A package whose dependencies are missing does not stop the others.
    entries['0'] = 'no_such_package:reader'
    assert len(discover(folder, SceneOptions())[0]) == 2


# nuScenes tables and synthetic drives.

DRIVES = (
    SmallDrive(),
    SmallDrive(name='drive_000001', split='val', start=(70.0, 58.0, -0.4), frames=6,
               label_frames=(0, 5)),
)  # fmt: skip


@pytest.fixture(scope='module')
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic data set whose manifest says what is needed here."""
    root = tmp_path_factory.mktemp('city')
    entries = []
    for sketch in DRIVES:
        path = sketch.write(root / 'drives')
        counts = {'frames': 1, 'images': 1, 'objects': 1, 'bytes': path.stat().st_size}
        kind = {'rig': 'car', 'weather': 'clear', 'gl_version': '', 'sha256': '0' * 64}
        entries.append(
            {
                'name': sketch.name,
                'split': sketch.split,
                'network': sketch.network,
                **counts,
                **kind,
            }
        )
    spec = {
        'scenes': 2, 'seconds': 1.0, 'rigs': [], 'size': None, 'supersample': 1, 'seed': 0,
        'weather': 'clear', 'image_hz': 10, 'label_hz': 2, 'scenes_per_network': 1,
    }  # fmt: skip
    manifest = {'format': 1, 'spec': spec, 'versions': {}, 'drives': entries, 'maps': []}
    (root / 'manifest.json').write_text(json.dumps(manifest))
    (root / 'dataset.json').write_text('{}')
    return root


@pytest.fixture(scope='module')
def nuscenes(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('tables') / 'nuscenes'
    write_nuscenes([dataset / 'drives' / f'{d.name}.zip' for d in DRIVES], path)
    return path


def test_nuscenes(nuscenes: Path, entries: dict[str, str]) -> None:
    assert names(nuscenes) == names(nuscenes / 'v1.0-synth') == ['drive_000000', 'drive_000001']
    assert names(nuscenes, split='val') == ['drive_000001']
    assert names(nuscenes, scenes=('drive_000000',)) == ['drive_000000']
    found, refusals = discover(nuscenes, SceneOptions(split='val', scenes=('drive_000000',)))
    assert found == [] and [r.name for r in refusals] == ['drive_000000']
    assert 'drive_000001' in refusals[0].reason
    refused(nuscenes, "no split 'noon'", split='noon')
    refused(nuscenes, "no version 'v1.0-mini'", version='v1.0-mini')
    (scene,), _ = discover(nuscenes, SceneOptions(split='val', sweeps=True))
    with pickle.loads(pickle.dumps(scene)).open() as opened:
        assert len(list(opened.frame_sets())) == 6 and len(opened.truth.frames) == 2


def test_synthetic_data_sets(dataset: Path, entries: dict[str, str], tmp_path: Path) -> None:
    entries['synthetic'] = 'bev_trainer.data.drive_scene:drive_scenes'
    assert names(dataset) == ['drive_000000', 'drive_000001']
    assert names(dataset, split='val') == ['drive_000001']
    assert names(dataset / 'drives' / 'drive_000001.zip') == ['drive_000001']
    refused(dataset, "no split 'noon'", 'train, val, test', split='noon')
    refused(dataset, "no drive in split 'test'", split='test')
    rig = load_dataset(dataset).rigs()[0]
    assert names(dataset, split=f'train/{rig}') == ['drive_000000']
    refused(dataset, "no rig 'tram'", rig, split='train/tram')
    refused(dataset, f"no drive in split 'test/{rig}'", split=f'test/{rig}')
    refused(dataset / 'drives' / 'drive_000001.zip', 'this is one drive', split='val')
    (tmp_path / 'drives').mkdir()
    assert drive_scenes(tmp_path, None) is None and drive_scenes(tmp_path / 'x', None) is None
    (tmp_path / 'dataset.json').write_text('{}')
    refused(tmp_path, tmp_path, 'not complete', 'bev-trainer simulate')


def test_the_entry_point_is_declared() -> None:
    text = (Path(__file__).parents[2] / 'bev_trainer' / 'pyproject.toml').read_text()
    section = text.partition(f'[project.entry-points."{GROUP}"]')[2]
    assert 'synthetic = "bev_trainer.data.drive_scene:drive_scenes"' in section


def opened_drive(dataset: Path) -> Any:
    scenes = drive_scenes(dataset, 'train')
    assert scenes is not None
    (scene,) = scenes
    return pickle.loads(pickle.dumps(scene)).open()


def test_frame_sets_of_a_drive(dataset: Path) -> None:
    sketch = DRIVES[0]
    with opened_drive(dataset) as found, Drive(dataset / 'drives' / 'drive_000000.zip') as drive:
        assert (found.info.source, found.info.duration_s) == ('synthetic', 1.0)
        assert found.info.cameras == ('front', 'left', 'rear_fisheye')
        sets = list(found.frame_sets())
        assert len(sets) == 11 and [f.stamp_ns for f in sets] == list(sketch.stamps_ns())
        for frame, frames in enumerate(sets):
            pose = sketch.world_T_base(START_NS + frame * PERIOD_NS)
            np.testing.assert_allclose(frames.odom_T_base, pose, atol=1e-12)
            assert frames.base_frame == 'base_link'
            for index, sample in enumerate(frames.samples):
                assert sample.state is CameraState.USED and sample.image is not None
                assert sample.stamp_ns == drive.camera_stamp_ns(frame, index)
                assert sample.camera == drive.cameras[index]
                assert sample.image.data.tobytes() == drive.jpeg(frame, index)


def test_objects_of_a_drive_from_their_paths_alone(dataset: Path) -> None:
    sketch = DRIVES[0]
    with opened_drive(dataset) as found:
        truth, table = found.truth, Drive(dataset / 'drives' / 'drive_000000.zip').objects
    assert truth.stamps_ns.tolist() == list(sketch.stamps_ns())
    for frame in (0, 5, 9):
        time_s, objects = frame * PERIOD_NS / 1e9, truth.frames[frame].objects
        present = [
            (row, actor)
            for row, actor in enumerate(sketch.actors)
            if any(start <= time_s <= end for start, end in actor.presence_s)
        ]
        assert objects is not None
        assert objects.class_name == tuple(actor.class_name for _, actor in present)
        assert len(set(objects.track)) == len(objects) and objects.points.max() == -1
        turn = sketch.yaw_rate_radps * time_s
        radius = sketch.speed_mps / sketch.yaw_rate_radps
        at = np.array([radius * np.sin(turn), radius * (1 - np.cos(turn))])
        base_R_start = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        for index, (row, actor) in enumerate(present):
            x, y, yaw = actor.path(time_s)
            expected = base_R_start @ (np.array([x, y]) - at)
            np.testing.assert_allclose(objects.center_m[index, :2], expected, atol=1e-9)
            assert objects.center_m[index, 2] == pytest.approx(actor.size_m[2] / 2)
            assert np.cos(objects.yaw_rad[index] - (yaw - turn)) == pytest.approx(1.0)
            later = np.array(actor.path(time_s + 1e-4)[:2])
            velocity = base_R_start @ (later - (x, y)) / 1e-4
            np.testing.assert_allclose(objects.velocity_mps[index], velocity, atol=1e-2)
            seen, whole = table.visible_pixels[row, frame], table.silhouette_pixels[row, frame]
            share = min(seen.sum() / whole.sum(), 1.0) if whole.sum() else 0.0
            assert objects.visibility[index] == pytest.approx(share, abs=1e-6)
    # The same road user keeps its name.
    first, last = truth.frames[0].objects, truth.frames[9].objects
    assert first is not None and last is not None and first.track[0] == last.track[0]


def test_maps_of_a_drive_are_what_networks_learn(dataset: Path) -> None:
    with opened_drive(dataset) as found:
        frames = found.truth.frames
        assert [k for k, frame in enumerate(frames) if frame.layers] == [0, 5, 10]
        layers = frames[5].layers
        assert tuple(layers) == LAYERS == (*GROUND_LAYERS, 'occupancy')
        drive = Drive(dataset / 'drives' / 'drive_000000.zip')
        labels = DriveFrame(drive, 5, MIN_PIXELS)
        objects = labels.objects((0.0,))
        np.testing.assert_array_equal(
            layers['occupancy'].cells, occupancy_target(labels, objects, GRID)
        )
        ground = semantic_target(labels, objects, GRID, GROUND_LAYERS)
        for name, cells in zip(GROUND_LAYERS, ground, strict=True):
            assert layers[name].grid == GRID and layers[name].cells.dtype == np.int8
            np.testing.assert_array_equal(layers[name].cells, cells)
            assert set(np.unique(layers[name].cells)) <= {-1, 0, 1}
        assert (layers['drivable'].cells == 1).any() and (layers['drivable'].cells == -1).any()


def test_three_ways_to_one_truth(dataset: Path, nuscenes: Path, tmp_path: Path) -> None:
    """The drive itself, its recording and its tables say the same about the same instants."""
    with Drive(dataset / 'drives' / 'drive_000000.zip') as drive:
        write_drive_bag(drive, tmp_path / 'bag')
        start = drive.world_T_base[0]
    bag = BagScene('bag', tmp_path / 'bag')
    (tables, _), _ = discover(nuscenes, SceneOptions())
    with opened_drive(dataset) as a, bag.open() as b, tables.open() as c:
        scenes = [a.truth, b.truth, c.truth]
    assert scenes[0].stamps_ns.tolist() == scenes[1].stamps_ns.tolist()
    assert set(scenes[2].stamps_ns.tolist()) < set(scenes[0].stamps_ns.tolist())
    for stamp_ns in scenes[2].stamps_ns.tolist():
        frames = [scene.nearest(stamp_ns, 0.0) for scene in scenes]
        found = []
        for frame in frames:
            assert frame is not None and frame.objects is not None
            order = np.lexsort(frame.objects.center_m.round(5).T)
            found.append(frame.objects.selected(order))
            assert frame.odom_T_base is not None
        np.testing.assert_allclose(start @ frames[1].odom_T_base, frames[0].odom_T_base, atol=1e-6)
        np.testing.assert_allclose(frames[2].odom_T_base, frames[0].odom_T_base, atol=1e-9)
        for other in found[1:]:
            for name in ('center_m', 'size_m', 'yaw_rad'):
                np.testing.assert_allclose(
                    getattr(found[0], name), getattr(other, name), atol=1e-5, err_msg=name
                )
        np.testing.assert_allclose(found[0].velocity_mps, found[1].velocity_mps, atol=1e-5)
        np.testing.assert_allclose(found[0].visibility, found[1].visibility, atol=1e-6)
        assert found[0].class_name == found[1].class_name
