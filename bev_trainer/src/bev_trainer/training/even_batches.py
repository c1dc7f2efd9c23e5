"""Clips of data as they are, evenly spread: to calibrate, to recalibrate and to compare on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tqdm import tqdm

from bev_perception.model.config import ModelConfig
from bev_trainer.config.sections import ClipSection, DataSection
from bev_trainer.data.clip import Clip
from bev_trainer.data.clip_source import ClipSource
from bev_trainer.data.clip_stream import EvenSampler, loader
from bev_trainer.data.lost_parts import telling
from bev_trainer.data.sources import open_sources
from bev_trainer.errors import DatasetError


def even_batches(
    sections: Sequence[DataSection],
    config: ModelConfig,
    clip: ClipSection,
    count: int,
    batch: int,
    max_bad_share: float = 0.0,
) -> Iterator[Clip]:
    """Yields batches of `count` clips, with a bar on a terminal; fewer where there are fewer.

    Args:
        sections: where from.
        config: of the model.
        clip: what a clip is.
        count: in all.
        batch: clips at a time.
        max_bad_share: see `open_sources`.

    Raises:
        BevError: the data cannot be used, or one of the clips; names file and reason. Images
            that clips go without are only said in the log.
    """
    sources = open_sources(sections, config, clip, max_bad_share=max_bad_share)
    yield from telling(_read(sources, count, batch))


def _read(sources: Sequence[ClipSource], count: int, batch: int) -> Iterator[Clip]:
    sampler = EvenSampler([source.clips for source in sources], count, batch)
    for found in tqdm(loader(sources, sampler, 0), unit='batch', leave=False, disable=None):
        if found.problems:
            raise DatasetError(found.problems[0])
        yield found.clip
