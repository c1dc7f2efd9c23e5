"""The picture that all views of a frame are drawn into, and its way back to numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Atlas:
    """Framebuffers for colour, labels and depth of all views.

    With `supersample` 1 one framebuffer takes all three. Otherwise colour has its own, of as many
    times the size along each side, and labels are drawn at the centres of pixels.

    Args:
        context: from `open_context`.
        size: (width, height) of the labels.
        supersample: of colour.
    """

    def __init__(self, context: Any, size: tuple[int, int], supersample: int) -> None:
        fine = (size[0] * supersample, size[1] * supersample)
        color = context.renderbuffer(fine, 4)
        labels = context.renderbuffer(size, 4)
        depth = context.renderbuffer(size, 1, dtype='f4')
        hidden = context.depth_renderbuffer(size)
        self._held = [color, labels, depth, hidden]
        if supersample == 1:
            self.both = context.framebuffer([color, labels, depth], hidden)
            self.color_only = context.framebuffer([color], hidden)
            self.labels = self.both
            self._indices = (0, 1, 2)
        else:
            fine_hidden = context.depth_renderbuffer(fine)
            self._held.append(fine_hidden)
            self.both = None
            self.color_only = context.framebuffer([color], fine_hidden)
            self.labels = context.framebuffer([labels, depth], hidden)
            self._indices = (0, 0, 1)
        self._color = np.empty((fine[1], fine[0], 4), np.uint8)
        self._labels = np.empty((size[1], size[0], 4), np.uint8)
        self._depth = np.empty((size[1], size[0]), np.float32)

    def read(
        self,
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
        """Returns colour [sH, sW, 4], labels [H, W, 4] and depth [H, W]; overwritten next time."""
        source = self.both or self.color_only
        source.read_into(self._color, components=4, attachment=self._indices[0], alignment=1)
        self.labels.read_into(self._labels, components=4, attachment=self._indices[1], alignment=1)
        self.labels.read_into(
            self._depth, components=1, attachment=self._indices[2], alignment=1, dtype='f4'
        )
        return self._color, self._labels, self._depth

    def release(self) -> None:
        """Gives back all buffers."""
        for held in (self.both, self.color_only, self.labels, *self._held):
            if held is not None:
                held.release()
