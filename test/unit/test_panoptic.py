"""Video panoptic quality: cases by hand, and a slow restatement on random labels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bev_perception.evaluation.metrics.panoptic_counts import PanopticCounts, panoptic_counts

Labels = NDArray[np.int32]


def row(*frames: str) -> Labels:
    """Returns [T, 1, X] labels, one digit per cell, '.' = none."""
    return np.array([[[int(c) if c != '.' else 0 for c in f]] for f in frames], dtype=np.int32)


def counts(predicted: Labels, truth: Labels) -> tuple[float, int, int, int, int]:
    """Returns (sum of IoU, TP, FP, FN, switches)."""
    c = panoptic_counts(predicted, truth)
    return c.iou_sum, c.true_positives, c.false_positives, c.false_negatives, c.switches


def test_same_labels_are_perfect() -> None:
    truth = row('11..22', '.11.22')
    found = panoptic_counts(truth, truth)
    assert (found.quality, found.segmentation_quality, found.recognition_quality) == (1, 1, 1)
    assert found == PanopticCounts(4.0, 4, 0, 0, 0)


def test_names_of_labels_do_not_matter() -> None:
    assert counts(row('77..33', '.77.33'), row('11..22', '.11.22')) == (4.0, 4, 0, 0, 0)


def test_iou_of_a_half_is_no_match() -> None:
    # 2 of 4 cells; then 3 of 4.
    assert counts(row('11......'), row('1111....')) == (0.0, 0, 1, 1, 0)
    assert counts(row('111.....'), row('1111....')) == (0.75, 1, 0, 0, 0)


def test_extra_and_missing_segments() -> None:
    found = panoptic_counts(row('111...3'), row('11122..'))
    assert found == PanopticCounts(1.0, 1, 1, 1, 0)
    assert found.quality == pytest.approx(1.0 / 2.0)
    assert found.recognition_quality == pytest.approx(1.0 / 2.0)
    assert found.segmentation_quality == 1.0


def test_switch_counts_once_and_binds_anew() -> None:
    truth = row('11', '11', '11', '11')
    # From 4 to 5: a false alarm and a miss, once; then 5 is right.
    assert counts(row('44', '55', '55', '55'), truth) == (3.0, 3, 1, 1, 1)
    assert counts(row('44', '55', '44', '55'), truth) == (1.0, 1, 3, 3, 3)


def test_identity_is_remembered_over_gaps() -> None:
    truth = row('11', '..', '11', '11')
    assert counts(row('44', '44', '55', '55'), truth) == (2.0, 2, 2, 1, 1)
    assert counts(row('44', '..', '44', '44'), truth) == (3.0, 3, 0, 0, 0)
    # Not matched for a frame, then another one.
    assert counts(row('44', '4.', '55', '55'), row('11', '11', '11', '11'))[4] == 1


def test_swap_costs_both() -> None:
    truth = row('11..22', '11..22')
    assert counts(row('11..22', '22..11'), truth) == (2.0, 2, 2, 2, 2)


def test_one_predicted_label_for_two_objects_in_turn_is_free() -> None:
    assert counts(row('5...', '..5.'), row('1...', '..2.')) == (2.0, 2, 0, 0, 0)


def test_partial_switch_by_hand() -> None:
    truth = row('1111....2222', '1111....2222')
    found = panoptic_counts(row('111.....2222', '5555....2222'), truth)
    assert found == PanopticCounts(2.75, 3, 1, 1, 1)
    assert found.quality == pytest.approx(2.75 / 4.0)


def test_sums_are_pooled_not_averaged() -> None:
    good, bad = row('112233'), row('1.....')
    total = panoptic_counts(good, good) + panoptic_counts(np.zeros_like(bad), bad)
    assert total == PanopticCounts(3.0, 3, 0, 1, 0)
    assert total.quality == pytest.approx(3.0 / 3.5)


def test_sequences_do_not_share_identities() -> None:
    truth = row('11', '11')
    total = panoptic_counts(row('44', '44'), truth) + panoptic_counts(row('55', '55'), truth)
    assert total.switches == 0
    assert total.quality == 1.0


def test_nothing_at_all() -> None:
    nothing = panoptic_counts(row('...'), row('...'))
    assert nothing == PanopticCounts()
    assert (nothing.quality, nothing.denominator) == (0.0, 0.0)
    assert panoptic_counts(row('1..'), row('...')).quality == 0.0


@pytest.mark.parametrize(
    ('predicted', 'truth', 'where', 'expected'),
    [
        ('1111', '1111', '####', (1.0, 1, 0, 0, 0)),
        ('1111', '1111', '##..', (1.0, 1, 0, 0, 0)),  # what is left is compared
        ('1111', '11..', '##..', (1.0, 1, 0, 0, 0)),
        ('.111', '1...', '##..', (0.0, 0, 0, 1, 0)),  # 2 of 3 cells do not count: excused
        ('11..', '....', '#...', (0.0, 0, 1, 0, 0)),  # a half is not most of them
        ('111.', '....', '#...', (0.0, 0, 0, 0, 0)),
        ('2111', '1...', '#...', (1.0, 1, 0, 0, 0)),  # the rest of another
        ('1111', '1111', '....', (0.0, 0, 0, 0, 0)),
    ],
)
def test_cells_that_do_not_count(
    predicted: str, truth: str, where: str, expected: tuple[float, int, int, int, int]
) -> None:
    there = np.array([[[c == '#' for c in where]]])
    c = panoptic_counts(row(predicted), row(truth), there)
    found = c.iou_sum, c.true_positives, c.false_positives, c.false_negatives, c.switches
    assert found == expected


def test_a_switch_is_not_excused_where_most_cells_do_not_count() -> None:
    there = np.array([[[True, True, True, True]], [[True, False, False, False]]])
    found = panoptic_counts(row('1111', '2222'), row('1111', '1111'), there)
    assert found == PanopticCounts(1.0, 1, 1, 1, 1)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r'\[T, Y, X\]'):
        panoptic_counts(row('11'), row('11', '11'))


def brute_force(predicted: Labels, truth: Labels) -> tuple[float, int, int, int, int]:
    """The definition, pair by pair and cell by cell."""
    bound: dict[int, int] = {}
    iou_sum, hits, alarms, misses, switches = 0.0, 0, 0, 0, 0
    for found_map, true_map in zip(predicted.tolist(), truth.tolist(), strict=True):
        cells: dict[tuple[str, int], set[tuple[int, int]]] = {}
        for side, image in (('found', found_map), ('true', true_map)):
            for y, line in enumerate(image):
                for x, label in enumerate(line):
                    if label:
                        cells.setdefault((side, label), set()).add((y, x))
        found_labels = [label for side, label in cells if side == 'found']
        true_labels = [label for side, label in cells if side == 'true']
        matched: set[tuple[str, int]] = set()
        for true_label, label in itertools.product(true_labels, found_labels):
            a, b = cells['true', true_label], cells['found', label]
            iou = len(a & b) / len(a | b)
            if iou <= 0.5:
                continue
            matched |= {('true', true_label), ('found', label)}
            if true_label in bound and bound[true_label] != label:
                switches, alarms, misses = switches + 1, alarms + 1, misses + 1
            else:
                hits, iou_sum = hits + 1, iou_sum + iou
            bound[true_label] = label
        alarms += sum(('found', label) not in matched for label in found_labels)
        misses += sum(('true', label) not in matched for label in true_labels)
    return iou_sum, hits, alarms, misses, switches


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 9)),
    largest=st.integers(1, 4),
    noise=st.floats(0.0, 0.5),
)
def test_against_the_definition(
    seed: int, shape: tuple[int, int, int], largest: int, noise: float
) -> None:
    rng = np.random.default_rng(seed)
    stripes = rng.integers(0, largest + 1, (*shape[:2], 1)) * 11
    truth = np.broadcast_to(stripes, shape).astype(np.int32)
    renamed = rng.integers(1, 50, (shape[0], 11 * largest + 1))
    # Few names, so that the same ones come back and switch.
    renamed = np.where(rng.uniform(size=renamed.shape) < 0.6, np.arange(renamed.shape[1]), renamed)
    renamed[:, 0] = 0
    predicted = np.take_along_axis(renamed, truth.reshape(shape[0], -1), axis=1).reshape(shape)
    wrong = rng.uniform(size=shape) < noise
    other = rng.integers(0, largest + 1, shape) * 11
    said: NDArray[np.int32] = np.where(wrong, other, predicted).astype(np.int32).reshape(shape)
    found = panoptic_counts(said, truth)
    expected = brute_force(said, truth)
    assert found.iou_sum == pytest.approx(expected[0])
    assert counts(said, truth)[1:] == expected[1:]
