"""Data sections of a training file: whatever can be evaluated, and mixtures of it."""

from __future__ import annotations

import logging
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from bev_trainer.augment.plan import AugmentSection
from bev_trainer.config.sections import ClipSection, DataSection
from bev_trainer.config.train_config import train_config_of
from bev_trainer.data.clip import Clip
from bev_trainer.data.clip_stream import Draw, DrawOrder, StepSampler, loader
from bev_trainer.data.drive_source import DriveSource
from bev_trainer.data.scene_source import SceneSource
from bev_trainer.data.sources import open_sources
from bev_trainer.data.splits import learned_too, taken_split
from bev_trainer.dataset.bag.writer import write_bag
from bev_trainer.dataset.nuscenes.writer import write_nuscenes
from bev_trainer.dataset.reader import Drive
from bev_trainer.losses.clip_step import mean_losses, run_clip
from bev_trainer.training.record import RunRecord, record_of
from support.bags import assert_one_line
from support.drives import SmallDrive, rig_of_lenses
from support.train_scenes import assert_same_clip, data_set, short_config

from bev_perception.errors import BevError
from bev_perception.geometry.rig_file import RigFile
from bev_perception.model.bev_model import BevModel

CONFIG = short_config()
SECTION = ClipSection()


def two_cameras() -> RigFile:
    whole = rig_of_lenses()
    return whole.model_copy(update={'cameras': whole.cameras[:2]})


DRIVES = (
    SmallDrive(rig=two_cameras()),
    SmallDrive(name='drive_000001', rig=two_cameras(), seed=1),
    SmallDrive(name='drive_000002', split='val', rig=two_cameras(), seed=2),
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """city: drives of two cameras; tables: the same; bags: two recordings of three cameras."""
    root = tmp_path_factory.mktemp('sources')
    city = data_set(root / 'city', DRIVES)
    write_nuscenes([city / 'drives' / f'{d.name}.zip' for d in DRIVES], root / 'tables')
    path = SmallDrive(seed=3).write(root / 'single')
    with Drive(path) as drive:
        write_bag(drive, root / 'bags' / 'one')
    shutil.copytree(root / 'bags' / 'one', root / 'bags' / 'two')
    return root


def opened(*sections: DataSection, **options: Any) -> list[Any]:
    return open_sources(sections, CONFIG, SECTION, **options)


def refused(section: DataSection, *words: object) -> None:
    with pytest.raises(BevError) as error:
        opened(section)
    assert_one_line(error.value, *words)


def test_synthetic_data_sets_are_read_as_drives(folder: Path) -> None:
    (source,) = opened(DataSection(path=folder / 'city'))
    assert isinstance(source, DriveSource) and (source.clips, source.cameras) == (2, 2)
    paths = [folder / 'city' / 'drives' / f'drive_00000{n}.zip' for n in (0, 1)]
    alone = DriveSource(paths, CONFIG, SECTION)
    assert_same_clip(source.clip(1, None), alone.clip(1, None))
    (val,) = opened(DataSection(path=folder / 'city', split='val'))
    (whole,) = opened(DataSection(path=folder / 'city', split=None))
    assert (val.clips, whole.clips) == (1, 3)
    (one,) = opened(DataSection(path=paths[0]))
    assert isinstance(one, DriveSource) and one.clips == 1
    refused(DataSection(path=folder / 'city', split='test'), "split 'test'", 'split: null')
    refused(DataSection(path=folder / 'city', split='noon'), "no split 'noon'")
    refused(DataSection(path=paths[0], split='val'), 'this is one drive')
    refused(DataSection(path=folder / 'nowhere'), folder / 'nowhere', 'no such file')


@pytest.mark.parametrize('split', [{}, {'split': None}, {'split': 'val'}])
def test_nothing_to_train_on(tmp_path: Path, split: dict[str, Any]) -> None:
    (tmp_path / 'a.txt').write_text('')
    for path in (tmp_path, tmp_path / 'a.txt'):
        section = DataSection(path=path, **split)
        formats = ('rosbag2 folder, .mcap, .db3', 'nuScenes tables, ', 'synthetic')
        refused(section, f'{path}: nothing to train on: it is no recording', *formats)
        with pytest.raises(BevError) as error:
            opened(section)
        assert 'evaluate' not in str(error.value)


def test_recordings(folder: Path) -> None:
    """They have no splits: that which sections have unless they say otherwise is not asked."""
    (source,) = opened(DataSection(path=folder / 'bags'))
    assert isinstance(source, SceneSource) and (source.clips, source.cameras) == (2, 3)
    (one,) = opened(DataSection(path=folder / 'bags' / 'one'))
    assert one.clips == 1
    file = next((folder / 'bags' / 'one').glob('*.mcap'))
    (lone,) = opened(DataSection(path=file))
    assert lone.clips == 1
    refused(DataSection(path=folder / 'bags', split='val'), 'recordings have none', 'split: null')


def test_only_data_sets_have_splits(folder: Path) -> None:
    """What nobody chose is that of data sets, and nothing of recordings and single files."""
    file = next((folder / 'bags' / 'one').glob('*.mcap'))
    drive = folder / 'city' / 'drives' / 'drive_000000.zip'
    for path in (folder / 'city', folder / 'tables', folder / 'tables' / 'v1.0-synth'):
        assert taken_split(DataSection(path=path)) == 'train'
        assert taken_split(DataSection(path=path, split=None)) is None
    for path in (folder / 'bags', folder / 'bags' / 'one', file, drive):
        assert taken_split(DataSection(path=path)) is None
        assert taken_split(DataSection(path=path, split='val')) == 'val'
    # Formats of other packages may have them; so may what is not there.
    assert taken_split(DataSection(path=folder / 'nowhere')) == 'train'


def test_what_is_looked_at_and_learned_from(folder: Path) -> None:
    def shared(held_out: DataSection, learned: DataSection) -> bool:
        assert learned_too([learned], [held_out]) in ((), (learned,))
        return bool(learned_too([held_out], [learned]))

    def part(name: str, **split: Any) -> DataSection:
        return DataSection(path=folder / name, **split)

    city, bags = part('city'), part('bags')
    assert not shared(part('city', split='val'), city)
    assert shared(part('city', split=None), city) and shared(city, part('city', split=None))
    assert shared(part('city', split='train/car_6'), city)
    assert shared(city, part('city', split='train/car_6'))
    assert not shared(part('city', split='train/car_6'), part('city', split='train/car_60'))
    assert not shared(part('bags'), city)
    # Recordings, and folders that they are in, are all learned from.
    assert shared(bags, bags) and shared(part('bags/one'), bags) and shared(bags, part('bags/one'))
    assert not shared(part('bags/one'), part('bags/two'))
    assert shared(part('tables'), part('tables/v1.0-synth'))
    assert not shared(part('tables', split='val'), part('tables/v1.0-synth'))
    # A drive of a data set may be of any split.
    drive = part('city/drives/drive_000000.zip')
    assert shared(drive, drive) and shared(drive, part('city', split=None))
    assert not shared(drive, city)


def test_a_training_records_what_it_takes(folder: Path, tmp_path: Path) -> None:
    paths = [folder / 'city', folder / 'bags', folder / 'tables']
    content = {
        'model': tmp_path / 'model.yaml', 'run': {'steps': 400},
        'data': [{'path': path} for path in paths[:2]] + [{'path': paths[2], 'split': 'val'}],
    }  # fmt: skip
    config = train_config_of(content, 'test')
    record = record_of(config, CONFIG, opened(*config.data))
    assert [item.split for item in record.data] == ['train', '', 'val']
    assert RunRecord.load(record.dump(), 'test') == record


def test_tables(folder: Path, tmp_path: Path) -> None:
    (source,) = opened(DataSection(path=folder / 'tables'))
    assert isinstance(source, SceneSource) and (source.clips, source.cameras) == (2, 2)
    (val,) = opened(DataSection(path=folder / 'tables' / 'v1.0-synth', split='val'))
    (whole,) = opened(DataSection(path=folder / 'tables', split=None))
    assert (val.clips, whole.clips) == (1, 3)
    # With their lidar's depth, for models that learn it.
    targets = source.clip(0, None).frames[0].targets
    assert targets is not None and targets.depth_bin is not None
    assert bool((targets.depth_bin >= 0).any())
    # As nuScenes is distributed, the tables do not say what the splits are.
    copy = Path(shutil.copytree(folder / 'tables', tmp_path / 'tables'))
    (copy / 'v1.0-synth' / 'splits.json').unlink()
    refused(DataSection(path=copy), "split 'train'", 'splits.json', 'split: null')
    (everything,) = opened(DataSection(path=copy, split=None))
    assert everything.clips == 3


def test_images_between_key_frames(folder: Path) -> None:
    """Only with them clips of tables have a nearer past."""
    for sweeps in (False, True):
        (source,) = opened(DataSection(path=folder / 'tables', sweeps=sweeps))
        first, last = source.clip(0, 5, True).frames
        assert (first.targets is None) == sweeps and last.targets is not None
        assert bool(first.camera_mask.all()) and source.clips == 2


def seen(folder: Path, **changes: Any) -> int:
    """How many road users the first frame of the tables asks for."""
    section = SECTION.model_copy(update=changes)
    (source,) = open_sources([DataSection(path=folder / 'tables')], CONFIG, section)
    targets = source.clip(0, None).frames[0].targets
    assert targets is not None and targets.existence is not None
    return int(targets.existence.sum())


def test_who_counts_as_visible_is_said_in_the_training_file(folder: Path) -> None:
    everybody = seen(folder, min_share=0.0, min_points=0)
    assert seen(folder, min_share=1.0, min_points=0) < everybody
    assert seen(folder, min_share=0.0, min_points=10**6) == 0
    assert seen(folder) == seen(folder, min_share=0.1, min_points=1)


def test_how_far_frames_are_apart_is_said_in_the_training_file(folder: Path) -> None:
    """Ground truth is there every 0.5 s, of which the last is needed for the future."""
    for every_s, clips in ((0.5, 2), (1.0, 1)):
        section = ClipSection(frames=1, every_s=every_s)
        (source,) = open_sources([DataSection(path=folder / 'bags' / 'one')], CONFIG, section)
        assert source.clips == clips
    with pytest.raises(BevError, match=r'1 frames can be labelled.* about 1 s apart'):
        far = ClipSection(every_s=1.0)
        open_sources([DataSection(path=folder / 'bags' / 'one')], CONFIG, far)


@pytest.mark.parametrize('name', ['city', 'tables', 'bags'])
def test_at_most_so_many_scenes(folder: Path, name: str) -> None:
    for count, clips in ((1, 1), (2, 2), (9, 2 if name == 'bags' else 3)):
        section = DataSection(path=folder / name, split=None, scenes=count)
        if name == 'bags':
            section = DataSection(path=folder / name, scenes=count)
        (source,) = opened(section)
        assert source.clips == clips


def test_scenes_are_spread_evenly(folder: Path) -> None:
    section = DataSection(path=folder / 'city', split=None, scenes=2)
    (source,) = opened(section)
    ends = DriveSource(
        [folder / 'city' / 'drives' / f'drive_00000{n}.zip' for n in (0, 2)], CONFIG, SECTION
    )
    assert_same_clip(source.clip(1, None), ends.clip(1, None))


def mixture(folder: Path) -> tuple[DataSection, ...]:
    return (
        DataSection(path=folder / 'city'),
        DataSection(path=folder / 'tables', split='val', weight=2.0),
        DataSection(path=folder / 'bags', weight=0.5),
    )


def test_a_mixture_goes_through_the_network_together(folder: Path) -> None:
    """Rigs of two and three cameras, with and without maps, dense depth, lidar and none."""
    sources = opened(*mixture(folder), augment=AugmentSection(mirror_share=0.5), seed=1)
    assert [source.cameras for source in sources] == [3, 3, 3]
    for near in (False, True):
        clips = [source.clip(0, 5, near) for source in sources]
        assert [bool(clip.frames[1].camera_mask[0, 2]) for clip in clips] == [False, False, True]
        batch = Clip.collate(clips)
        first, last = (frame.targets for frame in batch.frames)
        # Between the key frames of tables there are no images: their clips stay as they are.
        assert (first is None) == near and last is not None
        assert last.depth_bin is not None and last.semantics is not None
        depth = (last.depth_bin >= 0).flatten(1).any(dim=1).tolist()
        ground = (last.semantics[:, :4] >= 0).flatten(1).any(dim=1).tolist()
        assert depth == [True, True, False] and ground == [True, False, True]
        torch.manual_seed(0)
        losses = mean_losses(run_clip(BevModel(CONFIG), batch))
        assert all(bool(torch.isfinite(loss)) for loss in losses.values()) and len(losses) == 9


def test_workers_get_the_same_clips(folder: Path) -> None:
    sources = opened(*mixture(folder), seed=1)
    order = DrawOrder([source.clips for source in sources], [1.0, 2.0, 0.5], 4)
    draws = [order[number] for number in range(8)]
    assert len({draw.source for draw in draws}) == 3
    here = [sources[draw.source].clip(draw.clip, draw.seed, draw.near) for draw in draws]
    copies = pickle.loads(pickle.dumps(sources))
    for draw, clip in zip(draws, here, strict=True):
        assert_same_clip(copies[draw.source].clip(draw.clip, draw.seed, draw.near), clip)
    batch = next(iter(loader(copies, StepSampler(order, 2, 0.0), workers=0)))
    assert batch.problems == () and batch.clip is not None
    assert_same_clip(batch.clip, Clip.collate(here[:2]))


def test_other_processes_read_for_themselves(folder: Path) -> None:
    sources = opened(*mixture(folder), seed=1)
    draws = [[Draw(0, 2, 1, None)], [Draw(1, 1, 0, None)], [Draw(2, 0, 1, 7)]]
    batches = list(loader(sources, draws, workers=1))  # type: ignore[arg-type]
    for batch, (draw,) in zip(batches, draws, strict=True):
        assert batch.problems == ()
        here = sources[draw.source].clip(draw.clip, draw.seed)
        assert_same_clip(batch.clip, Clip.collate([here]))


def test_nothing_is_said_of_good_data(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        opened(*mixture(folder))
    assert not caplog.records
