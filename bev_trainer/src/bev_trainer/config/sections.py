"""The sections of a training file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from bev_perception.evaluation.truth.hidden import MIN_VISIBILITY
from bev_perception.model.config_sections import Count, Positive, Section, Share

NotNegative = Annotated[float, Field(ge=0)]
Whole = Annotated[int, Field(ge=0)]


class DataSection(Section):
    """One source of clips.

    Attributes:
        path: data set, relative to the training file.
        split: of the data set, of synthetic ones also with a rig ('train/car_6'); None: all.
        weight: how often it is drawn from, relative to its number of clips.
        scenes: at most so many, evenly spread; None: all.
        sweeps: of nuScenes tables: images between key frames are taken, too; without them its
            clips have no nearer past (`ClipSection.near_share`).
    """

    path: Path
    split: str | None = 'train'
    weight: Positive = 1.0
    scenes: Count | None = None
    sweeps: bool = False


class ClipSection(Section):
    """What a clip is.

    Attributes:
        frames: with labels, that follow each other; the memory goes from one to the next.
        near_share: share of clips in which the frame before is a nearer one without labels, as
            on a vehicle, where the memory is younger than the labels are apart.
        min_pixels: of synthetic drives: a road user counts as visible when a camera shows so
            many pixels of it.
        min_share: of recordings and tables: it does when so much of it is visible; where they do
            not say that, lies in the pictures. By default what evaluations ask for, too.
        min_points: of recordings and tables that count them: and so many points of lidar and
            radar are on it.
        every_s: of recordings and tables: frames with labels are at least so far apart. Those of
            synthetic drives are as they were made.
    """

    frames: Count = 2
    near_share: Share = 0.3
    min_pixels: Count = 10
    min_share: Share = MIN_VISIBILITY
    min_points: Whole = 1
    every_s: Positive = 0.5  # nuScenes' key frames are so far apart


class OptimiserSection(Section):
    """AdamW (Loshchilov and Hutter 2019) and its schedule.

    Attributes:
        rate: highest learning rate.
        weight_decay: of convolutions and matrices; biases and normalisation have none.
        schedule: 'wsd': warm-up, constant, decay to zero as 1 - sqrt (Haegele et al. 2024);
            'cosine': warm-up, then half a cosine to zero (Loshchilov and Hutter 2017).
        warmup_steps: linear, from zero.
        decay_share: of 'wsd': last share of the steps in which the rate decays.
        clip_norm: gradients longer than this are shortened.
    """

    rate: Positive = 1e-3
    weight_decay: NotNegative = 0.01
    schedule: Literal['wsd', 'cosine'] = 'wsd'
    warmup_steps: Whole = 200
    decay_share: Share = 0.25
    clip_norm: Positive = 10.0


def decay_steps(section: OptimiserSection, steps: int) -> int:
    """Returns how many of the steps of a training are those in which 'wsd' decays."""
    return max(1, round(section.decay_share * steps))


class LossSection(Section):
    """What is learned for.

    Attributes:
        frames: of a clip that are learned from: 'all', or only the 'last', for networks that see
            the past again with every frame instead of remembering it.
        pos_weight: how many times a cell counts in which a layer or a road user is.
        depth: whether depth is supervised where the data knows it.
        hop: whether the objects of the past are guessed as well (`HistoricalObjects`); only in
            training.
        perspective: whether road users are found in the images as well (`PerspectiveObjects`);
            only in training.
    """

    frames: Literal['all', 'last'] = 'all'
    pos_weight: Positive = 2.0
    depth: bool = True
    hop: bool = False
    perspective: bool = False


class CheckSection(Section):
    """How often the model is looked at.

    Attributes:
        every_steps: steps between validations.
        clips: validation clips, evenly spread; the same every time.
        save_every_steps: steps between checkpoints.
        log_every_steps: steps between lines of the log, which are means over them.
    """

    every_steps: Count = 1000
    clips: Count = 64
    save_every_steps: Count = 250
    log_every_steps: Count = 10


class AverageSection(Section):
    """Averaging of weights along the way.

    Attributes:
        kind: 'ema', 'bema' (bias-corrected, Block et al. 2025) or 'none'.
        decay: of the average, in the long run.
        start: steps before it begins; 'bema' looks away from the weights of then.
    """

    kind: Literal['none', 'ema', 'bema'] = 'ema'
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.998
    start: Whole = 0


class AdaptSection(Section):
    """What keeps a model that is trained further near the one it began as.

    Attributes:
        freeze: parts that are not trained: 'trunk' is all but the heads, 'heads' all of them; or
            parts by name, as 'backbone' and 'heads.objects'.
        pull: share of the way back to the weights of the beginning...
        pull_every: ... every so many steps.
    """

    freeze: tuple[str, ...] = ()
    pull: Share = 0.0
    pull_every: Count = 10


class RunSection(Section):
    """How it runs.

    Attributes:
        seed: of weights, order and augmentation.
        steps: of the optimiser.
        batch: clips in one forward pass of one process.
        accumulate: forward passes per step, over all processes together.
        precision: of the matrix products.
        workers: processes that make clips, beside each training process.
        max_bad_share: the training ends when more than this share of clips cannot be read; it
            does not begin when that is so of the drives of a synthetic data set.
    """

    seed: Whole = 0
    steps: Count
    batch: Count = 4
    accumulate: Count = 1
    precision: Literal['bf16-mixed', '32-true', '16-mixed'] = 'bf16-mixed'
    workers: Whole = 1
    max_bad_share: Share = 0.01
