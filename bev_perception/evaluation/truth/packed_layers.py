"""Maps that are kept small: compressed, or not even made before somebody asks for them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bev_perception.evaluation.truth.frame import TruthLayer
from bev_perception.geometry.grid import BevGrid


@dataclass(frozen=True)
class PackedLayer:
    """A `TruthLayer` with its cells compressed: some kilobytes instead of its number of cells.

    Attributes:
        grid: of the cells.
        packed: zlib stream of the int8 cells, row by row.
    """

    grid: BevGrid
    packed: bytes

    @classmethod
    def of(cls, layer: TruthLayer) -> PackedLayer:
        """Returns a layer, packed."""
        cells = np.ascontiguousarray(layer.cells, np.int8)
        return cls(layer.grid, zlib.compress(cells.tobytes(), 6))

    def layer(self) -> TruthLayer:
        """Returns the layer."""
        cells = np.frombuffer(zlib.decompress(self.packed), np.int8)
        return TruthLayer(self.grid, cells.reshape(self.grid.shape))


class PackedLayers(Mapping[str, TruthLayer]):
    """Layers by name that are unpacked whenever they are asked for, and not kept."""

    def __init__(self, packed: Mapping[str, PackedLayer]) -> None:
        self.packed = dict(packed)

    def __getitem__(self, name: str) -> TruthLayer:
        return self.packed[name].layer()

    def __contains__(self, name: object) -> bool:
        return name in self.packed

    def __iter__(self) -> Iterator[str]:
        return iter(self.packed)

    def __len__(self) -> int:
        return len(self.packed)


class LazyLayers(Mapping[str, TruthLayer]):
    """Layers by name that are made when the first of them is asked for, and then kept packed.

    Args:
        names: of the layers.
        make: returns them all.
    """

    def __init__(self, names: Sequence[str], make: Callable[[], Mapping[str, TruthLayer]]) -> None:
        self._names = tuple(names)
        self._make = make
        self._made: PackedLayers | None = None

    def __getitem__(self, name: str) -> TruthLayer:
        if name not in self._names:
            raise KeyError(name)
        if self._made is None:
            made = self._make()
            self._made = PackedLayers({key: PackedLayer.of(made[key]) for key in self._names})
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
