"""Folders of images before they are searched on: checking the user's, writing phantoms."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import supremix_datasets
from supremix.cluster import ray_map, ray_runtime
from supremix.progress.notebook import default_listener
from supremix.progress.progress import Listener, Steps
from supremix.search.prepare import prepare_store
from supremix.search.spec import SearchSpec
from supremix_datasets import Card, CheckReport, Dataset, Store


def check(
    dataset: str | Dataset,
    source: str | None = None,
    *,
    full: bool = False,
    out: str | Path | None = None,
    cache: str | Path | None = None,
    shape: Sequence[int] | None = None,
    address: str | None = None,
    progress: Listener | None = None,
) -> CheckReport:
    """Check that a folder is what a dataset's reader expects; writes contact sheets alone.

    Args:
        dataset: As for `Search`, like the arguments below.
        source: Folder or address of the images.
        full: Whether every image is decoded, in parallel, instead of a handful of each split.
        out: Folder for the contact sheets; None for one in the cache.
        cache: Folder of the stores.
        shape: Grid of the images.
        address: Ray cluster whose CPUs decode, with `full`.
        progress: Called as images are done.

    Returns:
        What was found; its `usable` tells whether preparing would succeed.

    Raises:
        USER_ERRORS: Of `supremix.errors`: the folder or its tables cannot be read at all.
    """
    spec = SearchSpec(dataset=dataset, source=None if source is None else str(source), trials=1)
    where = spec.resolve_source()
    tell = None if progress is None else Steps("decoding images", progress)
    with ray_runtime(address) if full else contextlib.nullcontext():
        return supremix_datasets.check(
            dataset,
            where,
            full=full,
            out=out,
            cache=cache,
            shape=shape,
            mapper=ray_map if full else None,
            progress=tell,
        )


def phantom(
    dataset: str | Dataset,
    out: str | Path,
    *,
    n: int | None = None,
    seed: int = 0,
    progress: Listener | None = None,
) -> int:
    """Write synthetic images in the official layout of a dataset, in parallel on this machine.

    Args:
        dataset: Name of a dataset that has phantoms, or a `Dataset` of your own.
        out: A new or an empty local folder.
        n: How many; None for the dataset's own number.
        seed: Same seed and number, same files.
        progress: Called as parts of the folder are done.

    Returns:
        How many were written.

    Raises:
        DatasetError: The dataset has no phantoms, or the folder is not empty.
    """
    chosen = supremix_datasets.get(dataset)
    supremix_datasets.check_phantoms(chosen, Path(out), n)  # before Ray is started for nothing
    # Never a cluster: its other nodes would write to folders of their own.
    with ray_runtime():
        tell = None if progress is None else Steps("writing parts", progress)
        return supremix_datasets.write_phantoms(
            chosen, Path(out), n, seed, run=ray_map, progress=tell
        )


def prepare(
    dataset: str | Dataset,
    source: str | None = None,
    *,
    cache: str | Path | None = None,
    stores: str | None = None,
    shape: Sequence[int] | None = None,
    address: str | None = None,
    progress: Listener | None = None,
) -> Store:
    """Decode a dataset once into its memory-mapped store; a search does this by itself.

    Args:
        dataset: As for `Search`, like the arguments below.
        source: Folder or address of the images.
        cache: Folder of the stores.
        stores: Address where stores are shared between machines.
        shape: Grid of the prepared images.
        address: Ray cluster whose CPUs decode.
        progress: Called as images are done.

    Returns:
        The store; the very same when nothing has changed since the last time.
    """
    spec = SearchSpec(
        dataset=dataset,
        source=None if source is None else str(source),
        trials=1,
        shape=None if shape is None else tuple(shape),
        cache=None if cache is None else str(cache),
        stores=stores,
    )
    spec.resolve_source()
    with ray_runtime(address):
        return prepare_store(spec, progress or default_listener("preparing images"))


def datasets() -> list[Card]:
    """The cards of all datasets that are known by name."""
    return [supremix_datasets.get(name).card for name in supremix_datasets.names()]
