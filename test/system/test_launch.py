"""The launch files in the real launch system, with the real node in its own process."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytest.importorskip('launch_ros', reason='needs launch_ros (comes with ROS 2, not from PyPI)')

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)
from launch.launch_context import LaunchContext
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.utilities import perform_substitutions

pytestmark = [pytest.mark.ros, pytest.mark.system]

TIMEOUT_S = 120.0
# A shell that is set up for the tests has these already; each run here starts without them.
TRANSPORT = (
    'FASTDDS_DEFAULT_PROFILES_FILE',
    'FASTRTPS_DEFAULT_PROFILES_FILE',
    'MALLOC_MMAP_THRESHOLD_',
    'MALLOC_TRIM_THRESHOLD_',
)
# What `ros2 launch` does, plus a line for every lifecycle transition.
DRIVER = """
import sys
import launch, launch.actions, launch.launch_description_sources, launch_ros.event_handlers
path, arguments = sys.argv[1], [a.split(':=', 1) for a in sys.argv[2:]]

def tell(context):
    event = context.locals.event
    print(f'TRANSITION {event.start_state} -> {event.goal_state}', flush=True)

service = launch.LaunchService(noninteractive=True)
source = launch.launch_description_sources.AnyLaunchDescriptionSource(path)
service.include_launch_description(launch.LaunchDescription([
    launch.actions.RegisterEventHandler(launch.event_handler.EventHandler(
        matcher=lambda event: type(event).__name__ == 'StateTransition',
        entities=[launch.actions.OpaqueFunction(function=tell)])),
    launch.actions.IncludeLaunchDescription(source, launch_arguments=arguments),
]))
sys.exit(service.run())
"""
RIG = """
format: 1
base_frame: rear_axle
cameras:
- name: front
  image_topic: /front/image/compressed
  transport: compressed
  frame_id: front_optical
  intrinsics: {width: 320, height: 180, k: [160, 0, 159.5, 0, 160, 89.5, 0, 0, 1]}
  base_T_camera: {translation_m: [1.5, 0, 1.6], quaternion_xyzw: [-0.5, 0.5, -0.5, 0.5]}
- name: back
  image_topic: /back/image_raw
  transport: raw
  frame_id: back_optical
  intrinsics: {width: 320, height: 180, k: [160, 0, 159.5, 0, 160, 89.5, 0, 0, 1]}
  base_T_camera: {translation_m: [-1, 0, 1.6], quaternion_xyzw: [0.5, 0.5, -0.5, -0.5]}
"""
# In the place of RViz: keeps the configuration that it was given, then lives until it is closed.
RVIZ = """#!/bin/sh
while [ "$1" != "-d" ]; do shift; done
cp "$2" "$RVIZ_SAW"
echo "REST $*"
sleep "$RVIZ_SECONDS"
"""


@pytest.fixture(scope='module')
def share() -> Path:
    """Returns the share folder of the installed package, or skips where it was not built."""
    try:
        node = Path(get_package_prefix('bev_perception'), 'lib', 'bev_perception', 'bev_node')
    except (PackageNotFoundError, OSError):
        pytest.skip('bev_perception is not installed: run colcon build, source install/setup.bash')
    if not node.is_file():
        pytest.skip(f'{node} is missing: run colcon build')
    return Path(get_package_share_directory('bev_perception'))


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    path = tmp_path / 'rig.yaml'
    path.write_text(RIG)
    return path


class Run:
    """A launch file running in a process of its own, and everything that it started.

    Processes are found by a mark in their environment, so that orphans are found, too.
    """

    def __init__(self, folder: Path, launch_file: Path, *arguments: str, **env: str) -> None:
        self.mark = f'BEV_TEST_RUN={uuid.uuid4()}'
        name, value = self.mark.split('=')
        self.log = folder / f'{launch_file.stem}.log'
        with self.log.open('w') as out:
            self.process = subprocess.Popen(
                [sys.executable, '-c', DRIVER, str(launch_file), *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={
                    **{k: v for k, v in os.environ.items() if k not in TRANSPORT},
                    'ROS_DOMAIN_ID': str(1 + os.getpid() % 100),
                    'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
                    'ROS_LOG_DIR': str(folder / 'log'),
                    **env,
                    name: value,
                },
                start_new_session=True,
            )

    def text(self) -> str:
        return self.log.read_text(errors='replace')

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.text():
            assert self.process.poll() is None, f'ended before {text!r}:\n{self.text()}'
            assert time.monotonic() < deadline, f'no {text!r}:\n{self.text()}'
            time.sleep(0.1)

    def end(self, signal_number: int | None = None) -> int:
        """Returns the exit code, after a signal or by itself."""
        if signal_number is not None:
            self.process.send_signal(signal_number)
        return self.process.wait(TIMEOUT_S)

    def alive(self, executable: str = '') -> list[int]:
        """Returns the processes of this run that are alive, or those of one executable."""
        found = []
        for entry in Path('/proc').glob('[0-9]*'):
            try:
                if self.mark.encode() not in (entry / 'environ').read_bytes().split(b'\0'):
                    continue
                if executable.encode() in (entry / 'cmdline').read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def environment(self, executable: str) -> dict[str, str]:
        (pid,) = self.alive(executable)
        pairs = Path(f'/proc/{pid}/environ').read_text().split('\0')
        return dict(pair.split('=', 1) for pair in pairs if '=' in pair)

    def wait_until_nothing_lives(self, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not self.alive()

    def kill(self) -> None:
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[list[Run]]:
    """Returns the list to which a test adds what it starts; the rest of it is ended afterwards."""
    started: list[Run] = []
    yield started
    for run in started:
        run.kill()


def arguments(path: Path) -> dict[str, str | None]:
    """Returns the arguments of a launch file with their defaults; None when required."""
    context = LaunchContext()
    description = PythonLaunchDescriptionSource(str(path)).get_launch_description(context)
    declared = {}
    for argument in description.get_launch_arguments():
        assert argument.description.strip() and argument.description.strip() != 'no description'
        default = argument.default_value
        declared[argument.name] = (
            None if default is None else perform_substitutions(context, default)
        )
    return declared


def test_arguments_of_bev(share: Path) -> None:
    assert arguments(share / 'launch' / 'bev.launch.py') == {
        'namespace': '',
        'params_file': str(share / 'config' / 'bev.params.yaml'),
        'model': '',
        'rig': '',
        'use_sim_time': 'false',
        'rviz': 'false',
        'rviz_config': str(share / 'rviz' / 'bev.rviz'),
        'log_level': 'info',
        'autostart': 'true',
    }
    assert (share / 'config' / 'bev.params.yaml').is_file()
    assert (share / 'rviz' / 'bev.rviz').is_file()


def test_arguments_of_replay_are_its_own_and_those_of_bev(share: Path) -> None:
    own = {'bag': None, 'rate': '1.0', 'loop': 'false', 'keep_alive': 'false', 'rviz': 'true'}
    assert arguments(share / 'launch' / 'replay.launch.py') == {
        **arguments(share / 'launch' / 'bev.launch.py'),
        **own,
    }


def test_node_becomes_active_and_ends_on_sigint(
    share: Path, tmp_path: Path, rig: Path, runs: list[Run]
) -> None:
    run = Run(tmp_path, share / 'launch' / 'bev.launch.py', f'rig:={rig}', 'namespace:=car')
    runs.append(run)
    run.wait_for('TRANSITION activating -> active')
    environment = run.environment('bev_node')
    assert environment['MALLOC_TRIM_THRESHOLD_'] == environment['MALLOC_MMAP_THRESHOLD_']
    profiles = [v for k, v in environment.items() if k.endswith('DEFAULT_PROFILES_FILE')]
    assert profiles == [str(share / 'config' / 'fastdds_images.xml')]
    assert '/car' in Path(f'/proc/{run.alive("bev_node")[0]}/cmdline').read_text()
    assert run.end(signal.SIGINT) == 0, run.text()
    assert 'process has finished cleanly' in run.text()
    assert not run.alive()
    assert 'Traceback' not in run.text()


def test_environment_of_the_user_wins(
    share: Path, tmp_path: Path, rig: Path, runs: list[Run]
) -> None:
    profile = tmp_path / 'own.xml'
    profile.write_text((share / 'config' / 'fastdds_images.xml').read_text())
    run = Run(
        tmp_path,
        share / 'launch' / 'bev.launch.py',
        f'rig:={rig}',
        'autostart:=false',
        FASTRTPS_DEFAULT_PROFILES_FILE=str(profile),
        MALLOC_TRIM_THRESHOLD_='1000000',
    )
    runs.append(run)
    run.wait_for('process started with pid')
    environment = run.environment('bev_node')
    assert environment['MALLOC_TRIM_THRESHOLD_'] == '1000000'
    assert environment['MALLOC_MMAP_THRESHOLD_'] == str(512 * 1024 * 1024)
    assert environment['FASTRTPS_DEFAULT_PROFILES_FILE'] == str(profile)
    assert 'FASTDDS_DEFAULT_PROFILES_FILE' not in environment


def test_no_orphan_after_sigterm(share: Path, tmp_path: Path, rig: Path, runs: list[Run]) -> None:
    run = Run(tmp_path, share / 'launch' / 'bev.launch.py', f'rig:={rig}')
    runs.append(run)
    run.wait_for('TRANSITION activating -> active')
    assert run.end(signal.SIGTERM) != 0
    run.wait_until_nothing_lives(within_s=30.0)


@pytest.mark.parametrize(
    ('argument', 'complaint'),
    [
        ('model:=/no/such/model', '/no/such/model'),
        ('rig:=/no/such/rig.yaml', '/no/such/rig.yaml'),
        ('params_file:=/no/such.yaml', '/no/such.yaml: there is no such file'),
        ('use_sim_time:=maybe', "Valid options are: ['true', 'false']"),
    ],
)
def test_wrong_arguments_end_the_launch_with_the_reason(
    share: Path, tmp_path: Path, rig: Path, runs: list[Run], argument: str, complaint: str
) -> None:
    run = Run(tmp_path, share / 'launch' / 'bev.launch.py', f'rig:={rig}', argument)
    runs.append(run)
    assert run.end() != 0
    assert complaint in run.text()
    assert 'Traceback' not in run.text()
    assert not run.alive()


def test_unknown_parameter_ends_the_launch_with_the_reason(
    share: Path, tmp_path: Path, rig: Path, runs: list[Run]
) -> None:
    params = tmp_path / 'params.yaml'
    params.write_text('/**: {ros__parameters: {min_scroe: 0.5}}')
    arguments = (f'rig:={rig}', f'params_file:={params}')
    run = Run(tmp_path, share / 'launch' / 'bev.launch.py', *arguments)
    runs.append(run)
    assert run.end() != 0
    assert 'min_scroe' in run.text()
    assert 'Traceback' not in run.text()
    assert not run.alive()


def stand_in_for_rviz(folder: Path) -> str:
    """Returns an AMENT_PREFIX_PATH that begins with a package `rviz2` holding a small script."""
    index = folder / 'share' / 'ament_index' / 'resource_index' / 'packages'
    executable = folder / 'lib' / 'rviz2' / 'rviz2'
    index.mkdir(parents=True)
    executable.parent.mkdir(parents=True)
    (index / 'rviz2').touch()
    executable.write_text(RVIZ)
    executable.chmod(executable.stat().st_mode | stat.S_IXUSR)
    return f'{folder}:{os.environ["AMENT_PREFIX_PATH"]}'


def test_rviz_shows_the_rig_and_ends_the_launch_when_closed(
    share: Path, tmp_path: Path, rig: Path, runs: list[Run]
) -> None:
    run = Run(
        tmp_path,
        share / 'launch' / 'bev.launch.py',
        f'rig:={rig}',
        'rviz:=true',
        'autostart:=false',
        AMENT_PREFIX_PATH=stand_in_for_rviz(tmp_path / 'rviz'),
        RVIZ_SAW=str(tmp_path / 'saw.rviz'),
        RVIZ_SECONDS='5',
    )
    runs.append(run)
    assert run.end() == 0, run.text()
    assert not run.alive()
    manager = yaml.safe_load((tmp_path / 'saw.rviz').read_text())['Visualization Manager']
    assert manager['Global Options']['Fixed Frame'] == 'rear_axle'
    images = [d for d in manager['Displays'] if d['Class'] == 'rviz_default_plugins/Image']
    assert [d['Name'] for d in images] == ['front', 'back']


def test_missing_rviz_is_named(share: Path, tmp_path: Path, rig: Path, runs: list[Run]) -> None:
    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError:
        pass
    else:
        pytest.skip('RViz is installed')
    run = Run(tmp_path, share / 'launch' / 'bev.launch.py', f'rig:={rig}', 'rviz:=true')
    runs.append(run)
    assert run.end() != 0
    assert 'rviz2 is not installed' in run.text()
    assert not run.alive()


@pytest.mark.parametrize('namespace', [(), ('namespace:=fleet/car',)])
def test_replay_ends_with_the_bag(
    share: Path, tmp_path: Path, real_data: Path, runs: list[Run], namespace: tuple[str, ...]
) -> None:
    run = Run(
        tmp_path,
        share / 'launch' / 'replay.launch.py',
        f'bag:={real_data / "nuscenes_frame"}',
        'rviz:=false',
        *namespace,
    )
    runs.append(run)
    assert run.end() == 0, run.text()
    text = run.text()
    assert text.index('TRANSITION activating -> active') < text.index('published ')
    assert 'cam_front_left' in text
    assert 'Traceback' not in text
    assert not run.alive()


def test_replay_of_a_missing_bag_says_so(share: Path, tmp_path: Path, runs: list[Run]) -> None:
    arguments = ('bag:=/no/such/bag', 'rviz:=false')
    run = Run(tmp_path, share / 'launch' / 'replay.launch.py', *arguments)
    runs.append(run)
    assert run.end() != 0
    assert '/no/such/bag' in run.text()
    assert 'Traceback' not in run.text()
