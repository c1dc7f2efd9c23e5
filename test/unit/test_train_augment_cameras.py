"""Which cameras are missing, late and frozen; the parts of a clip's change are independent."""

from __future__ import annotations

import numpy as np
import pytest
from bev_trainer.augment.cameras import CameraDropout, CameraPlan, OldImages, draw_cameras
from bev_trainer.augment.colors import ColorAugmentation, ColorRange
from bev_trainer.augment.corruptions import CorruptionAugmentation
from bev_trainer.augment.plan import AugmentSection, ClipChange, draw_change

STAMPS_NS = tuple(1_000_000_000 + 500_000_000 * frame for frame in range(4))
CAMERAS = 6
CLIPS = 600


def plans(dropout: CameraDropout, old: OldImages | None = None) -> list[CameraPlan]:
    return [
        draw_cameras(dropout, old or OldImages(), STAMPS_NS, CAMERAS, np.random.default_rng(seed))
        for seed in range(CLIPS)
    ]


def test_nothing_is_missing_or_old_by_default() -> None:
    for plan in plans(CameraDropout())[:20]:
        assert plan.present.shape == plan.age_ns.shape == (4, CAMERAS)
        assert plan.present.all() and not plan.age_ns.any()


def test_each_camera_by_itself() -> None:
    missing = np.stack([~plan.present for plan in plans(CameraDropout(each_share=0.2))])
    assert (missing == missing[:, :1]).all()  # for the whole clip
    shares = missing[:, 0].mean(axis=0)
    assert (np.abs(shares - 0.2) < 0.06).all()
    assert len(np.unique(missing[:, 0].sum(axis=1))) > 3


def test_some_cameras_together() -> None:
    counts = [
        int((~plan.present[0]).sum())
        for plan in plans(CameraDropout(some_share=0.5, some_cameras=3))
    ]
    shares = np.bincount(counts, minlength=4) / CLIPS
    assert len(shares) == 4
    np.testing.assert_allclose(shares, [0.5, 1 / 6, 1 / 6, 1 / 6], atol=0.07)


def test_one_camera_is_left_any_of_them() -> None:
    for dropout in (CameraDropout(each_share=1.0), CameraDropout(some_share=1.0, some_cameras=9)):
        present = np.stack([plan.present[0] for plan in plans(dropout)])
        assert (present.sum(axis=1) >= 1).all()
        assert present.any(axis=0).all()
    alone = draw_cameras(
        CameraDropout(each_share=1.0), OldImages(), STAMPS_NS, 1, np.random.default_rng(0)
    )
    assert alone.present.all()


def test_midway_cameras_are_there_first_and_do_not_come_back() -> None:
    firsts = set()
    for plan in plans(CameraDropout(each_share=0.5, midway_share=1.0)):
        assert plan.present[0].all()
        assert (np.diff(plan.present.astype(int), axis=0) <= 0).all()
        firsts |= set(plan.present.sum(axis=0).tolist())
        assert plan.seen().all()
    assert firsts == {1, 2, 3, 4}  # lost from the 2nd, 3rd, 4th frame on, or never


def test_late_images_are_late_all_the_time() -> None:
    ages = np.stack(
        [p.age_ns for p in plans(CameraDropout(), OldImages(late_share=0.3, late_s=0.2))]
    )
    assert (ages == ages[:, :1]).all()
    assert (ages >= 0).all() and ages.max() <= 200_000_000 and ages.max() > 190_000_000
    assert abs((ages[:, 0] > 0).mean() - 0.3) < 0.05


def test_frozen_images_grow_old() -> None:
    old = OldImages(frozen_share=1.0, frozen_s=1.0)
    for plan in plans(CameraDropout(), old)[:100]:
        instant = np.array(STAMPS_NS)[:, None] - plan.age_ns
        # The same instant from the freezing on, one second before the end at most.
        assert (instant[-1] >= STAMPS_NS[-1] - 1_000_000_000).all()
        for camera in range(CAMERAS):
            frozen = plan.age_ns[:, camera] > 0
            assert len(set(instant[frozen, camera].tolist())) <= 1
            assert (instant[~frozen, camera] == np.array(STAMPS_NS)[~frozen]).all()


def test_shown_is_the_nearest_older_image() -> None:
    recording = [0, 100, 200, 300, 400, 500]
    age = np.array([[0, 40, 60, 1000], [0, 150, 151, 5]])
    plan = CameraPlan(np.ones((2, 4), bool), age)
    assert plan.shown(recording, [2, 5]).tolist() == [[2, 2, 1, 0], [5, 3, 3, 5]]
    # Brute force on uneven instants.
    rng = np.random.default_rng(0)
    stamps = np.cumsum(rng.integers(5, 50, 30))
    frames = [3, 11, 29]
    age = rng.integers(0, 400, (3, 5))
    found = CameraPlan(np.ones((3, 5), bool), age).shown(stamps.tolist(), frames)
    for row, frame in enumerate(frames):
        for camera in range(5):
            off = np.abs(stamps[: frame + 1] - (stamps[frame] - age[row, camera]))
            assert off[found[row, camera]] == off.min()
    alone = CameraPlan(np.ones((1, 2), bool), np.array([[0, 7]]))
    assert alone.shown([50], [0]).tolist() == [[0, 0]]


EVERYTHING = AugmentSection(
    dropout=CameraDropout(each_share=0.3),
    old_images=OldImages(late_share=0.3),
    colors=ColorAugmentation(clip=ColorRange(brightness=0.2), camera=ColorRange(hue_deg=10.0)),
    corruptions=CorruptionAugmentation(share=0.5),
    mirror_share=0.5,
    turn_deg=20.0,
)


def change(section: AugmentSection, seed: int) -> ClipChange:
    return draw_change(section, STAMPS_NS, CAMERAS, np.random.default_rng(seed))


def same_rest(one: ClipChange, other: ClipChange) -> bool:
    damage = [None if c.corruption is None else c.corruption.token for c in (one, other)]
    return (
        np.array_equal(one.cameras.age_ns, other.cameras.age_ns)
        and np.array_equal(one.colors.table, other.colors.table)
        and np.array_equal(one.colors.mixing, other.colors.mixing)
        and damage[0] == damage[1]
        and (one.mirror, one.turn_rad) == (other.mirror, other.turn_rad)
        and one.rig_rng.random() == other.rig_rng.random()
    )


def test_same_seed_same_change_and_parts_do_not_disturb_each_other() -> None:
    without = EVERYTHING.model_copy(update={'dropout': CameraDropout()})
    dropped = 0
    for seed in range(30):
        assert same_rest(change(EVERYTHING, seed), change(EVERYTHING, seed))
        one, other = change(EVERYTHING, seed), change(without, seed)
        assert same_rest(one, other)
        dropped += not one.cameras.present.all()
        assert other.cameras.present.all()
    assert dropped > 15
    assert not same_rest(change(EVERYTHING, 0), change(EVERYTHING, 1))


def test_mirroring_and_turning_as_often_and_far_as_asked() -> None:
    changes = [change(EVERYTHING, seed) for seed in range(CLIPS)]
    assert abs(np.mean([item.mirror for item in changes]) - 0.5) < 0.07
    turns = np.rad2deg([item.turn_rad for item in changes])
    assert np.abs(turns).max() <= 20.0 and turns.min() < -18.0 and turns.max() > 18.0
    off = change(AugmentSection(), 0)
    assert not off.mirror and off.turn_rad == 0.0 and off.corruption is None


def test_pixels_stay_the_same_without_changes_and_black_where_nothing_is() -> None:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (CAMERAS, 16, 24, 3), np.uint8)
    shown = [np.ones((16, 24), bool) for _ in range(CAMERAS)]
    assert change(AugmentSection(), 0).pixels(images, [None] * CAMERAS, shown, 5) is images
    shown[2][:, :4] = False
    bright = AugmentSection(colors=ColorAugmentation(clip=ColorRange(brightness=0.9)))
    drawn = next(c for seed in range(50) if (c := change(bright, seed)).colors.table[0, 0] > 50)
    valid = [*shown[:5], None]
    before = images.copy()
    after = drawn.pixels(images, [None] * CAMERAS, valid, 5)
    assert np.array_equal(images, before)
    assert not after[2][:, :4].any() and not after[5].any()
    assert after[2][:, 4:].min() > 50 and after[0].min() > 50


@pytest.mark.parametrize('count', [1, 3])
def test_any_number_of_cameras(count: int) -> None:
    drawn = draw_change(EVERYTHING, STAMPS_NS[:1], count, np.random.default_rng(0))
    assert drawn.cameras.present.shape == (1, count) and len(drawn.colors.table) == count
