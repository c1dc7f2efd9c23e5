"""What every view transform is: matrices from calibration, then image features to BEV."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bev_perception.geometry.camera import Camera


@dataclass(frozen=True, eq=False)
class RigMatrices(ABC):
    """What a view transform keeps of the calibrations of a batch of rigs.

    Subclasses add their sparse matrices.

    Attributes:
        reached: bool [B, N, Y, X], camera n has an entry in the cell.
    """

    reached: Tensor

    def coverage(self, camera_mask: Tensor) -> Tensor:
        """Returns float32 [B, 1, Y, X]: 0 where no used camera reaches, 0.5 one, 1 two or more.

        Args:
            camera_mask: bool [B, N], True where a camera takes part.
        """
        used = self.reached & camera_mask[:, :, None, None]
        return used.sum(dim=1, keepdim=True).clamp(max=2).to(torch.float32) * 0.5

    @abstractmethod
    def to(self, device: torch.device | str) -> RigMatrices:
        """Returns the same matrices on `device`."""

    @classmethod
    @abstractmethod
    def collate(cls, matrices: Sequence[Any]) -> RigMatrices:
        """Returns the matrices of a batch, in the order given.

        Raises:
            ValueError: nothing to collate, or the shapes differ (pad rigs with absent cameras).
        """


class ViewTransform(nn.Module, ABC):
    """Image features of any number of cameras to bird's-eye-view features.

    What depends on the calibration alone is computed once, in float64 on the host (`build`), and
    shared by all devices. A camera whose mask bit is off contributes exactly nothing, and no
    order of the cameras is preferred.

    Attributes:
        needs_depth: whether `forward` reads the depth distribution.
        context_channels: C of the image features that `forward` takes.
        out_channels: C' of the BEV features.
    """

    needs_depth: ClassVar[bool]
    context_channels: int
    out_channels: int

    @abstractmethod
    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> RigMatrices:
        """Returns the matrices of one rig (batch 1) on the CPU.

        Args:
            cameras: of the images that the model sees, in rig order; None for one without a
                calibration, which then contributes nothing.
            valid: per camera, bool [height, width] of the image pixels that show the scene.

        Raises:
            ConfigError: no cameras, or a size does not fit.
        """

    @abstractmethod
    def forward(
        self,
        context: Tensor,
        depth: Tensor | None,
        camera_mask: Tensor,
        matrices: Any,
    ) -> Tensor:
        """Returns BEV features [B, C', Y, X], channels-last in memory.

        Args:
            context: [B, N, C, h, w] image features, zero for masked cameras.
            depth: [B, N, D, h, w] probabilities, zero for masked cameras; None if not needed.
            camera_mask: bool [B, N].
            matrices: of the same batch, on the same device.
        """
