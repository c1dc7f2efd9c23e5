"""The demo: a bag through the real node over DDS, its results recorded, drawn and measured."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bev_perception.draw.recording import paint_frame, views_from_bag
from bev_perception.errors import BevError
from bev_perception.frame import BevFrame
from bev_perception.geometry.rig_file import RigFile, save_rig_file
from bev_perception.inputs.rig_sources import sources_from_rig_file
from bev_perception.model.folder import load_model
from bev_perception.msg import FrameStatus
from bev_perception.paths import model_folder
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.result_bag import frames_from_bag
from bev_perception.replay.results import write_text_atomically
from bev_perception.replay.rig_from_bag import rig_from_bag
from bev_perception.ros.bag_recorder import READY_LINE
from bev_perception.ros.child_process import ChildProcess
from bev_perception.ros.demo_summary import DemoPaths, DemoSummary
from bev_perception.ros.status_monitor import StatusMonitor

NODE = '/bev_perception'
RESULT_TOPICS = [
    f'{NODE}/{topic}'
    for topic in (
        'objects',
        'occupancy',
        'occupancy_sequence',
        'markers',
        'frame_status',
        'model_info',
    )
]
READY_TIMEOUT_S = 60.0


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line of `scripts/demo`."""
    parser = argparse.ArgumentParser(prog='demo', description=__doc__)
    parser.add_argument('bag', type=Path, help='recording: rosbag2 folder or file')
    parser.add_argument('-o', '--out', type=Path, help='default: out/<name of the bag>')
    parser.add_argument('--model', default='nano', help='model folder or name (default: nano)')
    parser.add_argument('--rate', type=float, default=1.0, help='bag seconds per second')
    parser.add_argument('--base-frame', default='base_link', help='vehicle frame of the bag')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the demo; returns 0 when the node turned the bag into frames."""
    args = build_parser().parse_args(argv)
    paths = DemoPaths(args.out or Path('out') / args.bag.resolve().name)
    paths.clear(keep_logs=False)
    try:
        summary = _run(args, paths)
    except (BevError, KeyboardInterrupt) as error:
        paths.clear(keep_logs=True)
        if isinstance(error, KeyboardInterrupt):
            return 130
        print(f'demo: error: {error}', file=sys.stderr)
        return 2
    print(summary.text(paths))
    return 0 if summary.frames_out else 1


def _run(args: argparse.Namespace, paths: DemoPaths) -> DemoSummary:
    if args.rate <= 0:
        raise BevError(f'--rate must be > 0, got {args.rate}')
    with BagReader(args.bag) as reader:
        _step(1, f'reading the rig of {args.bag}')
        rig = rig_from_bag(reader, args.base_frame)
        model = load_model(model_folder(args.model)).config
        paths.logs.mkdir(parents=True, exist_ok=True)
        save_rig_file(rig, paths.rig)
        _step(2, f'playing {reader.duration_s():.1f} s through the node, over DDS')
        status = _play(paths, args)
        _step(3, 'drawing what it published')
        frames = _draw(reader, rig, paths, model.training.trained)
        summary = DemoSummary.of(args.bag, reader, status, frames)
    write_text_atomically(paths.summary, summary.to_json())
    return summary


def _step(number: int, text: str) -> None:
    print(f'[{number}/3] {text}', flush=True)


def _play(paths: DemoPaths, args: argparse.Namespace) -> FrameStatus:
    """Runs node, recorder and player as processes of their own; returns the last status."""
    sim_time = ['--ros-args', '-p', 'use_sim_time:=true']
    node_arguments = [*sim_time, '-p', f'rig_file:={paths.rig}', '-p', f'model:={args.model}']
    player_arguments = [
        str(args.bag),
        '--rate',
        str(args.rate),
        '--clock',
        '--wait-for-node',
        NODE,
    ]
    record = ['-o', str(paths.results), *RESULT_TOPICS, *sim_time]
    with (
        StatusMonitor(NODE) as monitor,
        ChildProcess(
            'bev_node', 'bev_perception.ros.node', node_arguments, paths.logs / 'node.log'
        ) as node,
    ):
        monitor.bring_up(node)
        with ChildProcess(
            'recorder', 'bev_perception.ros.bag_recorder', record, paths.logs / 'recorder.log'
        ) as recorder:
            recorder.wait_for_line(READY_LINE, READY_TIMEOUT_S)
            with ChildProcess(
                'player',
                'bev_perception.ros.bag_player',
                player_arguments,
                paths.logs / 'player.log',
            ) as player:
                if player.wait() != 0:
                    raise player.failure('failed')
            status = monitor.wait_until_done()
            if recorder.stop() != 0:
                raise recorder.failure('failed')
        if node.stop() != 0:
            raise node.failure('did not end cleanly')
    return status


def _draw(reader: BagReader, rig: RigFile, paths: DemoPaths, trained: bool) -> list[BevFrame]:
    """Writes one picture per published frame; returns the frames."""
    sources = sources_from_rig_file(rig)
    cameras = {c.name: camera for c in rig.cameras if (camera := c.camera()) is not None}
    with BagReader(paths.results) as results:
        frames = list(frames_from_bag(results))
    title = f'{reader.path.name}: live node'
    for frame, views in views_from_bag(reader, sources, cameras, frames):
        paint_frame(frame, views, paths.pictures, title, trained)
    return frames


if __name__ == '__main__':
    sys.exit(main())
