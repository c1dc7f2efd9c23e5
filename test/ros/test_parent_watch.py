"""Programs end when the one that started them is gone, and only where that was asked for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.ros

# The child tells whether it noticed that its parent, which ends at once, is gone.
CHILD = """
import sys, threading
from bev_perception.ros import parent_watch
parent_watch.PERIOD_S = 0.05
gone = threading.Event()
parent_watch.follow_parent(gone.set)
print('watching', flush=True)
print('gone' if gone.wait(float(sys.argv[1])) else 'alone', flush=True)
"""
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', *sys.argv[1:]], stdout=subprocess.PIPE)
first = child.stdout.readline()
"""


@pytest.mark.parametrize(
    ('asked', 'timeout_s', 'expected'), [('1', 30.0, 'gone'), ('', 0.5, 'alone')]
)
def test_child_of_a_parent_that_ends(tmp_path, asked, timeout_s, expected):
    log = tmp_path / 'child.log'
    child = f'import sys; sys.stdout = open({str(log)!r}, "w")\n' + CHILD.replace(
        "print('watching'", "print('watching', file=sys.__stdout__, flush=True); print('watching'"
    )
    subprocess.run(
        [sys.executable, '-c', PARENT, child, str(timeout_s)],
        env={**os.environ, 'BEV_EXIT_WITH_PARENT': asked},
        timeout=60,
        check=True,
    )
    for _ in range(600):
        text = log.read_text()
        if text.count('\n') == 2:
            break
        subprocess.run(['sleep', '0.1'], check=True)
    assert text == f'watching\n{expected}\n'
