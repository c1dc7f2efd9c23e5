"""Records topics into an MCAP bag, bytes as received; needs no rosbag2."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from bev_perception.errors import BagError, BevError
from bev_perception.ros.message_types import MessageDefinitions, message_class
from bev_perception.ros.parent_watch import follow_parent
from bev_perception.ros.startup import init_ros

SEARCH_PERIOD_S = 0.1
READY_LINE = 'recording all topics'


class BagRecorder(Node):
    """Subscribes to topics as they appear and writes what arrives.

    Args:
        writer: open bag.
        topics: fully qualified names.
    """

    def __init__(self, writer: Writer, topics: list[str]) -> None:
        super().__init__('bag_recorder')
        self._writer = writer
        self._pending = set(topics)
        self._definitions = MessageDefinitions()
        self.counts: dict[str, int] = dict.fromkeys(topics, 0)
        self.failure: BevError | None = None
        self._search = self.create_timer(
            SEARCH_PERIOD_S,
            self._subscribe_to_found,
            clock=rclpy.clock.Clock(clock_type=rclpy.clock.ClockType.STEADY_TIME),
        )

    def _subscribe_to_found(self) -> None:
        for topic in sorted(self._pending):
            publishers = self.get_publishers_info_by_topic(topic)
            if publishers:
                self._subscribe(topic, publishers)
                self._pending.discard(topic)
        if not self._pending:
            self.destroy_timer(self._search)
            print(READY_LINE, flush=True)

    def _subscribe(self, topic: str, publishers: list[Any]) -> None:
        kind_name = publishers[0].topic_type
        kind = message_class(kind_name)
        if kind is None:
            self.failure = BagError(f'{topic}: {kind_name} is not installed')
            raise self.failure
        self._definitions.require(kind_name)
        connection = self._writer.add_connection(
            topic, kind_name, typestore=self._definitions.store
        )
        self.create_subscription(
            kind, topic, partial(self._write, connection), _matching_qos(publishers), raw=True
        )

    def _write(self, connection: Any, data: bytes) -> None:
        self._writer.write(connection, self.get_clock().now().nanoseconds, data)
        self.counts[connection.topic] += 1


def _matching_qos(publishers: list[Any]) -> QoSProfile:
    """Returns the strictest profile that every publisher satisfies."""
    profiles = [p.qos_profile for p in publishers]
    reliable = all(p.reliability == ReliabilityPolicy.RELIABLE for p in profiles)
    latched = all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in profiles)
    return QoSProfile(
        depth=100,
        history=HistoryPolicy.KEEP_LAST,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line of `bev_bag_recorder`."""
    parser = argparse.ArgumentParser(prog='bev_bag_recorder', description=__doc__)
    parser.add_argument('topics', nargs='+', metavar='TOPIC', help='fully qualified topic names')
    parser.add_argument('-o', '--out', type=Path, required=True, help='bag folder to write')
    return parser


def main() -> int:
    """Records until told to end; the bag appears whole under its name, or not at all."""
    try:
        args = build_parser().parse_args(init_ros(own_signals=True))
        counts = record(args.out, args.topics)
    except (BevError, OSError) as error:
        print(f'bev_bag_recorder: error: {error}', file=sys.stderr)
        return 2
    finally:
        rclpy.try_shutdown()
    for topic, count in counts.items():
        print(f'{topic}: {count} messages')
    return 0


def record(out: Path, topics: list[str]) -> dict[str, int]:
    """Records into the folder `out` until told to end; returns messages per topic.

    Raises:
        BagError: `out` exists.
        BevError: a topic has a type that is not installed.
        OSError: the bag cannot be written.
    """
    if out.exists():
        raise BagError(f'{out} already exists')
    scratch = out.with_name(f'.{out.name}.{os.getpid()}')
    try:
        scratch.mkdir(parents=True)
        with Writer(scratch / out.name, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            counts = _record(writer, topics)
        os.replace(scratch / out.name, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return counts


def _record(writer: Writer, topics: list[str]) -> dict[str, int]:
    stopping = threading.Event()
    executor = SingleThreadedExecutor()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    follow_parent(stopping.set)
    recorder = BagRecorder(writer, topics)
    executor.add_node(recorder)
    try:
        while not stopping.is_set():
            executor.spin_once(timeout_sec=0.1)
    except ExternalShutdownException:
        pass
    finally:
        executor.shutdown()
        recorder.destroy_node()
    return recorder.counts


if __name__ == '__main__':
    sys.exit(main())
