"""What is made of a request: stable prefixes, splits by network, seeds, refusals in one line."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest
from bev_trainer.simulate.plan import MAX_SEED, DatasetSpec, plan, split_of
from bev_trainer.world.weather import WEATHER_NAMES
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tiny_makers import write_rig

from bev_perception.errors import BevError

SPEC = DatasetSpec(scenes=12, seconds=2.0, rigs=('car_6', 'robot_3'), size=(352, 128))


@settings(max_examples=20, deadline=None)
@given(
    few=st.integers(1, 30), more=st.integers(0, 30), seed=st.integers(0, MAX_SEED),
    per_network=st.integers(1, 7),
)  # fmt: skip
def test_first_scenes_do_not_depend_on_how_many_follow(few, more, seed, per_network) -> None:
    spec = replace(SPEC, seed=seed, scenes_per_network=per_network)
    short, long = plan(replace(spec, scenes=few)), plan(replace(spec, scenes=few + more))
    assert long.drives[:few] == short.drives
    assert long.networks[: len(short.networks)] == short.networks
    assert len(long.networks) == -(-(few + more) // per_network)


def test_scenes_of_a_network() -> None:
    made = plan(replace(SPEC, scenes=6, scenes_per_network=4))
    assert [(job.network, job.drive) for job in made.drives] == [
        *(('net_000000', drive) for drive in range(4)), ('net_000001', 0), ('net_000001', 1),
    ]  # fmt: skip
    # All ways through a network are made at once, so that it can grow without changing.
    assert [network.drives for network in made.networks] == [4, 4]
    assert [job.rig_name for job in made.drives] == ['car_6'] * 4 + ['robot_3'] * 2
    for job in made.drives:
        network = next(n for n in made.networks if n.name == job.network)
        assert job.network_seed == network.seed
        assert job.rig.vehicle == network.vehicle
        assert job.rig.cameras[0].intrinsics is not None
        assert (job.rig.cameras[0].intrinsics.width, job.seconds) == (352, 2.0)


def test_splits_go_by_network() -> None:
    made = plan(replace(SPEC, scenes=90, scenes_per_network=3))
    splits = defaultdict(set)
    for job in made.drives:
        splits[job.network].add(job.split)
    assert len(splits) == 30 and all(len(found) == 1 for found in splits.values())


@pytest.mark.parametrize('rigs', [1, 2, 3, 4, 10])
def test_shares_of_splits(rigs) -> None:
    """Tenths by hand: 8, 1 and 1 of every ten networks of each rig; soon all three."""
    for rig in range(rigs):
        ten = [split_of(rigs * turn + rig, rigs) for turn in range(10)]
        assert (ten.count('train'), ten.count('val'), ten.count('test')) == (8, 1, 1)
    if rigs == 1 or rigs >= 3:
        assert {split_of(network, rigs) for network in range(3)} == {'train', 'val', 'test'}


def test_seeds_are_distinct_and_follow_from_the_seed() -> None:
    spec = replace(SPEC, scenes=400, scenes_per_network=2)
    made, again = plan(spec), plan(spec)
    assert made == again
    other = plan(replace(spec, seed=1))
    seeds = [job.seed for job in (*made.drives, *other.drives)]
    assert len(set(seeds)) == 800 and all(0 <= seed < 2**53 for seed in seeds)
    networks = [network.seed for network in made.networks]
    assert len(set(networks)) == 200 and all(0 <= seed < 2**31 for seed in networks)
    assert not {network.seed for network in other.networks} & set(networks)


def test_weather() -> None:
    mixed = {job.weather for job in plan(replace(SPEC, scenes=300)).drives}
    assert mixed == set(WEATHER_NAMES)
    for name in WEATHER_NAMES:
        assert {job.weather for job in plan(replace(SPEC, weather=name)).drives} == {name}


@pytest.mark.parametrize(
    ('seconds', 'image_hz', 'label_hz', 'frames', 'label_frames'),
    [
        (1.0, 10, 2, 10, (0, 5)),
        (0.3, 10, 10, 3, (0, 1, 2)),
        (0.7, 10, 5, 7, (0, 2, 4, 6)),
        (2.0, 1, 1, 2, (0, 1)),
        (0.1, 10, 1, 1, (0,)),
    ],
)
def test_frames(seconds, image_hz, label_hz, frames, label_frames) -> None:
    spec = replace(SPEC, seconds=seconds, image_hz=image_hz, label_hz=label_hz)
    job = plan(spec).drives[0]
    assert (job.frames, job.images, job.label_frames) == (frames, 6 * frames, label_frames)


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ({'scenes': 0}, '--scenes: must be 1 or more'),
        ({'scenes': -3}, '--scenes: must be 1 or more'),
        ({'seconds': 0.0}, '--seconds: 0 s at 10 Hz is not a single frame'),
        ({'seconds': -1.0}, '--seconds: -1 s at 10 Hz is not a single frame'),
        ({'seconds': 0.09}, '--seconds: 0.09 s at 10 Hz is not a single frame'),
        ({'seconds': float('nan')}, '--seconds: nan s at'),
        ({'seconds': float('inf')}, '--seconds: inf s at'),
        ({'supersample': 0}, '--supersample: must be 1 or more'),
        ({'supersample': 5}, '--supersample: must be 4 or less'),
        ({'seed': -1}, '--seed: must be 0 to'),
        ({'seed': 2**63}, '--seed: must be 0 to'),
        ({'size': (352, 8)}, '--size: 352x8 is too small; 16x16 is'),
        ({'size': (4000, 2000)}, '4000 pixels wide images were asked for'),
        ({'image_hz': 0}, '--image-hz: must be 1 or more'),
        ({'label_hz': 0}, '--label-hz: must be 1 or more'),
        ({'label_hz': 4}, '--label-hz: 4 does not divide --image-hz 10; use one of 1, 2, 5, 10'),
        ({'label_hz': 20}, '--label-hz: 20 does not divide --image-hz 10'),
        ({'scenes_per_network': 0}, '--scenes-per-network: must be 1 or more'),
        ({'weather': 'fogg'}, "--weather: 'fogg' is unknown; did you mean 'fog'?"),
        ({'rigs': ()}, 'no rig is given; name one with --rig'),
        ({'rigs': ('car_6', 'car_6')}, "rig 'car_6' is given twice"),
        ({'rigs': ('car6',)}, "rig 'car6' is neither a file nor one of the rigs in config/rigs"),
        ({'rigs': ('shuttle_4_fishey',)}, "'shuttle_4_fisheye'"),
    ],
)
def test_what_cannot_be_made(changes, said) -> None:
    assert said in refusal(**changes)


def refusal(**changes) -> str:
    with pytest.raises(BevError) as caught:
        plan(replace(SPEC, **changes))
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_rig_files_that_cannot_be_simulated(tmp_path) -> None:
    no_vehicle = write_rig(tmp_path, 'no_vehicle', vehicle=None)
    assert f'{no_vehicle}: vehicle is missing; add length_m' in refusal(rigs=(no_vehicle,))
    bare = [{'name': 'front', 'image_topic': '/front', 'camera_info_topic': '/info'}]
    no_lens = write_rig(tmp_path, 'no_lens', cameras=[{**bare[0], 'transport': 'raw'}])
    said = refusal(rigs=(no_lens,))
    assert f"{no_lens}: camera 'front': the rig file must give intrinsics and" in said
    broken = tmp_path / 'broken.yaml'
    broken.write_text('format: 1\ncameras: [\n')
    assert str(broken) in refusal(rigs=(str(broken),))
    wrong = write_rig(tmp_path, 'wrong', camera=[])
    assert "camera is not a known key; did you mean 'cameras'" in refusal(rigs=(wrong,))
    small = write_rig(tmp_path)
    assert "'camera_0': 352 pixels wide images were asked for" in refusal(rigs=(small,))


def test_several_rigs_named_alike(tmp_path) -> None:
    first, second = tmp_path / 'a', tmp_path / 'b'
    first.mkdir()
    second.mkdir()
    rigs = (write_rig(first), write_rig(second))
    assert "rig 'two' is given twice; rename" in refusal(rigs=rigs, size=(32, 16))
