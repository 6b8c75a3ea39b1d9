"""Preparing a dataset: every file decoded once, on the card's grid, into a store."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from supremix_datasets.cache import cache_folder, writable, write_json
from supremix_datasets.cards.card import Card
from supremix_datasets.cards.dataset import Dataset
from supremix_datasets.cards.sample import Rejected, Sample, Scan
from supremix_datasets.errors import SourceError, TooFewSamplesError
from supremix_datasets.phantoms.folder import Mapper, Progress, phantom_folder
from supremix_datasets.registry import get
from supremix_datasets.sources.files import (
    content_signature,
    list_files,
    listing_signature,
    parts_of,
    relative,
)
from supremix_datasets.stores.build import Check, StorePlan, build
from supremix_datasets.stores.changes import check_unchanged
from supremix_datasets.stores.shared import has_store, open_shared, publish, shared_address
from supremix_datasets.stores.store import FORMAT, Store


def prepare(
    dataset: str | Dataset,
    source: str | os.PathLike[str] | None = None,
    *,
    cache: str | os.PathLike[str] | None = None,
    shared: str | None = None,
    mapper: Mapper | None = None,
    progress: Progress | None = None,
    min_fraction: float = 0.5,
    shape: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
    phantoms: int | None = None,
    phantom_seed: int = 0,
    phantom_progress: Progress | None = None,
    expected: Mapping[str, Any] | None = None,
) -> Store:
    """Decode a dataset into a memory-mapped store, or open the store if it is there already.

    Args:
        dataset: Name, or a dataset of the user's own.
        source: Folder of the official layout at any fsspec address; None or ``"phantom"`` for the
            dataset's phantoms, which are made on first use.
        cache: Folder of this machine where stores are kept; default :func:`default_cache`.
        shared: fsspec address where stores are kept for all machines: a store that is there is
            fetched instead of built, and one that is not is put there.
        mapper: ``mapper(function, items)`` gives the results in order, like :func:`map`; a
            parallel one makes it faster. Function, items and results can be pickled.
        progress: Called with (images done, images in all).
        min_fraction: Least share of the images that has to be usable. ``[0, 1]``.
        shape: Spatial shape instead of the card's. See :meth:`Card.with_shape`.
        spacing: Spacing in mm instead of the card's.
        phantoms: How many phantoms; default what the dataset says.
        phantom_seed: Seed of the phantoms.
        phantom_progress: Called with (parts done, parts in all) while phantoms are written.
        expected: `Store.identity` of the store that it has to be; None for any.

    Returns:
        The store. Images that could not be used are in ``store.quarantine``.

    Raises:
        UnknownDatasetError, SourceError, LabelTableError: the input cannot be used at all.
        TooFewSamplesError: fewer images than ``min_fraction`` can be used.
        DataChangedError: it would be another store than is expected; nothing was decoded.
        StoreError: the shared stores cannot be reached, or the cache cannot be written to.
    """
    folder = cache_folder(cache)
    run = mapper or map
    is_phantom = source is None or str(source) == "phantom"
    dataset = get(dataset).at(None if is_phantom else str(source))
    card = dataset.card_for(phantom=is_phantom, shape=shape, spacing=spacing)
    if is_phantom:
        source = phantom_folder(dataset, folder, phantoms, phantom_seed, run, phantom_progress)
    where = dataset.root or str(source)
    note = _note_path(folder, dataset, card, where)
    check = functools.partial(
        _check_enough, dataset=dataset, source=where, min_fraction=min_fraction
    )
    store = _known_store(folder, note)
    if store is None or (expected is not None and store.key != expected["key"]):
        writable(folder)
        plan = _plan(dataset, card, where)
        if expected is not None:
            check_unchanged(expected, plan, Store.find(folder, expected["key"]))
        store = _obtain(plan, folder, shared, run, progress, check)
        note.parent.mkdir(parents=True, exist_ok=True)
        write_json(note, {"key": store.key})
    check(store.manifest["counts"], store.quarantine)
    if shared is not None:
        publish(store, shared)
    return store


def _plan(dataset: Dataset, card: Card, where: str) -> StorePlan:
    scan = dataset.scan(where)
    if not scan.samples and not scan.rejected:
        raise SourceError(
            f"no image of {dataset.name!r} in {where!r}. Give the folder of the official layout."
        )
    return StorePlan(
        card=card,
        reader=dataset.reader,
        scan=scan,
        source=where,
        identity=_identity(dataset, card, scan, where),
        dataset=dataset.known_as,
    )


def _obtain(
    plan: StorePlan,
    folder: Path,
    shared: str | None,
    run: Mapper,
    progress: Progress | None,
    check: Check,
) -> Store:
    """The store of a plan: from this machine, from the shared stores, or built."""
    known = Store.find(folder, plan.key)
    if known is not None:
        return known
    name = f"{plan.card.name}-{plan.key[:16]}"
    if shared is not None and has_store(shared_address(shared, name)):
        return open_shared(shared_address(shared, name), folder)
    build(plan, folder / "stores" / name, run, progress, check)
    return Store.open(folder / "stores" / name)


def _note_path(folder: Path, dataset: Dataset, card: Card, source: str) -> Path:
    """Where it is noted which store belongs to the folder as it is now (names, sizes, times)."""
    listing = listing_signature(list_files(source))
    parts = [listing, card.to_dict(), _reader_key(dataset), FORMAT]
    return folder / "notes" / f"{_hash(parts)}.json"


def _known_store(folder: Path, note: Path) -> Store | None:
    try:
        key = json.loads(note.read_text(encoding="utf-8"))["key"]
    except (OSError, ValueError, KeyError):  # never noted: look closer
        return None
    return Store.find(folder, str(key))


def _identity(dataset: Dataset, card: Card, scan: Scan, source: str) -> dict[str, Any]:
    """Everything that decides what the store holds, and its key; the folder's path is not in it."""

    def plain(item: Sample | Rejected) -> dict[str, Any]:
        return {**dataclasses.asdict(item), "address": relative(item.address, source)}

    parts = {
        "format": FORMAT,
        "card": card.to_dict(),
        "reader": _reader_key(dataset),
        "contents": content_signature((sample.address for sample in scan.samples), source),
        "samples": _hash([[plain(s) for s in scan.samples], [plain(r) for r in scan.rejected]]),
    }
    # As it is read again, to be compared with what a run has kept.
    return {"key": _hash(parts), **json.loads(json.dumps(parts, default=str))}


def _reader_key(dataset: Dataset) -> list[Any]:
    """Dataset's name, reader's version and settings: not the path of the reader's code."""
    reader: Any = dataset.reader
    options = dataclasses.asdict(reader) if dataclasses.is_dataclass(type(reader)) else {}
    return [dataset.known_as, reader.version, options]


def _hash(parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _check_enough(
    counts: dict[str, int],
    quarantine: pl.DataFrame,
    *,
    dataset: Dataset,
    source: str,
    min_fraction: float,
) -> None:
    kept, total = counts["kept"], counts["kept"] + counts["excluded"]
    if kept and kept >= min_fraction * total:
        return
    common = Counter(quarantine["reason"].to_list()).most_common(3)
    reasons = "; ".join(f"{reason} ({count}×)" for reason, count in common)
    example = [parts_of(address)[0] for address in quarantine["address"].to_list()[:1]]
    raise TooFewSamplesError(
        f"only {kept} of {total} images of {dataset.name!r} in {source!r} can be used, at least "
        f"{max(1, round(min_fraction * total))} are expected. Most frequent reasons: {reasons}"
        f"{f'; for instance {example[0]}' if example and example[0] else ''}. Mend or complete the "
        "folder, or lower min_fraction if so few are intended."
    )
