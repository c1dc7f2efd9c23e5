"""What follows from a rig's calibration alone: the view transform's matrix and who sees what."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.model_input import ImageRemap
from bev_perception.geometry.visibility import cell_visibility
from bev_perception.model.network_base import RigBuilder
from bev_perception.model.view_transform import RigMatrices


@dataclass(frozen=True)
class RigGeometry:
    """Everything that stays the same while no calibration changes.

    Attributes:
        matrices: of the view transform, on the device of the model.
        visibility: bool [N, Y, X], cell seen by camera n (all False without calibration).
    """

    matrices: RigMatrices
    visibility: NDArray[np.bool_]

    def observed(self, used: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Returns bool [Y, X], cell seen by at least one of the cameras `used` [N]."""
        return np.asarray(self.visibility[used].any(axis=0), dtype=np.bool_)


class RigGeometryCache:
    """Builds `RigGeometry` when a calibration is new, in float64 on the host.

    Args:
        view_transform: the model's.
        grid: raster of the visibility.
        device: where the matrix is used.
        capacity: rigs kept; a camera that comes and goes needs two.
    """

    def __init__(
        self, view_transform: RigBuilder, grid: BevGrid, device: torch.device, capacity: int = 4
    ) -> None:
        self._view_transform = view_transform
        self._grid = grid
        self._device = device
        self._capacity = capacity
        self._known: OrderedDict[bytes, RigGeometry] = OrderedDict()

    def get(self, remaps: Sequence[ImageRemap | None]) -> RigGeometry:
        """Returns the geometry of the cameras behind `remaps` (None: calibration unknown)."""
        key = hashlib.sha256(
            b''.join(b'-' if r is None else r.source.key() for r in remaps)
        ).digest()
        if key not in self._known:
            self._known[key] = self._build(remaps)
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

    def _build(self, remaps: Sequence[ImageRemap | None]) -> RigGeometry:
        cameras = [None if r is None else r.target for r in remaps]
        valid = [None if r is None else r.valid for r in remaps]
        matrices = self._view_transform.build(cameras, valid).to(self._device)
        return RigGeometry(matrices, cell_visibility(cameras, self._grid, valid=valid))
