"""Fine-tuning near the base: the pull, frozen parts, parts taken over."""

from __future__ import annotations

import copy

import pytest
import torch
from bev_trainer.averaging.adapt import PullToBase, pull_towards
from bev_trainer.averaging.parts import FrozenParts, part_names, take_parts, trunk_names
from support.tiny_model import tiny_config
from torch import nn

from bev_perception.errors import ConfigError, ModelError
from bev_perception.model.bev_model import BevModel

HEADS = ('heads.occupancy', 'heads.objects', 'heads.motion', 'heads.trajectories')


def bev_model(seed: int) -> BevModel:
    torch.manual_seed(seed)
    return BevModel(tiny_config())


def pair(value: float) -> nn.Module:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    for parameter in model.parameters():
        nn.init.constant_(parameter, value)
    return model


def test_pull_is_the_mean_by_shares() -> None:
    model, base = pair(2.0), pair(10.0).state_dict()
    base['1.running_mean'].fill_(5.0)
    pull_towards(model, base, 0.25)
    assert [parameter.item() for parameter in model.parameters()] == [4.0, 4.0, 4.0]
    assert model.state_dict()['1.running_mean'].item() == 0.0
    pull_towards(model, base, 0.25)
    assert model.state_dict()['0.weight'].item() == pytest.approx(10.0 - 0.75**2 * 8.0)
    pull_towards(model, base, 1.0)
    assert [parameter.item() for parameter in model.parameters()] == [10.0, 10.0, 10.0]


def test_pull_is_the_proximal_step_of_a_penalty() -> None:
    """The w that minimises (w - 2)^2 / 2 + 3 / 2 (w - 10)^2 is at share 3 / (1 + 3)."""
    model = pair(2.0)
    pull_towards(model, pair(10.0).state_dict(), 3.0 / 4.0)
    weight = model.state_dict()['0.weight'].item()
    assert (weight - 2.0) + 3.0 * (weight - 10.0) == pytest.approx(0.0)


def test_frozen_and_new_parameters_are_left_alone() -> None:
    model, base = pair(2.0), pair(10.0).state_dict()
    del base['1.bias']
    model.get_parameter('1.weight').requires_grad_(False)
    pull_towards(model, base, 0.5)
    assert [parameter.item() for parameter in model.parameters()] == [6.0, 2.0, 2.0]


def test_pull_comes_every_so_many_steps_once() -> None:
    model = pair(0.0)
    pull = PullToBase(pair(8.0).state_dict(), share=0.5, every=3)
    seen = []
    for step in (1, 2, 3, 3, 4, 5, 6, 6, 2):
        pull.update(model, step)
        seen.append(model.get_parameter('0.weight').item())
    assert seen == [0.0, 0.0, 4.0, 4.0, 4.0, 4.0, 6.0, 6.0, 6.0]


def test_pull_goes_on_where_it_stopped() -> None:
    base = pair(8.0).state_dict()
    ends = []
    for stop in (None, 3, 4):
        model, pull = pair(0.0), PullToBase(base, share=0.5, every=2)
        for step in range(1, 7):
            pull.update(model, step)
            if step == stop:
                state = pull.state_dict()
                pull = PullToBase(base, share=0.5, every=2)
                pull.load_state_dict(state)
                pull.update(model, step)  # as after the last batch before the checkpoint
        ends.append(model.get_parameter('0.weight').item())
    assert ends[0] == 7.0 and ends == [ends[0]] * 3


def test_base_is_a_copy() -> None:
    source = pair(8.0)
    pull = PullToBase(source.state_dict(), share=1.0)
    nn.init.constant_(source.get_parameter('0.weight'), 100.0)
    model = pair(0.0)
    pull.update(model, 1)
    assert model.get_parameter('0.weight').item() == 8.0


def test_base_that_does_not_fit_is_refused() -> None:
    pull = PullToBase(nn.Sequential(nn.Linear(2, 1, bias=False)).state_dict(), 0.5)
    with pytest.raises(ModelError, match=r'0\.weight has shape \[1, 1\], in the base it is \[1'):
        pull.check(pair(0.0))
    with pytest.raises(ModelError, match='none of the parameters'):
        PullToBase({}, 0.5).check(pair(0.0))
    PullToBase(pair(1.0).state_dict(), 0.5).check(pair(0.0))
    for share, every in ((-0.1, 1), (1.1, 1), (0.5, 0)):
        with pytest.raises(ValueError):
            PullToBase({}, share, every)


def test_parts_have_the_names_of_the_stages() -> None:
    model = bev_model(0)
    names = part_names(model)
    assert names[:2] == ('backbone', 'neck')
    assert {'depth_head', 'coverage', 'memory', 'bev_encoder', *HEADS} <= set(names)
    assert trunk_names(model) == tuple(name for name in names if name not in HEADS)
    owned = {
        name
        for name, _ in model.named_parameters()
        if name.startswith(tuple(f'{part}.' for part in names))
    }
    assert owned == {name for name, _ in model.named_parameters()}


def test_frozen_trunk_trains_heads_only() -> None:
    model = bev_model(0)
    frozen = FrozenParts(model, ['trunk'])
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained and all(name.startswith('heads.') for name in trained)
    model.train()
    assert model.backbone.training
    frozen.hold()
    modes = {name: module.training for name, module in model.named_modules() if name}
    assert not any(modes[name] for name in modes if name.startswith(trunk_names(model)))
    assert modes['heads'] and modes['heads.motion']

    before = copy.deepcopy(model.state_dict())
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model.bev_encoder(torch.randn(2, 8, 12, 16))  # a batch goes through the trunk
    features = torch.randn(2, 8, 12, 16)
    outputs = model.decode(features, {'occupancy'})
    assert outputs.occupancy_logits is not None
    outputs.occupancy_logits.square().mean().backward()
    optimiser.step()
    changed = {
        name.split('.')[0]
        for name, tensor in model.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == {'heads'}

    frozen.release()
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_parts_may_be_named_one_by_one() -> None:
    model = bev_model(0).train()
    frozen = FrozenParts(model, ['heads.motion', 'backbone', 'backbone'])
    assert not any(module.training for module in model.backbone.modules())
    assert not model.heads.motion.training and model.heads.objects.training
    assert frozen.names == ('backbone', 'heads.motion')
    still = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert still == {
        name
        for name, _ in model.named_parameters()
        if name.startswith(('backbone.', 'heads.motion.'))
    }


def test_unknown_parts_and_nothing_left_are_refused() -> None:
    model = bev_model(0)
    with pytest.raises(ConfigError, match=r"no part 'backbon'; did you mean 'backbone'\?"):
        FrozenParts(model, ['backbon'])
    with pytest.raises(ConfigError, match='nothing is left to train'):
        FrozenParts(model, ['trunk', 'heads'])
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_new_heads_on_a_trunk_that_was_trained() -> None:
    base, model = bev_model(0), bev_model(1)
    with torch.no_grad():
        for buffer in base.buffers():
            if buffer.is_floating_point():
                buffer.add_(0.5)
    fresh = copy.deepcopy(model.state_dict())
    kept = take_parts(model, base.state_dict(), ['trunk'])
    assert kept == HEADS
    for name, tensor in model.state_dict().items():
        expected = fresh if name.startswith('heads.') else base.state_dict()
        assert torch.equal(tensor, expected[name]), name


def test_heads_of_other_widths_do_not_matter_and_trunks_do() -> None:
    base = bev_model(0)
    config = tiny_config()
    assert config.heads.motion is not None
    motion = config.heads.motion.model_copy(update={'channels': 12})
    heads = config.heads.model_copy(update={'motion': motion, 'trajectories': None})
    model = BevModel(config.model_copy(update={'heads': heads}))
    take_parts(model, base.state_dict(), ['trunk', 'heads.occupancy'])
    for name, tensor in model.state_dict().items():
        if name.startswith(('bev_encoder.', 'backbone.', 'heads.occupancy.')):
            assert torch.equal(tensor, base.state_dict()[name]), name
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ModelError, match=r'^nano: heads\.motion\.\S+ has shape'):
        take_parts(model, base.state_dict(), ['trunk', 'heads.motion'], 'nano')
    del (partial := base.state_dict())['coverage.weight']
    with pytest.raises(ModelError, match=r'^the base: has no coverage\.weight, which the model'):
        take_parts(model, partial, ['trunk'])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
