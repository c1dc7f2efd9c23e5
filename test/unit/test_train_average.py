"""Running averages of weights: closed forms, exact swapping, resuming, several processes."""

from __future__ import annotations

import copy
import io
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bev_trainer.averaging.bema import BiasCorrectedAverage
from bev_trainer.averaging.ema import ExponentialAverage
from bev_trainer.averaging.running import RunningAverage
from support.tiny_model import tiny_config
from torch import Tensor, nn

from bev_perception.errors import ModelError
from bev_perception.model.bev_model import BevModel

MAKERS: dict[str, Callable[[nn.Module], RunningAverage]] = {
    'ema': lambda model: ExponentialAverage(model, 0.8),
    'bema': lambda model: BiasCorrectedAverage(model, start=2, every=2),
}


class Point(nn.Module):
    """One number, and its statistics."""

    total: Tensor
    seen: Tensor

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([value], dtype=torch.float64))
        self.register_buffer('total', torch.tensor([value], dtype=torch.float64))
        self.register_buffer('seen', torch.tensor(0))

    def go(self, value: float) -> None:
        with torch.no_grad():
            self.weight.fill_(value)
            self.total.fill_(10 * value)
            self.seen.add_(1)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    return layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def train_step(model: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    images = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(step))
    optimiser.zero_grad()
    model(images).square().mean().backward()
    optimiser.step()


def applied_values(average: RunningAverage, model: nn.Module) -> dict[str, Tensor]:
    with average.applied(model):
        return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_ema_is_the_sum_with_geometric_weights() -> None:
    model = Point(3.0)
    average = ExponentialAverage(model, decay=0.1)  # below (1 + 1) / (10 + 1): no warm-up
    values = [5.0, -1.0, 2.0, 7.0]
    for step, value in enumerate(values, start=1):
        model.go(value)
        average.update(model, step)
    expected = 0.1**4 * 3.0 + sum(
        0.9 * 0.1 ** (len(values) - step) * value for step, value in enumerate(values, start=1)
    )
    with average.applied(model):
        assert model.weight.item() == pytest.approx(expected, rel=1e-12)
        # The buffer began at 3, not at 30.
        assert model.total.item() == pytest.approx(10 * expected - 0.1**4 * 27.0, rel=1e-12)
        assert int(model.seen) == 4
    assert model.weight.item() == 7.0 and model.total.item() == 70.0


def test_decay_warms_up() -> None:
    average = ExponentialAverage(Point(0.0), decay=0.9)
    assert average.decay(1) == pytest.approx(2 / 11)
    assert average.decay(79) == pytest.approx(80 / 89)
    assert average.decay(80) == pytest.approx(0.9)
    assert average.decay(10**6) == 0.9
    model = Point(0.0)
    model.go(1.0)
    average.update(model, 1)
    with average.applied(model):
        assert model.weight.item() == pytest.approx(9 / 11)


def test_up_to_the_start_the_average_is_the_weights() -> None:
    for average in (
        ExponentialAverage(Point(9.0), decay=0.5, start=3),
        BiasCorrectedAverage(Point(9.0), start=3),
    ):
        model = Point(9.0)
        for step in (1, 2, 3):
            model.go(float(step))
            average.update(model, step)
            with average.applied(model):
                assert model.weight.item() == step and model.total.item() == 10 * step
        model.go(6.0)
        average.update(model, 4)
        with average.applied(model):
            assert 3.0 < model.weight.item() < 6.0


def test_a_step_that_is_not_new_changes_nothing() -> None:
    model = Point(0.0)
    average = ExponentialAverage(model, decay=0.5)
    model.go(1.0)
    average.update(model, 1)
    once = applied_values(average, model)['weight']
    model.go(5.0)
    average.update(model, 1)
    assert torch.equal(applied_values(average, model)['weight'], once)


@pytest.mark.parametrize('rate', [0.05, 0.3, 1.0])
def test_bema_on_a_quadratic(rate: float) -> None:
    """Gradient descent on (w - m)^2 / 2: w_k - m = (1 - rate)^k (w_0 - m).

    The mean of w_0 to w_t is off by (w_0 - m) (1 - q^(t + 1)) / (rate (t + 1)), q = 1 - rate; the
    correction with weight 1 / (t + 1) takes away (w_0 - m) (1 - q^t) / (t + 1).
    """
    goal, first, q = 4.0, -2.0, 1.0 - rate
    model = Point(first)
    average = BiasCorrectedAverage(model, ema_power=1.0, bias_power=1.0, multiplier=1.0, lag=1.0)
    for step in range(1, 31):
        value = goal + (first - goal) * q**step
        model.go(value)
        average.update(model, step)
        share = 1.0 / (step + 1)
        assert average.ema_weight(step) == average.bias_weight(step) == pytest.approx(share)
        lag = (first - goal) * (1.0 - q ** (step + 1)) / rate * share
        corrected = lag - (first - goal) * (1.0 - q**step) * share
        found = average.state_dict()['average']['weight']
        assert float(found) - goal == pytest.approx(lag, rel=1e-9)
        with average.applied(model):
            assert model.weight.item() - goal == pytest.approx(corrected, rel=1e-9, abs=1e-9)
    # With the curvature that the correction assumes nothing is left of the bias.
    assert (abs(corrected) < 1e-9) == (rate == 1.0)
    assert abs(corrected) < abs(lag)


def test_bema_schedule() -> None:
    average = BiasCorrectedAverage(Point(0.0))
    assert average.ema_weight(90) == pytest.approx(100**-0.5)
    assert average.bias_weight(90) == pytest.approx(100**-0.2)
    bounded = BiasCorrectedAverage(Point(0.0), decay=0.8)
    assert bounded.ema_weight(10) == pytest.approx(20**-0.5)
    assert bounded.ema_weight(10**6) == pytest.approx(0.2)
    assert bounded.bias_weight(10**6) == pytest.approx((10**6 + 10) ** -0.2)


def test_bema_by_hand_with_unlike_powers() -> None:
    """lag 4: beta_1 = 5 ** -1 and alpha_1 = 5 ** -2, from 2 to 12."""
    model = Point(2.0)
    average = BiasCorrectedAverage(model, ema_power=1.0, bias_power=2.0, lag=4.0)
    model.go(12.0)
    average.update(model, 1)
    with average.applied(model):
        assert model.weight.item() == pytest.approx(2.0 + 10.0 / 5 + 10.0 / 25)


def test_bema_corrects_parameters_only() -> None:
    model = Point(0.0)
    average = BiasCorrectedAverage(model, ema_power=1.0, bias_power=1.0, lag=1.0)
    model.go(1.0)
    average.update(model, 1)
    with average.applied(model):
        assert model.weight.item() == pytest.approx(0.5 + 0.5)
        assert model.total.item() == pytest.approx(5.0)
        assert int(model.seen) == 1


def test_bema_updates_every_so_many_steps() -> None:
    model = Point(0.0)
    average = BiasCorrectedAverage(model, every=3, start=1)
    for step in range(1, 7):
        model.go(float(step))
        before = applied_values(average, model)['weight']
        average.update(model, step)
        after = applied_values(average, model)['weight']
        assert torch.equal(before, after) == (step not in (1, 4))


@pytest.mark.parametrize('kind', MAKERS)
def test_swapping_is_exact_on_the_real_network(kind: str) -> None:
    torch.manual_seed(0)
    model = BevModel(tiny_config())
    average = MAKERS[kind](model)
    generator = torch.Generator().manual_seed(1)
    for step in range(1, 7):
        with torch.no_grad():
            for tensor in model.state_dict().values():
                if tensor.is_floating_point():
                    tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.1)
        average.update(model, step)
    assert average.state_dict()['average'].keys() == model.state_dict().keys()
    tensors = [*model.parameters(), *model.buffers()]
    places = [tensor.data_ptr() for tensor in tensors]
    strides = [tensor.stride() for tensor in tensors]
    before = copy.deepcopy(model.state_dict())
    with torch.inference_mode(), average.applied(model) as inside:
        assert inside is model
        changed = [
            name
            for name, tensor in model.state_dict().items()
            if not torch.equal(tensor, before[name])
        ]
    floats = [name for name, tensor in before.items() if tensor.is_floating_point()]
    assert changed == floats
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [tensor.data_ptr() for tensor in tensors] == places
    assert [tensor.stride() for tensor in tensors] == strides
    assert any(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in tensors[:1])


def test_weights_come_back_after_an_error_and_nan_stays_nan() -> None:
    model = Point(1.0)
    average = ExponentialAverage(model, 0.5)
    model.go(math.nan)
    with pytest.raises(RuntimeError, match='stop'), average.applied(model):
        assert model.weight.item() == 1.0
        raise RuntimeError('stop')
    assert math.isnan(model.weight.item())


@pytest.mark.parametrize('kind', MAKERS)
def test_training_goes_on_as_it_was_with_averages_applied_in_between(kind: str) -> None:
    ends = []
    for looked_at in (False, True):
        model = network()
        optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
        average = MAKERS[kind](model)
        for step in range(1, 9):
            train_step(model, optimiser, step)
            average.update(model, step)
            if looked_at:
                with average.applied(model):
                    model.eval()(torch.ones(1, 3, 6, 6))
                model.train()
        ends.append(copy.deepcopy(model.state_dict()) | applied_values(average, model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize('stop', [1, 2, 3, 5])
@pytest.mark.parametrize('kind', MAKERS)
def test_resumed_average_is_bit_equal(kind: str, stop: int) -> None:
    def run(model: nn.Module, average: RunningAverage, optimiser: torch.optim.Optimizer, at: int):
        for step in range(at, 9):
            train_step(model, optimiser, step)
            average.update(model, step)
            if step == stop and at == 1:
                torch.save(
                    [model.state_dict(), average.state_dict(), optimiser.state_dict()], saved
                )

    saved = io.BytesIO()
    model = network()
    average = MAKERS[kind](model)
    run(model, average, torch.optim.AdamW(model.parameters(), lr=0.01), 1)
    expected = applied_values(average, model)

    saved.seek(0)
    weights, averaged, optimised = torch.load(saved)
    model = network(seed=5)
    model.load_state_dict(weights)
    average = MAKERS[kind](network(seed=6))
    average.load_state_dict(averaged)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    optimiser.load_state_dict(optimised)
    run(model, average, optimiser, stop + 1)
    found = applied_values(average, model)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize('kind', MAKERS)
def test_resumed_average_knows_its_step(kind: str) -> None:
    model = Point(1.0)
    average = MAKERS[kind](model)
    for step in range(1, 5):
        model.go(float(step))
        average.update(model, step)
    again = MAKERS[kind](Point(0.0))
    again.load_state_dict(average.state_dict())
    model.go(50.0)
    again.update(model, 4)  # as after the last batch before the checkpoint
    expected, found = (applied_values(one, model)['weight'] for one in (average, again))
    assert torch.equal(expected, found)


def test_average_of_half_precision_is_kept_in_float32() -> None:
    model = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    nn.init.constant_(model.weight, 1.0)
    average = ExponentialAverage(model, decay=0.999)
    nn.init.constant_(model.weight, 2.0)
    for step in range(10_000, 10_100):  # each moves by a thousandth: nothing in bfloat16
        average.update(model, step)
    found = average.state_dict()['average']['weight']
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(2.0 - 0.999**100, rel=1e-4)
    with average.applied(model):
        assert model.weight.dtype == torch.bfloat16 and model.weight.item() > 1.05
    assert model.weight.item() == 2.0


def test_foreign_checkpoints_are_refused_and_change_nothing() -> None:
    average = BiasCorrectedAverage(network())
    before = copy.deepcopy(average.state_dict())
    with pytest.raises(ModelError, match='another kind of average'):
        average.load_state_dict(ExponentialAverage(network(1)).state_dict())
    wider = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 2, 1))
    with pytest.raises(ModelError, match=r'0\.weight has shape \[5, 3, 3, 3\], in the model it'):
        average.load_state_dict(BiasCorrectedAverage(wider).state_dict())
    after = average.state_dict()
    assert after['step'] == before['step']
    for store in ('average', 'first', 'corrected'):
        assert all(torch.equal(after[store][name], before[store][name]) for name in before[store])


@pytest.mark.parametrize(
    'make',
    [
        lambda: ExponentialAverage(Point(0.0), decay=1.0),
        lambda: ExponentialAverage(Point(0.0), start=-1),
        lambda: BiasCorrectedAverage(Point(0.0), lag=0.5),
        lambda: BiasCorrectedAverage(Point(0.0), every=0),
        lambda: BiasCorrectedAverage(Point(0.0), ema_power=-1.0),
    ],
)
def test_impossible_settings_are_refused(make: Callable[[], RunningAverage]) -> None:
    with pytest.raises(ValueError):
        make()


def _one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2
    )
    model = network()
    wrapped = nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)
    optimiser = torch.optim.SGD(wrapped.parameters(), lr=0.1)
    average = ExponentialAverage(wrapped, 0.8)
    history = []
    for step in range(1, 4):
        train_step(wrapped, optimiser, 10 * step + rank)
        average.update(wrapped, step)
        history.append(copy.deepcopy(model.state_dict()))
    torch.save([history, applied_values(average, wrapped)], os.path.join(folder, f'{rank}.pt'))
    torch.distributed.destroy_process_group()


def test_two_processes_have_one_average(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_one_of_two, (str(tmp_path),), nprocs=2)
    (history, found), (other_history, other_found) = (
        torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1)
    )
    assert found.keys() == {f'module.{name}' for name in network().state_dict()}
    assert all(torch.equal(found[name], other_found[name]) for name in found)
    name = '1.running_var'
    assert not torch.equal(history[-1][name], other_history[-1][name])
    expected = torch.ones(4)
    for step, (one, other) in enumerate(zip(history, other_history, strict=True), start=1):
        decay = (1 + step) / (10 + step)
        expected = decay * expected + (1 - decay) * (one[name] + other[name]) / 2
    torch.testing.assert_close(found[f'module.{name}'], expected, rtol=1e-6, atol=0.0)
