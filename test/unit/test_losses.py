"""Losses against numbers computed by hand, and what must not count."""

from __future__ import annotations

import math

import pytest
import torch
from bev_trainer.losses.motion import flow_loss, segmentation_loss, trajectory_loss
from bev_trainer.losses.objects import box_loss, center_focal_loss
from bev_trainer.losses.occupancy import depth_loss, masked_log_loss
from bev_trainer.losses.total import UncertaintyWeights

NAN = math.nan


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_log_loss_by_hand() -> None:
    logits = torch.tensor([[[[logit(0.8), logit(0.1), 50.0]], [[3.0, -2.0, 1.0]]]])
    target = torch.tensor([[[[1, 0, -1]], [[-1, -1, -1]]]], dtype=torch.int8)
    expected = -(math.log(0.8) + math.log(0.9)) / 2
    assert masked_log_loss(logits, target).item() == pytest.approx(expected, rel=1e-5)
    weighted = -(2 * math.log(0.8) + math.log(0.9)) / 3
    assert masked_log_loss(logits, target, 2.0).item() == pytest.approx(weighted, rel=1e-5)
    assert masked_log_loss(logits, torch.full_like(target, -1)).item() == 0.0


def test_depth_loss_by_hand() -> None:
    depth = torch.tensor([0.2, 0.7, 0.1]).view(1, 1, 3, 1, 1).repeat(1, 1, 1, 1, 2)
    target = torch.tensor([[[[1, -1]]]], dtype=torch.int16)
    assert depth_loss(depth, target).item() == pytest.approx(-math.log(0.7), rel=1e-5)
    assert depth_loss(depth, torch.full_like(target, -1)).item() == 0.0


def test_center_focal_loss_by_hand() -> None:
    logits = torch.tensor([[[[logit(0.9), logit(0.3), logit(0.2)]]]])
    target = torch.tensor([[[[1.0, 0.5, 0.0]]]])
    expected = -(0.1**2 * math.log(0.9) + 0.5**4 * 0.3**2 * math.log(0.7) + 0.2**2 * math.log(0.8))
    assert center_focal_loss(logits, target).item() == pytest.approx(expected, rel=1e-4)
    # Without any object the sum stays finite.
    assert math.isfinite(center_focal_loss(logits, torch.zeros_like(target)).item())


def test_box_loss_by_hand() -> None:
    target = torch.full((1, 10, 1, 2), NAN)
    target[0, :, 0, 0] = 1.0
    target[0, 8:, 0, 0] = NAN  # velocity is not known
    found = torch.zeros(1, 10, 1, 2, requires_grad=True)
    loss = box_loss(found, target)
    assert loss.item() == pytest.approx(8.0)
    loss.backward()
    assert found.grad is not None and bool(torch.isfinite(found.grad).all())
    assert not found.grad[0, 8:].any() and not found.grad[..., 1].any()


def test_segmentation_takes_the_hardest_quarter_and_discounts() -> None:
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 0, 0, 0] = logit(0.2)
    target = torch.zeros(1, 2, 2, 2)
    target[0, 0, 0, 0] = 1.0
    target[0, 1, 1, 1] = NAN
    first, second = -math.log(0.2), -math.log(0.5)
    expected = (first + 0.95 * second) / 2
    assert segmentation_loss(logits, target).item() == pytest.approx(expected, rel=1e-5)


def test_flow_counts_on_road_users_only() -> None:
    flow = torch.zeros(1, 1, 2, 1, 2)
    target = torch.tensor([3.0, 0.5]).view(1, 1, 2, 1, 1).repeat(1, 1, 1, 1, 2)
    motion = torch.tensor([[[[1.0, 0.0]]]])
    assert flow_loss(flow, target, motion).item() == pytest.approx(2.5 + 0.125)
    unknown = torch.tensor([[[[NAN, 0.0]]]])
    assert flow_loss(flow, target, unknown).item() == 0.0


def test_the_winning_mode_takes_it_all() -> None:
    offsets = torch.zeros(1, 2, 2, 2, 2, requires_grad=True)
    with torch.no_grad():
        offsets[0, 0, 1] = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    target = torch.zeros(1, 2, 2, 2)
    target[0, 0] = torch.tensor([[1.0, 0.0], [4.0, 0.0]])
    valid = torch.tensor([[[True, True], [False, False]]])
    logits = torch.tensor([[[0.0, logit(0.75)], [5.0, -5.0]]])
    loss = trajectory_loss(logits, offsets, target, valid)
    # Mode 1 is 2 m off at the second step: smooth L1 1.5, mean of two steps; it was 75 % likely.
    assert loss.item() == pytest.approx(0.75 - math.log(0.75), rel=1e-5)
    loss.backward()
    assert offsets.grad is not None
    assert offsets.grad[0, 0, 1].any() and not offsets.grad[0, 0, 0].any()
    assert not offsets.grad[0, 1].any()


def test_no_object_no_loss() -> None:
    empty = trajectory_loss(
        torch.zeros(2, 0, 3),
        torch.zeros(2, 0, 3, 4, 2),
        torch.zeros(2, 0, 4, 2),
        torch.zeros(2, 0, 4, dtype=torch.bool),
    )
    assert empty.item() == 0.0


def test_uncertainty_weights_settle_where_a_loss_counts_one_half() -> None:
    weights = UncertaintyWeights()
    optimiser = torch.optim.SGD(weights.parameters(), lr=0.2)
    losses = {'occupancy': torch.tensor(4.0), 'flow': torch.tensor(0.25)}
    assert weights(losses).item() == pytest.approx(4.25)
    for _ in range(300):
        optimiser.zero_grad()
        weights(losses).backward()
        optimiser.step()
    for name, loss in losses.items():
        share = torch.exp(-weights.log_noise[name]) * loss
        assert share.item() == pytest.approx(0.5, rel=1e-3), name
