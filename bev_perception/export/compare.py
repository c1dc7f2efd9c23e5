"""What an engine makes of an exported file, against torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor


def largest_difference(
    path: Path, inputs: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> float | None:
    """Returns the largest difference of ONNX Runtime's outputs, each against its largest value.

    None where ONNX Runtime is not installed.

    Args:
        path: of the ONNX file.
        inputs: by name; those that the file does not have are left out.
        expected: outputs by name.
    """
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    feed = {item.name: inputs[item.name].numpy() for item in session.get_inputs()}
    names = [item.name for item in session.get_outputs()]
    worst = 0.0
    for name, found in zip(names, session.run(None, feed), strict=True):
        wanted = expected[name].numpy()
        scale = max(float(np.abs(wanted).max(initial=0.0)), 1.0)
        worst = max(worst, float(np.abs(found - wanted).max(initial=0.0)) / scale)
    return worst
