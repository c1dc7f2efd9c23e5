"""Batches of clips in an order that depends on seed and step alone."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.synchronize import Event
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from bev_perception.errors import BevError
from bev_trainer.data.clip import Clip
from bev_trainer.data.clip_source import ClipSource


@dataclass(frozen=True)
class Draw:
    """Which clip comes next.

    Attributes:
        number: of the sample, counted over the whole training.
        source: index of the source.
        clip: index in it.
        seed: of what is drawn at random in it; None: nothing is.
        near: see `ClipSource`; alike in a batch, whose clips share which frames have labels.
    """

    number: int
    source: int
    clip: int
    seed: int | None
    near: bool = False


@dataclass(frozen=True)
class Batch:
    """Clips that go through the network together.

    Attributes:
        clip: of B clips; None when none of them could be read.
        problems: of clips that could not be read and were left out: file and reason.
    """

    clip: Clip | None
    problems: tuple[str, ...] = ()


class DrawOrder:
    """The order of the samples of a training.

    Sources take turns at random by weight; each is gone through in random order, again and again.
    Sample n is the same however often a training was stopped and whatever the number of
    processes.

    Args:
        clips: number of clips of each source.
        weights: of the sources, relative to their numbers of clips.
        seed: of the training.
    """

    def __init__(self, clips: Sequence[int], weights: Sequence[float], seed: int) -> None:
        self._clips, self._seed = tuple(clips), seed
        share = np.asarray(clips, np.float64) * np.asarray(weights, np.float64)
        self._share = share / share.sum()
        self._known: dict[tuple[int, int], np.ndarray] = {}
        self._blocks: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._counts = [np.zeros(len(self._clips), np.int64)]  # before each block

    def __getitem__(self, number: int) -> Draw:
        """Returns sample `number`."""
        source, place = self._turn(number)
        round_, position = divmod(place, self._clips[source])
        order = self._permutation(source, round_)
        seed = int(np.random.SeedSequence((self._seed, 2, number)).generate_state(1)[0])
        return Draw(number, source, int(order[position]), seed)

    def chance(self, pass_: int) -> float:
        """Returns a number in [0, 1) that belongs to a forward pass."""
        return float(np.random.default_rng((self._seed, 3, pass_)).random())

    def _turn(self, number: int) -> tuple[int, int]:
        """Returns the source of a sample and how many samples of that source came before.

        The golden-ratio sequence gives every source its share of any stretch of samples.
        """
        if len(self._clips) == 1:
            return 0, number
        block, place = divmod(number, _BLOCK)
        if block not in self._blocks:
            if len(self._blocks) > 1:
                self._blocks.clear()
            self._blocks[block] = self._block(block)
        turns, before = self._blocks[block]
        return int(turns[place]), int(before[place])

    def _block(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns what `_turn` does, of all samples of a block."""
        while len(self._counts) <= block:
            added = np.bincount(self._turns(len(self._counts) - 1), minlength=len(self._clips))
            self._counts.append(self._counts[-1] + added)
        turns = self._turns(block)
        before = self._counts[block][turns]
        for source in range(len(self._clips)):
            mine = turns == source
            before[mine] += np.arange(int(mine.sum()))
        return turns, before

    def _turns(self, block: int) -> np.ndarray:
        """Returns the sources of the samples of a block."""
        ends = np.cumsum(self._share)
        offset = np.random.SeedSequence((self._seed, 0)).generate_state(1)[0] / 2**32
        points = (offset + (block * _BLOCK + np.arange(_BLOCK)) * _GOLDEN) % 1.0
        return np.minimum(np.searchsorted(ends, points, side='right'), len(ends) - 1)

    def _permutation(self, source: int, round_: int) -> np.ndarray:
        key = source, round_
        if key not in self._known:
            if len(self._known) > 2 * len(self._clips):
                self._known.clear()
            rng = np.random.default_rng((self._seed, 1, source, round_))
            self._known[key] = rng.permutation(self._clips[source])
        return self._known[key]


_GOLDEN = (5**0.5 - 1) / 2
_BLOCK = 4096


class StepSampler(Sampler[list[Draw]]):
    """Batches of one process, from a step on, without end.

    Forward pass m of a step goes to process m mod `world`: so two processes do what one does with
    twice as many passes per step.

    Args:
        order: of the samples.
        batch: samples in a forward pass.
        near_share: share of passes whose clips have a near past.
        rank, world: of this process.
        passes: forward passes that this process has done before.
    """

    def __init__(
        self,
        order: DrawOrder,
        batch: int,
        near_share: float,
        rank: int = 0,
        world: int = 1,
        passes: int = 0,
    ) -> None:
        self._order, self._batch, self._near_share = order, batch, near_share
        self._rank, self._world, self._passes = rank, world, passes

    def __iter__(self) -> Iterator[list[Draw]]:
        own = self._passes
        while True:
            pass_ = own * self._world + self._rank
            near = self._order.chance(pass_) < self._near_share
            draws = [self._order[pass_ * self._batch + index] for index in range(self._batch)]
            yield [replace(draw, near=near) for draw in draws]
            own += 1


class EvenSampler(Sampler[list[Draw]]):
    """The same clips every time, spread evenly over all sources, and nothing random in them.

    Args:
        clips: number of clips of each source.
        wanted: in all; fewer where there are not as many.
        batch: clips in a forward pass.
        rank, world: of this process, which gets every `world`-th batch.
    """

    def __init__(
        self, clips: Sequence[int], wanted: int, batch: int, rank: int = 0, world: int = 1
    ) -> None:
        places = [(source, clip) for source, count in enumerate(clips) for clip in range(count)]
        count = min(wanted, len(places))
        rows = [(2 * index + 1) * len(places) // (2 * count) for index in range(count)]
        draws = [Draw(number, *places[row], None) for number, row in enumerate(rows)]
        batches = [draws[at : at + batch] for at in range(0, count, batch)]
        self._batches = batches[rank::world]

    def __iter__(self) -> Iterator[list[Draw]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


class ClipDataset(Dataset[tuple[Clip | None, str]]):
    """Clips by draw; one that cannot be read comes with the reason instead."""

    def __init__(self, sources: Sequence[ClipSource]) -> None:
        self._sources = tuple(sources)

    def __getitem__(self, draw: Draw) -> tuple[Clip | None, str]:
        try:
            return self._sources[draw.source].clip(draw.clip, draw.seed, draw.near), ''
        except BevError as error:
            return None, str(error)


def collate(items: Sequence[tuple[Clip | None, str]]) -> Batch:
    """Returns the clips that could be read as a batch, and why the others could not.

    Clips of a batch have as many frames; where targets are missing in one of them at some frame,
    that frame only feeds the memory.
    """
    clips = [clip for clip, _ in items if clip is not None]
    problems = tuple(reason for clip, reason in items if clip is None)
    return Batch(Clip.collate(clips) if clips else None, problems)


def loader(
    sources: Sequence[ClipSource], sampler: Sampler[list[Draw]], workers: int
) -> DataLoader[Any]:
    """Returns batches, made by worker processes of one thread each; 0: by this process."""
    data = ClipDataset(sources)
    if not workers:
        return DataLoader(data, batch_sampler=sampler, collate_fn=collate)
    context = multiprocessing.get_context('spawn')
    ending = context.Event()
    atexit.register(ending.set)
    return DataLoader(
        data,
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=partial(_prepare_worker, ending),
        persistent_workers=True,
        multiprocessing_context=context,
    )


def _prepare_worker(ending: Event, worker: int) -> None:
    """Makes a worker process deaf to what is meant for the training.

    Who stops a training signals all of its processes, but the training still needs its clips to
    finish a step. Workers end when it lets go of them, or with it.

    Args:
        ending: set when the training's process comes to its end, and ends what is left.
        worker: number of the worker.
    """
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0) if ending.is_set() else None)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
