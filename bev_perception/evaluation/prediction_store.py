"""Predictions of scored frames, put aside to be looked at when the numbers are known."""

from __future__ import annotations

import io
import pickle
import zipfile
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.frame import BevFrame

_SHARES = ('occupancy', 'semantics', 'future_occupancy')


class PredictionStore:
    """A file with predictions by stamp; probabilities are rounded to 1/255.

    It is written and read by the same evaluation and thrown away at its end: the format is
    nobody else's.

    Args:
        path: of the file; frames are added to what it holds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: zipfile.ZipFile | None = None

    def __enter__(self) -> PredictionStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._archive is not None:
            self._archive.close()
            self._archive = None
        if kind is not None:
            with suppress(FileNotFoundError):
                self.path.unlink()

    def add(self, frame: BevFrame) -> None:
        """Puts a frame aside."""
        if self._archive is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._archive = zipfile.ZipFile(self.path, 'a', zipfile.ZIP_DEFLATED, compresslevel=1)
        rounded = {name: _to_bytes(getattr(frame, name)) for name in _SHARES}
        content = {item.name: getattr(frame, item.name) for item in fields(frame)} | rounded
        self._archive.writestr(str(frame.stamp_ns), pickle.dumps(content))

    def get(self, stamp_ns: int) -> BevFrame:
        """Returns the frame of a stamp.

        Raises:
            KeyError: it was not put aside.
        """
        with zipfile.ZipFile(self.path) as archive:
            content = pickle.load(io.BytesIO(archive.read(str(stamp_ns))))
        frame = BevFrame(**content)
        shares: dict[str, Any] = {name: _to_share(getattr(frame, name)) for name in _SHARES}
        return replace(frame, **shares)


def _to_bytes(share: NDArray[np.float32] | None) -> NDArray[np.uint8] | None:
    return None if share is None else np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def _to_share(coded: Any) -> NDArray[np.float32] | None:
    return None if coded is None else np.asarray(coded, np.float32) / np.float32(255)
