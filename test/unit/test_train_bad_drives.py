"""Drives with a torn image or a box that is no number: named, left out, never learned from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bev_trainer.config.sections import ClipSection
from bev_trainer.data.clip_stream import ClipDataset, Draw, collate
from bev_trainer.data.drive_source import DriveSource
from bev_trainer.errors import DatasetError
from support.drives import SmallDrive, rig_of_lenses
from support.train_set import LABEL_FRAMES, lose_box, short_config, tear_jpeg


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    return SmallDrive(rig=rig_of_lenses(64, 48), label_frames=LABEL_FRAMES).write(tmp_path)


def source(path: Path) -> DriveSource:
    return DriveSource([path], short_config(), ClipSection(frames=2))


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
