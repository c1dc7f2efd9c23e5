"""Video panoptic quality: are the instances right, and do they keep their identity over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Segments of one image with IoU above a half are each other's only match (Panoptic
# Segmentation, Kirillov et al. 2019, theorem 1).
_MATCH_IOU = 0.5


@dataclass(frozen=True)
class PanopticCounts:
    """What is pooled over frames and sequences; counts of several sequences are added.

    With nothing to find and nothing found all three qualities are 0, as in the programs of
    FIERY and PowerBEV; `denominator` tells that case apart.

    Attributes:
        iou_sum: of the true positives.
        true_positives: pairs of segments with IoU > 0.5 whose identity is the one seen before.
        false_positives: predicted segments without a true one, switches included.
        false_negatives: true segments without a predicted one, switches included.
        switches: pairs with IoU > 0.5 whose true object had another predicted identity before.
    """

    iou_sum: float = 0.0
    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    switches: int = 0

    def __add__(self, other: PanopticCounts) -> PanopticCounts:
        return PanopticCounts(
            self.iou_sum + other.iou_sum,
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
            self.switches + other.switches,
        )

    @property
    def denominator(self) -> float:
        """Number of segments, true and predicted ones counting half each."""
        return self.true_positives + (self.false_positives + self.false_negatives) / 2.0

    @property
    def quality(self) -> float:
        """VPQ, in [0, 1]: `segmentation_quality * recognition_quality`."""
        return self.iou_sum / max(self.denominator, 1.0)

    @property
    def segmentation_quality(self) -> float:
        """SQ, in [0, 1]: mean IoU of the true positives."""
        return self.iou_sum / max(self.true_positives, 1)

    @property
    def recognition_quality(self) -> float:
        """RQ, in [0, 1]: F1 score of the segments."""
        return self.true_positives / max(self.denominator, 1.0)


def panoptic_counts(
    predicted: NDArray[np.integer],
    truth: NDArray[np.integer],
    counts: NDArray[np.bool_] | None = None,
) -> PanopticCounts:
    """Returns the counts of one sequence, to be added over sequences.

    Fiery (Hu et al. 2021, section 5.1) as its program computes it, on whose numbers PowerBEV and
    others compare: per frame, segments match when IoU > 0.5. A match of a true object that was
    last matched to another predicted identity, however long ago, counts one false positive and
    one false negative, and from there on the new identity is the right one. (The paper averages
    the ratio per time step; the program pools the sums, as here.) A predicted identity may serve
    several true objects at different times without a penalty.

    A shorter range is evaluated by passing the arrays cut to it. Cells that do not count belong to
    nobody; predicted segments without a true one of which most cells do not count are no mistake
    (Kirillov et al. 2019, section 4.2).

    Args:
        predicted: [T, Y, X] instance labels, 0 = none, one label per object over time.
        truth: likewise.
        counts: [T, Y, X], cells that count; all, when not given.
    """
    if predicted.shape != truth.shape or predicted.ndim != 3:
        raise ValueError(
            f'predicted and true labels must be [T, Y, X] alike, got {predicted.shape} '
            f'and {truth.shape}'
        )
    identity: dict[int, int] = {}
    total = PanopticCounts()
    counts = np.ones(truth.shape, np.bool_) if counts is None else counts
    for found, wanted, there in zip(predicted, truth, counts, strict=True):
        seen = np.where(there, found, 0), np.where(there, wanted, 0)
        total += _frame_counts(*seen, _mostly_outside(found, there), identity)
    return total


def _mostly_outside(image: NDArray[np.integer], mask: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Returns the labels of which more than a half of the cells are not in a mask."""
    labels, label_of, areas = _segments(image)
    inside = np.bincount(label_of[mask.ravel()], minlength=len(labels) + 1)[1:]
    return labels[2 * inside < areas]


def _frame_counts(
    predicted: NDArray[np.integer],
    truth: NDArray[np.integer],
    excused: NDArray[np.integer],
    identity: dict[int, int],
) -> PanopticCounts:
    """Returns the counts of one frame; `identity` (true to predicted label) is brought up.

    Args:
        predicted: labels [Y, X] of cells that count, elsewhere 0.
        truth: likewise.
        excused: predicted labels that are no mistake without a true one.
        identity: of the frames before.
    """
    true_labels, true_of, true_areas = _segments(truth)
    labels, label_of, areas = _segments(predicted)
    both = (true_of > 0) & (label_of > 0)
    pairs = (true_of[both] - 1) * len(labels) + label_of[both] - 1
    shared = np.bincount(pairs, minlength=len(true_labels) * len(labels))
    shared = shared.reshape(len(true_labels), len(labels))
    iou = shared / (true_areas[:, None] + areas - shared)

    matched = np.argwhere(iou > _MATCH_IOU)
    iou_sum, hits = 0.0, 0
    for row, column in matched.tolist():
        true_label, label = int(true_labels[row]), int(labels[column])
        if identity.setdefault(true_label, label) == label:
            hits += 1
            iou_sum += float(iou[row, column])
        else:
            identity[true_label] = label
    free = np.isin(labels, excused) & ~(iou > _MATCH_IOU).any(axis=0)
    wrong = len(labels) - int(free.sum()) - hits
    return PanopticCounts(iou_sum, hits, wrong, len(true_labels) - hits, len(matched) - hits)


def _segments(
    image: NDArray[np.integer],
) -> tuple[NDArray[np.integer], NDArray[np.int64], NDArray[np.int64]]:
    """Returns (labels [n], 1 + index into them for each cell or 0, areas [n] in cells)."""
    cells = image.ravel()
    foreground = cells > 0
    labels, index, areas = np.unique(cells[foreground], return_inverse=True, return_counts=True)
    rank = np.zeros(cells.size, dtype=np.int64)
    rank[foreground] = index + 1
    return labels, rank, areas
