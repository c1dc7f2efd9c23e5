"""Looks at validation clips: what is counted, what is drawn, what is left as it was."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from bev_trainer.averaging.evaluate import even_clips, losses_of
from bev_trainer.config.sections import ClipSection
from bev_trainer.data.clip import Clip
from bev_trainer.data.clip_stream import Batch
from bev_trainer.data.drive_labels import DriveFrame
from bev_trainer.data.drive_source import DriveSource
from bev_trainer.dataset.reader import Drive
from bev_trainer.training.pictures import decoded, save_picture, true_frame
from bev_trainer.training.validation import look_at
from bev_trainer.training.watch import figures_of
from support.train_set import short_config, write_data_set

from bev_perception.evaluation.class_map import model_class
from bev_perception.model.bev_model import BevModel


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> DriveSource:
    root = write_data_set(tmp_path_factory.mktemp('look') / 'data', ('val', 'val'))
    drives = sorted((root / 'drives').glob('*.zip'))
    return DriveSource(drives, short_config(), ClipSection(frames=2))


@pytest.fixture
def model() -> BevModel:
    torch.manual_seed(1)
    return BevModel(short_config()).train()


def batches(source: DriveSource) -> list[Clip]:
    return list(even_clips(source, 4, 2))


def test_losses_are_those_in_evaluation_mode(source: DriveSource, model: BevModel) -> None:
    clips = batches(source)
    seen = look_at(model, [Batch(clip) for clip in clips], pos_weight=2.0)
    figures = figures_of([seen.sums])
    losses = {n.removeprefix('loss/'): v for n, v in figures.items() if n.startswith('loss/')}
    assert losses == pytest.approx(losses_of(model, clips))
    assert 'iou/drivable' in figures and seen.problems == ()
    assert all(module.training for module in model.modules())


def test_a_look_changes_nothing(source: DriveSource, model: BevModel) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = look_at(model, map(Batch, batches(source)), 2.0)
    assert look_at(model, map(Batch, batches(source)), 2.0) == first
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_clips_that_cannot_be_read_are_named(source: DriveSource, model: BevModel) -> None:
    clips = batches(source)
    spoilt = [Batch(None, ('a: torn', 'b: gone')), Batch(clips[0], ('c: empty',))]
    seen = look_at(model, spoilt, 2.0)
    assert seen.problems == ('a: torn', 'b: gone', 'c: empty')
    assert seen.sums == look_at(model, [Batch(clips[0])], 2.0).sums


def test_it_ends_when_it_is_enough(source: DriveSource, model: BevModel) -> None:
    clips, asked = batches(source), iter([False, True])
    seen = look_at(model, map(Batch, clips), 2.0, lambda: next(asked))
    assert seen.sums == look_at(model, [Batch(clips[0])], 2.0).sums


def test_labels_are_drawn_as_what_a_perfect_model_says(source: DriveSource) -> None:
    config = short_config()
    clip = source.clip(0, None)
    targets = clip.frames[-1].targets
    assert targets is not None and targets.semantics is not None and config.heads.objects
    frame = true_frame(config, targets)
    with Drive(source._drives[0]) as drive:
        labels = DriveFrame(drive, 2, 10).objects((0.0, 0.5))
    classes = config.heads.objects.classes
    grid = config.head_grid('objects')
    _, _, inside = grid.to_cell(labels.center_m[:, 0], labels.center_m[:, 1])
    expected = {
        (round(x, 2), round(y, 2), model_class(name, classes))
        for (x, y, _), name, there in zip(
            labels.center_m.tolist(), labels.class_name, labels.visible & inside, strict=True
        )
        if there
    }
    assert frame.objects and len(expected) >= 3
    found = {
        (round(item.center_m[0], 2), round(item.center_m[1], 2), item.classes[0].name)
        for item in frame.objects
    }
    assert found == expected
    semantics, occupancy = targets.semantics[0].numpy(), targets.occupancy
    assert frame.semantics is not None and frame.occupancy is not None and occupancy is not None
    assert np.array_equal(frame.semantics > 0.5, semantics == 1)
    assert np.array_equal(frame.occupancy > 0.5, occupancy[0, 0].numpy() == 1)
    assert np.array_equal(frame.observed, (semantics >= 0).any(0) | (occupancy[0, 0].numpy() >= 0))
    moving = [item for item in frame.objects if item.trajectories]
    assert moving and frame.future_occupancy is not None


def test_the_picture_shows_both_and_the_model_is_as_before(
    source: DriveSource, model: BevModel, tmp_path: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    path = tmp_path / 'pictures' / 'step_000001.png'
    (clip,) = even_clips(source, 2, 2)
    save_picture(path, model, clip, 'step 1')
    image = cv2.imread(str(path))
    assert image is not None and image.shape == (1210, 1600, 3)
    left, right = image[330:1000, :800], image[330:1000, 800:]
    assert (left != right).any()
    save_picture(path, model, Clip.collate([source.clip(0, None)]), 'step 1')
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training


def test_parts_that_a_model_does_not_have_are_left_out(source: DriveSource) -> None:
    config = short_config()
    heads = config.heads.model_copy(update={'motion': None, 'trajectories': None})
    lean = config.model_copy(update={'heads': heads})
    targets = source.clip(0, None).frames[-1].targets
    assert targets is not None
    frame = true_frame(lean, targets)
    assert frame.future_occupancy is None and frame.objects
    torch.manual_seed(0)
    model = BevModel(lean).eval()
    clip = source.clip(0, None)
    outputs = model(clip.frames[0].images, clip.frames[0].camera_mask, clip.matrices)
    said = decoded(lean, outputs, np.ones(lean.head_grid('occupancy').shape, np.bool_))
    assert said.occupancy is not None and said.future_occupancy is None
