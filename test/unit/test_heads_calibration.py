"""Calibration: a known error is found, what is not observed has no say, fits stay finite."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from bev_perception.model.heads.calibration import LogitCalibration, fit_calibration
from bev_perception.model.heads.occupancy import OccupancyHead


def honest_data(outputs: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns true logits [2, C, 150, 200] and what came of them."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2.0 * torch.randn(2, outputs, 150, 200, generator=generator) - 1.0
    truth = torch.rand(logits.shape, generator=generator) < logits.sigmoid()
    return logits, truth


def calibration_error(logits: torch.Tensor, truth: torch.Tensor) -> float:
    """Returns the expected calibration error over ten bins (Guo et al. 2017, equation 3)."""
    probability, true = logits.sigmoid().flatten().double(), truth.flatten().double()
    total = 0.0
    for low in np.arange(10) / 10:
        here = (probability >= low) & (probability < low + 0.1)
        if here.any():
            total += float((probability[here].mean() - true[here].mean()).abs() * here.sum())
    return total / len(true)


@pytest.mark.parametrize(('scale', 'bias'), [(0.4, -0.7), (1.0, 0.0), (3.0, 1.5), (25.0, 0.3)])
def test_known_error_is_found_and_undone(scale: float, bias: float) -> None:
    honest, truth = honest_data(1)
    told = (honest - bias) / scale
    everywhere = torch.ones(2, 1, 150, 200, dtype=torch.bool)
    found_scale, found_bias = fit_calibration(told, truth, everywhere)
    # 60000 draws determine both to about a hundredth.
    assert float(found_scale) == pytest.approx(scale, rel=0.03)
    assert float(found_bias) == pytest.approx(bias, abs=0.04)
    corrected = calibration_error(told * found_scale + found_bias, truth)
    assert corrected < 0.006
    if scale != 1.0:
        assert calibration_error(told, truth) > 5 * corrected


def platt_by_scipy(z: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns (scale, bias) that minimise Platt's loss (1999, equation 5), by another method."""
    high, low = (truth.sum() + 1) / (truth.sum() + 2), 1 / ((~truth).sum() + 2)
    y = np.where(truth, high, low)

    def loss(x: np.ndarray) -> float:
        return float(np.mean(np.logaddexp(0.0, x[0] * z + x[1]) - y * (x[0] * z + x[1])))

    return minimize(loss, [1.0, 0.0], tol=1e-12).x


def test_fit_is_the_optimum_of_platts_loss() -> None:
    honest, truth = honest_data(2, seed=3)
    told = 0.6 * honest[:, :, :9, :7] + 0.2
    truth = truth[:, :, :9, :7]
    scale, bias = fit_calibration(told, truth, torch.ones(2, 1, 9, 7, dtype=torch.bool))
    for c in range(2):
        best = platt_by_scipy(told[:, c].double().flatten().numpy(), truth[:, c].flatten().numpy())
        np.testing.assert_allclose([scale[c], bias[c]], best, rtol=0, atol=2e-4)


def test_each_output_has_its_own() -> None:
    honest, truth = honest_data(3)
    told = torch.stack([honest[:, 0] / 2.0, honest[:, 1] - 1.0, honest[:, 2]], dim=1)
    scale, bias = fit_calibration(told, truth, torch.ones(2, 1, 150, 200, dtype=torch.bool))
    torch.testing.assert_close(scale, torch.tensor([2.0, 1.0, 1.0]), rtol=0.03, atol=0)
    torch.testing.assert_close(bias, torch.tensor([0.0, 1.0, 0.0]), rtol=0, atol=0.04)


def test_what_is_not_observed_has_no_say() -> None:
    honest, truth = honest_data(1)
    mask = torch.rand(2, 1, 150, 200, generator=torch.Generator().manual_seed(1)) < 0.5
    expected = fit_calibration(honest * 2.0, truth, mask)
    spoilt = torch.where(mask, honest * 2.0, math.nan)
    for a, b in zip(fit_calibration(spoilt, truth | ~mask, mask), expected, strict=True):
        assert torch.equal(a, b)
    other = fit_calibration(honest * 2.0, truth | ~mask, torch.ones_like(mask))
    assert abs(float(other[1] - expected[1])) > 0.5


def test_outputs_that_tell_nothing_stay() -> None:
    logits = torch.randn(1, 4, 6, 5)
    truth = torch.zeros(1, 4, 6, 5, dtype=torch.bool)
    truth[:, 1] = True
    mask = torch.ones(1, 4, 6, 5, dtype=torch.bool)
    mask[:, 2] = False
    truth[:, 3] = logits[:, 3] > 0.0
    scale, bias = fit_calibration(logits, truth, mask)
    assert scale[:3].tolist() == [1.0, 1.0, 1.0] and bias[:3].tolist() == [0.0, 0.0, 0.0]
    # Both kinds, perfectly told apart: surer than before, but not infinitely sure.
    assert 1.0 < float(scale[3]) < 100.0 and math.isfinite(float(bias[3]))


def test_equal_logits_give_the_frequency() -> None:
    truth = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
    truth[..., :5] = True
    logits = torch.full((1, 1, 20, 20), 2.0)
    scale, bias = fit_calibration(logits, truth, torch.ones_like(truth))
    probability = float(torch.sigmoid(scale * 2.0 + bias))
    high, low = 101 / 102, 1 / 302
    assert probability == pytest.approx(0.25 * high + 0.75 * low, abs=1e-4)


def test_module_by_hand_and_in_training() -> None:
    module = LogitCalibration(2).eval()
    logits = torch.tensor([1.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 3, 2)
    assert torch.equal(module(logits), logits)
    module.refine(torch.tensor([2.0, 0.5]), torch.tensor([1.0, 3.0]))
    assert module(logits)[0, :, 0, 0].tolist() == [3.0, 2.0]
    # A second one acts on what the first returns: 10 * (2 z + 1) - 4.
    module.refine(torch.tensor([10.0, 1.0]), torch.tensor([-4.0, 0.0]))
    assert module(logits)[0, :, 2, 1].tolist() == [26.0, 2.0]
    assert module.train()(logits) is logits


def test_saved_with_the_weights_of_a_head() -> None:
    torch.manual_seed(0)
    head, other = OccupancyHead(4, 6, 2).eval(), OccupancyHead(4, 6, 2).eval()
    head.calibration.refine(torch.tensor([2.0, 1.0, 0.5]), torch.tensor([0.0, -1.0, 1.0]))
    bev = torch.randn(1, 4, 5, 7)
    raw = head.out(head.trunk(bev))
    occupancy, semantics = head(bev)
    torch.testing.assert_close(occupancy, 2.0 * raw[:, :1])
    torch.testing.assert_close(semantics[:, 0], raw[:, 1] - 1.0)
    torch.testing.assert_close(semantics[:, 1], 0.5 * raw[:, 2] + 1.0)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(bev)[1], semantics)
    assert not any(parameter is head.calibration.scale for parameter in head.parameters())
