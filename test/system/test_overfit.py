"""Every preset learns eight frames of the synthetic world by heart, with all of its heads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from bev_trainer.cli import main
from bev_trainer.data.clip import Clip
from bev_trainer.data.drive_clips import DriveClips
from bev_trainer.data.drive_labels import label_frames
from bev_trainer.dataset.reader import Drive
from support.nano import nano_description
from support.overfit import Knowledge, knowledge, learn

from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import ModelConfig

MODELS = Path(__file__).resolve().parents[2] / 'models'
FRAMES = 8
CLIP = 2  # frames that follow each other at half a second, so that the memory takes part


@pytest.fixture(scope='module')
def drive(tmp_path_factory: pytest.TempPathFactory) -> Drive:
    """Seven seconds of a robot's three cameras or so: what is asked is the same for any rig."""
    folder = tmp_path_factory.mktemp('world') / 'set'
    code = main(
        [
            'simulate', '--out', str(folder), '--scenes', '1', '--seconds', '7', '--seed', '7',
            '--rig', 'robot_3', '--size', '352x128', '--weather', 'clear', '--workers', '1',
        ]
    )  # fmt: skip
    assert code == 0
    return Drive(next(iter(sorted((folder / 'drives').glob('*.zip')))))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy computer take many times as long as one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def clips_of(drive: Drive, config: ModelConfig, model: BevModel) -> Clip:
    maker = DriveClips(config, model.view_transform, cameras=len(drive.cameras))
    horizon_s = max(
        config.heads.motion.steps * config.heads.motion.step_s if config.heads.motion else 0.0, 0.0
    )
    frames = label_frames(drive, horizon_s)[:FRAMES]
    assert len(frames) == FRAMES
    return Clip.collate(
        [maker.clip(drive, frames[at : at + CLIP]) for at in range(0, FRAMES, CLIP)]
    )


def set_grids(data: dict[str, Any], **output: Any) -> None:
    """Changes the outputs' grid; that of the features keeps its share of cells."""
    heads = [head for head in data['heads'].values() if head.get('grid')]
    parts = data['grid']['resolution_m'] / heads[0]['grid']['resolution_m'] if heads else 1.0
    for head in heads:
        head['grid'] = output
    data['grid'] = output | {'resolution_m': parts * output['resolution_m']}


def small_config() -> ModelConfig:
    """All parts of `nano`, narrow, on coarse images and cells."""
    data = nano_description()
    data['input'].update(width=176, height=64)
    set_grids(data, x_m=[-12.0, 20.0], y_m=[-12.0, 12.0], resolution_m=1.0)
    data['depth'].update(max_m=25.0, bins=16)
    data['neck']['channels'] = 48
    data['view_transform']['channels'] = 32
    data['bev_encoder'].update(widths=[48, 64], channels=48)
    for head in ('occupancy', 'objects', 'motion', 'trajectories'):
        data['heads'][head]['channels'] = 32
    return ModelConfig.model_validate(data)


def preset_config(preset: str) -> ModelConfig:
    """A preset's own network, on pictures of the drive's size and some 1300 cells of a metre."""
    data = yaml.safe_load((MODELS / preset / 'model.yaml').read_text())
    data['input'].update(width=352, height=128)
    set_grids(data, x_m=[-16.0, 24.0], y_m=[-16.0, 16.0], resolution_m=1.0)
    return ModelConfig.model_validate(data)


def taught(config: ModelConfig, drive: Drive, steps: int, rate: float) -> Knowledge:
    torch.manual_seed(1)
    model = BevModel(config)
    clips = clips_of(drive, config, model)
    learn(model, clips, steps, rate, print)
    known = knowledge(model.eval(), clips)
    print(known)
    return known


def test_a_small_network_learns_all_by_heart(drive: Drive) -> None:
    known = taught(small_config(), drive, 240, 4e-3)
    assert known.objects >= 8
    assert known.occupancy_iou > 0.9 and known.semantic_iou > 0.8
    assert known.missed == 0 and known.invented == 0
    assert known.panoptic > 0.8
    assert known.min_ade_m < 0.1


@pytest.mark.slow
@pytest.mark.parametrize('preset', ['nano', 'base', 'large'])
def test_every_preset_learns_eight_frames_by_heart(preset: str, drive: Drive) -> None:
    known = taught(preset_config(preset), drive, 300, 2e-3)
    assert known.objects >= 8
    assert known.occupancy_iou > 0.9 and known.semantic_iou > 0.9
    assert known.missed == 0 and known.invented == 0
    assert known.panoptic > 0.85
    assert known.min_ade_m < 0.3
