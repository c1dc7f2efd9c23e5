"""Bad data is named with file and reason, counted, and costs no more than it must."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bev_trainer.augment.plan import AugmentSection
from bev_trainer.config.sections import ClipSection, DataSection
from bev_trainer.data.clip import Clip
from bev_trainer.data.clip_stream import Draw, collate, loader
from bev_trainer.data.scene_source import SceneSource
from bev_trainer.data.sources import open_sources
from bev_trainer.errors import DatasetError
from support.bags import assert_one_line, storage_file, write_bag
from support.drives import START_NS
from support.train_scenes import Formats, scenes_at, short_config, written

from bev_perception.errors import BevError, ConfigError
from bev_perception.evaluation.scenes.bag import BagScene
from bev_perception.replay.bag_reader import BagReader

CONFIG = short_config()
NAMES = ('CAM_FRONT', 'CAM_LEFT', 'CAM_REAR_FISHEYE')


@pytest.fixture(scope='module')
def formats(tmp_path_factory: pytest.TempPathFactory) -> Formats:
    return written(tmp_path_factory.mktemp('formats'))


@pytest.fixture
def tables(formats: Formats, tmp_path: Path) -> Path:
    """nuScenes tables that may be spoiled."""
    return Path(shutil.copytree(formats.nuscenes, tmp_path / 'tables'))


@pytest.fixture
def bag(formats: Formats, tmp_path: Path) -> Path:
    """A recording without the drive's ground truth on topics; beside it, as JSON."""
    beside = formats.bag.with_name(f'{formats.bag.name}_objects.json')
    shutil.copy(beside, tmp_path / 'bag_objects.json')
    return rewritten(formats.bag, tmp_path / 'bag', lambda content: content)


def rewritten(
    bag: Path, target: Path, change: Callable[[list], list], truth: bool = False
) -> Path:
    with BagReader(bag) as reader:
        content = [
            (m.topic, m.log_ns, reader.decode(m))
            for m in reader.messages()
            if truth or not m.topic.startswith('/ground_truth')
        ]
    return write_bag(target, change(content))


def source(path: Path, frames: int = 2) -> SceneSource:
    return SceneSource(scenes_at(path), CONFIG, ClipSection(frames=frames))


def pictures(tables: Path, channel: str) -> list[Path]:
    """Of the key frames, in order."""
    return sorted((tables / 'samples' / channel).iterdir())


def edit(tables: Path, name: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    path = tables / 'v1.0-synth' / f'{name}.json'
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def masks(clip: Clip) -> list[list[bool]]:
    return [frame.camera_mask[0].tolist() for frame in clip.frames]


# Images.


def told(clip: Clip) -> list[str]:
    """What the clip says that it goes without."""
    return [f'{part.kind}: {part}' for part in clip.lost]


def test_a_cut_off_image(tables: Path) -> None:
    fine = source(tables).clip(0, None)
    assert masks(fine) == [[True] * 3] * 2
    file = pictures(tables, 'CAM_LEFT')[1]
    file.write_bytes(file.read_bytes()[:-700])
    found = source(tables)
    assert not found.problems and told(fine) == []
    clip = found.clip(0, None)
    assert masks(clip) == [[True] * 3, [True, False, True]]
    assert not clip.frames[1].images[0, 1].any() and clip.frames[0].images[0, 1].any()
    # The rest is as it was; nothing is asked of where this camera alone looks.
    np.testing.assert_array_equal(clip.frames[1].images[0, 0], fine.frames[1].images[0, 0])
    (lost,) = told(clip)
    assert lost.startswith(f'image: {file}: ') and 'cut off' in lost and '\n' not in lost
    assert found.clip(0, 3).lost == clip.lost and not found.problems
    assert clip.lost[0].sensor == f"{tables}: scene 'drive_000000': camera 'CAM_LEFT'"
    # A batch tells of all its clips, wherever they are made.
    draws = [[Draw(0, 0, 0, None), Draw(1, 0, 0, 7)]]
    for workers in (0, 1):
        (batch,) = loader([found], draws, workers)  # type: ignore[arg-type]
        assert batch.problems == () and batch.clip.lost == 2 * clip.lost
        assert batch.clip.to('cpu').lost == 2 * clip.lost


def test_a_lost_image_stays_black_whatever_is_changed(tables: Path) -> None:
    pictures(tables, 'CAM_LEFT')[0].write_bytes(b'')
    bright = AugmentSection.model_validate({'colors': {'clip': {'brightness': 1.0}}})
    found = SceneSource(scenes_at(tables), CONFIG, ClipSection(), None, bright)
    seen = [found.clip(0, seed).frames[0].images[0] for seed in range(4)]
    assert not any(bool(images[1].any()) for images in seen)
    assert all(bool(images[0].any()) for images in seen)


def test_what_a_lost_camera_alone_shows_is_not_asked(tables: Path) -> None:
    """In the first frame of a clip: later, what it had shown may be remembered."""
    before = source(tables, 1).clip(0, None).frames[0].targets
    for file in pictures(tables, 'CAM_REAR_FISHEYE'):
        file.write_bytes(b'no picture')
    lost = source(tables, 1)
    clip = lost.clip(0, None)
    assert masks(clip) == [[True, True, False]]
    assert ['neither JPEG nor PNG' in line for line in told(clip)] == [True]
    after = clip.frames[0].targets
    assert before is not None and before.semantics is not None
    assert after is not None and after.semantics is not None
    # Nobody looks at the two-wheeler behind any more: it is not asked for, but all else is as it
    # was, for nobody else is there either.
    rider = before.semantics[0, 5] == 1
    assert rider.sum() == 10 and bool((after.semantics[0, 5][rider] == -1).all())
    changed = before.semantics != after.semantics
    assert not bool(changed[0, :, ~rider].any())
    assert bool((after.semantics[0, 4] == 1).any())


def test_a_missing_image(tables: Path) -> None:
    first, second = pictures(tables, 'CAM_FRONT')[:2]
    first.unlink()
    second.unlink()
    found = source(tables)
    (known,) = found.problems
    assert '2 of 9 images are not there' in known and first.name in known
    clip = found.clip(0, None)
    assert masks(clip) == [[False, True, True]] * 2
    assert found.problems == (known,)
    for file, line in zip((first, second), told(clip), strict=True):
        assert f'{file}: cannot be read: No such file' in line


def test_an_image_of_another_size(tables: Path) -> None:
    def wider(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if 'CAM_LEFT' in row['filename']:
                row['width'] += 8

    edit(tables, 'sample_data', wider)
    clip = source(tables).clip(0, None)
    assert masks(clip) == [[True, False, True]] * 2
    for file, line in zip(pictures(tables, 'CAM_LEFT'), told(clip), strict=False):
        assert 'image is 96x72, but the calibration is for 104x72' in line and str(file) in line
    assert len(clip.lost) == 2


def test_a_calibration_that_cannot_be(tables: Path) -> None:
    def spoil(rows: list[dict[str, Any]]) -> None:
        cameras = [row for row in rows if row['camera_intrinsic']]
        cameras[0].update(distortion_model='equidistant', distortion_coefficients=[-9e9, 0, 0, 0])

    edit(tables, 'calibrated_sensor', spoil)
    clip = source(tables).clip(0, None)
    used = masks(clip)
    assert used[0] == used[1] and sum(used[0]) == 2
    name = NAMES[used[0].index(False)]
    # That of both frames.
    assert len(clip.lost) == 2 and clip.lost[0] == clip.lost[1]
    assert f"camera '{name}': cannot be brought to the model's input" in str(clip.lost[0])

    def nonsense(rows: list[dict[str, Any]]) -> None:
        next(row for row in rows if row['camera_intrinsic'])['camera_intrinsic'][0][0] = 0.0

    edit(tables, 'calibrated_sensor', nonsense)
    with pytest.raises(BevError) as error:
        scenes_at(tables)
    assert_one_line(error.value, 'calibrated_sensor.json', 'row', 'positive focal lengths')


def test_a_calibration_that_changes_within_a_clip(tables: Path) -> None:
    """The second sample's left camera is another one, that looks elsewhere."""

    def add(rows: list[dict[str, Any]]) -> None:
        left = next(r for r in rows if r['token'] == used[0])
        turned = [left['rotation'][1], *(-v for v in left['rotation'][:1]), *left['rotation'][2:]]
        rows.append({**left, 'token': 'other', 'rotation': turned})

    used: list[str] = []

    def other(rows: list[dict[str, Any]]) -> None:
        mine = [r for r in rows if 'CAM_LEFT' in r['filename'] and r['is_key_frame']]
        used.append(mine[0]['calibrated_sensor_token'])
        mine[0]['calibrated_sensor_token'] = 'other'

    edit(tables, 'sample_data', other)
    edit(tables, 'calibrated_sensor', add)
    clip = source(tables).clip(0, None)
    assert masks(clip) == [[True, False, True], [True] * 3]
    assert ['calibrated otherwise later in the clip' in line for line in told(clip)] == [True]


def test_no_camera_is_left(tables: Path) -> None:
    for channel in NAMES:
        file = pictures(tables, channel)[0]
        file.write_bytes(file.read_bytes()[:300])
    found = source(tables)
    with pytest.raises(DatasetError) as error:
        found.clip(0, None)
    assert_one_line(error.value, "scene 'drive_000000'", 'no camera has an image at', 'cut off')
    # As training counts it: left out, and why.
    batch = collate([(None, str(error.value))])
    assert batch.clip is None and batch.problems == (str(error.value),)
    (batch,) = loader([found], [[Draw(0, 0, 0, None)]], workers=0)  # type: ignore[arg-type]
    assert batch.clip is None and 'no camera has an image' in batch.problems[0]


def test_images_of_a_recording(formats: Formats, tmp_path: Path) -> None:
    def cut(content: list) -> list:
        images = [m for topic, _, m in content if topic == '/front/image/compressed']
        images[0].data = images[0].data[:-500]
        return content

    path = rewritten(formats.bag, tmp_path / 'bag', cut, truth=True)
    found = source(path)
    assert not found.problems and found.clips == 1
    clip = found.clip(0, None)
    assert masks(clip) == [[True, False, True], [True] * 3]
    (lost,) = told(clip)
    assert lost.startswith(f'image: {path}: /front/image/compressed at ') and 'cut off' in lost


def test_a_camera_of_a_recording_that_stops(formats: Formats, tmp_path: Path) -> None:
    def stop(content: list) -> list:
        end_ns = content[0][1] + 350_000_000
        return [c for c in content if not (c[0] == '/rear/image/compressed' and c[1] > end_ns)]

    found = source(rewritten(formats.bag, tmp_path / 'bag', stop, truth=True))
    clip = found.clip(0, None)
    assert masks(clip) == [[True] * 3, [True, True, False]]
    (lost,) = told(clip)
    at = f'/rear/image/compressed at {START_NS + 500_000_000} ns'
    assert at in lost and lost.endswith('has no image: missing')


# Ground truth.


def test_a_box_of_no_numbers_in_tables(tables: Path) -> None:
    def spoil(rows: list[dict[str, Any]]) -> None:
        rows[5]['translation'][1] = math.nan

    edit(tables, 'sample_annotation', spoil)
    with pytest.raises(BevError) as error:
        open_sources([DataSection(path=tables)], CONFIG, ClipSection())
    words = ('sample_annotation.json', 'row 5', "'translation'", '3 finite numbers')
    assert_one_line(error.value, *words)


def test_a_box_of_no_numbers_beside_a_recording(
    bag: Path, formats: Formats, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The recording is left out by itself; that beside it is trained on."""
    shutil.copytree(formats.bag, tmp_path / 'good')
    file = tmp_path / 'bag_objects.json'
    entries = json.loads(file.read_text())
    entries[3]['objects'][1]['center_m'][0] = math.nan
    file.write_text(json.dumps(entries))
    with caplog.at_level(logging.WARNING):
        (found,) = open_sources([DataSection(path=tmp_path)], CONFIG, ClipSection())
    assert isinstance(found, SceneSource) and found.clips == 1
    (problem,) = found.problems
    assert "scene 'bag'" in problem and str(file) in problem
    assert 'frame 3, objects[1].center_m[0]: must be a finite number' in problem
    assert [r.message for r in caplog.records] == [
        f'{tmp_path}: {problem}', f'{tmp_path}: 1 problem; what remains: 1 clip',
    ]  # fmt: skip


def test_a_box_of_no_numbers_in_a_message(formats: Formats, tmp_path: Path) -> None:
    def spoil(content: list) -> list:
        for topic, _, message in content:
            if topic == '/ground_truth/objects':
                message.objects[0].pose.pose.position.x = math.nan
        return content

    path = rewritten(formats.bag, tmp_path / 'bag', spoil, truth=True)
    found, whole = source(path), source(formats.bag)
    (problem,) = found.problems
    assert 'objects that are no boxes are left out (11 times)' in problem
    ours, theirs = (one.clip(0, None).frames[0].targets for one in (found, whole))
    assert ours is not None and theirs is not None
    assert ours.existence is not None and theirs.existence is not None
    assert 0 < float(ours.existence.sum()) < float(theirs.existence.sum())


# Whole scenes.


def test_a_recording_that_cannot_be_opened(
    bag: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ('cut', 'untold'):
        shutil.copytree(bag, tmp_path / name)
    cut = storage_file(tmp_path / 'cut')
    cut.write_bytes(cut.read_bytes()[:-5000])
    found = source(tmp_path)
    assert found.clips == 1 and found.cameras == 3 and len(found.problems) == 2
    assert "scene 'cut'" in found.problems[0] and 'mend it' in found.problems[0]
    assert "scene 'untold'" in found.problems[1] and 'no ground truth' in found.problems[1]
    shutil.rmtree(bag)
    with pytest.raises(ConfigError) as error:
        open_sources([DataSection(path=tmp_path)], CONFIG, ClipSection())
    assert_one_line(
        error.value, tmp_path, 'nothing in it makes a clip', "scene 'cut'", '1 problem'
    )


def test_scenes_that_are_too_short(formats: Formats) -> None:
    found = source(formats.nuscenes, frames=3)
    assert found.clips == 0 and '2 frames can be labelled, but 3 are needed' in found.problems[0]
    config = short_config(steps=3)
    far = SceneSource(scenes_at(formats.bag), config, ClipSection(frames=1))
    assert far.clips == 0
    assert 'no frame set has ground truth' in far.problems[0] and '1.5 s' in far.problems[0]
    with pytest.raises(ConfigError) as error:
        open_sources([DataSection(path=formats.bag)], config, ClipSection(frames=1))
    assert_one_line(error.value, formats.bag, 'makes no clip')


def test_a_recording_that_is_removed_meanwhile(bag: Path) -> None:
    found = source(bag)
    shutil.rmtree(bag)
    with pytest.raises(DatasetError) as error:
        found.clip(0, None)
    assert_one_line(error.value, bag, 'no camera has an image', 'no such bag')


def test_scenes_are_recordings_of_their_own(bag: Path) -> None:
    scenes = [BagScene('a', bag), BagScene('b', bag)]
    found = SceneSource(scenes, CONFIG, ClipSection())
    assert found.clips == 2 and found.problems == ()
