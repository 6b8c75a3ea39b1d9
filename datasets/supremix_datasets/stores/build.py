"""Building a store: decoded in parallel, written in order, taken up again after a kill.

A store grows in a folder of its own, ``builds/<name>`` of the cache, held by one process at a time:

    images.bin      what is decoded so far, in the order of the samples
    journal.jsonl   a line per chunk of samples: how far images.bin goes with it, what was kept,
                    what was excluded

A line is written after its images, so what a kill leaves behind is cut back to the last whole
line, and only the chunks after it are decoded again. When all is done the folder becomes the store.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from supremix_datasets.cache import file_digest, only_one, write_json
from supremix_datasets.cards.card import Card
from supremix_datasets.cards.dataset import Reader
from supremix_datasets.cards.sample import Rejected, Sample, Scan
from supremix_datasets.copies import find_copies, image_hash
from supremix_datasets.decoding.reading import fault
from supremix_datasets.errors import DatasetError
from supremix_datasets.phantoms.folder import Mapper, Progress
from supremix_datasets.sources.files import as_path, relative
from supremix_datasets.stores.conform import Presented, present
from supremix_datasets.stores.store import IMAGES, INDEX, MANIFEST, QUARANTINE, as_read

CHUNK = 8
JOURNAL = "journal.jsonl"

Check = Callable[[dict[str, int], pl.DataFrame], None]


@dataclass(frozen=True, slots=True)
class DecodedSample:
    """One decoded image as it is stored, with the hash of its pixels."""

    presented: Presented
    hash: str


WorkerResult = DecodedSample | Rejected


def decode_chunk(reader: Reader, card: Card, samples: Sequence[Sample]) -> list[WorkerResult]:
    """The image of each sample, or why there is none; called in other processes as well."""
    found: list[WorkerResult] = []
    for sample in samples:
        try:
            shown = present(card, reader.decode(as_path(sample.address)), sample.covariates)
            found.append(DecodedSample(shown, image_hash(shown.pixels)))
        except Exception as error:  # noqa: BLE001 any fault of one file excludes that file alone
            found.append(rejected_by(error, sample))
    return found


def rejected_by(error: Exception, sample: Sample) -> Rejected:
    """A sample that is excluded because decoding it raised an exception."""
    reason = fault(error)
    if not isinstance(error, DatasetError):
        reason = f"cannot be decoded ({type(error).__name__}): {reason}"
    return Rejected(id=sample.id, reason=reason, address=sample.address)


class Kept(NamedTuple):
    """One prepared sample: number in the scan, rows (frames of a video), covariates, hash."""

    number: int
    frames: int
    covariates: list[float]
    hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StorePlan:
    """All that decides what a store holds."""

    card: Card
    reader: Reader
    scan: Scan
    source: str
    identity: dict[str, Any]
    """Key of the store, and what it follows from; see `Store.identity`."""
    dataset: str
    """Name by which the reader is found again when a model is to read single files."""

    @property
    def key(self) -> str:
        """Key of the store."""
        return self.identity["key"]

    def chunks(self) -> list[tuple[Sample, ...]]:
        """The samples in the portions that are decoded and noted together."""
        samples = self.scan.samples
        return [samples[i : i + CHUNK] for i in range(0, len(samples), CHUNK)]


def build(
    plan: StorePlan, target: Path, run: Mapper, progress: Progress | None, check: Check
) -> None:
    """Make the store ``target``; where another process is at it, wait and find it done.

    Args:
        plan: Content of the store.
        target: Folder of the store; not there before, whole afterwards.
        run: Function like :func:`map`, perhaps parallel.
        progress: Called with (images done, images in all).
        check: Called with the counts and the quarantine before the store is finished; its
            exception leaves no store.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.parent.parent / "builds" / target.name
    with only_one(target):
        if target.is_dir():
            return
        draft.mkdir(parents=True, exist_ok=True)
        kept, rejected = _Draft(draft, plan).complete(run, progress)
        quarantine = _quarantine([*plan.scan.rejected, *rejected], plan.source)
        counts = {
            "kept": len(kept),
            "excluded": quarantine.height,
            "decoded": len(plan.scan.samples),
        }
        try:
            check(counts, quarantine)
        except Exception:
            shutil.rmtree(draft)
            raise
        _finish(draft, plan, kept, quarantine, counts)
        draft.rename(target)


class _Draft:
    """A store under way, in its folder."""

    def __init__(self, folder: Path, plan: StorePlan) -> None:
        self._plan = plan
        self._images, self._journal = folder / IMAGES, folder / JOURNAL
        self._kept: list[Kept] = []
        self._rejected: list[Rejected] = []
        self._chunks = 0
        self._size = 0

    def complete(self, run: Mapper, progress: Progress | None) -> tuple[list[Kept], list[Rejected]]:
        """Decode what the journal does not hold yet."""
        lines = self._take_up()
        todo = self._plan.chunks()[self._chunks :]
        total = len(self._plan.scan.samples)
        done = min(self._chunks * CHUNK, total)
        if progress is not None and done:
            progress(done, total)
        with self._images.open("r+b") as images, self._journal.open("r+b") as journal:
            for file, size in ((images, self._size), (journal, lines)):
                file.truncate(size)
                file.seek(size)
            results = run(partial(decode_chunk, self._plan.reader, self._plan.card), todo)
            for chunk, outcomes in zip(todo, results, strict=True):
                line = self._add(outcomes, images)
                images.flush()
                journal.write(json.dumps(line).encode() + b"\n")
                journal.flush()
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
            os.fsync(images.fileno())
        return self._kept, self._rejected

    def _take_up(self) -> int:
        """Read the journal as far as it is whole; how many bytes of it count."""
        self._images.touch()
        self._journal.touch()
        held = self._images.stat().st_size
        good = 0
        for line in _lines(self._journal):
            try:
                entry: dict[str, Any] = json.loads(line)
                if entry["end"] > held:
                    break
                self._note(entry)
            except (ValueError, KeyError, TypeError):
                break
            good += len(line)
        return good

    def _note(self, entry: dict[str, Any]) -> None:
        self._kept += [Kept(*one) for one in entry["kept"]]
        self._rejected += [Rejected(**one) for one in entry["rejected"]]
        self._size = int(entry["end"])
        self._chunks += 1

    def _add(self, outcomes: Sequence[WorkerResult], images: Any) -> dict[str, Any]:
        card, first = self._plan.card, self._chunks * CHUNK
        kept: list[Kept] = []
        rejected: list[Rejected] = []
        end = self._size
        for index, outcome in enumerate(outcomes, start=first):
            if isinstance(outcome, Rejected):
                rejected.append(outcome)
                continue
            shown = outcome.presented
            end += images.write(np.ascontiguousarray(shown.pixels).data)
            frames = len(shown.pixels) if card.period is not None else 1
            kept.append(Kept(index, frames, [float(v) for v in shown.covariates], outcome.hash))
        entry = {
            "end": end,
            "kept": kept,
            "rejected": [dataclasses.asdict(one) for one in rejected],
        }
        self._note(entry)
        return entry


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))


def _finish(
    draft: Path,
    plan: StorePlan,
    kept: Sequence[Kept],
    quarantine: pl.DataFrame,
    counts: dict[str, int],
) -> None:
    card = plan.card
    index = _index(card, plan.scan.samples, kept)
    index.write_parquet(draft / INDEX)
    copies = find_copies(index["group"].to_list(), index["image_hash"].to_list())
    quarantine.write_parquet(draft / QUARANTINE)
    manifest = {
        **plan.identity,
        "shape": [sum(one.frames for one in kept), card.channels, *card.frame_shape],
        "dtype": card.dtype,
        "counts": counts,
        "copies": sum(map(len, copies)),
        "source": plan.source,
        "dataset": plan.dataset,
        "files": {name: file_digest(draft / name) for name in (IMAGES, INDEX, QUARANTINE)},
    }
    write_json(draft / MANIFEST, manifest)
    (draft / JOURNAL).unlink()


def _index(card: Card, samples: Sequence[Sample], kept: Sequence[Kept]) -> pl.DataFrame:
    chosen = [samples[one.number] for one in kept]
    rows = list(itertools.accumulate((one.frames for one in kept), initial=0))[:-1]
    fixed: dict[str, pl.Series] = {
        "row": pl.Series(rows, dtype=pl.Int64),
        "frames": pl.Series([one.frames for one in kept], dtype=pl.Int64),
        "id": pl.Series([s.id for s in chosen], dtype=pl.String),
        "group": pl.Series([s.group for s in chosen], dtype=pl.String),
        "split": pl.Series([s.split for s in chosen], dtype=pl.String),
        "target": pl.Series([s.target for s in chosen], dtype=pl.Float64),
        "site": pl.Series([s.site for s in chosen], dtype=pl.String),
        "fold": pl.Series([s.fold for s in chosen], dtype=pl.String),
        "image_hash": pl.Series([one.hash for one in kept], dtype=pl.String),
    }
    covariates = {
        covariate.name: pl.Series([one.covariates[k] for one in kept], dtype=pl.Float32)
        for k, covariate in enumerate(card.covariates)
    }
    read = {
        as_read(covariate.name): pl.Series(
            [covariate.word(s.covariates.get(covariate.name)) for s in chosen], dtype=pl.String
        )
        for covariate in card.covariates
    }
    return pl.DataFrame({**fixed, **covariates, **read})


def _quarantine(rejected: Sequence[Rejected], source: str) -> pl.DataFrame:
    return pl.DataFrame(
        [(r.id, r.reason, relative(r.address, source)) for r in rejected],
        schema={"id": pl.String, "reason": pl.String, "address": pl.String},
        orient="row",
    )
