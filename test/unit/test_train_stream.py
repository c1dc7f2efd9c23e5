"""The order of clips, batches of them, and clips that cannot be read."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from bev_trainer.config.sections import ClipSection
from bev_trainer.data.clip import Clip
from bev_trainer.data.clip_stream import (
    Batch,
    ClipDataset,
    Draw,
    DrawOrder,
    EvenSampler,
    StepSampler,
    collate,
    loader,
)
from bev_trainer.data.drive_source import DriveSource
from bev_trainer.errors import DatasetError
from bev_trainer.training.left_out import LeftOut
from support.train_set import short_config, write_data_set

from bev_perception.errors import BevError


def drawn(order: DrawOrder, numbers: range) -> list[Draw]:
    return [order[number] for number in numbers]


def test_every_clip_comes_once_per_round_in_another_order() -> None:
    order = DrawOrder([7], [1.0], seed=3)
    rounds = [[order[7 * turn + place].clip for place in range(7)] for turn in range(20)]
    assert all(sorted(found) == list(range(7)) for found in rounds)
    assert len({tuple(found) for found in rounds}) == 20
    draws = drawn(order, range(140))
    assert [draw.number for draw in draws] == list(range(140))
    assert len({draw.seed for draw in draws}) == 140
    # Each clip is changed otherwise when it comes again.
    assert {draw.near for draw in draws} == {False}


@pytest.mark.parametrize('seed', range(5))
def test_weights_are_kept_over_any_stretch(seed: int) -> None:
    clips, weights = [30, 500, 7], [2.0, 0.1, 4.0]
    share = np.array(clips) * weights
    share /= share.sum()
    order = DrawOrder(clips, weights, seed)
    sources = np.array([draw.source for draw in drawn(order, range(6000))])
    for length in (50, 400, 3000):
        for start in range(0, 6000 - length, 173):
            counts = np.bincount(sources[start : start + length], minlength=3)
            # The golden ratio leaves a stretch off by no more than its logarithm.
            assert np.abs(counts - length * share).max() <= 1.0 + np.log2(length)


def test_each_source_goes_through_its_own_rounds() -> None:
    order = DrawOrder([4, 9], [3.0, 1.0], seed=1)
    found: dict[int, list[int]] = {0: [], 1: []}
    for draw in drawn(order, range(400)):
        found[draw.source].append(draw.clip)
    for source, count in enumerate([4, 9]):
        clips = found[source]
        for start in range(0, len(clips) - count + 1, count):
            assert sorted(clips[start : start + count]) == list(range(count))


def test_a_sample_depends_on_the_seed_and_its_number_alone() -> None:
    clips, weights = [5, 11, 2], [1.0, 0.5, 3.0]
    forward = drawn(DrawOrder(clips, weights, 8), range(9000))
    late = DrawOrder(clips, weights, 8)
    assert late[8999] == forward[8999]
    mixed = DrawOrder(clips, weights, 8)
    numbers = np.random.default_rng(0).permutation(9000)[:2000].tolist()
    assert [mixed[number] for number in numbers] == [forward[number] for number in numbers]
    forward = forward[:3000]
    other = drawn(DrawOrder(clips, weights, 9), range(3000))
    same = sum(
        a.clip == b.clip and a.source == b.source for a, b in zip(forward, other, strict=True)
    )
    assert same < 1500
    assert not {draw.seed for draw in forward} & {draw.seed for draw in other}


def test_samples_far_on_take_no_time_to_find() -> None:
    order = DrawOrder([1000, 1000], [1.0, 2.0], 0)
    assert order[5_000_000].number == 5_000_000


def passes(rank: int, world: int, done: int, count: int) -> list[list[Draw]]:
    order = DrawOrder([6, 20], [1.0, 1.0], seed=5)
    sampler = StepSampler(order, 3, 0.4, rank=rank, world=world, passes=done)
    return list(itertools.islice(sampler, count))


def test_several_ranks_together_draw_what_one_draws() -> None:
    one = passes(0, 1, 0, 24)
    for world in (2, 3):
        ranks = [passes(rank, world, 0, 24 // world) for rank in range(world)]
        assert [batch for turn in zip(*ranks, strict=True) for batch in turn] == one
    numbers = [draw.number for batch in one for draw in batch]
    assert numbers == list(range(72))


def test_beginning_later_is_the_tail() -> None:
    one, two = passes(0, 1, 0, 20), passes(1, 2, 0, 20)
    assert passes(0, 1, 7, 13) == one[7:]
    assert passes(1, 2, 13, 7) == two[13:]


def test_the_past_of_a_batch_is_near_or_not_for_all_its_clips() -> None:
    order = DrawOrder([50], [1.0], seed=2)
    found = list(itertools.islice(StepSampler(order, 4, 0.3), 2000))
    nears = [{draw.near for draw in batch} for batch in found]
    assert all(len(near) == 1 for near in nears)
    share = sum(True in near for near in nears) / len(nears)
    assert share == pytest.approx(0.3, abs=0.04)
    for near_share, expected in ((0.0, {False}), (1.0, {True})):
        sampler = StepSampler(order, 4, near_share)
        assert {d.near for batch in itertools.islice(sampler, 50) for d in batch} == expected


def test_validation_takes_the_same_clips_spread_evenly() -> None:
    sampler = EvenSampler([4, 8], wanted=3, batch=2)
    assert list(sampler) == list(sampler) and len(sampler) == 2
    draws = [draw for batch in sampler for draw in batch]
    assert [(draw.source, draw.clip) for draw in draws] == [(0, 2), (1, 2), (1, 6)]
    assert {(draw.seed, draw.near) for draw in draws} == {(None, False)}
    everything = [draw for batch in EvenSampler([2, 3], 100, 2) for draw in batch]
    places = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    assert [(draw.source, draw.clip) for draw in everything] == places
    ranks = [list(EvenSampler([2, 3], 100, 2, rank, 2)) for rank in range(2)]
    assert [len(rank) for rank in ranks] == [2, 1]
    assert [ranks[0][0], ranks[1][0], ranks[0][1]] == list(EvenSampler([2, 3], 100, 2))


class Source:
    """Says which clips it is asked for, and cannot read some of them."""

    clips, scenes, problems = 10, 2, ()

    def __init__(self, clip: Clip, broken: set[int]) -> None:
        self._clip, self._broken = clip, broken
        self.asked: list[tuple[int, int | None, bool]] = []

    def clip(self, index: int, seed: int | None, near: bool = False) -> Clip:
        self.asked.append((index, seed, near))
        if index in self._broken:
            raise DatasetError(f'drive_{index}.zip: is damaged')
        return self._clip


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> DriveSource:
    root = write_data_set(tmp_path_factory.mktemp('stream') / 'data', ('train', 'train'))
    drives = sorted((root / 'drives').glob('*.zip'))
    return DriveSource(drives, short_config(), ClipSection(frames=2))


def tensors(clip: Clip) -> list[torch.Tensor]:
    found = []
    for frame in clip.frames:
        found += [frame.images, frame.camera_mask]
        if frame.targets is not None and frame.targets.heatmap is not None:
            found.append(frame.targets.heatmap)
    return found


def test_a_batch_is_its_clips_side_by_side(source: DriveSource) -> None:
    clips = [source.clip(0, None), source.clip(source.clips - 1, None)]
    batch = collate([(clip, '') for clip in clips])
    assert batch.problems == () and batch.clip is not None
    for index, clip in enumerate(clips):
        for whole, own in zip(tensors(batch.clip), tensors(clip), strict=True):
            assert torch.equal(whole[index], own[0])
    mask = batch.clip.frames[0].camera_mask
    for index, clip in enumerate(clips):
        found = batch.clip.matrices.coverage(mask)[index]
        assert torch.equal(found, clip.matrices.coverage(clip.frames[0].camera_mask)[0])


def test_clips_that_cannot_be_read_are_left_out_of_the_batch(source: DriveSource) -> None:
    flaky = Source(source.clip(0, None), broken={3, 4})
    dataset = ClipDataset([flaky])
    draws = [Draw(0, 0, 2, 11), Draw(1, 0, 3, 12, near=True), Draw(2, 0, 5, 13)]
    batch = collate([dataset[draw] for draw in draws])
    assert flaky.asked == [(2, 11, False), (3, 12, True), (5, 13, False)]
    assert batch.problems == ('drive_3.zip: is damaged',)
    assert batch.clip is not None and len(batch.clip.frames[0].images) == 2
    none = collate([dataset[Draw(0, 0, 3, 1)], dataset[Draw(1, 0, 4, 1)]])
    assert none.clip is None and len(none.problems) == 2


def test_other_errors_are_not_taken_for_bad_data() -> None:
    class Faulty(Source):
        def clip(self, index: int, seed: int | None, near: bool = False) -> Clip:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ClipDataset([Faulty(None, set())])[Draw(0, 0, 0, 0)]  # type: ignore[arg-type]


@pytest.mark.slow
def test_worker_processes_make_the_same_batches(source: DriveSource) -> None:
    order = DrawOrder([source.clips], [1.0], 4)
    found = []
    for workers in (0, 2):
        batches = loader([source], StepSampler(order, 2, 0.5), workers)
        found.append(list(itertools.islice(batches, 5)))
    for own, theirs in zip(*found, strict=True):
        assert len(tensors(own.clip)) == len(tensors(theirs.clip)) > 4
        assert all(map(torch.equal, tensors(own.clip), tensors(theirs.clip)))


class Rank:
    is_global_zero = True


def counted(left_out: LeftOut, problems: tuple[str, ...]) -> None:
    left_out.on_train_batch_start(Rank(), None, Batch(None, problems), 0)  # type: ignore[arg-type]


def test_what_is_left_out_is_said_once_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    left_out = LeftOut(batch=4, max_share=0.1)
    for _ in range(3):
        counted(left_out, ('a.zip: frame 3: torn', 'b.zip: gone'))
        counted(left_out, ())
    assert left_out.reasons == {'a.zip: frame 3: torn': 3, 'b.zip: gone': 3}
    assert (left_out.clips, left_out.seen) == (6, 24)
    said = capsys.readouterr().err.splitlines()
    assert said == ['left out: a.zip: frame 3: torn', 'left out: b.zip: gone']


def test_too_much_that_cannot_be_read_ends_the_training() -> None:
    left_out = LeftOut(batch=4, max_share=0.02)
    counted(left_out, ('a: x', 'a: x'))  # 2 of a hundred at least
    with pytest.raises(BevError, match=r'3 of 8 clips could not be read, .* 0\.02 .*: b: y'):
        counted(left_out, ('b: y',))
    many = LeftOut(batch=100, max_share=0.02)
    for _ in range(10):
        counted(many, ('a: x', 'b: y'))
    with pytest.raises(BevError, match='23 of 1100 clips'):
        counted(many, ('a: x', 'b: y', 'c: z'))
    never = LeftOut(batch=4, max_share=0.0)
    counted(never, ())
    with pytest.raises(BevError):
        counted(never, ('a: x',))


def test_counts_go_on_after_a_stop(capsys: pytest.CaptureFixture[str]) -> None:
    before = LeftOut(batch=2, max_share=0.5)
    counted(before, ('a: x',))
    after = LeftOut(batch=2, max_share=0.5)
    after.load_state_dict(before.state_dict())
    after.on_train_start(Rank(), None)  # type: ignore[arg-type]
    counted(after, ('a: x', 'b: y'))
    assert after.reasons == {'a: x': 2, 'b: y': 1} and after.seen == 4
    other = LeftOut(batch=2, max_share=0.5)
    other.load_state_dict(before.state_dict())
    rank = Rank()
    rank.is_global_zero = False
    other.on_train_start(rank, None)  # type: ignore[arg-type]
    assert (other.reasons, other.seen) == ({}, 0)
    assert Counter(capsys.readouterr().err.splitlines()) == Counter(
        {'left out: a: x': 1, 'left out: b: y': 1}
    )
