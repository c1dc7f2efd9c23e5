"""Records of metrics as bytes: what is kept of a scene, small and the same every time."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BevError


def pack(records: Mapping[str, Sequence[Any | None]]) -> bytes:
    """Returns records of the frames of a scene, by family, as an npz file.

    Every record is a dataclass of arrays, or None for a frame without one.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for family in sorted(records):
        there = [record for record in records[family] if record is not None]
        arrays[f'{family}.there'] = np.array([r is not None for r in records[family]], np.bool_)
        for item in fields(there[0]) if there else ():
            values = [np.asarray(getattr(record, item.name)) for record in there]
            name = f'{family}.{item.name}'
            arrays[f'{name}.shape'] = np.array([value.shape for value in values], np.int64)
            arrays[f'{name}.value'] = np.concatenate([value.ravel() for value in values])
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


def unpack(content: bytes, types: Mapping[str, type]) -> dict[str, tuple[Any | None, ...]]:
    """Returns the records that `pack` was given; families without a type are left out.

    Args:
        content: of `pack`.
        types: record type of each family.

    Raises:
        BevError: the bytes are not those of records of these types.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = dict(arrays)
        return {
            family: _unpacked(found, family, kind)
            for family, kind in types.items()
            if f'{family}.there' in found
        }
    except (KeyError, ValueError, OSError, TypeError, EOFError, BadZipFile) as error:
        raise BevError(
            f'records of an evaluation are damaged or of another version: {error}'
        ) from (error)


def _unpacked(
    arrays: Mapping[str, NDArray[Any]], family: str, kind: type
) -> tuple[Any | None, ...]:
    there = arrays[f'{family}.there']
    columns: dict[str, list[NDArray[Any]]] = {}
    for item in fields(kind) if there.any() else ():
        shapes = arrays[f'{family}.{item.name}.shape']
        ends = np.cumsum(np.prod(shapes, axis=1, dtype=np.int64))
        parts = np.split(arrays[f'{family}.{item.name}.value'], ends[:-1])
        columns[item.name] = [p.reshape(s) for p, s in zip(parts, shapes.tolist(), strict=True)]
    rows = iter(range(int(there.sum())))
    return tuple(
        kind(**{name: values[row] for name, values in columns.items()})
        if present and (row := next(rows)) >= 0
        else None
        for present in there.tolist()
    )
