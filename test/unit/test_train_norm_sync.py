"""Statistics of batch normalisation of several processes: those of one after the other."""

from __future__ import annotations

import copy

import pytest
import torch
from bev_trainer.training.norm_sync import NormStatistics, Statistics
from torch import Tensor, nn


class Twice(nn.Module):
    """One layer is shown as many batches as it is called with, another only the first."""

    def __init__(self) -> None:
        super().__init__()
        self.often, self.once = nn.BatchNorm2d(3), nn.BatchNorm2d(2, momentum=0.3)

    def forward(self, batches: list[Tensor]) -> None:
        for batch in batches:
            self.often(batch)
        if batches:
            self.once(batches[0][:, :2])


def random_passes(seed: int) -> list[list[Tensor]]:
    """Passes of four ranks: two batches, one, none (no camera), three."""
    torch.manual_seed(seed)
    return [
        [torch.randn(4, 3, 2, 2) * (rank + 1) + rank for _ in range(count)]
        for rank, count in enumerate((2, 1, 0, 3))
    ]


def statistics(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.named_buffers()}


def test_ranks_in_turn_are_one_process_after_the_other() -> None:
    model = Twice()
    for number, passes in enumerate((random_passes(0), random_passes(1))):
        one = copy.deepcopy(model)
        for batches in passes:
            one(batches)
        before, after = NormStatistics(model).read(), []
        for batches in passes:
            own = copy.deepcopy(model)
            own(batches)
            after.append(NormStatistics(own).read())
        norms = NormStatistics(model)
        norms.write(norms.in_turn(before, after))
        for name, tensor in statistics(one).items():
            torch.testing.assert_close(statistics(model)[name], tensor, msg=f'{number} {name}')
        assert model.often.num_batches_tracked == 6 * (number + 1)
        assert model.once.num_batches_tracked == 3 * (number + 1)


def test_the_order_of_the_ranks_counts() -> None:
    passes = random_passes(2)
    norms = NormStatistics(Twice())
    before, after = norms.read(), []
    for batches in passes:
        own = Twice()
        own(batches)
        after.append(NormStatistics(own).read())
    there, back = norms.in_turn(before, after), norms.in_turn(before, after[::-1])
    assert not torch.allclose(there.values, back.values)
    assert torch.equal(there.counts, back.counts)


def test_a_copy_is_read_and_written_back() -> None:
    model = Twice()
    model(random_passes(3)[0])
    norms, expected = NormStatistics(model), statistics(model)
    kept = norms.read()
    model(random_passes(4)[3])
    assert not torch.equal(model.often.running_mean, expected['often.running_mean'])  # type: ignore[arg-type]
    norms.write(kept)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in statistics(model).items())


def test_models_without_statistics_have_none_and_cumulative_ones_are_refused() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, track_running_stats=False))
    norms = NormStatistics(model)
    norms.write(norms.in_turn(norms.read(), [norms.read()]))
    assert isinstance(norms.read(), Statistics) and norms.read().values.numel() == 0
    with pytest.raises(ValueError, match='cumulative'):
        NormStatistics(nn.BatchNorm2d(1, momentum=None))
