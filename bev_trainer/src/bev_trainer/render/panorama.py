"""The sky of a drive, drawn once."""

from __future__ import annotations

from typing import Any

from bev_trainer.render.context import program

_SIZE = 1024


def sky_texture(context: Any, square: Any, order: Any, drift: tuple[float, float]) -> Any:
    """Returns the sky as shown, over the upper half of an octahedron.

    Args:
        context: from `open_context`, with the `Light` block and the noise (unit 0) bound.
        square: buffer of the corners of [-1, 1].
        order: buffer of the indices of its two triangles.
        drift: where in the noise the clouds come from.
    """
    made = program(context, 'sky', 'panorama', {})
    made['noise_map'].value = 0
    made['drift'].value = drift
    made['size'].value = _SIZE
    texture = context.texture((_SIZE, _SIZE), 4)
    target = context.framebuffer([texture])
    array = context.vertex_array(made, [(square, '2f', 'in_corner')], order)
    context.enable_only(context.NOTHING)
    target.use()
    array.render()
    array.release()
    target.release()
    texture.filter = (context.LINEAR, context.LINEAR)
    texture.repeat_x = texture.repeat_y = False
    return texture
