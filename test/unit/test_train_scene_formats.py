"""One drive read as a drive, as a recording and as nuScenes tables gives the same clips.

What the formats do not tell alike, and what follows from it:

| | drive | recording | nuScenes |
| --- | --- | --- | --- |
| cameras | order of the rig | order of the topics | order of the channels |
| raw images | JPEG, decoded as small as is needed | decoded as a whole | JPEG |
| maps, walls | made for any cell | cells of the label grid | none |
| observed cells | as rendered | as rendered, outside hidden road users | pictures alone |
| visible | pixels | share of pixels | bin of the share, lidar points |
| velocities | exact | exact | differences of annotations |
| tracks | whole | whole | end where somebody is away, or beyond 80 m |
| depth | dense | none | lidar |
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from bev_trainer.augment.plan import AugmentSection
from bev_trainer.config.sections import ClipSection
from bev_trainer.data.clip import Clip, ClipFrame
from bev_trainer.data.drive_scene import DriveScene
from bev_trainer.data.drive_source import DriveSource
from bev_trainer.data.scene_lidar import read_lidar_scans
from bev_trainer.data.scene_source import SceneSource
from bev_trainer.losses.clip_step import mean_losses, run_clip
from bev_trainer.targets.frame import FrameTargets
from bev_trainer.training.calibrate import calibrate
from bev_trainer.training.pictures import true_frame
from support.train_scenes import Formats, arrays, scenes_at, short_config, written

from bev_perception.evaluation.scenes.nuscenes.tables import find_version
from bev_perception.model.bev_model import BevModel

CONFIG = short_config()
SECTION = ClipSection(min_pixels=1)
# A single pixel makes visible, here as there.
ANY = ClipSection(min_share=1e-9, min_points=0)
# Places of the drive's cameras among those of the others.
IN_BAG, IN_NUSCENES = (1, 0, 2), (0, 1, 2)
MAPS = ('occupancy', 'semantics', 'heatmap', 'existence', 'boxes', 'motion', 'flow')
PATHS = ('places', 'velocity', 'offsets_m', 'path_valid')


@pytest.fixture(scope='module')
def formats(tmp_path_factory: pytest.TempPathFactory) -> Formats:
    return written(tmp_path_factory.mktemp('formats'))


def drive_source(formats: Formats, augment: AugmentSection | None = None) -> DriveSource:
    return DriveSource([formats.drive], CONFIG, SECTION, None, augment, seed=3)


def bag_source(formats: Formats, augment: AugmentSection | None = None) -> SceneSource:
    return SceneSource(scenes_at(formats.bag), CONFIG, ANY, None, augment, 3)


def nuscenes_source(formats: Formats) -> SceneSource:
    scenes = scenes_at(formats.nuscenes)
    version = find_version(formats.nuscenes)
    assert version is not None
    tokens = [sample.token for scene in scenes for sample in scene.record.samples]
    lidar = read_lidar_scans(version, tokens)
    assert len(lidar) == len(tokens) == 3
    return SceneSource(scenes, CONFIG, ANY, lidar=lidar)


def targets_of(frame: ClipFrame) -> FrameTargets:
    assert frame.targets is not None
    return frame.targets


def assert_same_maps(found: ClipFrame, wanted: ClipFrame, names: tuple[str, ...] = MAPS) -> None:
    for name in names:
        ours, theirs = (getattr(targets_of(frame), name) for frame in (found, wanted))
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=2e-5, err_msg=name)


def assert_same_paths(found: ClipFrame, wanted: ClipFrame) -> None:
    """Compares lists of road users in whatever order."""
    ours, theirs = (_sorted_paths(targets_of(frame)) for frame in (found, wanted))
    for name in PATHS:
        np.testing.assert_allclose(ours[name], theirs[name], atol=2e-5, err_msg=name)


def _sorted_paths(targets: FrameTargets) -> dict[str, np.ndarray]:
    found = {name: getattr(targets, name)[0].numpy() for name in PATHS}
    order = np.lexsort(np.round(found['places'][:, :2], 3).T)
    return {name: value[order] for name, value in found.items()}


def assert_same_way(found: Clip, wanted: Clip) -> None:
    """Compares the motion of the memory."""
    for one, other in zip(found.frames, wanted.frames, strict=True):
        ours, theirs = arrays(one.motion), arrays(other.motion)
        assert ours.keys() == theirs.keys() and ours
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, atol=1e-6, err_msg=name)


def assert_same_rig(found: Clip, wanted: Clip, order: tuple[int, ...]) -> None:
    """Compares where each camera of the rig reaches."""
    ours, theirs = found.matrices.reached[:, order], wanted.matrices.reached[:, :3]
    assert bool(theirs.any()) and float((ours != theirs).float().mean()) < 1e-4


@pytest.mark.parametrize('near', [False, True])
def test_a_recording_of_a_drive(formats: Formats, near: bool) -> None:
    drive, bag = drive_source(formats), bag_source(formats)
    assert drive.clips == bag.clips == 1 and drive.cameras == bag.cameras == 3
    wanted, found = drive.clip(0, 4, near), bag.clip(0, 4, near)
    assert bag.problems == ()
    assert_same_way(found, wanted)
    assert_same_rig(found, wanted, IN_BAG)
    for one, other in zip(found.frames, wanted.frames, strict=True):
        assert one.camera_mask.tolist() == other.camera_mask.tolist() == [[True] * 3]
        difference = (one.images[0, IN_BAG].int() - other.images[0].int()).abs()
        assert int(difference[[0, 2]].max()) == 0  # the very same JPEG files
        assert float(difference[1].float().mean()) < 2  # a raw topic
        assert (one.targets is None) == (other.targets is None)
        if one.targets is not None:
            assert_same_maps(one, other)
            assert_same_paths(one, other)
            depth_bin = targets_of(one).depth_bin
            assert depth_bin is not None and int(depth_bin.max()) == -1
    assert [frame.targets is None for frame in found.frames] == [near, False]


def test_any_other_format_is_read_from_start_to_end(formats: Formats) -> None:
    scene = DriveScene('drive', formats.drive)
    source = SceneSource([scene], CONFIG, ANY)
    wanted, found = drive_source(formats).clip(0, None), source.clip(0, None)
    assert source.problems == ()
    assert_same_way(found, wanted)
    for one, other in zip(found.frames, wanted.frames, strict=True):
        assert torch.equal(one.images, other.images)
        assert_same_maps(one, other)
        assert_same_paths(one, other)


def test_nuscenes_tables_of_a_drive(formats: Formats) -> None:
    drive, tables = drive_source(formats), nuscenes_source(formats)
    assert tables.clips == 1 and tables.cameras == 3
    wanted, found = drive.clip(0, None), tables.clip(0, None)
    assert tables.problems == ()
    assert_same_way(found, wanted)
    assert_same_rig(found, wanted, IN_NUSCENES)
    for one, other in zip(found.frames, wanted.frames, strict=True):
        assert torch.equal(one.images[:, IN_NUSCENES], other.images)
        assert torch.equal(one.camera_mask, other.camera_mask)
        ours, theirs = targets_of(one), targets_of(other)
        assert ours.semantics is not None and theirs.semantics is not None
        assert bool((ours.semantics[:, :4] == -1).all())  # nothing is known of the ground
        assert ours.occupancy is not None and theirs.occupancy is not None
        # What is free and what stands is told by the lidar, if roughly and not everywhere.
        free, stands = ((ours.occupancy == value)[0, 0] for value in (0, 1))
        assert int(free.sum()) > 400 and int(stands.sum()) > 20
        assert float((theirs.occupancy[0, 0][free] == 1).float().mean()) < 0.02
        assert float((theirs.occupancy[0, 0][stands] == 0).float().mean()) < 0.1


def test_of_boxes_alone_no_occupancy_is_learned(formats: Formats) -> None:
    """Without lidar nothing is known of free ground: not even road users count."""
    clip = SceneSource(scenes_at(formats.nuscenes), CONFIG, ANY).clip(0, None)
    for frame in clip.frames:
        targets = targets_of(frame)
        assert targets.occupancy is not None and bool((targets.occupancy == -1).all())
        assert targets.semantics is not None and bool((targets.semantics == 1).any())
    # With others that know it, it is a target; alone it is none.
    wanted = drive_source(formats).clip(0, None)
    alone, mixed = (targets_of(Clip.collate([clip, other]).frames[0]) for other in (clip, wanted))
    assert alone.occupancy is None and alone.semantics is not None and alone.depth_bin is None
    assert mixed.occupancy is not None and mixed.occupancy.shape[0] == 2
    model = BevModel(CONFIG)
    losses = mean_losses(run_clip(model, Clip.collate([clip])))
    assert 'occupancy' not in losses and 'depth' not in losses and 'semantics' in losses
    # Its probabilities are calibrated where something is known, and it is drawn.
    (maps, _) = calibrate(model, [Clip.collate([clip])])
    calibration: Any = model.heads.get_submodule('occupancy').calibration
    assert maps.name == 'occupancy' and maps.after < maps.before
    assert float(calibration.bias[0]) == 0.0 and bool((calibration.bias != 0.0).any())
    truth = true_frame(CONFIG, alone)
    assert truth.occupancy is not None and truth.occupancy.max() < 0.01
    assert truth.semantics is not None and truth.semantics.max() > 0.9


def test_nuscenes_says_the_same_of_those_whom_both_call_visible(formats: Formats) -> None:
    """Everybody is visible to both when no share is asked for."""
    everybody = SECTION.model_copy(update={'min_pixels': 0})
    wanted = DriveSource([formats.drive], CONFIG, everybody).clip(0, None)
    scenes = scenes_at(formats.nuscenes)
    found = SceneSource(scenes, CONFIG, ClipSection(min_share=0.0, min_points=0)).clip(0, None)
    for one, other in zip(found.frames, wanted.frames, strict=True):
        assert_same_maps(one, other, ('heatmap', 'existence'))
        ours, theirs = targets_of(one), targets_of(other)
        assert ours.boxes is not None and theirs.boxes is not None
        np.testing.assert_allclose(  # all but the velocity
            ours.boxes[:, :8].numpy(), theirs.boxes[:, :8].numpy(), atol=2e-5
        )
        assert ours.motion is not None and theirs.motion is not None
        np.testing.assert_array_equal(ours.motion[:, 0].numpy(), theirs.motion[:, 0].numpy())
        # Vehicles, two-wheelers, pedestrians wherever both know the cell.
        assert ours.semantics is not None and theirs.semantics is not None
        both = (ours.semantics[:, 4:] >= 0) & (theirs.semantics[:, 4:] >= 0)
        assert bool(both.any())
        assert torch.equal(ours.semantics[:, 4:][both], theirs.semantics[:, 4:][both])
    # The cyclist, who was away in between, comes back as somebody else: his track has ended.
    table, drive = (_sorted_paths(targets_of(clip.frames[0])) for clip in (found, wanted))
    np.testing.assert_allclose(table['places'], drive['places'], atol=2e-5)
    lost = drive['path_valid'] & ~table['path_valid']
    ((row, step),) = np.argwhere(lost).tolist()
    assert step == 1 and table['places'][row, 0] < -8.0
    valid = table['path_valid']
    assert not (valid & ~drive['path_valid']).any() and valid[:, :2].sum() >= 7
    np.testing.assert_allclose(table['offsets_m'][valid], drive['offsets_m'][valid], atol=2e-5)


def test_lidar_depth_is_that_of_the_images(formats: Formats) -> None:
    """Where a beam hits, a pixel shows the same surface, at the edges the one beside it."""
    wanted, found = drive_source(formats).clip(0, None), nuscenes_source(formats).clip(0, None)
    for one, other in zip(found.frames, wanted.frames, strict=True):
        ours, theirs = targets_of(one).depth_bin, targets_of(other).depth_bin
        assert ours is not None and theirs is not None and ours.shape == theirs.shape
        for camera in range(3):
            difference = (ours - theirs)[0, camera][(ours >= 0)[0, camera]]
            # The nearest of the few beams of a block of pixels is seldom its nearest pixel.
            assert len(difference) > 12 and float((difference.abs() <= 1).float().mean()) > 0.7


def test_augmented_alike(formats: Formats) -> None:
    """What is drawn for a clip as a whole is the same in all formats.

    Rigs are drawn by calibration, which recordings round; cameras that are lost by their order.
    """
    augment = AugmentSection.model_validate(
        {'mirror_share': 0.5, 'turn_deg': 180.0, 'colors': {'clip': {'gamma': 0.3}}}
    )
    drive, bag = drive_source(formats, augment), bag_source(formats, augment)
    plain, changed = drive.clip(0, None), 0
    for seed in range(4):
        wanted, found = drive.clip(0, seed), bag.clip(0, seed)
        assert_same_way(found, wanted)
        for one, other in zip(found.frames, wanted.frames, strict=True):
            assert torch.equal(one.images[0, IN_BAG][[0, 2]], other.images[0, [0, 2]])
            assert_same_maps(one, other, ('heatmap', 'existence', 'boxes', 'motion', 'flow'))
            assert_same_paths(one, other)
            ours, theirs = targets_of(one).semantics, targets_of(other).semantics
            assert ours is not None and theirs is not None
            # Maps are looked up in cells of half a metre, which are turned here.
            assert float((ours != theirs).float().mean()) < 0.05
        images = wanted.frames[0].images
        changed += not torch.equal(images, plain.frames[0].images)
    assert changed == 4


def test_clips_do_not_depend_on_what_was_read_before(formats: Formats) -> None:
    source = bag_source(formats)
    first = source.clip(0, 1, near=True)
    source.clip(0, 5)
    again = bag_source(formats).clip(0, 1, near=True)
    for name, value in arrays(first).items():
        np.testing.assert_array_equal(arrays(again)[name], value, err_msg=name)
