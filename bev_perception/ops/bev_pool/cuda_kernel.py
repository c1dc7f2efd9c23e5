"""Compiles and launches the kernels of `bev_pool.cu` through CuPy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bev_perception.ops.bev_pool.cuda_plan import WARP, WARPS

KERNELS = ('bev_pool_rows', 'bev_pool_weight_grad')
OPTIONS = ('-std=c++17',)
THREADS = WARP * WARPS

# Names that the kernels have for the types of torch.
SCALARS = {torch.float32: 'float', torch.float16: 'Float16', torch.bfloat16: 'BFloat16'}


def kernel_source() -> str:
    """Returns the CUDA C++ source; it includes nothing."""
    return files('bev_perception.ops.bev_pool').joinpath('bev_pool.cu').read_text()


def kernel_name(kernel: str, dtype: torch.dtype, pack: int) -> str:
    """Returns the name expression of an instance, such as 'bev_pool_rows<Float16, 8>'."""
    return f'{kernel}<{SCALARS[dtype]}, {pack}>'


@cache
def unavailable_because() -> str | None:
    """Returns why the kernels cannot be used here, in one line, or None where they can.

    Compiles one of them on the current device, so that a missing compiler or driver shows now.
    """
    try:
        _function(kernel_name('bev_pool_rows', torch.float32, 1))
    except ImportError:
        return 'CuPy is not installed; pip install "bev_perception[cuda]" brings it'
    except Exception as error:  # an optional accelerator; whatever fails, stock PyTorch remains
        reason = str(error).strip() or type(error).__name__
        return f'CuPy cannot compile or load the kernels: {reason.splitlines()[0]}'
    return None


def launch(name: str, grid: tuple[int, int], arguments: Sequence[Tensor | int]) -> None:
    """Queues a kernel on the current stream of the device of its first argument.

    Args:
        name: see `kernel_name`; compiled on first use (CuPy keeps binaries on disk).
        grid: blocks along x and y, of `THREADS` threads.
        arguments: contiguous tensors, passed as addresses, and int32 values.
    """
    first = arguments[0]
    assert isinstance(first, Tensor)
    values = tuple(
        np.uint64(argument.data_ptr()) if isinstance(argument, Tensor) else np.int32(argument)
        for argument in arguments
    )
    with torch.cuda.device(first.device), _current_stream(first.device):
        _function(name)(grid, (THREADS,), values)


@cache
def _function(name: str) -> Any:
    """Returns CuPy's callable of one instance; it holds one binary per device."""
    import cupy

    module = cupy.RawModule(code=kernel_source(), options=OPTIONS, name_expressions=(name,))
    return module.get_function(name)


@dataclass(frozen=True)
class _Stream:
    """A stream of torch in the CUDA stream protocol, which older releases of torch lack."""

    address: int

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.address


def _current_stream(device: torch.device) -> AbstractContextManager[Any]:
    """Makes torch's current stream CuPy's, so that work is ordered and captured with torch's."""
    import cupy

    address = torch.cuda.current_stream(device).cuda_stream
    stream: AbstractContextManager[Any]
    if hasattr(cupy.cuda.Stream, 'from_external'):
        stream = cupy.cuda.Stream.from_external(_Stream(address))
    else:
        stream = cupy.cuda.ExternalStream(address)
    return stream
