"""Child processes whose output goes to a log file and can be waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from bev_perception.errors import BevError
from bev_perception.ros.parent_watch import EXIT_WITH_PARENT

STOP_TIMEOUT_S = 20.0


class ChildProcess:
    """A Python module running as a process of its own; stopped when the `with` block ends.

    Args:
        name: for messages.
        module: run with `python -m`.
        arguments: its command line.
        log: file for its output.
    """

    def __init__(self, name: str, module: str, arguments: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            [sys.executable, '-u', '-m', module, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, EXIT_WITH_PARENT: '1'},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_for_line(self, text: str, timeout_s: float) -> None:
        """Returns when a line of output contains `text`.

        Raises:
            BevError: the process ended or was silent for too long.
        """
        with self._news:
            self._news.wait_for(
                lambda: self._ended or any(text in line for line in self._lines), timeout_s
            )
            if not any(text in line for line in self._lines):
                raise self.failure(f"did not print '{text}'")

    def wait(self) -> int:
        """Returns the exit code once the process has ended by itself."""
        code = self._process.wait()
        self._reader.join()
        return code

    def stop(self) -> int:
        """Ends the process like Ctrl-C does; returns its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self.wait()

    def ended(self) -> bool:
        """Returns whether the process has ended."""
        return self._process.poll() is not None

    def failure(self, what: str) -> BevError:
        """Returns an error that quotes the last line of output."""
        last = next((line.strip() for line in reversed(self._lines) if line.strip()), 'no output')
        return BevError(f'{self.name} {what}: {last} (log: {self.log})')

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self.log.open('w', encoding='utf-8') as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
