"""Model folders: what is saved comes back, and every misfit is named in one line."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from torch import Tensor
from torch.nn import functional

from bev_perception.errors import ConfigError, ModelError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.pose import make_pose
from bev_perception.model import folder as folder_module
from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import ModelConfig, own_family
from bev_perception.model.config_view import RadarSection
from bev_perception.model.folder import check_target, load_model, save_model
from bev_perception.pipeline import BevPipeline

NANO = Path(__file__).resolve().parents[2] / 'models' / 'nano'


def tiny_config() -> ModelConfig:
    data = yaml.safe_load((NANO / 'model.yaml').read_text())
    data['neck']['channels'] = 8
    data['view_transform']['channels'] = 4
    data['bev_encoder'].update(widths=[4], channels=4)
    for head in ('occupancy', 'objects', 'motion'):
        data['heads'][head]['channels'] = 4
    return ModelConfig.model_validate(data)


@pytest.fixture(scope='module')
def model() -> BevModel:
    torch.manual_seed(0)
    return BevModel(tiny_config())


@pytest.fixture
def saved(tmp_path: Path, model: BevModel) -> Path:
    save_model(tmp_path / 'tiny', tiny_config(), model)
    return tmp_path / 'tiny'


def rewrite(saved: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Changes the tensors of a saved model in place."""
    path = saved / 'weights.safetensors'
    tensors = safetensors.torch.load(path.read_bytes())
    change(tensors)
    path.write_bytes(safetensors.torch.save(tensors))


def message(folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        load_model(folder)
    assert '\n' not in str(error.value)
    return str(error.value)


def test_round_trip(saved: Path, model: BevModel) -> None:
    loaded = load_model(saved)
    assert loaded.config == tiny_config()
    assert not loaded.model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name
    content = (saved / 'weights.safetensors').read_bytes()
    assert loaded.weights_hash == hashlib.sha256(content).hexdigest()
    assert re.fullmatch(r'nano-0\.1\.0-[0-9a-f]{12}', loaded.model_id)
    assert sorted(entry.name for entry in saved.iterdir()) == ['model.yaml', 'weights.safetensors']
    assert [entry.name for entry in saved.parent.iterdir()] == ['tiny']


def test_half_precision_is_stored_small_and_loaded_as_float32(
    tmp_path: Path, model: BevModel, saved: Path
) -> None:
    save_model(tmp_path / 'half', tiny_config(), model, half=True)
    sizes = [(tmp_path / name / 'weights.safetensors').stat().st_size for name in ('half', 'tiny')]
    assert sizes[0] < 0.52 * sizes[1]
    found = load_model(tmp_path / 'half').model.state_dict()
    for name, tensor in model.state_dict().items():
        assert found[name].dtype == tensor.dtype
        expected = tensor.half().float() if tensor.ndim > 1 else tensor
        assert torch.equal(found[name], expected), name


def test_identity_follows_content_and_not_formatting(tmp_path: Path, saved: Path) -> None:
    first = load_model(saved)
    copy = tmp_path / 'copy'
    shutil.copytree(saved, copy)
    description = copy / 'model.yaml'
    description.write_text('# a remark\n' + description.read_text())
    assert load_model(copy).model_id == first.model_id
    text = description.read_text()
    description.write_text(text.replace('nms_radius_m: 2.0', 'nms_radius_m: 2.5'))
    changed = load_model(copy)
    assert changed.model_id != first.model_id
    assert changed.weights_hash == first.weights_hash
    rewrite(saved, lambda tensors: tensors['backbone.bn1.bias'].add_(1e-3))
    other = load_model(saved)
    assert other.weights_hash != first.weights_hash
    assert other.model_id != first.model_id


def test_saving_is_deterministic(tmp_path: Path, saved: Path) -> None:
    loaded = load_model(saved)
    save_model(tmp_path / 'again', loaded.config, loaded.model)
    for name in ('model.yaml', 'weights.safetensors'):
        assert (tmp_path / 'again' / name).read_bytes() == (saved / name).read_bytes()


def test_missing_folder_and_files(saved: Path) -> None:
    assert message(saved / 'absent').endswith('absent: no such model folder')
    (saved / 'weights.safetensors').rename(saved / 'w')
    assert 'weights.safetensors: cannot read the weights: No such file' in message(saved)
    (saved / 'weights.safetensors').mkdir()
    assert 'weights.safetensors: cannot read the weights: Is a directory' in message(saved)
    (saved / 'model.yaml').unlink()
    assert 'model.yaml: cannot read the model description: No such file' in message(saved)


def test_bad_description(saved: Path) -> None:
    path = saved / 'model.yaml'
    text = path.read_text()
    path.write_text(text.replace('bins: 59', 'bin: 59'))
    assert "model.yaml: 'depth.bin' is unknown; did you mean 'bins'?" in message(saved)
    path.write_text('a: [')
    assert 'model.yaml: not valid YAML: line 1' in message(saved)


def test_missing_and_unexpected_tensors(saved: Path) -> None:
    rewrite(saved, lambda tensors: tensors.pop('neck.fine.weight'))
    assert message(saved).endswith('model.yaml: missing neck.fine.weight')
    rewrite(saved, lambda tensors: tensors.update(extra=torch.zeros(1)))
    assert message(saved).endswith('missing neck.fine.weight; unexpected extra')

    def remove_stage(tensors: dict[str, Tensor]) -> None:
        for name in [name for name in tensors if name.startswith('backbone.layer3')]:
            del tensors[name]

    rewrite(saved, remove_stage)
    # Four 3x3 convolutions and the projection, each with the six tensors of conv and norm.
    assert 'missing backbone.layer3.0.conv1.weight, ' in message(saved)
    assert 'and 28 more; unexpected extra' in message(saved)


def test_weights_of_another_architecture(saved: Path) -> None:
    path = saved / 'model.yaml'
    path.write_text(path.read_text().replace('resnet18', 'resnet34'))
    assert 'missing backbone.layer1.2.conv1.weight' in message(saved)


def test_wrong_shape_names_expected_and_found(saved: Path) -> None:
    path = saved / 'model.yaml'
    path.write_text(path.read_text().replace('bins: 59', 'bins: 60'))
    line = message(saved)
    assert 'depth_head.depth.weight has shape [59, 8, 1, 1]' in line
    assert 'model.yaml asks for [60, 8, 1, 1]' in line


@pytest.mark.parametrize(
    ('name', 'dtype', 'expected'),
    [
        ('backbone.conv1.weight', torch.float64, 'is float64, expected float32 or float16'),
        ('backbone.conv1.weight', torch.int8, 'is int8, expected float32 or float16'),
        ('backbone.bn1.num_batches_tracked', torch.float32, 'is float32, expected int64'),
    ],
)
def test_wrong_dtype(saved: Path, name: str, dtype: torch.dtype, expected: str) -> None:
    rewrite(saved, lambda tensors: tensors.update({name: tensors[name].to(dtype)}))
    assert f'{name} {expected}' in message(saved)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_not_finite(saved: Path, value: float) -> None:
    rewrite(saved, lambda tensors: tensors['neck.coarse.weight'][2, 5:7].fill_(value))
    assert message(saved).endswith('neck.coarse.weight holds 2 values that are not finite')


def test_corrupt_weights_file(saved: Path) -> None:
    path = saved / 'weights.safetensors'
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    garbage = [b'', b'x', rng.bytes(1000), content[:-1], content + b'x', b'\xff' * 64]
    garbage += [content[: int(rng.integers(1, len(content)))] for _ in range(8)]
    for data in garbage:
        path.write_bytes(data)
        assert 'weights.safetensors: corrupt weights file: ' in message(saved)
    header = 8 + int.from_bytes(content[:8], 'little')
    for _ in range(20):
        flipped = bytearray(content)
        flipped[int(rng.integers(0, header))] ^= 1 << int(rng.integers(0, 7))
        path.write_bytes(bytes(flipped))
        if flipped != content:
            assert 'weights.safetensors: ' in message(saved)


def test_save_refuses_what_would_not_load(tmp_path: Path) -> None:
    broken = BevModel(tiny_config())
    broken.neck.fine.weight.data[0, 0] = float('nan')
    with pytest.raises(ModelError, match=r'neck\.fine\.weight holds 1 values'):
        save_model(tmp_path / 'm', tiny_config(), broken)
    broken.neck.fine.weight.data[0, 0] = 1e6
    with pytest.raises(ModelError, match=r'neck\.fine\.weight holds 1 values'):
        save_model(tmp_path / 'm', tiny_config(), broken, half=True)
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_kept_unless_overwriting(saved: Path, model: BevModel) -> None:
    before = (saved / 'weights.safetensors').read_bytes()
    with pytest.raises(ModelError, match='tiny: already exists'):
        save_model(saved, tiny_config(), model)
    save_model(saved, tiny_config(), model, half=True, overwrite=True)
    assert (saved / 'weights.safetensors').read_bytes() != before
    assert [entry.name for entry in saved.parent.iterdir()] == ['tiny']
    (saved / 'notes.txt').write_text('mine')
    with pytest.raises(ModelError, match=r'will not be replaced: holds notes\.txt'):
        save_model(saved, tiny_config(), model, overwrite=True)
    with pytest.raises(ModelError, match='will not be replaced'):
        save_model(saved / 'notes.txt', tiny_config(), model, overwrite=True)
    assert (saved / 'notes.txt').read_text() == 'mine'


def test_a_card_lies_with_the_model_and_says_its_id(tmp_path: Path, model: BevModel) -> None:
    target = tmp_path / 'carded'
    save_model(target, tiny_config(), model, card=lambda name: f'# {name}\n')
    plain = load_model(target).model_id
    assert (target / 'CARD.md').read_text() == f'# {plain}\n'
    save_model(target, tiny_config(), model, overwrite=True)
    assert sorted(path.name for path in target.iterdir()) == ['model.yaml', 'weights.safetensors']
    assert load_model(target).model_id == plain

    def refuse(name: str) -> str:
        raise ConfigError(name)

    with pytest.raises(ConfigError, match=plain):
        save_model(target, tiny_config(), model, overwrite=True, card=refuse)
    assert load_model(target).model_id == plain


def test_failed_save_leaves_nothing_behind(
    tmp_path: Path, saved: Path, model: BevModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}

    def full_disk(_: dict[str, Tensor]) -> bytes:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(folder_module.safetensors.torch, 'save', full_disk)
    for target, overwrite in (('new', False), ('tiny', True)):
        with pytest.raises(ModelError, match=f'{target}: cannot write the model: No space left'):
            save_model(tmp_path / target, tiny_config(), model, overwrite=overwrite)
    assert [entry.name for entry in tmp_path.iterdir()] == ['tiny']
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_folders_around_it_are_made(tmp_path: Path, model: BevModel) -> None:
    check_target(tmp_path / 'a' / 'b' / 'm', overwrite=False)
    assert list(tmp_path.iterdir()) == []
    save_model(tmp_path / 'a' / 'b' / 'm', tiny_config(), model)
    assert load_model(tmp_path / 'a' / 'b' / 'm').config == tiny_config()
    (tmp_path / 'file').write_text('mine')
    for refuse in (check_target, partial(save_model, config=tiny_config(), model=model)):
        with pytest.raises(ModelError, match=r'x/m: cannot write the model: .*/file is no folder'):
            refuse(tmp_path / 'file' / 'x' / 'm', overwrite=False)


def test_failed_swap_puts_the_old_folder_back(
    tmp_path: Path, saved: Path, model: BevModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    rename = Path.rename

    def fails_for_new(self: Path, target: Path) -> Path:
        if self.name == 'new':
            raise OSError(5, 'Input/output error')
        return rename(self, target)

    monkeypatch.setattr(Path, 'rename', fails_for_new)
    with pytest.raises(ModelError, match='tiny: cannot write the model: Input/output error'):
        save_model(saved, tiny_config(), model, overwrite=True)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert [entry.name for entry in tmp_path.iterdir()] == ['tiny']


def test_shipped_model_is_small_and_says_what_it_was_trained_on() -> None:
    loaded = load_model(NANO)
    training = loaded.config.training
    assert training.trained and training.steps == 400
    assert 'before that 7252 steps on 148 recordings' in training.description
    (data,) = training.data
    assert (data.name, data.split, data.scenes) == ('world_200', 'train', 148)
    manifest = NANO.parents[1] / 'docs' / 'synthetic' / 'manifest.json'
    assert data.sha256 == hashlib.sha256(manifest.read_bytes()).hexdigest()
    assert loaded.model_id in (NANO / 'CARD.md').read_text()
    assert loaded.config.heads.semantics and loaded.config.heads.semantics.thresholds
    assert sum(path.stat().st_size for path in NANO.iterdir()) < 8e6
    assert isinstance(loaded.model, BevModel)
    assert not list(loaded.model.backbone.get_submodule('layer3').children())[2:]
    assert not hasattr(loaded.model.backbone, 'layer4')


def count_objects(scores: np.ndarray, config: ModelConfig) -> int:
    """Peaks of [K, Y, X] scores above the threshold, best first, none too close to a better."""
    section, resolution_m = config.heads.objects, config.grid.resolution_m
    assert section is not None
    order = np.argsort(-scores.max(0), axis=None)
    kept: list[np.ndarray] = []
    for index in order:
        cell = np.array(np.unravel_index(index, scores.shape[1:]))
        if scores[:, cell[0], cell[1]].max() < section.score_threshold:
            break
        near = [np.hypot(*(cell - other)) * resolution_m < section.nms_radius_m for other in kept]
        if not any(near):
            kept.append(cell)
        if len(kept) == section.max_objects:
            break
    return len(kept)


@pytest.mark.parametrize('seed', range(3))
def test_shipped_model_is_not_flooded_by_any_images(seed: int) -> None:
    loaded = load_model(NANO)
    config = own_family(loaded.config)
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(6, 3, 8, 22, generator=generator) * 255
    images = functional.interpolate(coarse, size=(128, 352), mode='bilinear')[None]
    K = np.array([[280.0, 0, 175.5], [0, 280.0, 63.5], [0, 0, 1]])
    rig = []
    for index, yaw in enumerate(np.arange(6) * np.pi / 3):
        turn = [0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)]
        optical = make_pose([0, 0, 0], [-0.5, 0.5, -0.5, 0.5])
        pose = make_pose([0, 0, 1.5], turn) @ optical
        rig.append(Camera(f'c{index}', 'c', 352, 128, K, Distortion('none', ()), pose))
    lift = loaded.model.view_transform.build(rig)
    with torch.inference_mode():
        outputs = loaded.model(images, torch.ones(1, 6, dtype=torch.bool), lift)
    objects = count_objects(torch.sigmoid(outputs.heatmap_logits)[0].numpy(), config)
    assert objects <= 20
    assert config.heads.motion is not None
    moving = (torch.sigmoid(outputs.motion_logits)[0] > config.heads.motion.threshold).float()
    share = moving.mean(dim=(1, 2))
    assert bool((share > 0.001).all()) and bool((share < 0.5).all()), share


def test_pipeline_refuses_a_model_that_takes_radar(tmp_path: Path) -> None:
    config = tiny_config().model_copy(update={'radar': RadarSection(features=3)})
    save_model(tmp_path / 'radar', config, BevModel(config))
    with pytest.raises(ConfigError, match="model 'nano' takes radar, which frame sets do not"):
        BevPipeline(load_model(tmp_path / 'radar'))
