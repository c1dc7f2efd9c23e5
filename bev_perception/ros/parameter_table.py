"""Every parameter of the node: the one source of declarations, documentation and checks.

Imports no ROS, so that documentation can be made anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

Value = bool | int | float | str | list[str]


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter.

    Attributes:
        name: full name; `<camera>` stands for each name in `cameras`.
        default: default value; its type is the parameter's type.
        description: one sentence, with the unit.
        read_only: fixed once the node has started.
        low: smallest allowed number; None = no bound.
        high: largest allowed number; None = no bound.
        choices: allowed strings; empty = any.
    """

    name: str
    default: Value
    description: str
    read_only: bool = True
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


PARAMETERS: tuple[ParameterSpec, ...] = (
    ParameterSpec('model', 'nano', 'Model folder, or the name of one under models/.'),
    ParameterSpec(
        'rig_file',
        '',
        'Rig file with cameras, topics and (optionally) calibration; empty: use `cameras`.',
    ),
    ParameterSpec('cameras', [], 'Camera names, in the order of the outputs; without `rig_file`.'),
    ParameterSpec(
        'base_frame',
        '',
        "Frame of all outputs (x forward, y left, z up); empty: the rig file's, else base_link.",
    ),
    ParameterSpec('odom_frame', 'odom', 'Continuous frame of the ego motion, never a map frame.'),
    ParameterSpec(
        'device',
        'auto',
        'Where the model runs; auto takes CUDA when there is one.',
        choices=('auto', 'cpu', 'cuda'),
    ),
    ParameterSpec(
        'threads', 0, 'Threads of the network on the CPU; 0: one per core.', low=0, high=1024
    ),
    ParameterSpec(
        'sync.policy',
        'collector',
        'How images are grouped; approximate and exact are those of message_filters.',
        choices=('collector', 'approximate', 'exact'),
    ),
    ParameterSpec(
        'sync.tolerance_s',
        0.05,
        'Images within this of the reference instant (s) belong to one set.',
        low=0.001,
        high=10.0,
    ),
    ParameterSpec(
        'sync.deadline_s',
        0.1,
        'A set goes out this long (s) after its first image, complete or not.',
        low=0.001,
        high=10.0,
    ),
    ParameterSpec(
        'sync.max_misses',
        3,
        'A camera that missed this many sets in a row is not waited for.',
        low=1,
        high=1000,
    ),
    ParameterSpec(
        'sync.backward_jump_s',
        0.5,
        'A stamp this much (s) before the previous one is a time jump.',
        low=0.01,
        high=3600.0,
    ),
    ParameterSpec(
        'sync.queue_size',
        10,
        'Images kept per camera by the policies approximate and exact.',
        low=1,
        high=1000,
    ),
    ParameterSpec(
        'ego_motion.source',
        'odometry',
        'Where ego motion comes from.',
        choices=('odometry', 'tf', 'none'),
    ),
    ParameterSpec(
        'ego_motion.odometry_topic',
        '',
        'nav_msgs/Odometry topic; empty: the one in the rig file, else `odom`.',
    ),
    ParameterSpec(
        'qos.images.reliability',
        'best_effort',
        'Reliability of image subscriptions; best_effort matches every publisher.',
        choices=('best_effort', 'reliable'),
    ),
    ParameterSpec(
        'qos.images.depth', 2, 'Queue depth of each image subscription.', low=1, high=100
    ),
    ParameterSpec(
        'always_run',
        False,
        'Process frames although nobody subscribes to a result.',
        read_only=False,
    ),
    ParameterSpec(
        'min_score',
        -1.0,
        'Objects below this score are not published; -1: the threshold of the model.',
        read_only=False,
        low=-1.0,
        high=1.0,
    ),
    ParameterSpec(
        'markers.lifetime_s',
        0.0,
        'Lifetime (s) of markers; 0: three output periods.',
        read_only=False,
        low=0.0,
        high=60.0,
    ),
    ParameterSpec(
        'diagnostics.period_s', 1.0, 'Time (s) between diagnostics.', low=0.1, high=60.0
    ),
    ParameterSpec(
        'diagnostics.max_age_s',
        0.5,
        'Warn when results are older than this (s) on the clock of the node.',
        low=0.0,
        high=60.0,
    ),
)

CAMERA_PARAMETERS: tuple[ParameterSpec, ...] = (
    ParameterSpec('camera.<camera>.image_topic', '', 'Image topic; required.'),
    ParameterSpec(
        'camera.<camera>.transport',
        'raw',
        'Type on `image_topic`: raw is Image, compressed is CompressedImage.',
        choices=('raw', 'compressed'),
    ),
    ParameterSpec(
        'camera.<camera>.camera_info_topic',
        '',
        'CameraInfo topic; empty: `camera_info` beside the image topic.',
    ),
    ParameterSpec('camera.<camera>.frame_id', '', 'Optical frame; empty: the one in CameraInfo.'),
    ParameterSpec(
        'camera.<camera>.trigger_offset_s',
        0.0,
        'Stamp of this camera minus the reference instant of the rig (s).',
        low=-10.0,
        high=10.0,
    ),
    ParameterSpec(
        'camera.<camera>.rectified', False, 'Images are rectified: use P of the CameraInfo.'
    ),
)


def markdown_table() -> str:
    """Returns the table of docs/parameters.md."""
    lines = [
        '| parameter | default | allowed | fixed at start | meaning |',
        '|---|---|---|---|---|',
    ]
    for spec in PARAMETERS + CAMERA_PARAMETERS:
        lines.append(
            f'| `{spec.name}` | `{spec.default!r}` | {allowed(spec)} | '
            f'{"yes" if spec.read_only else "no"} | {spec.description} |'
        )
    return '\n'.join(lines) + '\n'


def allowed(spec: ParameterSpec) -> str:
    """Returns the allowed values for people; empty when anything goes."""
    if spec.choices:
        return ', '.join(spec.choices)
    if spec.low is None and spec.high is None:
        return ''
    return f'{spec.low:g} to {spec.high:g}'
