"""Batch normalisation recalibrated: statistics by hand, nothing else touched, same bits again."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import pytest
import torch
from bev_trainer.averaging.batch_norm import recalibrate
from bev_trainer.averaging.evaluate import even_clips, losses_of, total_of
from bev_trainer.config.sections import ClipSection
from bev_trainer.data.clip import Clip
from bev_trainer.data.drive_source import DriveSource
from support.drives import SmallDrive
from support.tiny_model import tiny_config
from torch import Tensor, nn

from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import ModelConfig


def short_config() -> ModelConfig:
    """The tiny model with paths that fit into a drive of one second."""
    config = tiny_config()
    assert config.heads.motion is not None
    motion = config.heads.motion.model_copy(update={'steps': 1})
    heads = config.heads.model_copy(update={'motion': motion})
    return config.model_copy(update={'heads': heads})


@pytest.fixture(scope='module')
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Two clips of two labelled frames each, of different drives."""
    folder = tmp_path_factory.mktemp('drives')
    paths = [
        SmallDrive(name=f'drive_{seed}', seed=seed, speed_mps=6.0 + 4 * seed).write(folder)
        for seed in (0, 1)
    ]
    source = DriveSource(paths, short_config(), ClipSection())
    assert source.clips == 2
    return [source.clip(index, None) for index in range(2)]


@pytest.fixture
def model() -> BevModel:
    torch.manual_seed(4)
    model = BevModel(short_config())
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()


def norms(model: nn.Module) -> dict[str, nn.BatchNorm2d]:
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


pytestmark = pytest.mark.usefixtures('one_thread')


def test_first_layer_has_mean_and_variance_of_all_it_saw(
    model: BevModel, clips: list[Clip]
) -> None:
    first = next(iter(norms(model).values()))
    inputs: list[Tensor] = []
    for clip in clips:
        for frame in clip.frames:
            used = frame.images.flatten(0, 1)[frame.camera_mask.flatten()]
            inputs.append(model.backbone.conv1(model.normalise(used)))  # type: ignore[operator]
    values = torch.cat(inputs).transpose(0, 1).flatten(1).double()
    assert recalibrate(model, clips) == len(norms(model))
    assert first.running_mean is not None and first.running_var is not None
    torch.testing.assert_close(
        first.running_mean, values.mean(dim=1).float(), rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(first.running_var, values.var(dim=1).float(), rtol=1e-5, atol=1e-5)
    # The mean of the frames' variances leaves out how frames differ.
    within = torch.stack([v.transpose(0, 1).flatten(1).var(dim=1) for v in inputs]).mean(dim=0)
    assert not torch.allclose(first.running_var, within, rtol=1e-4)


def test_later_layers_see_what_training_shows_them(model: BevModel, clips: list[Clip]) -> None:
    """With one frame the statistics are those that training would have with momentum 1."""
    clip = Clip(clips[0].frames[:1], clips[0].matrices)
    trained = copy.deepcopy(model)
    for layer in norms(trained).values():
        layer.momentum = 1.0
        layer.train()
    frame = clip.frames[0]
    assert frame.targets is not None
    assert frame.targets.places is not None and frame.targets.velocity is not None
    with torch.no_grad():
        features = trained.encode(frame.images, frame.camera_mask)
        bev = trained.lift(features, frame.camera_mask, clip.matrices)
        encoded = trained.bev_encoder(trained.remember(bev, None, frame.motion)[0])
        trained.decode(encoded, trained.heads.names)
        trained.forecast(encoded, frame.targets.places, frame.targets.velocity)
    assert recalibrate(model, [clip]) == len(norms(model))
    for name, layer in norms(model).items():
        other = norms(trained)[name]
        assert layer.running_mean is not None and other.running_mean is not None
        assert layer.running_var is not None and other.running_var is not None
        torch.testing.assert_close(layer.running_mean, other.running_mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(layer.running_var, other.running_var, rtol=1e-4, atol=1e-6)


def test_memory_goes_from_frame_to_frame(model: BevModel, clips: list[Clip]) -> None:
    apart = copy.deepcopy(model)
    clip = clips[0]
    recalibrate(model, [clip])
    recalibrate(apart, [Clip((frame,), clip.matrices) for frame in clip.frames])
    found, alone = model.state_dict(), apart.state_dict()
    unlike = {name.split('.')[0] for name in found if not torch.equal(found[name], alone[name])}
    assert unlike >= {'bev_encoder', 'heads'}
    assert not unlike & {'backbone', 'neck', 'depth_head'}


def test_only_statistics_change_and_modes_come_back(model: BevModel, clips: list[Clip]) -> None:
    model.train()
    model.backbone.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    before = copy.deepcopy(model.state_dict())
    recalibrate(model, clips[:1])
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(layer.track_running_stats for layer in norms(model).values())
    assert not any(layer._forward_pre_hooks for layer in norms(model).values())
    changed = {
        name
        for name, tensor in model.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    expected = {
        f'{name}.{kind}' for name in norms(model) for kind in ('running_mean', 'running_var')
    }
    assert changed == expected


def test_same_clips_give_the_same_bits_whatever_was_there(
    model: BevModel, clips: list[Clip]
) -> None:
    other = copy.deepcopy(model)
    for layer in norms(other).values():
        assert layer.running_mean is not None and layer.running_var is not None
        layer.running_mean.normal_()
        layer.running_var.uniform_(1.0, 2.0)
    recalibrate(model, clips)
    recalibrate(other, clips)
    assert all(
        torch.equal(tensor, other.state_dict()[name])
        for name, tensor in model.state_dict().items()
    )


def test_batches_of_clips_and_frames_without_labels_count(
    model: BevModel, clips: list[Clip]
) -> None:
    unlabelled = [
        Clip(
            tuple(
                type(frame)(frame.images, frame.camera_mask, frame.motion, None)
                for frame in clip.frames
            ),
            clip.matrices,
        )
        for clip in clips
    ]
    asked = copy.deepcopy(model)
    all_of_them = recalibrate(asked, [Clip.collate(clips)])
    forecasting = [name for name in norms(model) if 'trajectories' in name]
    assert recalibrate(model, [Clip.collate(unlabelled)]) == all_of_them - len(forecasting)
    for name, tensor in model.state_dict().items():
        if 'trajectories' not in name:
            assert torch.equal(tensor, asked.state_dict()[name])


def test_an_error_leaves_the_model_as_it_was(model: BevModel, clips: list[Clip]) -> None:
    def broken() -> Iterator[Clip]:
        yield clips[0]
        raise RuntimeError('no more')

    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match='no more'):
        recalibrate(model, broken())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module.training for module in model.modules())
    with pytest.raises(ValueError, match='without clips'):
        recalibrate(model, [])


def test_losses_are_those_of_evaluation_and_leave_the_model_alone(
    model: BevModel, clips: list[Clip]
) -> None:
    model.heads.train()
    before = copy.deepcopy(model.state_dict())
    losses = losses_of(model, clips)
    assert losses.keys() >= {'occupancy', 'semantics', 'heatmap', 'boxes', 'motion', 'depth'}
    apart = [losses_of(model, [clip]) for clip in clips]
    for name, loss in losses.items():
        assert loss == pytest.approx(sum(one[name] for one in apart) / 2)
    assert model.heads.training and not model.backbone.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_total_is_that_of_uncertainty_weights_at_rest() -> None:
    losses = {'occupancy': 0.7, 'boxes': 12.0}
    noise = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([noise], max_iter=100, tolerance_grad=1e-12)

    def total() -> Tensor:
        values = torch.tensor(list(losses.values()), dtype=torch.float64)
        return (torch.exp(-noise) * values + 0.5 * noise).sum()

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = total()
        value.backward()
        return value

    optimiser.step(closure)  # type: ignore[arg-type]
    assert total_of(losses) == pytest.approx(float(total().detach()), rel=1e-6)
    assert total_of({'boxes': 0.0}) == total_of({'boxes': 1e-9})


class Numbers:
    """A source that says which clips were asked for."""

    scenes = 1
    problems: tuple[str, ...] = ()

    def __init__(self, clip: Clip, clips: int) -> None:
        self._clip, self.clips = clip, clips
        self.asked: list[int] = []

    def clip(self, index: int, seed: int | None, near: bool = False) -> Clip:
        assert seed is None and not near
        self.asked.append(index)
        return self._clip


@pytest.mark.parametrize(
    ('clips_in_all', 'count', 'expected'),
    [(10, 5, [1, 3, 5, 7, 9]), (7, 3, [1, 3, 5]), (2, 8, [0, 1]), (1, 1, [0])],
)
def test_clips_are_spread_evenly(
    clips: list[Clip], clips_in_all: int, count: int, expected: Sequence[int]
) -> None:
    source = Numbers(clips[0], clips_in_all)
    sizes = [len(batch.frames[0].images) for batch in even_clips(source, count, 2)]
    assert source.asked == list(expected)
    assert sum(sizes) == len(expected) and all(size == 2 for size in sizes[:-1])
