"""`bev evaluate`: how good a model is, on recordings or data sets with ground truth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bev_perception.errors import ConfigError
from bev_perception.evaluation.carry_out import compare_stored, evaluate
from bev_perception.evaluation.families import MetricOptions
from bev_perception.evaluation.request import ALL_GROUPS, Request
from bev_perception.evaluation.robustness.catalogue import GROUPS
from bev_perception.evaluation.robustness.perturbation import STRENGTHS
from bev_perception.evaluation.scene_run import ScoringOptions
from bev_perception.evaluation.scenes.options import BagOptions, SceneOptions
from bev_perception.evaluation.summary import BootstrapOptions
from bev_perception.evaluation.truth.hidden import MIN_VISIBILITY


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev evaluate`."""
    parser.add_argument(
        'data', type=Path, nargs='*',
        help='bag (folder or file), folder of bags, nuScenes tables or another data set',
    )  # fmt: skip
    parser.add_argument(
        '-o', '--out', type=Path, required=True, help='folder for report.html, results.json, ...'
    )
    _add_predictors(parser.add_argument_group('what is evaluated'))
    _add_scenes(parser.add_argument_group('on what'))
    _add_scoring(parser.add_argument_group('how'))


def _add_predictors(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--model', action='append', metavar='MODEL',
        help='model folder or name (default: nano); more than one are compared',
    )  # fmt: skip
    group.add_argument(
        '--results', type=Path, action='append', metavar='BAG', default=[],
        help="recording of a node's results on the bag; more than one are compared",
    )  # fmt: skip
    group.add_argument(
        '--live', action='store_true', help='also through the real node, over DDS (needs ROS 2)'
    )
    group.add_argument(
        '--compare', type=Path, nargs=2, metavar=('A', 'B'),
        help='two folders that this command wrote before, instead of running anything',
    )  # fmt: skip
    group.add_argument('--device', default='auto', choices=('auto', 'cpu', 'cuda'))
    group.add_argument('--min-score', type=float, help="default: the model's own threshold")
    group.add_argument(
        '--robustness', nargs='+', metavar='GROUP', default=[],
        help=f'also with failing cameras and the like: {ALL_GROUPS}, or {", ".join(GROUPS)}',
    )  # fmt: skip
    group.add_argument(
        '--strengths', type=int, nargs='+', choices=STRENGTHS, default=STRENGTHS,
        help='of those that are graded: 1 mild, 2 bad, 3 severe (default: all)',
    )  # fmt: skip


def _add_scenes(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--split', help='of a data set: train, val or test (default: all)')
    group.add_argument('--scenes', type=int, metavar='N', help='at most N, evenly spread')
    group.add_argument('--scene', nargs='+', default=[], metavar='NAME', help='these scenes only')
    group.add_argument('--truth', type=Path, help='JSON with the objects of the bag')
    group.add_argument(
        '--truth-topic', nargs='+', default=[], metavar='TOPIC',
        help='with ground truth (default: all below /ground_truth, else <bag>_objects.json)',
    )  # fmt: skip
    group.add_argument('--rig', type=Path, help='rig file of the bags; default: made from them')
    group.add_argument('--base-frame', default='base_link', help='when rigs are made here')
    group.add_argument(
        '--rate', type=float, metavar='HZ', help='thin the frame sets out to this rate'
    )


def _add_scoring(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--every', type=float, default=0.5, metavar='S',
        help='least time between two scored frames (default: 0.5)',
    )  # fmt: skip
    group.add_argument(
        '--hidden', default='ignore', choices=('ignore', 'drop', 'keep'),
        help='objects that no camera shows: neither found nor missed, not there, to be found',
    )  # fmt: skip
    group.add_argument(
        '--min-visibility', type=float, default=MIN_VISIBILITY, metavar='SHARE',
        help=f'visible share from which on an object counts as shown (default: {MIN_VISIBILITY})',
    )  # fmt: skip
    group.add_argument(
        '--bootstrap', type=int, default=200, metavar='N', help='draws for the intervals'
    )
    group.add_argument('--submission', action='store_true', help="nuScenes' JSON files, too")
    group.add_argument('--workers', type=int, help='processes (default: one for each core)')
    group.add_argument(
        '--ray', nargs='?', const='', metavar='HOST:PORT', help='on the machines of a Ray cluster'
    )


def main(args: argparse.Namespace) -> int:
    """Runs the evaluation; returns the exit code (1 when something was refused)."""
    command = command_of(args)
    bootstrap = BootstrapOptions(args.bootstrap)
    if args.compare is not None:
        if args.data:
            raise ConfigError('--compare takes two folders of earlier evaluations and no data')
        first, second = args.compare
        compare_stored(first, second, args.out, bootstrap, command, say)
        return 0
    request = Request(
        data=tuple(args.data),
        out=args.out,
        models=tuple(args.model or ()),
        results=tuple(args.results),
        live=args.live,
        device=args.device,
        min_score=args.min_score,
        rate_hz=args.rate,
        strengths=tuple(args.strengths),
        robustness=tuple(args.robustness),
        read=_read(args),
        most_scenes=args.scenes,
        scoring=ScoringOptions(every_s=args.every),
        metrics=MetricOptions(args.hidden, args.min_visibility),
        bootstrap=bootstrap,
        submission=args.submission,
        workers=args.workers,
        ray=args.ray,
    )
    return 1 if evaluate(request, command, say).refusals else 0


# Where things lie, what computes and what is written beside does not change what comes out.
_WITHOUT_EFFECT = ('out', 'workers', 'ray', 'device', 'submission')


def command_of(args: argparse.Namespace) -> str:
    """Returns the command for reports, wherever the data lies: all that was asked for."""
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    words = ['bev evaluate']
    for action in parser._actions:
        value = getattr(args, action.dest)
        if action.dest in _WITHOUT_EFFECT or value == action.default:
            continue
        flag, values = action.option_strings[:1], value if isinstance(value, list) else [value]
        if value is True:
            words += flag
        elif action.dest in ('model', 'results'):  # given once for each
            words += [word for item in values for word in (*flag, Path(item).resolve().name)]
        else:
            words += [*flag, *map(_word, values)]
    return ' '.join(words)


def _word(value: Any) -> str:
    if isinstance(value, Path):
        return value.resolve().name
    return f'{value:g}' if isinstance(value, float) else str(value)


def say(line: str) -> None:
    """Prints a line at once, also into a file or a pipe."""
    print(line, flush=True)


def _read(args: argparse.Namespace) -> SceneOptions:
    bag = BagOptions(
        rig=args.rig,
        base_frame=args.base_frame,
        truth_file=args.truth,
        truth_topics=tuple(args.truth_topic),
    )
    return SceneOptions(bag=bag, split=args.split, scenes=tuple(args.scene))
