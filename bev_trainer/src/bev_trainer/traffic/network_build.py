"""Builds SUMO's network from a street plan: lanes, sidewalks, crossings, traffic lights."""

from __future__ import annotations

from pathlib import Path

from bev_trainer.traffic.street_plan import PARKING_M, SIDEWALK_M, FloatArray, Street, StreetPlan
from bev_trainer.traffic.tools import run_tool

ROAD_CLASSES = 'passenger delivery truck bus motorcycle bicycle'


def build_network(plan: StreetPlan, folder: Path) -> Path:
    """Returns the path of the network that netconvert builds in a folder.

    Raises:
        SimulationError: netconvert is missing or fails.
    """
    nodes = [
        f'<node id="{name}" x="{x:.3f}" y="{y:.3f}" type="{kind}" radius="7.0"/>'
        for name, (x, y, kind) in plan.junctions.items()
    ]
    edges = []
    for index, street in enumerate(plan.streets):
        edges.append(_edge(f's{index}', street, True))
        edges.append(_edge(f'-s{index}', street, False))
    _write(folder / 'streets.nod.xml', 'nodes', nodes)
    _write(folder / 'streets.edg.xml', 'edges', edges)
    run_tool(
        'netconvert',
        [
            '-n', 'streets.nod.xml', '-e', 'streets.edg.xml', '-o', 'streets.net.xml',
            '--offset.disable-normalization', '--precision', '3', '--no-turnarounds',
            '--crossings.guess', '--crossings.guess.speed-threshold', '14.0',
            '--default.crossing-width', '3.6', '--rectangular-lane-cut',
            '--junctions.corner-detail', '5', '--junctions.internal-link-detail', '12',
            '--junctions.limit-turn-speed', '2.4', '--tls.cycle.time', '50',
            '--tls.allred.time', '1', '--tls.left-green.time', '5',
        ],
        folder,
    )  # fmt: skip
    return folder / 'streets.net.xml'


def _write(path: Path, tag: str, lines: list[str]) -> None:
    path.write_text('\n'.join([f'<{tag}>', *lines, f'</{tag}>\n']), encoding='utf-8')


def _edge(name: str, street: Street, forward: bool) -> str:
    ends = (street.start, street.end) if forward else (street.end, street.start)
    shape: FloatArray = street.shape_m if forward else street.shape_m[::-1]
    lanes = [f'<lane index="0" allow="pedestrian" width="{SIDEWALK_M}" speed="1.8"/>']
    if street.parking[0 if forward else 1]:
        lanes.append(f'<lane index="1" disallow="all" width="{PARKING_M}"/>')
    for _ in range(street.lanes):
        width = f'width="{street.lane_m:.2f}"'
        lanes.append(f'<lane index="{len(lanes)}" allow="{ROAD_CLASSES}" {width}/>')
    points = ' '.join(f'{x:.3f},{y:.3f}' for x, y in shape)
    return (
        f'<edge id="{name}" from="{ends[0]}" to="{ends[1]}" numLanes="{len(lanes)}" '
        f'speed="{street.speed_mps}" priority="{2 if street.major else 1}" '
        f'shape="{points}">{"".join(lanes)}</edge>'
    )
