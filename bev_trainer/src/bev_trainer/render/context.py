"""The OpenGL context that everything is drawn with: EGL without a display, one per process."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path
from typing import Any

from bev_trainer.errors import SimulationError

GL_VERSION = 450
UNIFORM_BLOCKS = ('View', 'Light')  # their order is their binding
_MESA_VENDOR_FILE = Path('/usr/share/glvnd/egl_vendor.d/50_mesa.json')
_PACKAGES = 'libegl1 libegl-mesa0 libgl1-mesa-dri'


def open_context() -> Any:
    """Returns a `moderngl.Context` of OpenGL 4.5 core on EGL.

    Mesa's software renderer is preferred, so that a scenario gives the same pictures on computers
    with and without a graphics card; `__EGL_VENDOR_LIBRARY_FILENAMES` decides otherwise. It draws
    in the calling thread (`LP_NUM_THREADS` 0), because worker processes scale better than threads.
    Open it in the process that draws, after any fork.

    Raises:
        SimulationError: moderngl or EGL is missing, or too old.
    """
    os.environ.setdefault('LP_NUM_THREADS', '0')
    if _MESA_VENDOR_FILE.exists():
        os.environ.setdefault('__EGL_VENDOR_LIBRARY_FILENAMES', str(_MESA_VENDOR_FILE))
    try:
        import moderngl
    except ImportError as error:
        raise SimulationError(
            f'rendering needs the Python package moderngl ({error}); pip install moderngl'
        ) from error
    try:
        # moderngl raises whatever its loader meets: OSError, ValueError, its own Error.
        options: dict[str, Any] = {'backend': 'egl'}
        context = moderngl.create_context(require=GL_VERSION, standalone=True, **options)
    except Exception as error:
        raise SimulationError(
            f'rendering: OpenGL {GL_VERSION / 100:.1f} cannot be opened through EGL ({error}); '
            f'install {_PACKAGES}'
        ) from error
    context.gc_mode = 'auto'
    context.extra = {}
    return context


def program(context: Any, vertex: str, fragment: str, defines: dict[str, int | float]) -> Any:
    """Returns a program of files in `shaders/`, compiled once per context.

    Args:
        context: from `open_context`.
        vertex: stem of the vertex shader's file.
        fragment: of the fragment shader's file.
        defines: preprocessor constants that the sources test with #if.
    """
    key = (vertex, fragment, *sorted(defines.items()))
    if key not in context.extra:
        head = '#version 450\n' + ''.join(f'#define {k} {v}\n' for k, v in defines.items())
        head += _source('common.glsl')
        made = context.program(
            vertex_shader=head + _source(f'{vertex}.vert.glsl'),
            fragment_shader=head + _source(f'{fragment}.frag.glsl'),
        )
        for binding, block in enumerate(UNIFORM_BLOCKS):
            if block in made:
                made[block].binding = binding
        context.extra[key] = made
    return context.extra[key]


def _source(file: str) -> str:
    text = (resources.files('bev_trainer.render') / 'shaders' / file).read_text('utf-8')
    return re.sub(r'#include (\S+)', lambda found: _source(found[1]), text)
