"""Soups and Model Stock on weights: numbers by hand, geometry, refusals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bev_trainer.averaging.provenance import check_same_network, described_soup
from bev_trainer.averaging.soup import greedy_soup, uniform_soup
from bev_trainer.averaging.stock import interpolation_ratio, model_stock
from bev_trainer.averaging.tensors import statistics_of
from bev_trainer.training.soup_card import soup_card
from support.tiny_model import save_tiny_model, tiny_config
from torch import Tensor, nn

from bev_perception.errors import ModelError
from bev_perception.model.bev_model import BevModel
from bev_perception.model.config_sections import TrainingDataSection
from bev_perception.model.folder import LoadedModel, load_model


def state(*values: float, count: int = 0) -> dict[str, Tensor]:
    return {'layer.weight': torch.tensor(values), 'layer.seen': torch.tensor(count)}


def weights(found: Mapping[str, Tensor]) -> list[float]:
    return found['layer.weight'].tolist()


def test_uniform_soup_is_the_mean() -> None:
    found = uniform_soup([state(1.0, 2.0, count=3), state(2.0, -2.0, count=7), state(6.0, 3.0)])
    assert weights(found) == [3.0, 1.0]
    assert int(found['layer.seen']) == 7 and found['layer.seen'].dtype == torch.int64
    assert found['layer.weight'].dtype == torch.float32


@pytest.mark.parametrize('count', [1, 2, 3, 7])
def test_soup_of_identical_models_is_identical(count: int) -> None:
    torch.manual_seed(0)
    model = BevModel(tiny_config())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    one = model.state_dict()
    torch.manual_seed(1)
    base = BevModel(tiny_config()).state_dict()
    soups = [uniform_soup([one] * count)]
    soups.append(greedy_soup([one] * count, lambda state: 1.0).state)
    if count > 1:
        soups.append(model_stock([one] * count, base, statistics_of(model)).state)
    for soup in soups:
        assert list(soup) == list(one)
        assert all(torch.equal(soup[name], one[name]) for name in one)


def test_greedy_takes_what_helps_best_first() -> None:
    """The score is highest at 10: 8 first, with 13 it is 10.5, and 3 makes it worse."""
    seen: list[float] = []

    def score(found: Mapping[str, Tensor]) -> float:
        (value,) = weights(found)
        seen.append(value)
        return -abs(value - 10.0)

    greedy = greedy_soup([state(3.0), state(13.0), state(8.0)], score)
    assert greedy.members == (2, 1)
    assert weights(greedy.state) == [10.5]
    assert greedy.score == -0.5
    assert greedy.scores == (-7.0, -3.0, -2.0)
    assert seen == [3.0, 13.0, 8.0, 10.5, 8.0]


def test_greedy_keeps_the_best_alone_and_equal_scores_let_in() -> None:
    assert greedy_soup([state(0.0), state(9.0)], lambda s: weights(s)[0]).members == (1,)
    assert greedy_soup([state(0.0), state(9.0)], lambda s: 0.0).members == (0, 1)


def test_models_without_a_score_never_take_part() -> None:
    def score(found: Mapping[str, Tensor]) -> float:
        (value,) = weights(found)
        return math.nan if value in (1.0, 5.5) else value

    greedy = greedy_soup([state(1.0), state(9.0), state(2.0)], score)
    assert greedy.members == (1,) and math.isnan(greedy.scores[0])
    with pytest.raises(ModelError, match='losses are not finite'):
        greedy_soup([state(1.0)], score)


@pytest.mark.parametrize(
    ('angle_deg', 'ratio'), [(0.0, 1.0), (60.0, 2.0 / 3.0), (90.0, 0.0), (120.0, 0.0)]
)
def test_model_stock_of_two_models_at_a_known_angle(angle_deg: float, ratio: float) -> None:
    """Two arms of length 2 from the base, symmetric to a direction of 30 degrees."""
    base = torch.tensor([3.0, -1.0])
    half, middle = math.radians(angle_deg) / 2, math.radians(30.0)
    arms = [
        torch.tensor([2 * math.cos(middle + turn), 2 * math.sin(middle + turn)])
        for turn in (half, -half)
    ]
    stock = model_stock([{'a.weight': base + arm} for arm in arms], {'a.weight': base})
    assert stock.ratios['a'] == pytest.approx(ratio, abs=1e-6)
    reach = ratio * 2 * math.cos(half)
    expected = base + reach * torch.tensor([math.cos(middle), math.sin(middle)])
    torch.testing.assert_close(stock.state['a.weight'], expected, rtol=0.0, atol=1e-5)


def test_ratio_is_the_foot_of_the_perpendicular_from_the_centre() -> None:
    """Models at right angles around a centre: what is nearest to it on the line to their mean."""
    distance, radius, count = 3.0, 2.0, 4
    centre = torch.zeros(1 + count, dtype=torch.float64)
    centre[0] = distance
    models = centre + radius * torch.eye(1 + count, dtype=torch.float64)[1:]
    mean = models.mean(dim=0)
    cosine = float(models[0] @ models[1] / models[0].norm() ** 2)
    assert cosine == pytest.approx(distance**2 / (distance**2 + radius**2))
    foot = float(centre @ mean / (mean @ mean))
    assert interpolation_ratio(cosine, count) == pytest.approx(foot)
    stock = model_stock([{'w': model} for model in models], {'w': torch.zeros_like(centre)})
    torch.testing.assert_close(stock.state['w'], foot * mean)


def test_every_layer_has_a_ratio_of_its_own_and_statistics_follow_it() -> None:
    def model(turn_deg: float, scale: float, frozen: float = 7.0) -> dict[str, Tensor]:
        turn = math.radians(turn_deg)
        return {
            'norm.weight': torch.tensor([math.cos(turn)]),
            'norm.bias': torch.tensor([math.sin(turn)]),
            'norm.running_var': torch.tensor([scale]),
            'other.weight': torch.tensor([scale]),
            'frozen.weight': torch.tensor([frozen]),
            'calibration.scale': torch.tensor([scale]),
        }

    base = {name: torch.zeros_like(tensor) for name, tensor in model(0.0, 0.0).items()}
    base['frozen.weight'] += 7.0
    statistics = {'norm.running_var', 'calibration.scale'}
    stock = model_stock([model(0.0, 1.0), model(60.0, 3.0)], base, statistics)
    assert stock.ratios['norm'] == pytest.approx(2.0 / 3.0, abs=1e-6)
    assert stock.ratios['other'] == pytest.approx(1.0)
    assert stock.state['norm.running_var'].item() == pytest.approx(2.0 / 3.0 * 2.0)
    assert stock.state['norm.weight'].item() == pytest.approx(2.0 / 3.0 * 0.75)
    assert stock.state['other.weight'].item() == pytest.approx(2.0)
    assert stock.state['calibration.scale'].item() == pytest.approx(2.0)
    assert stock.state['frozen.weight'].item() == 7.0
    assert list(stock.state) == list(base)


def test_names_and_shapes_must_fit() -> None:
    one = {'a.weight': torch.zeros(2), 'b.bias': torch.zeros(1)}
    short = {'a.weight': torch.zeros(2)}
    wide = {'a.weight': torch.zeros(3), 'b.bias': torch.zeros(1)}
    with pytest.raises(ModelError, match=r'^y: has no b\.bias, which x has$'):
        uniform_soup([one, short], ['x', 'y'])
    with pytest.raises(ModelError, match=r'^y: has b\.bias, which x has not$'):
        uniform_soup([short, one], ['x', 'y'])
    with pytest.raises(ModelError, match=r'^model 3: a\.weight has shape \[3\], in model 1 it is'):
        greedy_soup([one, one, wide], lambda s: 0.0)
    with pytest.raises(ModelError, match=r'^model 2: a\.weight has shape \[3\], in the base it'):
        model_stock([one, wide], one)
    with pytest.raises(ModelError, match='at least two models, got 1'):
        model_stock([one], one)
    with pytest.raises(ModelError, match='at least one model'):
        uniform_soup([])


def test_statistics_are_the_buffers() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    expected = {'1.running_mean', '1.running_var', '1.num_batches_tracked'}
    assert statistics_of(model) == expected


def test_models_of_other_networks_are_refused_by_field() -> None:
    config = tiny_config()
    renamed = config.model_copy(
        update={'name': 'other', 'training': config.training.model_copy(update={'seed': 9})}
    )
    check_same_network([('a', config), ('b', renamed)])
    encoder = config.bev_encoder.model_copy(update={'channels': 12})
    other = config.model_copy(update={'bev_encoder': encoder})
    with pytest.raises(ModelError) as caught:
        check_same_network([('a', config), ('b', renamed), ('c', other)])
    assert str(caught.value) == (
        "c: 'bev_encoder.channels' is 12, in a it is 8; only models of one network can be averaged"
    )
    without = config.model_copy(update={'memory': None})
    with pytest.raises(ModelError, match=r"^b: 'memory' is None"):
        check_same_network([('a', config), ('b', without)])


def test_description_says_what_the_soup_is_made_of(tmp_path: Path) -> None:
    one, two = (load_model(save_tiny_model(tmp_path / str(seed), seed)) for seed in (1, 2))
    trained = one.config.training.model_copy(update={'trained': True})
    free = one.config.model_copy(update={'training': trained, 'licence': 'CC0-1.0'})
    config = described_soup('greedy', [one, two], None, '8 clips of world')
    assert config.training.description == (
        f'greedy soup of {one.model_id}, {two.model_id}; batch norm of 8 clips of world'
    )
    assert not config.training.trained
    assert config.version == '0.1.0+soup' and config.licence == one.config.licence
    made = type(one)(free, one.model, one.weights_hash, 'x-1')
    again = type(one)(config, one.model, one.weights_hash, 'x-2')
    mixed = described_soup('stock', [again, made], made)
    assert mixed.training.description == 'stock soup of x-2, x-1, anchored to x-1'
    assert mixed.licence == 'Apache-2.0 AND CC0-1.0'
    assert mixed.version == '0.1.0+soup'
    assert described_soup('uniform', [made, made]).training.trained
    anchored = described_soup('stock', [made, made], one)
    assert not anchored.training.trained
    assert anchored.licence == 'CC0-1.0 AND Apache-2.0'
    check_same_network([('a', mixed), ('b', one.config)])


def test_the_card_of_a_soup_names_all_data(tmp_path: Path) -> None:
    one, two = (load_model(save_tiny_model(tmp_path / str(seed), seed)) for seed in (1, 2))

    def taught(model: LoadedModel, name: str) -> LoadedModel:
        data = TrainingDataSection(name=name, scenes=2, clips=7, sha256='ab' * 32)
        training = model.config.training.model_copy(update={'data': (data,)})
        return replace(model, config=model.config.model_copy(update={'training': training}))

    members = [taught(one, 'city'), taught(two, 'coast')]
    card = soup_card(described_soup('uniform', members), 'soup-1', 'uniform', members)
    for name in ('city', 'coast'):
        assert f'\n| {name} | all | 2 | 7 | 1 | {"ab" * 6} |\n' in card
