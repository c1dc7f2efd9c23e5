"""Calibrated probabilities: logits corrected so that 0.7 comes true seven times out of ten."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_MAX_STEPS = 50
_MIN_SHARE = 2.0**-20


class LogitCalibration(nn.Module):
    """One inverse temperature and one bias per output: scale * logit + bias.

    Platt scaling (Platt 1999) of independent binary outputs, of which temperature scaling (Guo
    et al. 2017, section 4.2) is the case without bias. The numbers are found after training
    (`fit_calibration`) and saved with the weights; until then outputs pass unchanged. In training
    mode they always do, so that losses see what the network itself says.

    Args:
        outputs: C, number of outputs.
    """

    scale: Tensor
    bias: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.register_buffer('scale', torch.ones(outputs))
        self.register_buffer('bias', torch.zeros(outputs))

    def forward(self, logits: Tensor) -> Tensor:
        """Returns corrected logits [B, C, Y, X]."""
        if self.training:
            return logits
        return logits * self.scale[:, None, None] + self.bias[:, None, None]

    @torch.no_grad()
    def refine(self, scale: Tensor, bias: Tensor) -> None:
        """Adds a correction [C], [C] that was fitted to what this module returns."""
        self.bias.copy_(self.bias * scale.to(self.bias) + bias.to(self.bias))
        self.scale.mul_(scale.to(self.scale))


@torch.no_grad()
def fit_calibration(logits: Tensor, targets: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Returns scale [C] and bias [C], float32, that minimise the log loss of observed cells.

    Newton's method in float64 on each output by itself. Targets are drawn in a little, to
    (n + 1) / (n + 2) and 1 / (n + 2) of n positives and n negatives (Platt 1999, section 2.2),
    so that the optimum is finite even where the two separate. An output that shows only one of
    the two where it is observed tells nothing about its scale and keeps (1, 0).

    Args:
        logits: [B, C, Y, X] of data that the weights were not fitted to.
        targets: bool [B, C, Y, X], what is true.
        mask: bool [B, C or 1, Y, X], where that is known.
    """
    mask = mask.expand_as(logits)
    pairs = [
        _fit_output(logits[:, c][mask[:, c]].double(), targets[:, c][mask[:, c]].bool())
        for c in range(logits.shape[1])
    ]
    scale, bias = torch.stack(pairs).float().unbind(dim=1)
    return scale, bias


def _fit_output(logits: Tensor, positive: Tensor) -> Tensor:
    """Returns (scale, bias) float64 [2] of logits [n]."""
    answer = logits.new_tensor([1.0, 0.0])
    count = int(positive.sum())
    others = positive.numel() - count
    if not count or not others:
        return answer
    target = torch.where(positive, (count + 1.0) / (count + 2.0), 1.0 / (others + 2.0)).double()
    best = _log_loss(answer, logits, target)
    for _ in range(_MAX_STEPS):
        step, decrease = _newton_step(answer, logits, target)
        share = 1.0
        # Sufficient decrease (Armijo); far from the optimum a whole step may overshoot.
        while share >= _MIN_SHARE:
            loss = _log_loss(answer - share * step, logits, target)
            if loss <= best - 1e-4 * share * decrease:
                break
            share *= 0.5
        else:
            return answer
        answer, best = answer - share * step, loss
        if decrease < 1e-12:
            return answer
    return answer


def _log_loss(answer: Tensor, logits: Tensor, target: Tensor) -> float:
    return float(
        functional.binary_cross_entropy_with_logits(answer[0] * logits + answer[1], target)
    )


def _newton_step(answer: Tensor, logits: Tensor, target: Tensor) -> tuple[Tensor, float]:
    """Returns the step [2] to subtract and the product of gradient and step."""
    probability = torch.sigmoid(answer[0] * logits + answer[1])
    error, weight = probability - target, probability * (1.0 - probability)
    gradient = torch.stack([(error * logits).mean(), error.mean()])
    cross = (weight * logits).mean()
    hessian = torch.stack([(weight * logits**2).mean(), cross, cross, weight.mean()]).view(2, 2)
    # Keeps the solution defined when all logits are equal.
    ridge = torch.eye(2, dtype=hessian.dtype, device=hessian.device) * 1e-12
    step = torch.linalg.solve(hessian + ridge, gradient)
    return step, float(gradient @ step)
