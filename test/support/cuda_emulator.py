"""Runs the CUDA kernels of `bev_pool` on the CPU (see cuda_emulation/cuda_emulation.h)."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from bev_perception.ops.bev_pool.cuda_kernel import THREADS, kernel_source

SOURCES = Path(__file__).parent / 'cuda_emulation'
FLAGS = ('-std=c++17', '-O1', '-fPIC', '-shared', '-ffp-contract=off', '-Wno-unknown-pragmas')


def build_emulation(folder: Path, source: str | None = None, flags: Sequence[str] = ()) -> Path:
    """Returns a shared library of the kernels.

    Args:
        folder: for the library and a copy of the kernels.
        source: kernels in place of the package's.
        flags: of the compiler, in addition.
    """
    (folder / 'bev_pool.cu').write_text(source or kernel_source())
    library = folder / 'libbev_pool_emulated.so'
    includes = (f'-I{folder}', f'-I{SOURCES}')
    unit = str(SOURCES / 'bev_pool_emulated.cpp')
    command = ('g++', *FLAGS, *flags, *includes, unit, '-o', str(library))
    subprocess.run(command, check=True, capture_output=True, text=True)
    return library


def has_compiler() -> bool:
    """Whether a C++ compiler is there."""
    return shutil.which('g++') is not None


@dataclass
class Emulator:
    """Stands in for `cuda_kernel.launch`, with CPU tensors.

    Attributes:
        library: from `build_emulation`.
        seed: decides which threads and blocks run first.
        launched: names of the kernels so far.
    """

    library: Path
    seed: int = 0
    launched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._entry: Any = ctypes.CDLL(str(self.library)).emulate_launch

    def launch(self, name: str, grid: tuple[int, int], arguments: Sequence[Tensor | int]) -> None:
        self.launched.append(name)
        values = [
            ctypes.c_void_p(argument.data_ptr())
            if isinstance(argument, Tensor)
            else ctypes.c_int32(argument)
            for argument in arguments
        ]
        pointers = (ctypes.c_void_p * len(values))(
            *(ctypes.cast(ctypes.pointer(value), ctypes.c_void_p) for value in values)
        )
        error = ctypes.create_string_buffer(200)
        self._entry(
            name.encode(), *grid, THREADS, pointers, self.seed, error, ctypes.c_size_t(200)
        )
        if error.value:
            raise RuntimeError(error.value.decode())
