"""NVRTC, the compiler that CuPy uses, called without CuPy and without a GPU."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


def find_nvrtc() -> str | None:
    """Returns NVRTC's library from a wheel or a toolkit, or None."""
    folders = [Path(entry) / 'nvidia' for entry in sys.path if entry]
    patterns = [(folder, '*/lib/libnvrtc.so.*') for folder in folders]
    patterns.append((Path('/usr/local'), 'cuda*/lib64/libnvrtc.so.*'))
    for folder, pattern in patterns:
        found = sorted(folder.glob(pattern))
        if found:
            return str(found[0])
    return None


@dataclass
class Nvrtc:
    """The library at `path`."""

    path: str

    def __post_init__(self) -> None:
        self._library = ctypes.CDLL(self.path)

    def ptx(self, source: str, names: Sequence[str], options: Sequence[str]) -> tuple[str, dict]:
        """Returns (PTX, lowered name by name expression).

        Raises:
            RuntimeError: the source does not compile; the message is the compiler's log.
        """
        program = ctypes.c_void_p()
        self._call('CreateProgram', ctypes.byref(program), source.encode(), b'', 0, None, None)
        for name in names:
            self._call('AddNameExpression', program, name.encode())
        arguments = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        if self._library.nvrtcCompileProgram(program, len(options), arguments) != 0:
            raise RuntimeError(self._text('ProgramLog', program))
        lowered = {}
        for name in names:
            mangled = ctypes.c_char_p()
            self._call('GetLoweredName', program, name.encode(), ctypes.byref(mangled))
            lowered[name] = (mangled.value or b'').decode()
        return self._text('PTX', program), lowered

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, f'nvrtc{name}')(*arguments)
        assert status == 0, f'nvrtc{name}: {status}'

    def _text(self, name: str, program: ctypes.c_void_p) -> str:
        size = ctypes.c_size_t()
        self._call(f'Get{name}Size', program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        self._call(f'Get{name}', program, text)
        return text.value.decode()
