"""What a task that only trains looks like."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from bev_trainer.data.clip import Clip
from bev_trainer.losses.clip_step import FrameResult


class AuxiliaryTask(nn.Module, ABC):
    """A network of its own on what the model makes of a clip.

    It lies beside the model in a training, never in it: an exported model is the same with it and
    without it.

    Attributes:
        LOSSES: names of what `forward` may return.
    """

    LOSSES: ClassVar[tuple[str, ...]]

    @abstractmethod
    def forward(self, clip: Clip, results: Sequence[FrameResult]) -> dict[str, Tensor]:
        """Returns losses by name; none where the clip does not serve the task.

        Args:
            clip: with labels.
            results: of its frames that have them.
        """
