"""Random numbers that depend on names and stamps alone, never on the process or the past."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(*parts: str | int) -> np.random.Generator:
    """Returns the generator that belongs to names and stamps.

    Python's own `hash` of strings differs from process to process, so it cannot be used.
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return np.random.Generator(np.random.SFC64(list(np.frombuffer(digest, '<u4').tolist())))
