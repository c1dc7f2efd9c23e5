"""Plays a recording into ROS 2 topics, bytes as recorded; needs no rosbag2."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rosgraph_msgs.msg import Clock

from bev_perception.errors import BagError, BevError, ConfigError
from bev_perception.replay.bag_reader import BagMessage, BagReader
from bev_perception.ros.lifecycle_client import LifecycleClient
from bev_perception.ros.message_types import message_class
from bev_perception.ros.parent_watch import follow_parent
from bev_perception.ros.startup import init_ros

LATCHED_TOPICS = ('/tf_static', '/robot_description')
CLOCK_PERIOD_S = 0.01
MATCH_TIMEOUT_S = 30.0
SETTLE_S = 0.5


class BagPlayer(Node):
    """Publishes the messages of a bag at their recorded pace.

    Args:
        reader: the open bag.
        rate: bag seconds per second.
        publish_clock: publish the bag's time on /clock.
    """

    def __init__(self, reader: BagReader, rate: float, publish_clock: bool) -> None:
        super().__init__('bag_player')
        self._reader = reader
        self._rate = rate
        self._publishers_by_topic: dict[str, Any] = {}
        for topic in reader.topics():
            kind = message_class(topic.type)
            if kind is None:
                self.get_logger().warning(f'{topic.name}: {topic.type} is not installed, skipped')
            elif topic.name != '/clock' or not publish_clock:
                self._publishers_by_topic[topic.name] = self.create_publisher(
                    kind, topic.name, _qos(topic.name)
                )
        if not self._publishers_by_topic:
            raise BagError(f'{reader.path}: no topic of the bag can be published')
        self._clock_publisher = (
            self.create_publisher(Clock, '/clock', 10) if publish_clock else None
        )
        self.stopping = threading.Event()

    def wait_for_subscriber(self, node_name: str) -> None:
        """Waits until the topics that a node subscribes to are connected to this player.

        Raises:
            BevError: that did not happen in time.
        """
        deadline = time.monotonic() + MATCH_TIMEOUT_S
        while not self.stopping.wait(0.05):
            waiting = self._unconnected(node_name)
            if waiting is not None and not waiting:
                self.stopping.wait(SETTLE_S)
                return
            if time.monotonic() > deadline:
                what = (
                    'subscribes to nothing in the bag'
                    if waiting is None
                    else (f'is not connected to {", ".join(sorted(waiting))}')
                )
                raise BevError(f'node {node_name} {what} after {MATCH_TIMEOUT_S:.0f} s')

    def play(self) -> int:
        """Publishes the bag once; returns the number of messages published."""
        count = 0
        start_ns: int | None = None
        begin_s = time.monotonic()
        for message in self._reader.messages():
            if start_ns is None:
                start_ns = message.log_ns
            due_s = begin_s + (message.log_ns - start_ns) / 1e9 / self._rate
            if not self._wait_for(message.log_ns, due_s):
                break
            count += self._publish(message)
        return count

    def _unconnected(self, node_name: str) -> set[str] | None:
        """Returns topics that the node subscribes to but that no reader is matched on yet."""
        namespace, _, name = node_name.rpartition('/')
        try:
            subscribed = self.get_subscriber_names_and_types_by_node(name, namespace or '/')
        except rclpy.node.NodeNameNonExistentError:
            return None
        topics = {topic for topic, _ in subscribed} & set(self._publishers_by_topic)
        if not topics - set(LATCHED_TOPICS) - {'/tf'}:
            return None
        return {t for t in topics if not self._publishers_by_topic[t].get_subscription_count()}

    def _wait_for(self, bag_ns: int, due_s: float) -> bool:
        """Waits until `due_s`, which is `bag_ns` in the bag, ticking; False when told to stop."""
        while (left_s := due_s - time.monotonic()) > 0:
            self._tick(bag_ns - round(left_s * self._rate * 1e9))
            if self.stopping.wait(min(left_s, CLOCK_PERIOD_S)):
                return False
        return not self.stopping.is_set()

    def _publish(self, message: BagMessage) -> int:
        self._tick(message.log_ns)
        publisher = self._publishers_by_topic.get(message.topic)
        if publisher is None:
            return 0
        publisher.publish(message.data)
        return 1

    def _tick(self, now_ns: int) -> None:
        if self._clock_publisher is not None:
            self._clock_publisher.publish(Clock(clock=Time(nanoseconds=now_ns).to_msg()))


def _qos(topic: str) -> QoSProfile:
    return QoSProfile(
        depth=100 if topic in LATCHED_TOPICS else 10,
        history=HistoryPolicy.KEEP_LAST,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL
        if topic in LATCHED_TOPICS
        else DurabilityPolicy.VOLATILE,
    )


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line of `bev_bag_player`."""
    parser = argparse.ArgumentParser(prog='bev_bag_player', description=__doc__)
    parser.add_argument('bag', type=Path, help='rosbag2 folder or file')
    parser.add_argument('--rate', type=float, default=1.0, help='bag seconds per second')
    parser.add_argument('--loop', action='store_true', help='start again at the end, for ever')
    parser.add_argument(
        '--clock', action='store_true', help='publish the time of the bag on /clock'
    )
    parser.add_argument(
        '--wait-for-node',
        metavar='NAME',
        help='begin when this lifecycle node is active and connected',
    )
    return parser


def main() -> int:
    """Plays a bag; returns the exit code."""
    try:
        args = build_parser().parse_args(init_ros(own_signals=True))
        if not args.rate > 0:
            raise ConfigError(f'--rate must be > 0, got {args.rate}')
        with BagReader(args.bag) as reader:
            return _run(BagPlayer(reader, args.rate, args.clock), args)
    except BevError as error:
        print(f'bev_bag_player: error: {error}', file=sys.stderr)
        return 2
    finally:
        rclpy.try_shutdown()


def _run(player: BagPlayer, args: argparse.Namespace) -> int:
    """Plays on this thread while another one spins; signals end it between two messages."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: player.stopping.set())
    follow_parent(player.stopping.set)
    executor = SingleThreadedExecutor()
    executor.add_node(player)
    spinner = threading.Thread(target=_spin, args=(executor,), daemon=True)
    spinner.start()
    try:
        if args.wait_for_node:
            LifecycleClient(player, args.wait_for_node, player.stopping).wait_until_active()
            player.wait_for_subscriber(args.wait_for_node)
        count = player.play()
        while args.loop and not player.stopping.is_set():
            count += player.play()
        player.get_logger().info(f'published {count} messages of {args.bag}')
    finally:
        executor.shutdown()
        spinner.join(timeout=5.0)
        player.destroy_node()
    return 0


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        return


if __name__ == '__main__':
    sys.exit(main())
