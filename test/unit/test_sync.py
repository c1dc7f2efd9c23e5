from __future__ import annotations

import random

import pytest

from bev_perception.errors import ConfigError
from bev_perception.inputs.state import CameraState
from bev_perception.inputs.sync import CameraSynchronizer
from bev_perception.inputs.synced_set import Absence, SyncConfig, SyncedItem

MS = 1_000_000
SIX = ('a', 'b', 'c', 'd', 'e', 'f')
START = 1_000_000 * MS


def states(synced):
    return [i.state if isinstance(i, Absence) else CameraState.USED for i in synced.items]


def feed(sync, events):
    """Adds (arrival_ms, camera, stamp_ms) in order of arrival, polling every 5 ms between."""
    released = []
    clock = None
    for arrival, camera, stamp in sorted(events):
        now = START + round(arrival * MS)
        while clock is not None and clock + 5 * MS < now:
            clock += 5 * MS
            released += sync.poll(clock)
        clock = now
        released += sync.add(camera, START + round(stamp * MS), (camera, stamp), now)
    return released + sync.flush(clock + 1000 * MS)


def cycles(cameras, count, period=100.0, latency=20.0, offsets=None):
    offsets = offsets or {}
    return [
        (i * period + offsets.get(c, 0.0) + latency, c, i * period + offsets.get(c, 0.0))
        for i in range(count)
        for c in cameras
    ]


def test_a_complete_set_goes_out_with_its_last_image():
    sync = CameraSynchronizer(('left', 'right'))
    assert sync.add('left', START, 'L', START + 10 * MS) == []
    (synced,) = sync.add('right', START + 4 * MS, 'R', START + 12 * MS)
    assert synced.stamp_ns == START  # lower median of {0, 4} ms
    assert synced.items[0] == SyncedItem(START, START + 10 * MS, 'L')
    assert synced.items[1] == SyncedItem(START + 4 * MS, START + 12 * MS, 'R')
    assert synced.first_arrival_ns == START + 10 * MS


def test_stamp_is_the_lower_median_of_the_references():
    sync = CameraSynchronizer(('a', 'b', 'c'), offsets_s={'c': 0.030})
    sync.add('a', START + 3 * MS, None, START)
    sync.add('b', START + 1 * MS, None, START)
    (synced,) = sync.add('c', START + 32 * MS, None, START)  # reference 2 ms
    assert synced.stamp_ns == START + 2 * MS


def test_staggered_cameras_are_grouped_by_their_offsets():
    """70 ms of trigger spread at 12 Hz: the approximate-time filter gives nothing here."""
    offsets = {c: 14.0 * i for i, c in enumerate(SIX)}
    sync = CameraSynchronizer(SIX, offsets_s={c: o / 1000 for c, o in offsets.items()})
    sets = feed(sync, cycles(SIX, 50, period=1000 / 12, offsets=offsets))
    assert len(sets) == 50
    for i, synced in enumerate(sets):
        assert states(synced) == [CameraState.USED] * 6
        assert {round(item.item[1] - offsets[item.item[0]], 6) for item in synced.items} == {
            round(i * 1000 / 12, 6)
        }


def test_a_dead_camera_costs_only_itself():
    events = [e for e in cycles(SIX, 30) if not (e[1] == 'c' and e[2] >= 1000)]
    sync = CameraSynchronizer(SIX)
    sets = feed(sync, events)
    assert [s.stamp_ns for s in sets] == [START + i * 100 * MS for i in range(30)]
    for i, synced in enumerate(sets):
        expected = CameraState.USED if i < 10 else CameraState.MISSING
        assert states(synced)[2] == expected
        assert states(synced)[:2] + states(synced)[3:] == [CameraState.USED] * 5
    late = sets[20].items[2]
    assert late.detail == 'no image for 1.10 s'
    assert sync.statistics(START)[2].missing == 20


def test_a_dead_camera_is_waited_for_three_times_only():
    sync = CameraSynchronizer(('a', 'b'), SyncConfig(deadline_s=0.1, max_misses=3))
    waits = []
    for i in range(6):
        arrival = START + i * 1000 * MS
        at_once = sync.add('a', arrival, None, arrival)
        released = at_once or sync.poll(arrival + 100 * MS)
        assert len(released) == 1
        waits.append(0 if at_once else 100)
    assert waits == [100, 100, 100, 0, 0, 0]


def test_a_camera_that_comes_back_is_used_again():
    events = [e for e in cycles(SIX, 40) if not (e[1] == 'f' and 1000 <= e[2] < 2000)]
    # The returning camera is always the last to arrive: sets complete without it at first.
    events = [(a + (4 if c == 'f' else 0), c, s) for a, c, s in events]
    sets = feed(CameraSynchronizer(SIX), events)
    used = [states(s)[5] is CameraState.USED for s in sets]
    assert used[:10] == [True] * 10
    assert not any(used[10:20])
    assert used[21:] == [True] * 19  # one set is lost to find out that it is back


def test_a_camera_that_starts_late_joins():
    events = [e for e in cycles(SIX, 30) if not (e[1] == 'a' and e[2] < 1500)]
    sets = feed(CameraSynchronizer(SIX), events)
    assert len(sets) == 30
    assert sets[0].items[0].detail == 'no image yet'
    assert all(states(s)[0] is CameraState.USED for s in sets[17:])


def test_a_camera_delayed_by_half_a_second_is_late_and_blocks_nobody():
    events = [(a + (500 if c == 'b' else 0), c, s) for a, c, s in cycles(SIX, 40)]
    sync = CameraSynchronizer(SIX)
    sets = feed(sync, events)
    stamps = [s.stamp_ns for s in sets]
    assert stamps == [START + i * 100 * MS for i in range(40)]
    steady = [s for s in sets if 10 <= (s.stamp_ns - START) / (100 * MS) < 35]
    assert {states(s)[1] for s in steady} == {CameraState.LATE}
    assert 'behind the newest released set' in steady[0].items[1].detail
    assert sync.statistics(START)[1].late >= 35


def test_a_late_camera_recovers():
    events = [(a + (500 if c == 'b' and s < 2000 else 0), c, s) for a, c, s in cycles(SIX, 40)]
    sets = feed(CameraSynchronizer(SIX), events)
    assert all(states(s)[1] is CameraState.USED for s in sets[27:])


def test_one_clock_ahead_of_all_others_does_not_blind_them():
    events = [(a, c, s + (300 if c == 'd' else 0)) for a, c, s in cycles(SIX, 30)]
    # Half a period off as well, so that its stamps meet nobody else's.
    events = [(a, c, s + (50 if c == 'd' else 0)) for a, c, s in events]
    sync = CameraSynchronizer(SIX, SyncConfig(tolerance_s=0.03))
    sets = feed(sync, events)
    whole = [s for s in sets if states(s).count(CameraState.USED) == 5]
    assert len(whole) >= 28
    assert {states(s)[3] for s in whole[4:]} == {CameraState.BAD_STAMP}
    assert 'ahead' in whole[5].items[3].detail


def test_a_fast_camera_ahead_of_all_others_does_not_blind_them():
    events = [e for e in cycles(SIX, 30) if e[1] != 'd']
    events += [(20 + i * 16.0, 'd', 333 + i * 16.0) for i in range(180)]
    sets = feed(CameraSynchronizer(SIX, SyncConfig(tolerance_s=0.03)), events)
    assert len([s for s in sets if states(s).count(CameraState.USED) == 5]) >= 28


def test_when_most_cameras_die_at_once_the_rest_goes_on():
    events = [e for e in cycles(SIX, 40) if e[1] == 'e' or e[2] < 1000]
    sets = feed(CameraSynchronizer(SIX), events)
    alone = [s for s in sets if s.stamp_ns >= START + 1000 * MS]
    assert len(alone) >= 25
    assert all(states(s)[4] is CameraState.USED for s in alone)


def test_stamps_never_go_back_and_frames_never_mix():
    """Drops, jitter and late arrivals at random, 30 Hz: every set is of one instant."""
    for seed in range(20):
        rng = random.Random(seed)
        period = 1000 / 30
        events = [
            (
                a + rng.uniform(0, 15) + (180 if rng.random() < 0.03 else 0),
                c,
                s + rng.uniform(-2, 2),
            )
            for a, c, s in cycles(SIX, 100, period=period)
            if rng.random() > 0.05
        ]
        sets = feed(CameraSynchronizer(SIX), events)
        stamps = [s.stamp_ns for s in sets]
        assert stamps == sorted(set(stamps))
        assert len(sets) >= 95
        for synced in sets[3:]:
            indices = {
                round(item.item[1] / period)
                for item in synced.items
                if isinstance(item, SyncedItem)
            }
            assert len(indices) == 1, (seed, synced)


def test_time_jump_of_all_cameras_starts_anew():
    sync = CameraSynchronizer(SIX)
    first = feed(sync, cycles(SIX, 10))
    assert sync.epoch == 0
    again = []
    for i in range(10):
        for camera in SIX:
            now = START + (2000 + i * 100) * MS
            again += sync.add(camera, START + i * 100 * MS, None, now)
    assert sync.epoch == 1
    assert len(first) == 10
    # The images that revealed the jump are lost; from the second cycle on all is whole.
    assert [states(s) for s in again[-9:]] == [[CameraState.USED] * 6] * 9
    assert {s.epoch for s in again} == {1}


def test_one_camera_that_jumps_back_is_refused_alone():
    sync = CameraSynchronizer(SIX)
    feed(sync, cycles(SIX, 5))
    now = START + 600 * MS
    released = [s for c in SIX[1:] for s in sync.add(c, START + 500 * MS, None, now)]
    released += sync.add('a', START - 5000 * MS, None, now)
    released += sync.poll(now + 100 * MS)
    assert sync.epoch == 0
    (synced,) = released
    assert states(synced) == [CameraState.BAD_STAMP] + [CameraState.USED] * 5
    assert synced.items[0].detail == 'stamp jumped back by 5.40 s'


def test_zero_and_repeated_stamps_are_refused_with_a_reason():
    sync = CameraSynchronizer(('a', 'b'))
    assert sync.add('a', 0, None, START) == []
    sync.add('a', START, 'first', START)
    sync.add('a', START, 'again', START + MS)
    (synced,) = sync.add('b', START, None, START + 2 * MS)
    assert synced.items[0].item == 'first'
    assert sync.statistics(START)[0].rejected == {'stamp is zero': 1, 'same stamp twice': 1}


def test_memory_is_bounded():
    sync = CameraSynchronizer(
        ('a', 'b'), SyncConfig(deadline_s=10.0, max_open_sets=4, max_misses=1000)
    )
    released = []
    for i in range(50):
        released += sync.add('a', START + i * 100 * MS, i, START + i * 100 * MS)
    assert len(released) == 46
    assert [s.items[0].item for s in released] == list(range(46))


def test_next_deadline_is_that_of_the_oldest_open_set():
    sync = CameraSynchronizer(('a', 'b'), SyncConfig(deadline_s=0.1))
    assert sync.next_deadline_ns() is None
    sync.add('a', START, None, START + 7 * MS)
    assert sync.next_deadline_ns() == START + 107 * MS


def test_statistics_give_rate_and_mean_offset():
    sync = CameraSynchronizer(('a', 'b'))
    feed(sync, cycles(('a', 'b'), 20, offsets={'b': 6.0}))
    a, b = sync.statistics(START + 2000 * MS)
    assert a.rate_hz == pytest.approx(10.0)
    assert (a.used, b.used, a.late, a.missing) == (20, 20, 0, 0)
    assert a.offset_s == pytest.approx(0.0)
    assert b.offset_s == pytest.approx(0.006)
    assert a.silence_s == pytest.approx(2.0 - 1.92)


@pytest.mark.parametrize('cameras', [(), ('a', 'a')])
def test_cameras_must_be_given_and_differ(cameras):
    with pytest.raises(ConfigError, match='camera names'):
        CameraSynchronizer(cameras)


def test_bad_settings_are_named():
    with pytest.raises(ConfigError, match='deadline_s must be > 0'):
        SyncConfig(deadline_s=0.0)
    with pytest.raises(ConfigError, match='max_misses must be >= 1'):
        SyncConfig(max_misses=0)
    with pytest.raises(ConfigError, match="do not exist: \\['c'\\]"):
        CameraSynchronizer(('a',), offsets_s={'c': 0.1})
