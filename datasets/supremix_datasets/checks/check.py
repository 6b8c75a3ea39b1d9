"""Check a dataset folder before it is prepared: what can be used, and what cannot.

Nothing is written but the contact sheets, and never into the source.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from supremix_datasets.cache import cache_folder, writable
from supremix_datasets.cards.card import Card
from supremix_datasets.cards.dataset import Dataset, Decoded, Reader
from supremix_datasets.cards.sample import SPLITS, Rejected, Sample, Scan
from supremix_datasets.checks.contact_sheet import Picture, picture, write_sheet
from supremix_datasets.checks.facts import (
    copies,
    covariate_summaries,
    faults,
    histogram,
    problems,
    split_summaries,
    unused,
)
from supremix_datasets.checks.report import CheckReport
from supremix_datasets.copies import image_hash
from supremix_datasets.errors import DatasetError, SourceError
from supremix_datasets.phantoms.folder import Mapper, Progress, phantom_folder
from supremix_datasets.registry import get
from supremix_datasets.sources.files import as_path, filesystem, is_local
from supremix_datasets.splits import assign
from supremix_datasets.stores.build import CHUNK, rejected_by
from supremix_datasets.stores.conform import present

PICTURES = 12
"""Pictures on a contact sheet, and images of a split that are decoded without ``full``."""


@dataclass(frozen=True, slots=True)
class _DecodedSample:
    """What is kept of an image that could be decoded."""

    size: str
    hash: str
    shown: Picture | None


@dataclass(frozen=True)
class _DecodeForCheck:
    """Decodes a few samples as preparing would, and keeps little of each; travels to workers."""

    reader: Reader
    card: Card
    shown: frozenset[str]

    def __call__(self, samples: Sequence[Sample]) -> list[_DecodedSample | Rejected]:
        return [self._one(sample) for sample in samples]

    def _one(self, sample: Sample) -> _DecodedSample | Rejected:
        try:
            image = Decoded.of(self.reader.decode(as_path(sample.address)))
            pixels = present(self.card, image, sample.covariates).pixels
        except Exception as error:  # noqa: BLE001 as preparing would exclude it
            return rejected_by(error, sample)
        flat = picture(pixels, self.card) if sample.id in self.shown else None
        return _DecodedSample(" x ".join(map(str, image.pixels.shape)), image_hash(pixels), flat)


def check(
    dataset: str | Dataset,
    source: str | os.PathLike[str] | None = None,
    *,
    full: bool = False,
    out: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    shape: Sequence[int] | None = None,
    mapper: Mapper | None = None,
    progress: Progress | None = None,
    min_fraction: float = 0.5,
    split_seed: int = 0,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
) -> CheckReport:
    """Check that a folder is what the dataset's reader expects.

    The tables and the names of the files are read, and a handful of images of each split is
    decoded; ``full`` decodes all of them.

    Args:
        dataset: Name, or a dataset of the user's own.
        source: Folder of the official layout at any fsspec address; None or ``"phantom"`` for the
            dataset's phantoms, which are made on first use.
        full: True to decode every image.
        out: Folder for the contact sheets, ``<split>.png``; default ``checks/<dataset>`` in the
            cache.
        cache: Where phantoms and, by default, contact sheets are kept.
        shape: Spatial shape instead of the card's.
        mapper: Function like :func:`map`, perhaps parallel.
        progress: Called with (images done, images in all).
        min_fraction: Least share of the images that has to be usable. ``[0, 1]``.
        split_seed: Seed of the split, where there is no official one.
        fractions: Shares of train, val and test in that split.

    Returns:
        The report. ``report.usable`` says whether preparing would succeed.

    Raises:
        DatasetError: the folder or its tables cannot be read at all.
    """
    folder = cache_folder(cache)
    run = mapper or map
    is_phantom = source is None or str(source) == "phantom"
    dataset = get(dataset).at(None if is_phantom else str(source))
    card = dataset.card_for(phantom=is_phantom, shape=shape)
    if is_phantom:
        source = phantom_folder(dataset, folder, None, 0, run)
    where = dataset.root or str(source)
    sheets = Path(out).expanduser() if out is not None else folder / "checks" / card.name
    _keep_out(sheets, where)
    writable(sheets, "Name another folder for the contact sheets: --out FOLDER.")
    scan = dataset.scan(where)
    splits, problem = _split(scan.samples, split_seed, fractions)
    chosen = _chosen(scan.samples, splits)
    to_decode = list(scan.samples) if full else list(itertools.chain(*chosen.values()))
    shown = frozenset(sample.id for sample in itertools.chain(*chosen.values()))
    seen = _decode(_DecodeForCheck(dataset.reader, card, shown), to_decode, run, progress)
    written = _write_sheets(sheets, card, chosen, seen)
    return _report(card, where, scan, splits, problem, seen, written, full, min_fraction)


def _keep_out(sheets: Path, where: str) -> None:
    """Refuse to write into the source."""
    home = os.path.realpath(filesystem(where)[1])
    if is_local(where) and os.path.commonpath([os.path.realpath(sheets), home]) == home:
        raise SourceError(
            f"the contact sheets would be written into the source: {sheets}. Nothing is changed "
            "there; give another folder as out."
        )


def _split(
    samples: Sequence[Sample], seed: int, fractions: Sequence[float]
) -> tuple[list[str], str | None]:
    """The split of each sample, and why there is none (all samples are then in ``all``)."""
    index = pl.DataFrame(
        {
            "group": [sample.group for sample in samples],
            "target": [sample.target for sample in samples],
            "split": [sample.split for sample in samples],
        },
        schema={"group": pl.String, "target": pl.Float64, "split": pl.String},
    )
    try:
        return [str(split) for split in assign(index, seed=seed, fractions=fractions)], None
    except DatasetError as error:
        return ["all"] * len(samples), str(error)


def _chosen(samples: Sequence[Sample], splits: Sequence[str]) -> dict[str, list[Sample]]:
    """For each split samples over the whole range of labels, from the lowest to the highest."""
    chosen: dict[str, list[Sample]] = {}
    for split in [name for name in (*SPLITS, "all") if name in splits]:
        own = [s for s, name in zip(samples, splits, strict=True) if name == split]
        own.sort(key=lambda sample: (sample.target, sample.id))
        indices = np.linspace(0, len(own) - 1, min(PICTURES, len(own))).round().astype(int)
        chosen[split] = [own[index] for index in indices]
    return chosen


def _decode(
    decode: _DecodeForCheck, samples: Sequence[Sample], run: Mapper, progress: Progress | None
) -> dict[str, _DecodedSample | Rejected]:
    chunks = [samples[i : i + CHUNK] for i in range(0, len(samples), CHUNK)]
    seen: dict[str, _DecodedSample | Rejected] = {}
    for chunk, outcomes in zip(chunks, run(decode, chunks), strict=True):
        seen.update({s.id: outcome for s, outcome in zip(chunk, outcomes, strict=True)})
        if progress is not None:
            progress(len(seen), len(samples))
    return seen


def _write_sheets(
    folder: Path,
    card: Card,
    chosen: dict[str, list[Sample]],
    seen: dict[str, _DecodedSample | Rejected],
) -> dict[str, str]:
    written: dict[str, str] = {}
    for split, samples in chosen.items():
        pictures: list[Picture] = []
        captions: list[str] = []
        for sample in samples:
            outcome = seen[sample.id]
            if isinstance(outcome, _DecodedSample) and outcome.shown is not None:
                pictures.append(outcome.shown)
                captions.append(f"{sample.target:.4g} {card.unit}")
        if pictures:
            folder.mkdir(parents=True, exist_ok=True)
            write_sheet(folder / f"{split}.png", pictures, captions)
            written[split] = str(folder / f"{split}.png")
    return written


def _report(
    card: Card,
    where: str,
    scan: Scan,
    splits: Sequence[str],
    problem: str | None,
    seen: dict[str, _DecodedSample | Rejected],
    sheets: dict[str, str],
    full: bool,
    min_fraction: float,
) -> CheckReport:
    failed = [outcome for outcome in seen.values() if isinstance(outcome, Rejected)]
    images = [outcome for outcome in seen.values() if isinstance(outcome, _DecodedSample)]
    hashes = {n: outcome.hash for n, outcome in seen.items() if isinstance(outcome, _DecodedSample)}
    bad = {rejected.id for rejected in failed}
    kept = [(s, n) for s, n in zip(scan.samples, splits, strict=True) if s.id not in bad]
    listed = len(scan.samples) + len(scan.rejected)
    share = len(images) / max(len(seen), 1) * len(scan.samples) / max(listed, 1)
    counts, edges = histogram([sample.target for sample, _ in kept])
    return CheckReport(
        card=card,
        source=where,
        full=full,
        listed=listed,
        images=len(kept),
        decoded=len(seen),
        groups=len({sample.group for sample, _ in kept}),
        splits=split_summaries(kept, sheets),
        label_counts=counts,
        label_edges=edges,
        covariates=covariate_summaries(card, [sample for sample, _ in kept]),
        sites=dict(Counter(s.site for s, _ in kept if s.site is not None).most_common()),
        sizes=dict(Counter(image.size for image in images).most_common()),
        problems=problems([*scan.rejected, *failed]),
        copies=copies(scan.samples, hashes),
        warnings=scan.warnings,
        unused=unused(scan, where),
        faults=faults(problem, share, min_fraction, len(images)),
    )
