"""Files that appear whole under their name, or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bev_perception.errors import BevError


def make_folder(folder: Path) -> None:
    """Makes a folder for results, and those around it; one that is there is fine.

    Raises:
        BevError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BevError(f'{folder}: cannot be made a folder: {error.strerror}') from error


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file; readers see the old one or all of the new one.

    Raises:
        OSError: it cannot be written; what was there before stays, and nothing else is left.
    """
    handle, scratch = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(content)
        os.chmod(scratch, 0o644)
        os.replace(scratch, path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
