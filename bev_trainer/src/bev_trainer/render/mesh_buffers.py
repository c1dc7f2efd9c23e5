"""Meshes and instance rows on the graphics side, and vertex arrays made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_trainer.render.culling import COMMAND_WORDS
from bev_trainer.render.instances import INSTANCE_DTYPE, INSTANCE_FORMAT, INSTANCE_NAMES
from bev_trainer.render.mesh_store import VERTEX_FORMAT, VERTEX_NAMES, mesh_store

_BYTES = {'f': 4, 'f1': 1}


def mesh_buffers(context: Any) -> tuple[Any, Any]:
    """Returns the vertex and the index buffer of all meshes, once per context."""
    if 'meshes' not in context.extra:
        store = mesh_store()
        context.extra['meshes'] = (
            context.buffer(store.vertices.tobytes()),
            context.buffer(store.indices.tobytes()),
        )
    return context.extra['meshes']


class RowBuffer:
    """Instance rows and draw commands of a frame; grows when it must."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.rows = context.buffer(reserve=INSTANCE_DTYPE.itemsize * 8192, dynamic=True)
        self.commands = context.buffer(reserve=4 * COMMAND_WORDS * 4096, dynamic=True)

    def write(self, rows: NDArray[np.void], commands: NDArray[np.uint32]) -> None:
        """Replaces the contents."""
        for buffer, data in ((self.rows, rows), (self.commands, commands)):
            content = np.ascontiguousarray(data).tobytes()
            if len(content) > buffer.size:
                buffer.orphan(2 * len(content))
            buffer.write(content)

    def release(self) -> None:
        """Gives back the buffers."""
        self.rows.release()
        self.commands.release()

    def mesh_array(self, program: Any) -> Any:
        """Returns a vertex array that draws meshes with these rows."""
        vertices, indices = mesh_buffers(self._context)
        parts = [
            _used(program, vertices, VERTEX_FORMAT, VERTEX_NAMES),
            _used(program, self.rows, f'{INSTANCE_FORMAT}', INSTANCE_NAMES),
        ]
        return self._context.vertex_array(program, parts, index_buffer=indices)

    def quad_array(self, program: Any, corners: Any, indices: Any) -> Any:
        """Returns a vertex array that draws a square [-1, 1] with these rows."""
        parts = [
            (corners, '2f', 'in_corner'),
            _used(program, self.rows, INSTANCE_FORMAT, INSTANCE_NAMES),
        ]
        return self._context.vertex_array(program, parts, index_buffer=indices)


def _used(program: Any, buffer: Any, layout: str, names: tuple[str, ...]) -> tuple[Any, ...]:
    """Returns a vertex array's entry; what the program does not use is skipped over."""
    fields, _, per = layout.partition('/')
    parts, used = [], []
    for field, name in zip(fields.split(), names, strict=True):
        if name in program:
            parts.append(field)
            used.append(name)
        else:
            parts.append(f'{int(field[0]) * _BYTES[field[1:]]}x')
    return (buffer, ' '.join(parts) + (f'/{per}' if per else ''), *used)
