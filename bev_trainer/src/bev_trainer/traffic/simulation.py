"""Runs SUMO and reads where everyone was, and what the traffic lights showed."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bev_trainer.errors import SimulationError
from bev_trainer.traffic.tools import run_tool
from bev_trainer.world.road_map import SignalPlan

FloatArray = NDArray[np.float64]
STEP_S = 0.1
_FCD = 'positions.csv'
_LIGHTS = 'lights.xml'


@dataclass(frozen=True, eq=False)
class RawTrack:
    """One road user as SUMO has it.

    Attributes:
        name: SUMO's id.
        type_name: of its vehicle type.
        start_s: of the first sample; samples are `STEP_S` apart.
        front_m: [n, 2] middle of the front bumper; of pedestrians the middle.
        yaw_rad: [n] heading, counter-clockwise from east.
        speed_mps: [n].
    """

    name: str
    type_name: str
    start_s: float
    front_m: FloatArray
    yaw_rad: FloatArray
    speed_mps: FloatArray


def run_traffic(
    network: Path, demand: Path, lights: list[str], seed: int, begin_s: float, end_s: float
) -> tuple[list[RawTrack], SignalPlan]:
    """Simulates from 0 to `end_s` and returns everyone from `begin_s` on, by name, and lights.

    Raises:
        SimulationError: SUMO is missing or fails.
    """
    folder = network.parent
    events = ''.join(
        f'<timedEvent type="SaveTLSStates" source="{name}" dest="{_LIGHTS}"/>' for name in lights
    )
    (folder / 'outputs.add.xml').write_text(f'<additional>{events}</additional>')
    run_tool(
        'sumo',
        [
            '-n', network.name, '-r', demand.name, '-a', 'outputs.add.xml', '--seed', str(seed),
            '--step-length', f'{STEP_S}', '--lateral-resolution', '0.6',
            '--time-to-teleport', '-1', '--collision.action', 'none',
            '--pedestrian.model', 'jupedsim', '--pedestrian.jupedsim.step-length', f'{STEP_S}',
            '--end', f'{end_s:.1f}', '--precision', '3', '--no-step-log',
            '--fcd-output', _FCD, '--fcd-output.attributes', 'x,y,angle,type,speed',
            '--device.fcd.begin', f'{begin_s:.1f}',
        ],
        folder,
    )  # fmt: skip
    return _read_positions(folder / _FCD), _read_lights(folder / _LIGHTS, lights)


def _read_positions(path: Path) -> list[RawTrack]:
    names: dict[str, int] = {}
    types: list[str] = []
    who: list[int] = []
    rows: list[tuple[str, ...]] = []
    with path.open(newline='', encoding='utf-8') as stream:
        reader = csv.reader(stream, delimiter=';')
        header = next(reader, [])
        try:
            columns = [header.index(name) for name in _columns()]
        except ValueError as error:
            raise SimulationError(f'{path}: SUMO wrote other columns: {error}') from error
        time, name, kind, *values = columns
        for row in reader:
            if row[name] not in names:
                names[row[name]] = len(names)
                types.append(row[kind])
            who.append(names[row[name]])
            rows.append((row[time], *(row[value] for value in values)))
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    order = np.argsort(np.array(who, np.int64), kind='stable')
    counts = np.bincount(np.array(who, np.int64), minlength=len(names))
    pieces = np.split(table[order], np.cumsum(counts)[:-1]) if names else []
    made = [
        _raw(name, types[k], piece) for (name, k), piece in zip(names.items(), pieces, strict=True)
    ]
    return sorted(made, key=lambda track: track.name)


def _columns() -> list[str]:
    values = ('x', 'y', 'angle', 'speed')
    return ['timestep_time', 'vehicle_id', 'vehicle_type', *(f'vehicle_{v}' for v in values)]


def _raw(name: str, type_name: str, rows: FloatArray) -> RawTrack:
    yaw = np.unwrap(np.deg2rad(90.0 - rows[:, 3]))
    return RawTrack(name, type_name, float(rows[0, 0]), rows[:, 1:3], yaw, rows[:, 4])


def _read_lights(path: Path, lights: list[str]) -> SignalPlan:
    """Returns when the states changed."""
    changes: dict[str, list[tuple[float, str]]] = {name: [] for name in sorted(lights)}
    if lights:
        for item in ElementTree.parse(path).getroot().iter('tlsState'):
            states = changes[item.get('id', '')]
            if not states or states[-1][1] != item.get('state'):
                states.append((float(item.get('time', 0)), item.get('state', '')))
    return SignalPlan(
        {
            name: (np.array([time for time, _ in states]), tuple(state for _, state in states))
            for name, states in changes.items()
        }
    )
