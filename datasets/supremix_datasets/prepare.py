"""Preparing a dataset: every file decoded once, on the card's grid, into a store."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from .card import Card
from .conform import Presented, present
from .errors import CovariateError, DecodeError, SourceError, TooFewSamplesError
from .files import content_signature, list_files, listing_signature, relative
from .phantom import phantom_folder
from .reader import Dataset, Reader
from .registry import get
from .sample import Rejected, Sample, Scan
from .store import FORMAT, IMAGES, INDEX, MANIFEST, QUARANTINE, Store, new_folder, write_json

CHUNK = 8
Mapper = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
Progress = Callable[[int, int], None]
Outcome = Presented | Rejected

UNREADABLE = (DecodeError, CovariateError, OSError, EOFError, ValueError)
"""What a reader may raise of one file without ending the preparation."""


def default_cache() -> Path:
    """``$SUPREMIX_CACHE``, or ``~/.cache/supremix``."""
    return Path(os.environ.get("SUPREMIX_CACHE") or "~/.cache/supremix").expanduser()


def prepare(
    dataset: str | Dataset,
    source: str | os.PathLike[str] | None = None,
    *,
    cache: str | os.PathLike[str] | None = None,
    mapper: Mapper | None = None,
    progress: Progress | None = None,
    min_fraction: float = 0.5,
    shape: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
    phantoms: int | None = None,
    phantom_seed: int = 0,
) -> Store:
    """Decode a dataset into a memory-mapped store, or open the store if it is there already.

    Args:
        dataset: Name, or a dataset of the user's own.
        source: Folder of the official layout at any fsspec address; None or ``"phantom"`` for the
            dataset's phantoms, which are made on first use.
        cache: Where stores are kept; default :func:`default_cache`.
        mapper: ``mapper(function, items)`` gives the results in order, like :func:`map`; a
            parallel one makes it faster. Function, items and results can be pickled.
        progress: Called with (images done, images in all).
        min_fraction: Least share of the images that has to be usable. ``[0, 1]``.
        shape: Spatial shape instead of the card's. See :meth:`Card.with_shape`.
        spacing: Spacing in mm instead of the card's.
        phantoms: How many phantoms; default what the dataset says.
        phantom_seed: Seed of the phantoms.

    Returns:
        The store. Images that could not be used are in ``store.quarantine``.

    Raises:
        UnknownDatasetError, SourceError, LabelTableError: the input cannot be used at all.
        TooFewSamplesError: fewer images than ``min_fraction`` can be used.
    """
    dataset = get(dataset)
    folder = Path(cache).expanduser() if cache is not None else default_cache()
    run = mapper or map
    is_phantom = source is None or str(source) == "phantom"
    card = dataset.card_for(phantom=is_phantom, shape=shape, spacing=spacing)
    if is_phantom:
        source = phantom_folder(dataset, folder, phantoms, phantom_seed, run)
    where = str(source)
    note = _note_path(folder, dataset, card, where)
    known = _known_store(folder, note)
    if known is not None:
        _check_enough(known.manifest["counts"], known.quarantine, dataset, where, min_fraction)
        return known
    scan = dataset.reader.scan(where)
    if not scan.samples and not scan.rejected:
        raise SourceError(
            f"no image of {dataset.name!r} in {where!r}. Give the folder of the official layout."
        )
    key = _key(dataset, card, scan, where)
    store = Store.find(folder, key) or _build(
        dataset, card, scan, where, key, folder, run, progress, min_fraction
    )
    _check_enough(store.manifest["counts"], store.quarantine, dataset, where, min_fraction)
    note.parent.mkdir(parents=True, exist_ok=True)
    write_json(note, {"key": key})
    return store


def _note_path(folder: Path, dataset: Dataset, card: Card, source: str) -> Path:
    """Where it is noted which store belongs to the folder as it is now (names, sizes, times)."""
    listing = listing_signature(list_files(source))
    facts = [listing, card.to_dict(), _reader_facts(dataset.reader), FORMAT]
    return folder / "notes" / f"{_hash(facts)}.json"


def _known_store(folder: Path, note: Path) -> Store | None:
    try:
        key = json.loads(note.read_text())["key"]
    except (FileNotFoundError, ValueError, KeyError):  # never noted: look closer
        return None
    return Store.find(folder, str(key))


def _key(dataset: Dataset, card: Card, scan: Scan, source: str) -> str:
    """Hash of everything that decides what the store holds; the folder's place is not in it."""

    def plain(item: Sample | Rejected) -> dict[str, Any]:
        return {**dataclasses.asdict(item), "address": relative(item.address, source)}

    contents = content_signature((sample.address for sample in scan.samples), source)
    facts: list[Any] = [FORMAT, card.to_dict(), _reader_facts(dataset.reader), contents]
    return _hash([*facts, [plain(s) for s in scan.samples], [plain(r) for r in scan.rejected]])


def _reader_facts(reader: Reader) -> list[Any]:
    kind = type(reader)
    return [kind.__module__, kind.__qualname__, reader.version, repr(reader)]


def _hash(facts: Any) -> str:
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class _DecodeChunk:
    """Decodes a few samples; travels to other processes."""

    reader: Reader
    card: Card

    def __call__(self, samples: Sequence[Sample]) -> list[Outcome]:
        return [self._one(sample) for sample in samples]

    def _one(self, sample: Sample) -> Outcome:
        try:
            return present(self.card, self.reader.decode(sample.address), sample.covariates)
        except UNREADABLE as error:
            return Rejected(id=sample.id, reason=str(error), address=sample.address)


def _build(
    dataset: Dataset,
    card: Card,
    scan: Scan,
    source: str,
    key: str,
    folder: Path,
    run: Mapper,
    progress: Progress | None,
    min_fraction: float,
) -> Store:
    target = folder / "stores" / f"{card.name}-{key[:16]}"
    with new_folder(target) as draft:
        kept, rejected = _decode_all(dataset, card, scan, draft, run, progress)
        quarantine = _quarantine([*scan.rejected, *rejected], source)
        counts = {"kept": len(kept), "set_aside": quarantine.height, "decoded": len(scan.samples)}
        _check_enough(counts, quarantine, dataset, source, min_fraction)
        _index(card, kept).write_parquet(draft / INDEX)
        quarantine.write_parquet(draft / QUARANTINE)
        manifest = {
            "format": FORMAT,
            "key": key,
            "card": card.to_dict(),
            "shape": [len(kept), card.channels, *card.shape],
            "dtype": card.dtype,
            "counts": counts,
            "source": source,
            "reader": _reader_facts(dataset.reader),
        }
        write_json(draft / MANIFEST, manifest)
    return Store.open(target)


def _decode_all(
    dataset: Dataset,
    card: Card,
    scan: Scan,
    draft: Path,
    run: Mapper,
    progress: Progress | None,
) -> tuple[list[tuple[Sample, list[float]]], list[Rejected]]:
    """Write the images of what can be decoded; give the samples kept, and those set aside."""
    kept: list[tuple[Sample, list[float]]] = []
    rejected: list[Rejected] = []
    chunks = [scan.samples[i : i + CHUNK] for i in range(0, len(scan.samples), CHUNK)]
    done = 0
    with (draft / IMAGES).open("wb") as images:
        results = run(_DecodeChunk(dataset.reader, card), chunks)
        for chunk, outcomes in zip(chunks, results, strict=True):
            for sample, outcome in zip(chunk, outcomes, strict=True):
                if isinstance(outcome, Rejected):
                    rejected.append(outcome)
                    continue
                images.write(np.ascontiguousarray(outcome.pixels).tobytes())
                kept.append((sample, [float(value) for value in outcome.covariates]))
            done += len(chunk)
            if progress is not None:
                progress(done, len(scan.samples))
    return kept, rejected


def _index(card: Card, kept: Sequence[tuple[Sample, list[float]]]) -> pl.DataFrame:
    samples = [sample for sample, _ in kept]
    fixed: dict[str, pl.Series] = {
        "row": pl.Series(range(len(kept)), dtype=pl.Int64),
        "id": pl.Series([s.id for s in samples], dtype=pl.String),
        "group": pl.Series([s.group for s in samples], dtype=pl.String),
        "split": pl.Series([s.split for s in samples], dtype=pl.String),
        "target": pl.Series([s.target for s in samples], dtype=pl.Float64),
        "site": pl.Series([s.site for s in samples], dtype=pl.String),
    }
    covariates = {
        covariate.name: pl.Series([values[k] for _, values in kept], dtype=pl.Float32)
        for k, covariate in enumerate(card.covariates)
    }
    return pl.DataFrame({**fixed, **covariates})


def _quarantine(rejected: Sequence[Rejected], source: str) -> pl.DataFrame:
    return pl.DataFrame(
        [(r.id, r.reason, relative(r.address, source)) for r in rejected],
        schema={"id": pl.String, "reason": pl.String, "address": pl.String},
        orient="row",
    )


def _check_enough(
    counts: dict[str, int],
    quarantine: pl.DataFrame,
    dataset: Dataset,
    source: str,
    min_fraction: float,
) -> None:
    kept, total = counts["kept"], counts["kept"] + counts["set_aside"]
    if kept and kept >= min_fraction * total:
        return
    common = Counter(quarantine["reason"].to_list()).most_common(3)
    reasons = "; ".join(f"{reason} ({count}×)" for reason, count in common)
    example = quarantine["address"].to_list()[:1]
    raise TooFewSamplesError(
        f"only {kept} of {total} images of {dataset.name!r} in {source!r} can be used, at least "
        f"{max(1, round(min_fraction * total))} are expected. Most frequent reasons: {reasons}"
        f"{f'; for instance {example[0]}' if example and example[0] else ''}. Mend or complete the "
        "folder, or lower min_fraction if so few are intended."
    )
