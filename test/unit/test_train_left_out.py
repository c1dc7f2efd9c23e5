"""Images that clips go without: counted, put together, told."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

import pytest
from bev_trainer.data.clip import Clip, LostPart
from bev_trainer.data.clip_stream import Batch
from bev_trainer.data.lost_parts import LostParts, telling
from bev_trainer.training import left_out as left_out_module
from bev_trainer.training.left_out import LeftOut
from bev_trainer.training.outcome import Outcome


def image(place: str, reason: str = 'torn', camera: str = 'left') -> LostPart:
    return LostPart('image', f'bag: {camera}', f'bag: {camera} at {place}', reason)


SCAN = LostPart('lidar scan', 'bag: lidar', 'bag: lidar at 7', 'gone')


def counted(*parts: LostPart) -> LostParts:
    found = LostParts()
    for part in parts:
        found.add(part)
    return found


def test_the_same_reason_counts_together() -> None:
    found = LostParts()
    first = [found.add(part) for part in (image('5'), image('3'), image('9'), SCAN)]
    assert first == [True, False, False, True]
    found.add(image('4', 'empty'))
    found.add(image('4', 'torn', 'right'))
    assert (found.count('image'), found.count('lidar scan')) == (5, 1)
    assert found.lines() == (
        'images left out 3 times, such as bag: left at 3: torn',
        'image left out once: bag: left at 4: empty',
        'image left out once: bag: right at 4: torn',
        'lidar scan left out once: bag: lidar at 7: gone',
    )


def test_order_does_not_matter() -> None:
    parts = [image('5'), image('3'), SCAN, image('1', 'empty')]
    assert counted(*parts).rows() == counted(*parts[::-1]).rows()
    both = counted(*parts[2:])
    both.take(counted(*parts[:2]).rows())
    assert both.rows() == counted(*parts).rows() and both.lines() == counted(*parts).lines()


class Rank:
    def __init__(self, number: int = 0) -> None:
        self.is_global_zero = number == 0


def go(left_out: LeftOut, *parts: LostPart, problems: tuple[str, ...] = ()) -> None:
    clip = Clip((), cast(Any, None), parts)
    left_out.on_train_batch_start(cast(Any, Rank()), None, Batch(clip, problems), 0)


def test_lost_images_do_not_end_a_training(capsys: pytest.CaptureFixture[str]) -> None:
    left_out = LeftOut(batch=2, max_share=0.0)
    for _ in range(3):
        go(left_out, image('3'), image('4'))
    assert left_out.clips == 0 and left_out.parts.count('image') == 6
    assert capsys.readouterr().err.splitlines() == ['image left out: bag: left at 3: torn']


def test_counts_go_on_after_a_stop(capsys: pytest.CaptureFixture[str]) -> None:
    before = LeftOut(batch=2, max_share=0.5)
    go(before, image('3'), SCAN)
    state = before.state_dict()
    after = LeftOut(batch=2, max_share=0.5)
    after.load_state_dict(state)
    after.on_train_start(cast(Any, Rank()), None)
    go(after, image('2'))
    assert after.parts.rows() == counted(image('3'), SCAN, image('2')).rows()
    assert len(capsys.readouterr().err.splitlines()) == 2  # said before the stop
    # What a checkpoint holds counts in one process alone.
    other = LeftOut(batch=2, max_share=0.5)
    other.load_state_dict(state)
    other.on_train_start(cast(Any, Rank(1)), None)
    assert other.parts.rows() == []
    # Checkpoints of before there were such counts.
    other.load_state_dict({'reasons': {'a': 1}, 'seen': 4})
    assert other.reasons == {'a': 1} and other.parts.rows() == []


def test_all_processes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = [LeftOut(batch=2, max_share=0.5) for _ in range(2)]
    go(ranks[0], image('3'), SCAN, problems=('a: x',))
    go(ranks[1], image('2'), image('1', 'empty'), problems=('a: x', 'b: y'))
    alone = [rank.state_dict() for rank in ranks]

    class Group:
        is_available = is_initialized = staticmethod(lambda: True)
        get_world_size = staticmethod(lambda: 2)

        @staticmethod
        def all_gather_object(found: list[Any], own: Any) -> None:
            assert own in alone
            found[:] = alone

    monkeypatch.setattr(left_out_module, 'distributed', Group)
    whole = counted(image('3'), SCAN, image('2'), image('1', 'empty'))
    for rank in ranks:
        rank.on_train_end(cast(Any, None), None)
        assert rank.reasons == {'a: x': 2, 'b: y': 1} and rank.seen == 4
        assert rank.parts.rows() == whole.rows()


def outcome(**changes: Any) -> Outcome:
    empty: dict[str, Any] = {
        'step': 4, 'signal': None, 'problems': (), 'left_out': {}, 'lost': LostParts(),
        'unseen': (), 'unseen_parts': LostParts(),
    }  # fmt: skip
    return Outcome(**empty | changes)


def test_a_summary_of_all_kinds(tmp_path: Path) -> None:
    found = outcome(
        problems=('bag: half of it is damaged',),
        left_out={'a: x': 2, 'b: y': 1},
        lost=counted(image('3'), image('2'), SCAN),
        unseen=('c: z',),
        unseen_parts=counted(image('9')),
    )
    lines = [
        'not used: bag: half of it is damaged',
        'images left out 2 times, such as bag: left at 2: torn',
        'lidar scan left out once: bag: lidar at 7: gone',
        'left out 2 times: a: x',
        'left out once: b: y',
        'validation: image left out once: bag: left at 9: torn',
        'not validated on: c: z',
    ]
    last = f'{tmp_path}: 4 steps done, 3 clips and 2 images left out'
    assert found.summary(tmp_path).splitlines() == [*lines, last]
    found.write(tmp_path)
    assert (tmp_path / 'log' / 'left_out.txt').read_text().splitlines() == lines


def test_what_is_there_once_is_said_so(tmp_path: Path) -> None:
    found = outcome(step=1, left_out={'b: y': 1}, lost=counted(image('3')))
    assert found.summary(tmp_path).splitlines()[-1] == (
        f'{tmp_path}: 1 step done, 1 clip and 1 image left out'
    )


def test_long_lists_are_in_the_file(tmp_path: Path) -> None:
    parts = [image(f'{n:03d}', f'cut off after {n} bytes') for n in range(30)]
    found = outcome(lost=counted(*parts, parts[29]), signal=15)
    lines = found.summary(tmp_path).splitlines()
    assert len(lines) == 22 and 'at 029: cut off after 29 bytes' in lines[0]
    assert lines[20] == '... and 10 lines more, see log/left_out.txt'
    assert lines[21].endswith('stopped; go on with --resume, 0 clips and 31 images left out')
    found.write(tmp_path)
    assert len((tmp_path / 'log' / 'left_out.txt').read_text().splitlines()) == 30


def test_nothing_is_written_where_nothing_is_lost(tmp_path: Path) -> None:
    found = outcome()
    assert found.summary(tmp_path) == f'{tmp_path}: 4 steps done, 0 clips and 0 images left out'
    found.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_who_only_goes_through_clips_says_it_once(caplog: pytest.LogCaptureFixture) -> None:
    clips = [Clip((), cast(Any, None), (image('3'), SCAN)), Clip((), cast(Any, None))]
    with caplog.at_level(logging.WARNING):
        assert list(telling([*clips, *clips])) == [*clips, *clips]
    assert [record.message for record in caplog.records] == [
        'image left out: bag: left at 3: torn', 'lidar scan left out: bag: lidar at 7: gone',
    ]  # fmt: skip
