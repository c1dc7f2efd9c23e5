"""What validation counts, by hand."""

from __future__ import annotations

import pytest
import torch
from bev_trainer.losses.clip_step import FrameResult
from bev_trainer.targets.frame import FrameTargets
from bev_trainer.training.watch import Tally, figures_of

from bev_perception.model.outputs import ModelOutputs

NAN = float('nan')


def result(losses: dict[str, float], **outputs: torch.Tensor) -> FrameResult:
    tensors = {name: torch.tensor(value) for name, value in losses.items()}
    empty = torch.zeros(1, 1, 1, 1)
    return FrameResult(empty, empty, ModelOutputs(**outputs), None, tensors)


def test_losses_are_means_over_clips() -> None:
    tally = Tally(())
    tally.add(result({'boxes': 1.0, 'flow': 4.0}), FrameTargets(), clips=3)
    tally.add(result({'boxes': 5.0}), FrameTargets(), clips=1)
    assert tally.figures() == {'loss/boxes': 2.0, 'loss/flow': 4.0}


def test_overlaps_are_pooled_over_frames_and_leave_out_what_does_not_count() -> None:
    tally = Tally(('road', 'water'))
    said = torch.tensor([[[[1.0, -1.0, 1.0, 1.0]], [[-1.0, -1.0, -1.0, -1.0]]]])
    truth = torch.tensor([[[[1, 1, 0, -1]], [[0, 0, -1, -1]]]], dtype=torch.int8)
    first = result({}, semantic_logits=said.view(1, 2, 1, 4))
    tally.add(first, FrameTargets(semantics=truth.view(1, 2, 1, 4)), clips=1)
    # One right, one missed, one invented; what does not count is neither. No water at all.
    assert tally.figures() == {'iou/road': pytest.approx(1 / 3)}
    more = result({}, semantic_logits=torch.full((1, 2, 1, 4), 2.0))
    ones = torch.ones(1, 2, 1, 4, dtype=torch.int8)
    tally.add(more, FrameTargets(semantics=ones), clips=1)
    assert tally.figures() == {'iou/road': pytest.approx(5 / 7), 'iou/water': 1.0}


def test_occupancy_counts_where_it_is_known() -> None:
    tally = Tally(())
    said = torch.tensor([3.0, 0.1, -0.1, 3.0]).view(1, 1, 1, 4)
    truth = torch.tensor([1, 1, 1, -1], dtype=torch.int8).view(1, 1, 1, 4)
    tally.add(result({}, occupancy_logits=said), FrameTargets(occupancy=truth), clips=1)
    assert tally.figures() == {'iou/occupied': pytest.approx(2 / 3)}


def test_motion_is_told_apart_by_now_and_ahead() -> None:
    tally = Tally(())
    said = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]).view(1, 3, 1, 2)
    truth = torch.tensor([[1.0, 0.0], [1.0, 1.0], [NAN, NAN]]).view(1, 3, 1, 2)
    tally.add(result({}, motion_logits=said), FrameTargets(motion=truth), clips=1)
    assert tally.figures() == {'iou/movable_now': 0.5, 'iou/movable_ahead': 0.5}


def test_parts_of_the_clips_add_up_to_all_of_them() -> None:
    torch.manual_seed(0)
    whole, parts = Tally(('road',)), [Tally(('road',)), Tally(('road',))]
    for index in range(5):
        logits = torch.randn(2, 1, 4, 4)
        truth = torch.randint(-1, 2, (2, 1, 4, 4), dtype=torch.int8)
        frame = result({'semantics': index + 0.5}, semantic_logits=logits)
        for tally in (whole, parts[index % 2]):
            tally.add(frame, FrameTargets(semantics=truth), clips=2 + index)
    together = figures_of(part.sums() for part in parts)
    assert together == pytest.approx(whole.figures())
    assert set(together) == {'loss/semantics', 'iou/road'}
