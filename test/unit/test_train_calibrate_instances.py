"""What instances are made of is fitted: how sure they must be, and how near votes are one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from bev_trainer.targets.frame import FrameTargets
from bev_trainer.training.calibrate_instances import (
    EvenlyKept,
    InstanceDecoding,
    MotionSample,
    RawMotion,
    fit_instances,
    raw_motion,
)

from bev_perception.decode.instances import (
    BoxTracks,
    MotionMaps,
    decode_instances,
    encode_instances,
)
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.heads.calibration import LogitCalibration
from bev_perception.model.outputs import ModelOutputs

GRID = BevGrid(-20.0, -20.0, 0.5, 80, 80)


def sample(phantoms: float = 0.0, split_m: float = 0.0) -> MotionSample:
    """Two cars that drive, at 0.9; others that are not there, and votes that disagree.

    Args:
        phantoms: probability of five more cars that are not there.
        split_m: front and rear half of each car vote for centres so far apart.
    """
    begin = np.array([[-8.0, 4.0], [3.0, -6.0]])
    path = begin[None] + np.arange(3)[:, None, None] * np.array([1.5, 0.0])
    size = np.full((2, 2), (4.5, 2.0))
    truth, _ = encode_instances(BoxTracks(np.array([1, 2]), path, np.zeros((3, 2)), size), GRID)
    others = np.repeat([[(-15.0 + 7.0 * i, 15.0) for i in range(5)]], 3, axis=0)
    invented, _ = encode_instances(
        BoxTracks(np.arange(1, 6), others, np.zeros((3, 5)), np.full((5, 2), (2.0, 2.0))), GRID
    )
    flow_m = truth.flow_m + invented.flow_m
    ahead = flow_m[0, 0] > 0  # the rear half
    flow_m[0, 0] += np.where(ahead, -0.5, 0.5) * split_m * (truth.probability[0] > 0)
    probability = 0.9 * truth.probability + phantoms * invented.probability
    return MotionSample(MotionMaps(probability.astype(np.float32), flow_m), truth)


def test_what_is_right_already_stays() -> None:
    assert fit_instances([sample()], GRID, 0.4) == InstanceDecoding(0.4, 0.4, 1.0)


def test_phantoms_that_are_less_sure_are_left_out() -> None:
    assert fit_instances([sample(phantoms=0.45)], GRID, 0.25) == InstanceDecoding(0.25, 0.5, 1.0)
    # Nothing tells those apart that are as sure.
    assert fit_instances([sample(phantoms=0.9)], GRID, 0.25) == InstanceDecoding(0.25, 0.25, 1.0)


def test_votes_that_disagree_are_brought_together() -> None:
    split = sample(split_m=1.8)
    found = fit_instances([split], GRID, 0.4)
    assert found.vote_radius_m > 1.0 and found.instance_threshold == 0.4
    for radius_m, cars in ((1.0, 4), (found.vote_radius_m, 2)):
        assert decode_instances(split.said, GRID, 0.4, vote_radius_m=radius_m)[0].max() == cars


def test_where_nobody_is_nothing_is_fitted() -> None:
    empty = MotionMaps(np.zeros((3, 80, 80), np.float32), np.zeros((3, 2, 80, 80), np.float32))
    wanted = InstanceDecoding(0.3, 0.3, 1.0)
    assert fit_instances([], GRID, 0.3) == wanted
    assert fit_instances([replace(sample(), truth=empty)], GRID, 0.3) == wanted


def test_cells_that_are_not_asked_do_not_count() -> None:
    """Phantoms where nothing is known are no reason to ask for more."""
    unknown = sample(phantoms=0.45)
    unknown.truth.probability[:, 60:] = np.nan
    assert fit_instances([unknown], GRID, 0.25) == InstanceDecoding(0.25, 0.25, 1.0)


def test_samples_are_calibrated_frames_of_a_batch() -> None:
    torch.manual_seed(0)
    logits, flow = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 2, 8, 8)
    targets = FrameTargets(motion=torch.rand(2, 3, 8, 8).round(), flow=torch.randn_like(flow))
    frames = list(raw_motion(ModelOutputs(motion_logits=logits, motion_flow=flow), targets))
    calibration = LogitCalibration(3)
    calibration.refine(torch.tensor([1.0, 2.0, 0.5]), torch.tensor([0.0, -1.0, 1.0]))
    calibration.eval()
    wanted = torch.sigmoid(calibration(logits))
    assert len(frames) == 2
    for index, frame in enumerate(frames):
        found = frame.sample(calibration)
        np.testing.assert_allclose(found.said.probability, wanted[index].numpy(), rtol=1e-6)
        np.testing.assert_array_equal(found.said.flow_m, flow[index].numpy())
        assert targets.motion is not None and targets.flow is not None
        np.testing.assert_array_equal(found.truth.probability, targets.motion[index].numpy())
        np.testing.assert_array_equal(found.truth.flow_m, targets.flow[index].numpy())
    assert not list(raw_motion(ModelOutputs(motion_logits=logits), targets))
    assert isinstance(frames[0], RawMotion)


@pytest.mark.parametrize('count', [0, 1, 4, 5, 9, 33, 100])
def test_what_is_kept_is_evenly_spread(count: int) -> None:
    row = EvenlyKept[int](4)
    for item in range(count):
        row.add(item)
    assert len(row.kept) == min(count, 4) or 2 < len(row.kept) <= 4
    steps = set(np.diff(row.kept).tolist())
    assert len(steps) <= 1 and row.kept[:1] == [0][:count]
    assert not row.kept or count - row.kept[-1] <= max(steps, default=1)
