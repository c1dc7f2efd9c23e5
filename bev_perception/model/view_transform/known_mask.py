"""Shortcuts that depend on the camera mask, taken only where looking at it costs nothing."""

from __future__ import annotations

import torch
from torch import Tensor


def known_all(condition: Tensor) -> bool:
    """Returns True when `condition` (bool) holds everywhere and that may decide what is computed.

    False on accelerators, where reading it would wait for the device and break the capture of a
    CUDA graph, and while a graph is recorded for export, which must hold for every mask.
    """
    if condition.device.type != 'cpu' or torch.jit.is_tracing() or torch.compiler.is_compiling():
        return False
    return bool(condition.all())
