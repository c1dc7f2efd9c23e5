"""Historical object prediction: what it sees, what it teaches, and what is left of it: nothing."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from bev_trainer.cli import main
from bev_trainer.config.sections import ClipSection, LossSection
from bev_trainer.data.clip import Clip
from bev_trainer.data.drive_source import DriveSource
from bev_trainer.dataset.reader import Drive
from bev_trainer.losses.clip_step import run_clip
from bev_trainer.training.auxiliary.choice import auxiliary_tasks
from bev_trainer.training.auxiliary.hop import HistoricalObjects, step_back, way_between
from bev_trainer.training.checkpoint import read_checkpoint
from support.train_set import LABEL_FRAMES, short_config, write_data_set, write_training
from torch import Tensor

from bev_perception.errors import ConfigError
from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import ModelConfig
from bev_perception.model.folder import load_model

FRAMES = 3


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drives that turn fast, so that memory frames turn with them."""
    folder = tmp_path_factory.mktemp('hop')
    write_data_set(folder / 'data', ('train', 'train'), yaw_rate_radps=0.8)
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def with_memory(kind: str) -> ModelConfig:
    config = short_config()
    memory = {'kind': 'ring', 'slots': 2, 'channels': 8, 'max_gap_s': 2.0}
    if kind == 'recurrent':
        return config
    return ModelConfig.model_validate(config.model_dump() | {'memory': memory})


def source(folder: Path, config: ModelConfig, frames: int = FRAMES) -> DriveSource:
    drives = sorted((folder / 'data' / 'drives').glob('*.zip'))
    return DriveSource(drives, config, ClipSection(frames=frames))


def network(config: ModelConfig, frames: int = FRAMES) -> tuple[BevModel, HistoricalObjects]:
    torch.manual_seed(2)
    model = BevModel(config).train()
    return model, HistoricalObjects(model, frames).train()


def losses(model: BevModel, hop: HistoricalObjects, clip: Clip) -> dict[str, Tensor]:
    return hop(clip, run_clip(model, clip))


def with_images(clip: Clip, frame: int, images: Tensor) -> Clip:
    frames = list(clip.frames)
    frames[frame] = dataclasses.replace(frames[frame], images=images)
    return dataclasses.replace(clip, frames=tuple(frames))


@pytest.mark.parametrize('kind', ['recurrent', 'ring'])
def test_frames_are_brought_to_where_the_vehicle_was(folder: Path, kind: str) -> None:
    config = with_memory(kind)
    clips = source(folder, config, frames=3)
    motions = [frame.motion for frame in clips.clip(0, None).frames]
    steps = [step_back(motions[0], motions[1]), step_back(motions[1], motions[2])]
    assert all(step is not None for step in steps)
    with Drive(clips._drives[0]) as drive:
        poses = [drive.world_T_base[frame][np.ix_([0, 1, 3], [0, 1, 3])] for frame in LABEL_FRAMES]
    for start in range(3):
        for end in range(3):
            way = way_between(steps, start, end)[0].numpy()  # type: ignore[arg-type]
            expected = np.linalg.inv(poses[end]) @ poses[start]
            np.testing.assert_allclose(way, expected[:2], atol=1e-5)
    assert np.abs(poses[2][:2, :2] - poses[0][:2, :2]).max() > 0.1  # it does turn


def test_the_images_of_the_guessed_frame_are_not_used(folder: Path) -> None:
    config = short_config()
    model, hop = network(config)
    clip = source(folder, config).clip(0, None)
    expected = losses(model, hop, clip)
    assert set(expected) == {'hop_heatmap', 'hop_boxes'}
    noise = torch.randint_like(clip.frames[1].images, 255)
    for frame in range(FRAMES):
        found = losses(model, hop, with_images(clip, frame, noise))
        same = all(torch.equal(found[name], expected[name]) for name in expected)
        assert same == (frame == 1), frame


def test_the_backbone_learns_from_it(folder: Path) -> None:
    config = short_config()
    model, hop = network(config)
    clip = source(folder, config).clip(0, None)
    torch.stack(list(losses(model, hop, clip).values())).sum().backward()
    first = next(model.backbone.parameters())
    assert first.grad is not None and first.grad.abs().max() > 0
    # Nothing behind the view transform has a part in it.
    for part in (model.bev_encoder, model.heads, model.memory):
        assert part is not None and all(p.grad is None for p in part.parameters())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in hop.parameters())


def test_it_can_be_learned(folder: Path) -> None:
    config = short_config()
    model, hop = network(config, frames=2)
    clip = source(folder, config, frames=2).clip(0, None)
    optimiser = torch.optim.AdamW([*model.parameters(), *hop.parameters()], lr=3e-3)
    found = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = torch.stack(list(losses(model, hop, clip).values())).sum()
        loss.backward()
        optimiser.step()
        found.append(loss.item())
    assert found[-1] < 0.7 * found[0]


def test_clips_that_do_not_serve_have_no_loss(folder: Path) -> None:
    config = short_config()
    model, hop = network(config)
    clips = source(folder, config)
    clip = clips.clip(0, None)
    near = clips.clip(0, 5, near=True)
    assert near.frames[1].targets is None
    assert losses(model, hop, near) == {}
    motion = clip.frames[2].motion
    assert motion is not None
    dropped = dataclasses.replace(motion, keep=torch.zeros_like(motion.keep))
    last = dataclasses.replace(clip.frames[2], motion=dropped)
    assert losses(model, hop, dataclasses.replace(clip, frames=(*clip.frames[:2], last))) == {}


def test_it_needs_a_memory_objects_and_more_than_one_frame() -> None:
    config = short_config()
    heads = config.heads.model_copy(update={'objects': None, 'trajectories': None})
    section = LossSection(hop=True)
    for changed, frames in (
        (config.model_copy(update={'memory': None}), 2),
        (config.model_copy(update={'heads': heads}), 2),
        (config, 1),
    ):
        with pytest.raises(ConfigError, match=r'loss\.hop needs a model with memory and objects'):
            auxiliary_tasks(section, BevModel(changed), ClipSection(frames=frames))
    assert auxiliary_tasks(LossSection(), BevModel(config), ClipSection()) == {}


def test_a_training_with_it_exports_the_same_kind_of_model(folder: Path, tmp_path: Path) -> None:
    file = write_training(
        tmp_path, folder / 'data', run={'steps': 3}, clip={'near_share': 0.4}, loss={'hop': True},
        validation=[], check={'log_every_steps': 1},
    )  # fmt: skip
    assert main(['train', str(file), '-o', str(tmp_path / 'run')]) == 0
    with (tmp_path / 'run' / 'log' / 'train.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    assert any(row['hop_heatmap'] and row['hop_boxes'] for row in rows)
    state = read_checkpoint(tmp_path / 'run' / 'last.ckpt')['state_dict']
    assert any(name.startswith('auxiliary.hop.') for name in state)
    assert main(['export', str(tmp_path / 'run'), '-o', str(tmp_path / 'model')]) == 0
    model = load_model(tmp_path / 'model').model
    fresh = BevModel(short_config())
    assert {n: t.shape for n, t in model.state_dict().items()} == {
        n: t.shape for n, t in fresh.state_dict().items()
    }
