"""Declares the node's parameters and reads them into one typed value."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from bev_perception.errors import ConfigError
from bev_perception.inputs.calibration import CameraSource
from bev_perception.inputs.synced_set import SyncConfig
from bev_perception.ros.parameter_table import (
    CAMERA_PARAMETERS,
    PARAMETERS,
    ParameterSpec,
    allowed,
)

# Declared by rclpy itself for every node.
RCLPY_PREFIXES = ('use_sim_time', 'qos_overrides.', 'start_type_description_service')


@dataclass(frozen=True)
class NodeParameters:
    """The parameters that are fixed at start; see `parameter_table` for their meaning."""

    model: str
    rig_file: str
    cameras: tuple[CameraSource, ...]
    base_frame: str
    odom_frame: str
    device: str
    threads: int
    sync_policy: str
    sync: SyncConfig
    sync_queue_size: int
    ego_motion_source: str
    odometry_topic: str
    images_reliable: bool
    images_depth: int
    diagnostics_period_s: float
    diagnostics_max_age_s: float


def parameter_overrides(node: Node) -> dict[str, Parameter]:
    """Returns what launch files, YAML and command line set; rclpy has no public way to ask."""
    return node._parameter_overrides


def declare_parameters(node: Node) -> NodeParameters:
    """Declares every parameter on `node` and returns those fixed at start.

    Raises:
        ConfigError: a value has the wrong type or is out of range, a parameter is unknown, or
            the cameras are given twice or not completely.
    """
    for spec in PARAMETERS:
        _declare(node, spec, spec.name)
    names = list(_get(node, 'cameras'))
    for name in names:
        for spec in CAMERA_PARAMETERS:
            _declare(node, spec, spec.name.replace('<camera>', name))
    _refuse_unknown(node)
    node.add_on_set_parameters_callback(lambda changes: _validate(node, changes))
    cameras = tuple(_camera(node, name) for name in names)
    rig_file = _get(node, 'rig_file')
    if rig_file and cameras:
        raise ConfigError("parameters 'rig_file' and 'cameras' are both set; keep one of them")
    if not rig_file and not cameras:
        raise ConfigError(
            "no cameras: set parameter 'rig_file' (made by `bev rig from-bag`) or 'cameras'"
        )
    return NodeParameters(
        model=_get(node, 'model'),
        rig_file=rig_file,
        cameras=cameras,
        base_frame=_get(node, 'base_frame'),
        odom_frame=_get(node, 'odom_frame'),
        device=_get(node, 'device'),
        threads=_get(node, 'threads'),
        sync_policy=_get(node, 'sync.policy'),
        sync=SyncConfig(
            tolerance_s=_get(node, 'sync.tolerance_s'),
            deadline_s=_get(node, 'sync.deadline_s'),
            max_misses=_get(node, 'sync.max_misses'),
            backward_jump_s=_get(node, 'sync.backward_jump_s'),
        ),
        sync_queue_size=_get(node, 'sync.queue_size'),
        ego_motion_source=_get(node, 'ego_motion.source'),
        odometry_topic=_get(node, 'ego_motion.odometry_topic'),
        images_reliable=_get(node, 'qos.images.reliability') == 'reliable',
        images_depth=_get(node, 'qos.images.depth'),
        diagnostics_period_s=_get(node, 'diagnostics.period_s'),
        diagnostics_max_age_s=_get(node, 'diagnostics.max_age_s'),
    )


def _declare(node: Node, spec: ParameterSpec, name: str) -> None:
    """Declares one parameter; an empty string list cannot tell its type, so it has no default."""
    descriptor = _descriptor(spec)
    is_list = isinstance(spec.default, list)
    default = Parameter.Type.STRING_ARRAY if is_list else spec.default
    try:
        node.declare_parameter(name, default, descriptor)
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        raise ConfigError(_wrong_value(node, spec, name)) from error
    value = _get(node, name)
    if spec.choices and value not in spec.choices:
        raise ConfigError(_wrong_value(node, spec, name))


def _wrong_value(node: Node, spec: ParameterSpec, name: str) -> str:
    given = parameter_overrides(node)[name].value
    kind = 'list of strings' if isinstance(spec.default, list) else type(spec.default).__name__
    limits = f', {allowed(spec)}' if allowed(spec) else ''
    return f"parameter '{name}' is {given!r}; it must be a {kind}{limits}"


def _descriptor(spec: ParameterSpec) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=spec.description, read_only=spec.read_only)
    if spec.choices:
        descriptor.additional_constraints = 'one of: ' + ', '.join(spec.choices)
    if spec.low is not None and spec.high is not None:
        if isinstance(spec.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(spec.low), to_value=float(spec.high))
            ]
        else:
            descriptor.integer_range = [
                IntegerRange(from_value=int(spec.low), to_value=int(spec.high), step=1)
            ]
    return descriptor


def _get(node: Node, name: str) -> Any:
    try:
        return node.get_parameter(name).value
    except ParameterUninitializedException:
        return []


def _refuse_unknown(node: Node) -> None:
    """Refuses overrides that rclpy would ignore in silence: a misspelt parameter must not pass."""
    known = [spec.name for spec in PARAMETERS]
    for name in parameter_overrides(node):
        if node.has_parameter(name) or name.startswith(RCLPY_PREFIXES):
            continue
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else '; see docs/parameters.md'
        raise ConfigError(f"parameter '{name}' is unknown{hint}")


def _validate(node: Node, changes: list[Parameter]) -> SetParametersResult:
    """Refuses strings outside their choices; types and ranges are checked by rclpy."""
    specs = {spec.name: spec for spec in PARAMETERS}
    for change in changes:
        spec = specs.get(change.name)
        if spec is not None and spec.choices and change.value not in spec.choices:
            reason = f"'{change.name}' must be one of {', '.join(spec.choices)}"
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)


def _camera(node: Node, name: str) -> CameraSource:
    def value(key: str) -> Any:
        return _get(node, f'camera.{name}.{key}')

    image_topic = value('image_topic')
    if not image_topic:
        raise ConfigError(f"camera '{name}': parameter 'camera.{name}.image_topic' is required")
    compressed = value('transport') == 'compressed'
    return CameraSource(
        name=name,
        image_topic=image_topic,
        compressed=compressed,
        camera_info_topic=value('camera_info_topic')
        or camera_info_beside(image_topic, compressed),
        frame_id=value('frame_id'),
        trigger_offset_s=value('trigger_offset_s'),
        rectified=value('rectified'),
    )


def camera_info_beside(image_topic: str, compressed: bool) -> str:
    """Returns `camera_info` in the namespace of an image topic, as image_transport has it."""
    base = image_topic.rsplit('/', 1)[0] if compressed else image_topic
    namespace = base.rsplit('/', 1)[0] if '/' in base else ''
    return f'{namespace}/camera_info' if '/' in base else 'camera_info'
