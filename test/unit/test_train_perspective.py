"""Road users in the images: the targets by geometry, the task beside the model."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from bev_trainer.augment.mirror import MIRRORED, mirrored_camera
from bev_trainer.augment.plan import AugmentSection
from bev_trainer.augment.turn import turned_camera, turned_objects
from bev_trainer.cli import main
from bev_trainer.config.sections import ClipSection, LossSection
from bev_trainer.data.drive_labels import DriveFrame
from bev_trainer.data.drive_source import DriveSource
from bev_trainer.dataset.reader import Drive
from bev_trainer.losses.clip_step import run_clip
from bev_trainer.targets.labels import ObjectLabels
from bev_trainer.targets.views import view_targets
from bev_trainer.training.auxiliary.choice import auxiliary_tasks
from bev_trainer.training.auxiliary.perspective import PerspectiveObjects
from support.drives import rig_of_lenses
from support.train_set import short_config, write_data_set, write_training

from bev_perception.errors import ConfigError
from bev_perception.evaluation.class_map import model_class
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import transform
from bev_perception.model.bev_model import BevModel
from bev_perception.model.folder import load_model

STRIDE = 8
SIZE = (18, 24)
CLASSES = ('car', 'truck', 'bus', 'bicycle', 'pedestrian')


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('views')
    write_data_set(folder / 'data', ('train', 'train'))
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def cameras() -> list[Camera]:
    """A pinhole, a bent one and a fisheye camera."""
    found = [entry.camera() for entry in rig_of_lenses(SIZE[1] * STRIDE, SIZE[0] * STRIDE).cameras]
    return [camera for camera in found if camera is not None]


@pytest.fixture(scope='module')
def objects(folder: Path) -> ObjectLabels:
    with Drive(folder / 'data' / 'drives' / 'drive_000000.zip') as drive:
        return DriveFrame(drive, 4, 1).objects((0.0,))


def centres(
    heatmaps: np.ndarray, boxes: np.ndarray, cameras: list[Camera]
) -> set[tuple[float, float, float, str, float]]:
    """Reads the targets back: x, y, z, class and yaw of what every camera shows."""
    found = set()
    for index, camera in enumerate(cameras):
        for iy, ix in zip(*np.nonzero(np.isfinite(boxes[index, 0])), strict=True):
            box = boxes[index, :, iy, ix]
            uv = (np.array([ix, iy]) + 0.5 + box[:2]) * STRIDE - 0.5
            ray = camera.rays(uv)
            point = ray / np.linalg.norm(ray) * np.exp(box[2])
            x, y, z = transform(camera.base_T_camera, point)
            sight = np.array([x, y]) - camera.base_T_camera[:2, 3]
            yaw = np.arctan2(box[6], box[7]) + np.arctan2(sight[1], sight[0])
            kind = CLASSES[int(heatmaps[index, :, iy, ix].argmax())]
            assert heatmaps[index, :, iy, ix].max() == 1.0
            found.add((*np.round([x, y, z], 1).tolist(), kind, round(float(np.cos(yaw)), 2)))
    return found


def test_targets_lead_back_to_the_boxes(objects: ObjectLabels, cameras: list[Camera]) -> None:
    heatmaps, boxes = view_targets(objects, cameras, CLASSES, SIZE, STRIDE)
    found = centres(heatmaps, boxes, cameras)
    expected = {
        (*np.round(center, 1).tolist(), model_class(name, CLASSES), round(float(np.cos(yaw)), 2))
        for center, name, yaw in zip(
            objects.center_m, objects.class_name, objects.yaw_rad, strict=True
        )
    }
    assert len(found) >= 4 and found <= expected
    # All that is seen is somewhere, unless its centre lies outside of the images.
    inside = np.zeros(len(objects), bool)
    for camera in cameras:
        inside |= camera.project_base(objects.center_m)[1]
    assert len(found) == int((objects.visible & inside).sum())
    sizes = np.exp(boxes[0, 3:6][:, np.isfinite(boxes[0, 0])]).T
    for size in sizes:
        assert np.abs(objects.size_m - size).max(axis=1).min() < 1e-5


def test_of_two_in_one_place_the_nearer_one_counts(
    objects: ObjectLabels, cameras: list[Camera]
) -> None:
    camera = cameras[0]
    ray = camera.rays(np.array([90.0, 70.0]))
    centers = transform(camera.base_T_camera, np.stack([ray * 8.0, ray * 20.0]))
    pair = dataclasses.replace(
        objects,
        label=np.array([1, 2]),
        class_name=('pedestrian', 'truck'),
        center_m=centers,
        size_m=np.array([[0.6, 0.6, 1.8], [8.0, 2.5, 3.0]]),
        yaw_rad=np.zeros(2),
        velocity_mps=np.zeros((2, 2)),
        path_m=centers[None, :, :2],
        path_yaw_rad=np.zeros((1, 2)),
        visible=np.array([True, True]),
    )
    for order in ([0, 1], [1, 0]):
        rows = {
            name: getattr(pair, name)[order]
            for name in ('label', 'center_m', 'size_m', 'yaw_rad', 'velocity_mps', 'visible')
        }
        names = tuple(pair.class_name[row] for row in order)
        swapped = dataclasses.replace(pair, class_name=names, **rows)
        _, boxes = view_targets(swapped, [camera], CLASSES, SIZE, STRIDE)
        (found,) = boxes[0][:, np.isfinite(boxes[0, 0])].T
        near = np.linalg.norm(ray * 8.0)
        assert np.exp(found[2]) == pytest.approx(near, rel=1e-5)
        assert np.exp(found[3:6]) == pytest.approx([0.6, 0.6, 1.8], rel=1e-5)
    hidden = dataclasses.replace(pair, visible=np.array([False, True]))
    _, boxes = view_targets(hidden, [camera, None], CLASSES, SIZE, STRIDE)
    (found,) = boxes[0][:, np.isfinite(boxes[0, 0])].T
    assert np.exp(found[3]) == pytest.approx(8.0)
    assert np.isnan(boxes[1]).all()


def test_a_turned_frame_changes_nothing_in_the_images(
    objects: ObjectLabels, cameras: list[Camera]
) -> None:
    turned = [turned_camera(camera, 0.7) for camera in cameras]
    before = view_targets(objects, cameras, CLASSES, SIZE, STRIDE)
    after = view_targets(turned_objects(objects, 0.7), turned, CLASSES, SIZE, STRIDE)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-5)


def test_mirrored_targets_are_those_of_the_mirrored_scene(
    objects: ObjectLabels, cameras: list[Camera]
) -> None:
    mirror = np.array([1.0, -1.0, 1.0])
    mirrored = dataclasses.replace(
        objects, center_m=objects.center_m * mirror, yaw_rad=-objects.yaw_rad
    )
    expected = view_targets(
        mirrored, [mirrored_camera(camera) for camera in cameras], CLASSES, SIZE, STRIDE
    )
    plain = view_targets(objects, cameras, CLASSES, SIZE, STRIDE)
    for name, one, other in zip(('view_heatmap', 'view_boxes'), plain, expected, strict=True):
        found = MIRRORED[name](torch.from_numpy(one)[None])[0].numpy()
        np.testing.assert_allclose(found, other, atol=1e-4)


def source(folder: Path, augment: AugmentSection | None = None, views: bool = True) -> DriveSource:
    drives = sorted((folder / 'data' / 'drives').glob('*.zip'))
    return DriveSource(
        drives, short_config(), ClipSection(frames=2), None, augment, 0, views=views
    )


def test_clips_have_them_when_they_are_asked_for(folder: Path) -> None:
    plain, clip = source(folder, views=False).clip(0, None), source(folder).clip(0, None)
    turned = source(folder, AugmentSection(turn_deg=90.0)).clip(0, 3)
    for frame, without, other in zip(clip.frames, plain.frames, turned.frames, strict=True):
        assert without.targets is not None and without.targets.view_heatmap is None
        targets = frame.targets
        assert targets is not None and other.targets is not None
        assert targets.view_heatmap is not None and targets.view_heatmap.shape == (1, 3, 7, 6, 8)
        assert targets.view_boxes is not None and torch.isfinite(targets.view_boxes).any()
        for name in ('view_heatmap', 'view_boxes'):
            torch.testing.assert_close(
                getattr(other.targets, name), getattr(targets, name), equal_nan=True,
                rtol=1e-4, atol=1e-4,
            )  # fmt: skip


def test_a_camera_that_is_not_there_has_none(folder: Path) -> None:
    lost = AugmentSection.model_validate({'dropout': {'some_share': 1.0, 'some_cameras': 2}})
    clip = source(folder, lost).clip(0, 1)
    for frame in clip.frames:
        absent = ~frame.camera_mask[0]
        assert absent.any() and frame.targets is not None
        assert frame.targets.view_heatmap is not None and frame.targets.view_boxes is not None
        assert frame.targets.view_heatmap[0][absent].max() == 0
        assert torch.isnan(frame.targets.view_boxes[0][absent]).all()


def test_the_backbone_learns_from_it_and_nothing_behind(folder: Path) -> None:
    torch.manual_seed(0)
    model = BevModel(short_config()).train()
    task = PerspectiveObjects(model).train()
    clip = source(folder).clip(0, None)
    losses = task(clip, run_clip(model, clip))
    assert set(losses) == set(PerspectiveObjects.LOSSES)
    torch.stack(list(losses.values())).sum().backward()
    learned = [name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()]
    assert learned and all(name.startswith(('backbone.', 'neck.')) for name in learned)
    assert next(model.backbone.parameters()).grad is not None
    # Targets of other cameras than those that take part are not asked.
    mask = clip.frames[0].camera_mask.clone()
    mask[0, 1] = False
    frames = tuple(dataclasses.replace(frame, camera_mask=mask) for frame in clip.frames)
    less = dataclasses.replace(clip, frames=frames)
    assert task(less, run_clip(model, less))['view_heatmap'] != losses['view_heatmap']
    none = tuple(
        dataclasses.replace(frame, camera_mask=torch.zeros_like(mask)) for frame in clip.frames
    )
    empty = dataclasses.replace(clip, frames=none)
    assert task(empty, run_clip(model, empty)) == {}


def test_a_model_without_objects_cannot_have_it() -> None:
    config = short_config()
    heads = config.heads.model_copy(update={'objects': None, 'trajectories': None})
    model = BevModel(config.model_copy(update={'heads': heads}))
    with pytest.raises(ConfigError, match=r'loss\.perspective needs a model with objects'):
        auxiliary_tasks(LossSection(perspective=True), model, ClipSection())


def test_a_training_with_both_tasks_exports_the_same_kind_of_model(
    folder: Path, tmp_path: Path
) -> None:
    file = write_training(
        tmp_path, folder / 'data', run={'steps': 3}, clip={'near_share': 0.0}, validation=[],
        loss={'hop': True, 'perspective': True}, check={'log_every_steps': 1},
        augment={'dropout': {'some_share': 0.5, 'some_cameras': 1}},
    )  # fmt: skip
    assert main(['train', str(file), '-o', str(tmp_path / 'run')]) == 0
    with (tmp_path / 'run' / 'log' / 'train.csv').open() as stream:
        for row in csv.DictReader(stream):
            names = ('hop_heatmap', 'hop_boxes', 'view_heatmap', 'view_boxes')
            assert all(float(row[name]) > 0 for name in names)
    assert main(['export', str(tmp_path / 'run'), '-o', str(tmp_path / 'model')]) == 0
    expected = set(BevModel(short_config()).state_dict())
    assert set(load_model(tmp_path / 'model').model.state_dict()) == expected
