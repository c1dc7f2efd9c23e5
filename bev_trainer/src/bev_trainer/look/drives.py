"""Finding drives, and doing something with each of them on all cores."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from bev_trainer.dataset.manifest import load_dataset
from bev_trainer.errors import DatasetError

Item = TypeVar('Item')
Result = TypeVar('Result')


def drive_files(source: Path) -> list[Path]:
    """Returns the drives of a data set's folder, or the one drive file that is given.

    Raises:
        DatasetError: it is neither.
    """
    if source.suffix == '.zip':
        if not source.is_file():
            raise DatasetError(f'{source}: no such file')
        return [source]
    return load_dataset(source).drives()


def pick(drives: Sequence[Path], name: str | None) -> list[Path]:
    """Returns all drives, or the one of a name.

    Raises:
        DatasetError: there is none of this name, or none at all.
    """
    if not drives:
        raise DatasetError('the data set has no drives')
    found = [path for path in drives if name in (None, path.stem)]
    if not found:
        first, last = drives[0].stem, drives[-1].stem
        raise DatasetError(f"there is no drive '{name}'; there are {first} to {last}")
    return found


def on_all_cores(
    work: Callable[[Item], Result], items: Sequence[Item], what: str
) -> Iterator[Result]:
    """Yields the results in the order of the items; a bar on a terminal says how far it is.

    Args:
        work: at the top level of a module, so that other processes find it.
        items: to work on.
        what: an item is called.
    """
    workers = min(len(os.sched_getaffinity(0)), len(items))
    bar = tqdm(total=len(items), unit=what, leave=False, disable=not sys.stderr.isatty())
    with bar:
        if workers < 2:
            for item in items:
                yield work(item)
                bar.update()
            return
        # Started afresh: threads of OpenCV do not survive a fork.
        with ProcessPoolExecutor(workers, get_context('spawn')) as pool:
            for result in pool.map(work, items):
                yield result
                bar.update()
