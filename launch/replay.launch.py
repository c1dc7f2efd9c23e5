"""Plays a bag through the node on the bag's time, with RViz; ends when the bag has ended."""

from __future__ import annotations

from pathlib import Path

from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    SetLaunchConfiguration,
    Shutdown,
    TimerAction,
)
from launch.events.process import ProcessExited
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.logging import launch_config
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

# Time for the node to finish the last images, and for results to be recorded.
DRAIN_S = 2.0


def generate_launch_description() -> LaunchDescription:
    bev_launch = str(Path(__file__).with_name('bev.launch.py'))
    return LaunchDescription(
        [
            *arguments(),
            OpaqueFunction(function=rig_of_bag),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(bev_launch),
                launch_arguments=[
                    ('use_sim_time', 'true'),
                    ('rviz', LaunchConfiguration('rviz')),
                ],
            ),
            OpaqueFunction(function=player),
        ]
    )


def arguments() -> list[Action]:
    """Returns the arguments that come on top of those of bev.launch.py."""
    return [
        DeclareLaunchArgument('bag', description='Recording (rosbag2 folder or .mcap file).'),
        DeclareLaunchArgument(
            'rate', default_value='1.0', description='Speed; 1 is that of the recording.'
        ),
        DeclareLaunchArgument(
            'loop',
            default_value='false',
            choices=['true', 'false'],
            description='Start again at the end of the bag.',
        ),
        DeclareLaunchArgument(
            'keep_alive',
            default_value='false',
            choices=['true', 'false'],
            description='Keep the node and RViz when the bag has ended.',
        ),
        DeclareLaunchArgument(
            'rviz', default_value='true', choices=['true', 'false'], description='Start RViz.'
        ),
        DeclareLaunchArgument(
            'rig',
            default_value='',
            description='Rig file; empty: that of params_file if given, else made from the bag.',
        ),
    ]


def rig_of_bag(context: LaunchContext) -> list[Action]:
    """Makes a rig file from the bag, beside the logs, when nothing else says what the rig is."""
    value = context.launch_configurations
    if not Path(value['bag']).exists():
        raise RuntimeError(f'bag {value["bag"]}: there is no such recording')
    if value['rig'] or 'params_file' in value:
        return []
    from bev_perception.geometry.rig_file import save_rig_file
    from bev_perception.replay.bag_reader import BagReader
    from bev_perception.replay.rig_from_bag import rig_from_bag

    path = launch_config.get_log_file_path('rig.yaml')
    with BagReader(Path(value['bag'])) as reader:
        save_rig_file(rig_from_bag(reader, 'base_link'), path)
    message = f'made {path} from the bag; with rig:=FILE it is not made anew each time'
    return [LogInfo(msg=message), SetLaunchConfiguration('rig', path)]


def player(context: LaunchContext) -> list[Action]:
    """Returns the bag player, which waits until the node listens."""
    value = context.launch_configurations
    node_name = '/'.join(['', *filter(None, value['namespace'].split('/')), 'bev_perception'])
    return [
        Node(
            package='bev_perception',
            executable='bev_bag_player',
            namespace=value['namespace'],
            arguments=[
                value['bag'],
                '--clock',
                *('--rate', value['rate']),
                *('--wait-for-node', node_name),
                *(['--loop'] if value['loop'] == 'true' else []),
            ],
            remappings=[('/tf', 'tf'), ('/tf_static', 'tf_static')],
            additional_env={'BEV_EXIT_WITH_PARENT': '1'},
            output='screen',
            emulate_tty=True,
            on_exit=player_ended,
        )
    ]


def player_ended(event: ProcessExited, context: LaunchContext) -> Action | None:
    if context.is_shutdown:
        return None
    if event.returncode:
        raise RuntimeError(f'the bag player ended with exit code {event.returncode}')
    if context.launch_configurations['keep_alive'] == 'true':
        return None
    return TimerAction(period=DRAIN_S, actions=[Shutdown(reason='the bag has ended')])
