"""`bev replay`: a recording straight through the pipeline, without ROS."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from bev_perception.draw.recording import CameraView, paint_frame
from bev_perception.errors import BevError, ConfigError
from bev_perception.frame import BevFrame, FrameSet
from bev_perception.geometry.rig_file import RigFile, load_rig_file
from bev_perception.inputs.rig_sources import sources_from_rig_file
from bev_perception.inputs.synced_set import SyncConfig
from bev_perception.model.folder import LoadedModel, load_model
from bev_perception.paths import model_folder
from bev_perception.pipeline import BevPipeline, PipelineConfig
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.frame_sets import FrameSetReader, ReplayRig
from bev_perception.replay.results import ReplayResults, write_text_atomically
from bev_perception.replay.rig_from_bag import rig_from_bag


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev replay`."""
    parser.add_argument('bag', type=Path, help='rosbag2 folder or file (MCAP, sqlite3)')
    parser.add_argument('--rig', type=Path, help='rig file; default: made from the bag')
    parser.add_argument('--model', default='nano', help='model folder or name (default: nano)')
    parser.add_argument('--base-frame', default='base_link', help='when the rig is made here')
    parser.add_argument('--device', default='auto', choices=('auto', 'cpu', 'cuda'))
    parser.add_argument('--min-score', type=float, help="default: the model's own threshold")
    parser.add_argument('-o', '--out', type=Path, help='folder for results.json')
    parser.add_argument('--pictures', action='store_true', help='also one PNG per frame')


def main(args: argparse.Namespace) -> int:
    """Runs the replay; returns the exit code."""
    if args.pictures and not args.out:
        raise ConfigError('--pictures needs a folder for them: add --out')
    if args.min_score is not None and not 0 <= args.min_score <= 1:
        raise ConfigError(f'--min-score must be in [0, 1], got {args.min_score}')
    loaded = load_model(model_folder(args.model))
    pipeline = BevPipeline(loaded, PipelineConfig(args.device, args.min_score))
    results = ReplayResults(loaded.model_id)
    with BagReader(args.bag) as reader, Pictures(args, loaded) as pictures:
        rig = load_rig_file(args.rig) if args.rig else rig_from_bag(reader, args.base_frame)
        for frames, frame in replay(reader, rig, pipeline):
            results.add(frame)
            if args.pictures:
                pictures.add(frames, frame)
        if args.out:
            write_text_atomically(args.out / 'results.json', results.to_json())
    print(results.summary(str(args.bag)))
    if args.out:
        print(f'results: {args.out / "results.json"}')
    if args.pictures:
        print(f'pictures: {pictures.folder}')
    return 0 if results.frames else 1


def replay(
    reader: BagReader, rig: RigFile, pipeline: BevPipeline
) -> Iterator[tuple[FrameSet, BevFrame]]:
    """Yields every frame set of an open bag with its bird's-eye view, in order."""
    inputs = ReplayRig(sources_from_rig_file(rig), rig.base_frame, rig.odometry_topic or '')
    for frames in FrameSetReader(reader, inputs, SyncConfig()):
        yield frames, pipeline.step(frames)


class Pictures:
    """The pictures of a replay: all of them, or none when the `with` block fails."""

    def __init__(self, args: argparse.Namespace, loaded: LoadedModel) -> None:
        self.folder = (args.out or Path()) / 'frames'
        self._title = f'{args.bag.name}: replay'
        self._trained = loaded.config.training.trained
        self._written: list[Path] = []

    def add(self, frames: FrameSet, frame: BevFrame) -> None:
        """Paints one frame.

        Raises:
            BevError: it cannot be written.
        """
        views = {
            s.name: CameraView(s.image, s.camera)
            for s in frames.samples
            if s.image is not None and s.camera is not None
        }
        try:
            path = paint_frame(frame, views, self.folder, self._title, self._trained)
        except OSError as error:
            raise BevError(f'{self.folder}: cannot be written: {error.strerror}') from error
        self._written.append(path)

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for path in self._written:
                path.unlink(missing_ok=True)
