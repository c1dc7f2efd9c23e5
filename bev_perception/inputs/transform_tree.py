"""A buffer of frame transforms over time, for places without tf2 and for reading recordings.

Answers are those of tf2 (linear and spherical interpolation between the two neighbouring
stamps, no extrapolation); it never waits.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field

import numpy as np

from bev_perception.errors import TransformUnavailable
from bev_perception.frame import FloatArray
from bev_perception.geometry.pose import interpolate, invert
from bev_perception.units import NS_PER_S


@dataclass
class _Edge:
    """Transforms parent_T_child of one child frame, sorted by stamp; static ones have no stamp."""

    parent: str
    static: FloatArray | None = None
    stamps_ns: list[int] = field(default_factory=list)
    poses: dict[int, FloatArray] = field(default_factory=dict)

    def at(self, child: str, stamp_ns: int) -> FloatArray:
        if self.static is not None:
            return self.static
        after = bisect_left(self.stamps_ns, stamp_ns)
        if after < len(self.stamps_ns) and self.stamps_ns[after] == stamp_ns:
            return self.poses[stamp_ns]
        if after in (0, len(self.stamps_ns)):
            edge = self.stamps_ns[0 if after == 0 else -1]
            raise TransformUnavailable(
                f"transform '{self.parent}' <- '{child}' is known only "
                f'{"from" if after == 0 else "until"} {abs(edge - stamp_ns) / NS_PER_S:.3f} s '
                f'{"after" if after == 0 else "before"} the asked time'
            )
        before_ns, after_ns = self.stamps_ns[after - 1], self.stamps_ns[after]
        share = (stamp_ns - before_ns) / (after_ns - before_ns)
        return interpolate(self.poses[before_ns], self.poses[after_ns], share)


class TransformTree:
    """Transforms of a tree of frames; `lookup` composes them at one stamp.

    Args:
        history_s: how long moving transforms are kept behind the newest of their frame.
    """

    def __init__(self, history_s: float = 10.0) -> None:
        self._history_ns = round(history_s * NS_PER_S)
        self._edges: dict[str, _Edge] = {}

    def set_transform(
        self, parent: str, child: str, stamp_ns: int, parent_T_child: FloatArray, static: bool
    ) -> None:
        """Stores one transform; a frame that changes its parent starts anew."""
        parent, child = parent.lstrip('/'), child.lstrip('/')
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent or (edge.static is not None) != static:
            edge = self._edges[child] = _Edge(parent)
        if static:
            edge.static = parent_T_child
            return
        if stamp_ns not in edge.poses:
            insort(edge.stamps_ns, stamp_ns)
        edge.poses[stamp_ns] = parent_T_child
        while edge.stamps_ns[-1] - edge.stamps_ns[0] > self._history_ns:
            del edge.poses[edge.stamps_ns.pop(0)]

    def lookup(self, target: str, source: str, stamp_ns: int) -> FloatArray:
        """Returns target_T_source [4, 4] at `stamp_ns`.

        Raises:
            TransformUnavailable: the frames are not connected, or not at that time.
        """
        target, source = target.lstrip('/'), source.lstrip('/')
        target_chain, source_chain = self._ancestors(target), self._ancestors(source)
        common = next((f for f in source_chain if f in set(target_chain)), None)
        if common is None:
            raise TransformUnavailable(
                f"frames '{target}' and '{source}' are not connected by any transform received"
            )
        common_T_source = self._down(source_chain, common, stamp_ns)
        common_T_target = self._down(target_chain, common, stamp_ns)
        return invert(common_T_target) @ common_T_source

    def clear_moving(self) -> None:
        """Forgets moving transforms (time jumped); static ones stay."""
        self._edges = {c: e for c, e in self._edges.items() if e.static is not None}

    def _ancestors(self, frame: str) -> list[str]:
        chain = [frame]
        while (edge := self._edges.get(chain[-1])) is not None:
            if edge.parent in chain:
                raise TransformUnavailable(f"transforms form a loop at frame '{edge.parent}'")
            chain.append(edge.parent)
        return chain

    def _down(self, chain: list[str], ancestor: str, stamp_ns: int) -> FloatArray:
        pose = np.eye(4)
        for child in chain[: chain.index(ancestor)]:
            pose = self._edges[child].at(child, stamp_ns) @ pose
        return pose
