"""From what a user asks for to the drives to make.

A plan is a pure function of the request, and scene k is the same however many scenes are asked
for. Scenes come in groups of `scenes_per_network` that share a road network. Networks take turns
at the rigs, since the ego vehicle is part of its network's traffic.

Splits go by network: no street of a validation or test drive is seen in training. Of every ten
networks of a rig one is for validation and one for testing; which ones is shifted from rig to rig,
so that the first three networks of a data set with one rig, or with three rigs or more, already
have all splits, and a data set of 8, 1 and 1 tenths has them for every rig.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from bev_perception.config_errors import nearest
from bev_perception.geometry.rig_file import RigFile
from bev_trainer.dataset.description import Split
from bev_trainer.errors import SimulationError
from bev_trainer.simulate.job import DriveJob, NetworkJob, frame_count
from bev_trainer.simulate.rigs import load_rigs
from bev_trainer.world.weather import WEATHER_NAMES, WeatherName, draw_weather_name

MIXED = 'mixed'
SPLIT_PATTERN: tuple[Split, ...] = ('train', 'val', 'test', *('train',) * 7)
MAX_SEED = 2**63 - 1

# Spawn keys of the random streams of a data set.
_NETWORKS, _DRIVES, _WEATHERS = range(3)


@dataclass(frozen=True)
class DatasetSpec:
    """What a data set is to hold.

    Attributes:
        scenes: number of drives.
        seconds: length of each.
        rigs: names of files in config/rigs, or paths of rig files.
        size: (width, height) of the images; None: as in the rig files.
        supersample: samples per pixel, along each side.
        seed: of everything.
        weather: 'mixed' or one of `WEATHER_NAMES`.
        image_hz: frames per second.
        label_hz: frames per second with dense labels; divides `image_hz`.
        scenes_per_network: drives that share a road network.
    """

    scenes: int
    seconds: float
    rigs: tuple[str, ...]
    size: tuple[int, int] | None = None
    supersample: int = 1
    seed: int = 0
    weather: str = MIXED
    image_hz: int = 10
    label_hz: int = 2
    scenes_per_network: int = 4

    def check(self) -> None:
        """Raises SimulationError, in one line, for what cannot be made."""
        counts = ('scenes', 'supersample', 'image_hz', 'label_hz', 'scenes_per_network')
        for name in counts:
            if getattr(self, name) < 1:
                raise SimulationError(f'{_option(name)}: must be 1 or more')
        if self.supersample > 4:
            raise SimulationError('--supersample: must be 4 or less')
        if not 0 <= self.seed <= MAX_SEED:
            raise SimulationError(f'--seed: must be 0 to {MAX_SEED}, got {self.seed}')
        if self.size is not None and min(self.size) < 16:
            raise SimulationError(f'--size: {self.size[0]}x{self.size[1]} is too small; 16x16 is')
        if not np.isfinite(self.seconds) or frame_count(self.seconds, self.image_hz) < 1:
            raise SimulationError(
                f'--seconds: {self.seconds:g} s at {self.image_hz} Hz is not a single frame'
            )
        if self.image_hz % self.label_hz:
            raise SimulationError(
                f'--label-hz: {self.label_hz} does not divide --image-hz {self.image_hz}; '
                f'use one of {", ".join(map(str, _divisors(self.image_hz)))}'
            )
        if self.weather not in (MIXED, *WEATHER_NAMES):
            known = [MIXED, *WEATHER_NAMES]
            raise SimulationError(
                f"--weather: '{self.weather}' is unknown{nearest(self.weather, known, 'use')}"
            )


@dataclass(frozen=True)
class Plan:
    """All that is to be made.

    Attributes:
        spec: what was asked for.
        rigs: by name, at the size of the images.
        networks: in order.
        drives: in order.
    """

    spec: DatasetSpec
    rigs: dict[str, RigFile]
    networks: tuple[NetworkJob, ...]
    drives: tuple[DriveJob, ...]


def plan(spec: DatasetSpec) -> Plan:
    """Returns the networks and drives of a data set.

    Raises:
        SimulationError: the request, or a rig, cannot be simulated.
        ConfigError: a rig file cannot be read or is wrong.
    """
    spec.check()
    rigs = load_rigs(spec.rigs, spec.size)
    count = -(-spec.scenes // spec.scenes_per_network)
    networks = tuple(_network(spec, rigs, index) for index in range(count))
    drives = tuple(_drive(spec, rigs, networks, index) for index in range(spec.scenes))
    return Plan(spec, rigs, networks, drives)


def split_of(network: int, rigs: int) -> Split:
    """Returns the split of a network, by its index in the data set and the number of rigs."""
    turn, rig = divmod(network, rigs)
    return SPLIT_PATTERN[(turn + rig) % len(SPLIT_PATTERN)]


def _network(spec: DatasetSpec, rigs: dict[str, RigFile], index: int) -> NetworkJob:
    vehicle = rigs[_rig_name(rigs, index)].vehicle
    assert vehicle is not None
    # SUMO takes 31 bits. Counting on from a random start, no two networks are the same.
    start = np.random.SeedSequence(spec.seed, spawn_key=(_NETWORKS,)).generate_state(1)[0]
    return NetworkJob(
        name=f'net_{index:06d}',
        seed=(int(start) + index) % 2**31,
        vehicle=vehicle,
        drives=spec.scenes_per_network,
        seconds=spec.seconds,
    )


def _drive(
    spec: DatasetSpec, rigs: dict[str, RigFile], networks: tuple[NetworkJob, ...], index: int
) -> DriveJob:
    number, drive = divmod(index, spec.scenes_per_network)
    state = np.random.SeedSequence(spec.seed, spawn_key=(_DRIVES, index))
    rig_name = _rig_name(rigs, number)
    return DriveJob(
        index=index,
        name=f'drive_{index:06d}',
        network=networks[number].name,
        network_seed=networks[number].seed,
        drive=drive,
        seed=int(state.generate_state(1, np.uint64)[0]) >> 11,
        rig_name=rig_name,
        rig=rigs[rig_name],
        split=split_of(number, len(rigs)),
        weather=_weather(spec, index),
        seconds=spec.seconds,
        image_hz=spec.image_hz,
        label_hz=spec.label_hz,
        supersample=spec.supersample,
    )


def _weather(spec: DatasetSpec, index: int) -> WeatherName:
    if spec.weather != MIXED:
        return cast(WeatherName, spec.weather)
    stream = np.random.SeedSequence(spec.seed, spawn_key=(_WEATHERS, index))
    return draw_weather_name(np.random.default_rng(stream))


def _rig_name(rigs: dict[str, RigFile], network: int) -> str:
    return list(rigs)[network % len(rigs)]


def _option(name: str) -> str:
    return f'--{name.replace("_", "-")}'


def _divisors(number: int) -> list[int]:
    return [value for value in range(1, number + 1) if number % value == 0]
