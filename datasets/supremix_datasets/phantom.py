"""The folder of a dataset's phantoms: made on first use, kept, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import SourceError
from .reader import Dataset, PhantomWriter
from .store import new_folder

PARTS = 16


@dataclass(frozen=True)
class _WritePart:
    """Writes one part of the phantoms; travels to other processes."""

    write: PhantomWriter
    folder: str
    samples: int
    seed: int

    def __call__(self, part: int) -> int:
        self.write(Path(self.folder), self.samples, self.seed, (part, PARTS))
        return part


def phantom_folder(
    dataset: Dataset,
    cache: Path,
    samples: int | None,
    seed: int,
    run: Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]],
) -> str:
    """The folder with the phantoms of a dataset, written first where it is not there yet.

    Args:
        dataset: The dataset.
        cache: Folders are kept under ``cache/phantoms``.
        samples: How many, at least 1; None for the dataset's own number.
        seed: Seed; same seed, same files.
        run: Like :func:`map`; parts are independent.

    Raises:
        SourceError: the dataset has no phantoms, or the number is not positive.
    """
    phantom = dataset.phantom
    if phantom is None:
        raise SourceError(
            f"dataset {dataset.name!r} has no phantoms. Give the folder of its files as the source."
        )
    count = phantom.samples if samples is None else int(samples)
    if count < 1:
        raise SourceError(f"the number of phantoms must be at least 1, found {count}")
    name = f"{dataset.name}-v{phantom.version}-n{count}-seed{seed}"
    target = cache / "phantoms" / name
    if not target.is_dir():
        with new_folder(target) as draft:
            job = _WritePart(phantom.write, str(draft), count, seed)
            for _ in run(job, range(PARTS)):
                pass
    return str(target)
