"""Learning rates by hand, and which parameters decay."""

from __future__ import annotations

import itertools
import math

import pytest
from bev_trainer.config.sections import OptimiserSection
from bev_trainer.training.schedule import parameter_groups, rate_factor
from torch import nn


def rates(steps: int, **options: object) -> list[float]:
    factor = rate_factor(OptimiserSection.model_validate(options), steps)
    return [factor(step) for step in range(steps + 2)]


def test_wsd_warms_up_stays_and_decays_as_one_minus_a_root() -> None:
    found = rates(20, schedule='wsd', warmup_steps=4, decay_share=0.4)
    assert found[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert found[4:13] == [1.0] * 9
    # 8 steps of decay, from step 12 on: 1 - sqrt(n / 8).
    assert found[13:20] == pytest.approx([1 - math.sqrt(n / 8) for n in range(1, 8)])
    assert found[14] == 0.5
    assert found[20:] == [0.0, 0.0]


def test_wsd_can_be_prolonged_from_before_its_decay() -> None:
    short = rates(20, schedule='wsd', warmup_steps=4, decay_share=0.4)
    long = rates(40, schedule='wsd', warmup_steps=4, decay_share=0.4)
    assert short[:13] == long[:13]


def test_wsd_without_decay_stays() -> None:
    found = rates(10, schedule='wsd', warmup_steps=0, decay_share=0.0)
    assert found[:10] == [1.0] * 10 and found[10] == 0.0


def test_cosine_is_half_a_wave_after_the_warm_up() -> None:
    found = rates(14, schedule='cosine', warmup_steps=2)
    assert found[:2] == pytest.approx([1 / 3, 2 / 3])
    assert found[2] == 1.0
    assert found[5] == pytest.approx(0.5 + 0.25 * math.sqrt(2))  # a quarter of the way
    assert found[8] == pytest.approx(0.5)
    assert found[14:] == pytest.approx([0.0, 0.0])
    assert all(later < sooner for sooner, later in itertools.pairwise(found[2:15]))


def test_vectors_do_not_decay_and_frozen_parameters_are_not_there() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2), nn.Linear(2, 2))
    model[3].requires_grad_(False)
    matrices, vectors = parameter_groups(model, 0.05)
    assert (matrices['weight_decay'], vectors['weight_decay']) == (0.05, 0.0)
    assert matrices['params'] == [model[0].weight, model[2].weight]
    expected = [model[0].bias, model[1].weight, model[1].bias, model[2].bias]
    assert {id(p) for p in vectors['params']} == {id(p) for p in expected}  # type: ignore[attr-defined]
