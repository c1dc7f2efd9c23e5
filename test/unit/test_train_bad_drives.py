"""Drives with a torn image or a box that is no number: named, left out, never learned from."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from bev_trainer.cli import main
from bev_trainer.config.sections import ClipSection, DataSection
from bev_trainer.data.clip_stream import ClipDataset, Draw, collate
from bev_trainer.data.drive_source import DriveSource
from bev_trainer.data.sources import open_sources
from bev_trainer.dataset.members import DESCRIPTION
from bev_trainer.dataset.reader import Drive
from bev_trainer.errors import DatasetError
from support.drives import SmallDrive, rig_of_lenses
from support.train_scenes import assert_same_clip
from support.train_set import (
    LABEL_FRAMES,
    lose_box,
    rewrite,
    short_config,
    tear_jpeg,
    write_data_set,
    write_training,
)

from bev_perception.errors import ConfigError


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    return SmallDrive(rig=rig_of_lenses(64, 48), label_frames=LABEL_FRAMES).write(tmp_path)


def source(path: Path) -> DriveSource:
    return DriveSource([path], short_config(), ClipSection(frames=2))


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """Four drives to train on, the second of which is cut off."""
    root = write_data_set(tmp_path / 'city', ('train',) * 4)
    cut_off(root / 'drives' / 'drive_000001.zip')
    return root


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3000])


def opened(path: Path, share: float, split: str | None = 'train') -> DriveSource:
    section, clip = DataSection(path=path, split=split), ClipSection(frames=2)
    (found,) = open_sources([section], short_config(), clip, max_bad_share=share)
    assert isinstance(found, DriveSource)
    return found


def refused(path: Path, share: float, split: str | None = 'train') -> str:
    with pytest.raises(ConfigError) as caught:
        opened(path, share, split)
    message = str(caught.value)
    assert '\n' not in message and message.count(path.name) == 1
    return message


BAD = "drive 'drive_000001': is not a whole drive file: truncated, or something else"


def test_a_file_that_is_no_whole_drive_is_left_out(
    city: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = opened(city, 0.25)
    assert found.problems == (BAD,) and (found.scenes, found.clips, found.cameras) == (3, 6, 3)
    assert [r.message for r in caplog.records] == [
        f'{city}: {BAD}', f'{city}: 1 problem; what remains: 6 clips'
    ]  # fmt: skip
    # Those of the drives behind it are theirs.
    alone = source(city / 'drives' / 'drive_000003.zip')
    assert_same_clip(found.clip(5, None), alone.clip(1, None))


def test_too_many_of_them_are_refused(city: Path) -> None:
    start = f'{city}: 1 of 4 drives cannot be used'
    assert refused(city, 0.0) == f'{start}; the first: {BAD}'
    assert refused(city, 0.2) == (
        f'{start}, more than run.max_bad_share = 0.2 allows; the first: {BAD}'
    )
    for number in (0, 2, 3):
        cut_off(city / 'drives' / f'drive_{number:06d}.zip')
    assert refused(city, 1.0).startswith(f'{city}: 4 of 4 drives cannot be used')
    alone = city / 'drives' / 'drive_000001.zip'
    assert refused(alone, 1.0, None) == (
        f'{alone}: is not a whole drive file: truncated, or something else'
    )


def test_what_is_left_out_is_in_the_summary(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_training(
        tmp_path, city, run={'steps': 1, 'max_bad_share': 0.25}, validation=[],
        optimiser={'warmup_steps': 0, 'schedule': 'cosine'},
    )  # fmt: skip
    assert main(['train', str(file), '-o', str(tmp_path / 'run')]) == 0
    assert f'not used: {city}: {BAD}' in capsys.readouterr().out.splitlines()
    assert (
        main(['export', str(tmp_path / 'run'), '-o', str(tmp_path / 'm'), '--batch-norm', '1'])
        == 0
    )
    assert '| city | train | 3 | 6 |' in (tmp_path / 'm' / 'CARD.md').read_text()


def test_a_drive_that_is_damaged_names_its_file_once(drive: Path) -> None:
    rewrite(drive, DESCRIPTION, lambda content: b'{}')
    with pytest.raises(DatasetError) as caught, Drive(drive) as found:
        _ = found.cameras
    assert str(caught.value).count(str(drive)) == 1


@pytest.mark.parametrize(('kept', 'reason'), [(0.6, 'is cut off'), (0.0, 'neither JPEG nor PNG')])
def test_a_torn_image_is_named(drive: Path, kept: float, reason: str) -> None:
    clips = source(tear_jpeg(drive, frame=2, camera=1, kept=kept))
    with pytest.raises(DatasetError) as caught:
        clips.clip(0, None)  # frames 0 and 2
    message = str(caught.value)
    assert message.startswith(f"{drive}: frame 2 of camera 'left': ") and reason in message
    assert '\n' not in message


def test_a_box_that_is_no_number_is_named(drive: Path) -> None:
    clips = source(lose_box(drive, row=2, frame=4))
    with pytest.raises(DatasetError) as caught:
        clips.clip(1, None)  # frames 2 and 4
    assert str(caught.value) == (
        f"{drive}: frame 4: the box of object 3 ('net_000000_child_2') now or on its way is not "
        'a number'
    )


def test_so_is_one_on_the_way_of_a_box_that_is(drive: Path) -> None:
    """Half a second after frame 2, in frame 7, nobody knows where the road user is."""
    clips = source(lose_box(drive, row=0, frame=7))
    with pytest.raises(DatasetError, match=r'frame 2: the box of object 1 .* on its way'):
        clips.clip(0, None)


def test_the_rest_of_the_drive_is_of_use(drive: Path) -> None:
    clips = source(lose_box(drive, row=2, frame=4))
    dataset = ClipDataset([clips])
    batch = collate([dataset[Draw(index, 0, index, None)] for index in range(clips.clips)])
    assert len(batch.problems) == 1 and 'frame 4' in batch.problems[0]
    assert batch.clip is not None and len(batch.clip.frames[0].images) == clips.clips - 1
    for frame in batch.clip.frames:
        assert frame.targets is not None and frame.targets.heatmap is not None
        assert torch.isfinite(frame.targets.heatmap).all()
