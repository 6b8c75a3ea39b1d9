"""The folder of a dataset's phantoms: made on first use, kept, the same for the same seed."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from supremix_datasets.cache import new_folder, writable
from supremix_datasets.cards.dataset import Dataset, Phantom
from supremix_datasets.errors import SourceError

PARTS = 16

Mapper = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
Progress = Callable[[int, int], None]

head_phantom = partial(Phantom, samples=256, shape=(30, 36, 30), spacing=(6.0, 6.0, 6.0))
"""Makes the phantom of a whole head, with the grid that is plenty for it."""


def phantom_folder(
    dataset: Dataset,
    cache: Path,
    samples: int | None,
    seed: int,
    run: Mapper,
    progress: Progress | None = None,
) -> str:
    """The folder with the phantoms of a dataset, written first where it is not there yet.

    Args:
        dataset: Dataset whose phantoms are written.
        cache: Folders are kept under ``cache/phantoms``.
        samples: Number of samples, at least 1; None for the dataset's own number.
        seed: Seed of the generator; the same seed writes the same files.
        run: Function like :func:`map`; parts are independent.
        progress: Called with (parts done, parts in all).

    Raises:
        SourceError: the dataset has no phantoms, or the number is not positive.
    """
    phantom, count = _request(dataset, samples)
    name = f"{dataset.name}-v{phantom.version}-n{count}-seed{seed}"
    target = cache / "phantoms" / name
    if not target.is_dir():
        writable(cache)
        with new_folder(target) as draft:
            _write_parts(phantom, draft, count, seed, run, progress)
    return str(target)


def write_phantoms(
    dataset: Dataset,
    folder: Path,
    samples: int | None = None,
    seed: int = 0,
    *,
    run: Mapper = map,
    progress: Progress | None = None,
) -> int:
    """Write phantoms into a folder of the user's, in the dataset's official layout.

    The folder is empty again, or removed, when this ends with an exception.

    Args:
        dataset: Dataset whose phantoms are written.
        folder: A new or an empty folder.
        samples: Number of samples, at least 1; None for the dataset's own number.
        seed: Seed; same seed and number, same files.
        run: Function like :func:`map`; parts are independent.
        progress: Called with (parts done, parts in all).

    Returns:
        How many samples were written.

    Raises:
        SourceError: the dataset has no phantoms, the number is not positive, or the folder holds
            something.
    """
    phantom, count = check_phantoms(dataset, folder, samples)
    existed = folder.is_dir()
    writable(folder, "Name another folder for the phantoms.")
    try:
        _write_parts(phantom, folder.absolute(), count, seed, run, progress)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if existed:
            folder.mkdir(exist_ok=True)
        raise
    return count


def _write_parts(
    phantom: Phantom,
    folder: Path,
    count: int,
    seed: int,
    run: Mapper,
    progress: Progress | None,
) -> None:
    write = partial(phantom.write, folder, count, seed)
    parts = [(number, PARTS) for number in range(PARTS)]
    for done, _ in enumerate(run(write, parts), start=1):
        if progress is not None:
            progress(done, PARTS)


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a table of a folder."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def check_phantoms(dataset: Dataset, folder: Path, samples: int | None) -> tuple[Phantom, int]:
    """Find out what :func:`write_phantoms` is to write before anything is written.

    Arguments and errors are those of it.

    Returns:
        The generator, and how many samples.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SourceError(f"{folder} is not empty. Name a new or an empty folder for the phantoms.")
    return _request(dataset, samples)


def _request(dataset: Dataset, samples: int | None) -> tuple[Phantom, int]:
    phantom = dataset.phantom
    if phantom is None:
        raise SourceError(
            f"dataset {dataset.name!r} has no phantoms. Give the folder of its files as the source."
        )
    count = phantom.samples if samples is None else int(samples)
    if count < 1:
        raise SourceError(f"the number of phantoms must be at least 1, found {count}")
    return phantom, count
