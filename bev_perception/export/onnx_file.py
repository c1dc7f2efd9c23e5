"""The streaming step as an ONNX file."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from bev_perception.errors import ModelError
from bev_perception.export.streaming_step import StepInputs, StreamingStep
from bev_perception.files import write_atomically
from bev_perception.model.bev_model import BevModel

OPSET = 20


def export_onnx(model: BevModel, inputs: StepInputs, path: Path) -> StreamingStep:
    """Writes one frame of a model, the memory as input and output, and returns what was written.

    With lift-splat, bilinear sampling and semantic points the numbers of matrix entries are free:
    the file serves any calibration of a rig of as many cameras. The other view transforms are
    recorded for the calibration of the example. Names of inputs and outputs are those of
    `StepInputs.named` and `StreamingStep.output_names`.

    Args:
        model: in evaluation mode, on the CPU.
        inputs: an example, of the sizes to come.
        path: of the file.

    Raises:
        ModelError: a package is missing or the file cannot be written.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f'export needs the Python packages onnx and onnxscript ({error}); '
            "pip install 'bev_perception[export]'"
        ) from error
    step = StreamingStep(model, inputs).eval()
    named = inputs.named()
    free = [
        {0: torch.export.Dim.AUTO} if _is_list(name, tensor) else None
        for name, tensor in named.items()
    ]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        program = torch.onnx.export(
            step,
            tuple(named.values()),
            input_names=list(named),
            output_names=step.output_names(),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=(tuple(free),),
            verbose=False,
        )
    if program is None:
        raise ModelError(f'{path}: torch made no ONNX program')
    try:
        write_atomically(path, program.model_proto.SerializeToString())
    except OSError as error:
        raise ModelError(f'{path}: cannot write the model: {error.strerror}') from None
    return step


def _is_list(name: str, tensor: torch.Tensor) -> bool:
    """Whether a tensor is a list of matrix entries, as long as calibration makes it."""
    return name.startswith('matrices.') and tensor.dim() == 1 and 'offsets' not in name
