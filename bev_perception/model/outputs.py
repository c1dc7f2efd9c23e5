"""What the network returns: raw head outputs over each head's grid."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor

from bev_perception.errors import ConfigError

HEADS = frozenset({'occupancy', 'objects', 'motion', 'trajectories'})


@dataclass(frozen=True)
class ModelOutputs:
    """Raw outputs of every head; the fields of a head that was not asked for are None.

    B batch, C semantic classes, K object classes, T predicted steps, M objects, P paths per
    object. Arrays are [..., y, x] as in `BevGrid`, each head's on its own grid; metric values
    are in the base frame at the output stamp (free of ego motion). The trajectory head answers
    for places, usually those of objects, and needs the object head.

    Attributes:
        occupancy_logits: [B, 1, Y, X], sigmoid gives the probability that the cell is occupied.
        semantic_logits: [B, C, Y, X], one independent sigmoid per class (a vehicle stands on
            drivable ground).
        heatmap_logits: [B, K, Y, X], sigmoid gives the score of an object centre in the cell.
        center_offset: [B, 2, Y, X], object centre minus cell centre, (x, y) in cells.
        center_z: [B, 1, Y, X], height of the box centre in metres.
        log_size: [B, 3, Y, X], natural logarithm of (length, width, height) in metres.
        yaw_sin_cos: [B, 2, Y, X], (sin, cos) of the heading, not normalised.
        velocity: [B, 2, Y, X], (x, y) over ground in m/s.
        existence_logits: [B, 1, Y, X], sigmoid gives the probability that the box regressed in
            the cell is that of a real object; see `ObjectHead` for how it enters the score.
        motion_logits: [B, T + 1, Y, X], sigmoid gives the probability that the cell belongs to
            a movable object now (t = 0) and t steps ahead.
        motion_flow: [B, T + 1, 2, Y, X], (x, y) in metres from the cell centre to the centre of
            its object: at t = 0 the present centre, at t >= 1 the centre one step earlier.
        trajectory_logits: [B, M, P], softmax over P gives the probabilities of the paths.
        trajectory_offsets_m: [B, M, P, T, 2], (x, y) from the object's present centre to its
            centre t = 1..T steps ahead, along the axes of the base frame.
    """

    occupancy_logits: Tensor | None = None
    semantic_logits: Tensor | None = None
    heatmap_logits: Tensor | None = None
    center_offset: Tensor | None = None
    center_z: Tensor | None = None
    log_size: Tensor | None = None
    yaw_sin_cos: Tensor | None = None
    velocity: Tensor | None = None
    existence_logits: Tensor | None = None
    motion_logits: Tensor | None = None
    motion_flow: Tensor | None = None
    trajectory_logits: Tensor | None = None
    trajectory_offsets_m: Tensor | None = None


@dataclass(frozen=True)
class HeadNames:
    """Which heads a model has.

    Attributes:
        model: name of the model, for messages.
        names: of its heads, out of `HEADS`.
    """

    model: str
    names: frozenset[str]

    def known(self, heads: Collection[str] | None) -> frozenset[str]:
        """Returns the heads asked for; None means all that the model has.

        Raises:
            ConfigError: there is no head of that name, or the model does not have it.
        """
        if heads is None:
            return self.names
        wanted = frozenset(heads)
        unknown = sorted(wanted - HEADS)
        if unknown:
            raise ConfigError(
                f'no head named {", ".join(unknown)}; choose from {", ".join(sorted(HEADS))}'
            )
        missing = sorted(wanted - self.names)
        if missing:
            raise ConfigError(
                f"model '{self.model}' has no {', '.join(missing)} head; "
                f'it has {", ".join(sorted(self.names))}'
            )
        return wanted
