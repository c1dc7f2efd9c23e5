"""Random access to the members of a zip: one index, one read each, every checksum checked."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bev_trainer.errors import DatasetError

_LOCAL_HEADER = struct.Struct('<4s22xHH')


class _Member(NamedTuple):
    offset: int
    stored_bytes: int
    bytes: int
    crc: int
    method: int


class Archive:
    """A zip open for reading, read with `pread`: safe to share among threads and after a fork.

    It opens itself at first use, again after `close`, and in the process that unpickles it.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None
        self._index: dict[str, _Member] = {}

    def __contains__(self, name: str) -> bool:
        """Whether there is such a member; raises DatasetError when the file cannot be opened."""
        self._open()
        return name in self._index

    def __getstate__(self) -> dict[str, Any]:
        return {'path': self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state['path'])  # type: ignore[misc]

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file and drops the index."""
        handle, self._handle, self._index = self._handle, None, {}
        if handle is not None:
            with suppress(OSError):
                os.close(handle)

    def read(self, name: str) -> bytes:
        """Returns the content of a member.

        Raises:
            DatasetError: there is none, or it is damaged; names file, member and reason.
        """
        handle = self._open()
        member = self._index.get(name)
        if member is None:
            raise self.error(name, 'is missing')
        # Writers may leave extra fields in local headers that the index does not show.
        header = self._pread(handle, _LOCAL_HEADER.size, member.offset, name)
        signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        if signature != b'PK\x03\x04':
            raise self.error(name, 'is damaged: not where the index says')
        start = member.offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
        content = self._inflated(self._pread(handle, member.stored_bytes, start, name), name)
        if len(content) != member.bytes or zlib.crc32(content) != member.crc:
            raise self.error(name, 'is damaged: wrong checksum')
        return content

    def error(self, name: str, reason: str) -> DatasetError:
        """Returns the error that says what is wrong with a member."""
        return DatasetError(f'{self.path}: {name} {reason}')

    def _inflated(self, content: bytes, name: str) -> bytes:
        method = self._index[name].method
        if method == zipfile.ZIP_STORED:
            return content
        if method != zipfile.ZIP_DEFLATED:
            raise self.error(name, f'is packed in a way not used in drive files ({method})')
        try:
            return zlib.decompress(content, -zlib.MAX_WBITS)
        except zlib.error as error:
            raise self.error(name, 'is damaged: cannot be unpacked') from error

    def _pread(self, handle: int, count: int, offset: int, name: str) -> bytes:
        try:
            content = os.pread(handle, count, offset)
        except OSError as error:
            raise self.error(name, f'cannot be read: {error.strerror}') from error
        if len(content) != count:
            raise self.error(name, 'is damaged: the file ends in it')
        return content

    def _open(self) -> int:
        if self._handle is not None:
            return self._handle
        try:
            with zipfile.ZipFile(self.path) as archive:
                index = {
                    info.filename: _Member(
                        info.header_offset,
                        info.compress_size,
                        info.file_size,
                        info.CRC,
                        info.compress_type,
                    )
                    for info in archive.infolist()
                }
                assert archive.fp is not None
                # Before the archive closes it: index and members then are of the same file.
                handle = os.dup(archive.fp.fileno())
        except FileNotFoundError as error:
            raise DatasetError(f'{self.path}: no such file') from error
        except OSError as error:
            raise DatasetError(f'{self.path}: cannot be read: {error.strerror}') from error
        except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
            raise DatasetError(
                f'{self.path}: is not a whole drive file: truncated, or something else'
            ) from error
        self._index, self._handle = index, handle
        return handle
