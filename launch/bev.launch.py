"""Starts the node, configured and active, and RViz if wanted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.event import Event
from launch.event_handler import BaseEventHandler, EventHandler
from launch.event_handlers import OnProcessExit
from launch.events import matches_action
from launch.events.process import ProcessExited
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.logging import launch_config
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState, StateTransition
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.ros_adapters import get_ros_node
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import GetState

NODE_NAME = 'bev_perception'
SHARE = FindPackageShare('bev_perception')
# Transforms follow the namespace; without one these are /tf and /tf_static.
TF_REMAPPINGS = [('/tf', 'tf'), ('/tf_static', 'tf_static')]
# Or glibc returns freed image buffers to the system and faults the pages in again, image by image.
MALLOC_THRESHOLD_BYTES = 512 * 1024 * 1024
MALLOC_VARIABLES = ('MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_')
# Fast DDS 2 reads the first one; Fast DDS 3, from Kilted on, the second.
PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
FAST_DDS_2_DISTROS = ('humble', 'iron', 'jazzy')
POLL_PERIOD_S = 0.1
FAILED_TRANSITIONS = (
    ('configuring', 'unconfigured'),
    ('configuring', 'errorprocessing'),
    ('activating', 'inactive'),
    ('activating', 'errorprocessing'),
)


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            *arguments(),
            *environment(),
            OpaqueFunction(function=rviz),
            OpaqueFunction(function=node),
        ]
    )


def arguments() -> list[Action]:
    """Returns the arguments, in the order in which --show-args lists them."""
    on_off = ('true', 'false')
    return [
        argument('namespace', '', 'Namespace of the node, its topics and its transforms.'),
        argument(
            'params_file',
            PathJoinSubstitution([SHARE, 'config', 'bev.params.yaml']),
            'Parameters of the node (YAML).',
        ),
        argument('model', '', 'Model folder, or name of one; empty: that of params_file.'),
        argument('rig', '', 'Rig file, made by `bev rig from-bag`; empty: that of params_file.'),
        argument('use_sim_time', 'false', 'Time comes from /clock (bag, simulator).', on_off),
        argument('rviz', 'false', 'Start RViz.', on_off),
        argument(
            'rviz_config',
            PathJoinSubstitution([SHARE, 'rviz', 'bev.rviz']),
            'RViz configuration; cameras of the rig that it does not show are added to it.',
        ),
        argument(
            'log_level',
            'info',
            'Least severity that the node logs.',
            ('debug', 'info', 'warn', 'error', 'fatal'),
        ),
        argument(
            'autostart',
            'true',
            'Configure and activate the node, and end when that fails; false: somebody else '
            'drives its lifecycle.',
            on_off,
        ),
    ]


def argument(
    name: str, default: SomeSubstitutionsType, description: str, choices: Sequence[str] = ()
) -> DeclareLaunchArgument:
    return DeclareLaunchArgument(
        name, default_value=default, description=description, choices=list(choices) or None
    )


def environment() -> list[Action]:
    """Returns what keeps images whole and cheap to receive, except what the user set already."""
    actions: list[Action] = [
        SetEnvironmentVariable(name, str(MALLOC_THRESHOLD_BYTES))
        for name in MALLOC_VARIABLES
        if name not in os.environ
    ]
    if not any(name in os.environ for name in PROFILE_VARIABLES):
        old = os.environ.get('ROS_DISTRO') in FAST_DDS_2_DISTROS
        profile = PathJoinSubstitution([SHARE, 'config', 'fastdds_images.xml'])
        actions.append(SetEnvironmentVariable(PROFILE_VARIABLES[0 if old else 1], profile))
    return actions


def node(context: LaunchContext) -> list[Action]:
    """Returns the node and what drives it to be active."""
    value = context.launch_configurations
    if not Path(value['params_file']).is_file():
        raise RuntimeError(f'params_file {value["params_file"]}: there is no such file')
    overrides = {'use_sim_time': parameter('use_sim_time', bool)}
    for given, name in (('model', 'model'), ('rig', 'rig_file')):
        if value[given]:
            overrides[name] = parameter(given, str)
    perception = LifecycleNode(
        package='bev_perception',
        executable='bev_node',
        name=NODE_NAME,
        namespace=value['namespace'],
        parameters=[value['params_file'], overrides],
        remappings=TF_REMAPPINGS,
        ros_arguments=['--log-level', value['log_level']],
        additional_env={'BEV_EXIT_WITH_PARENT': '1'},
        output='screen',
        emulate_tty=True,
        # A model that is being loaded is not given up half-way.
        sigterm_timeout=LaunchConfiguration('sigterm_timeout', default='15'),
    )
    handlers: list[BaseEventHandler] = [
        OnProcessExit(target_action=perception, on_exit=node_ended)
    ]
    drive: list[Action] = []
    if value['autostart'] == 'true':
        handlers += lifecycle(perception)
        drive = [OpaqueFunction(function=configure, args=[perception])]
    return [*map(RegisterEventHandler, handlers), perception, *drive]


def lifecycle(perception: LifecycleNode) -> list[BaseEventHandler]:
    """Returns what follows on the node's transitions: activation, or the end with an error."""

    def failed(event: Event) -> bool:
        return (
            isinstance(event, StateTransition)
            and event.action is perception
            and (event.start_state, event.goal_state) in FAILED_TRANSITIONS
        )

    return [
        OnStateTransition(
            target_lifecycle_node=perception,
            start_state='configuring',
            goal_state='inactive',
            entities=[OpaqueFunction(function=activate, args=[perception])],
            handle_once=True,
        ),
        EventHandler(matcher=failed, entities=[OpaqueFunction(function=start_failed)]),
    ]


def configure(context: LaunchContext, perception: LifecycleNode) -> None:
    """Has the node configure itself as soon as it answers.

    Asked earlier, launch_ros would wait for it in a thread, and end in a traceback when the node
    gives up instead, say because of a wrong parameter.
    """

    async def ask() -> None:
        client = get_ros_node(context).create_client(GetState, f'{perception.node_name}/get_state')
        while not context.is_shutdown:
            answer = client.call_async(GetState.Request()) if client.service_is_ready() else None
            await asyncio.sleep(POLL_PERIOD_S)
            if answer is not None and answer.done() and not context.is_shutdown:
                await context.emit_event(transition(perception, Transition.TRANSITION_CONFIGURE))
                return

    context.add_completion_future(context.asyncio_loop.create_task(ask()))


def activate(context: LaunchContext, perception: LifecycleNode) -> list[Action]:
    if context.is_shutdown:
        return []
    return [EmitEvent(event=transition(perception, Transition.TRANSITION_ACTIVATE))]


def transition(perception: LifecycleNode, transition_id: int) -> ChangeState:
    return ChangeState(
        lifecycle_node_matcher=matches_action(perception), transition_id=transition_id
    )


def start_failed(context: LaunchContext) -> None:
    """Ends the launch; only an exception makes its exit code non-zero."""
    raise RuntimeError(f'{NODE_NAME} could not start; its error message above says why')


def node_ended(event: ProcessExited, context: LaunchContext) -> Action | None:
    if context.is_shutdown:
        return None
    if event.returncode:
        raise RuntimeError(f'{NODE_NAME} ended with exit code {event.returncode}')
    return Shutdown(reason=f'{NODE_NAME} has ended')


def rviz(context: LaunchContext) -> list[Action]:
    """Returns RViz with a view for each camera of the rig, if it is wanted."""
    value = context.launch_configurations
    if value['rviz'] == 'false':
        return []
    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError:
        raise RuntimeError('rviz2 is not installed; install it, or give rviz:=false') from None
    # Here, because it needs numpy and more that a start without RViz does not.
    from bev_perception.ros.rviz_config import rig_view, write_rviz_config

    view = rig_view(value['rig'], value['params_file'])
    config = launch_config.get_log_file_path('bev.rviz')
    write_rviz_config(value['rviz_config'], view, config)
    return [
        Node(
            package='rviz2',
            executable='rviz2',
            name='rviz',
            namespace=value['namespace'],
            arguments=['-d', config],
            parameters=[{'use_sim_time': parameter('use_sim_time', bool)}],
            remappings=[*TF_REMAPPINGS, *view.remappings()],
            output='log',
            on_exit=rviz_ended,
        )
    ]


def rviz_ended(event: ProcessExited, context: LaunchContext) -> Action | None:
    return None if context.is_shutdown else Shutdown(reason='RViz was closed')


def parameter(name: str, kind: type) -> ParameterValue:
    """Returns an argument as a parameter of that type, whatever YAML would take its text for."""
    return ParameterValue(LaunchConfiguration(name), value_type=kind)
