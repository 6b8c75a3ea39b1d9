"""Counting what a check has seen."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from supremix_datasets.cards.card import Card
from supremix_datasets.cards.sample import SPLITS, Rejected, Sample, Scan
from supremix_datasets.checks.report import CovariateSummary, ExclusionReason, SplitSummary
from supremix_datasets.copies import find_copies
from supremix_datasets.sources.files import as_url, container, list_files, parts_of

DESCRIPTION = "dataset.toml"
"""The file in which a folder of the user's own says what it holds."""

BINS = 12
"""Bars of the label histogram."""


def split_summaries(
    kept: Sequence[tuple[Sample, str]], sheets: dict[str, str]
) -> tuple[SplitSummary, ...]:
    """What is in each split.

    Args:
        kept: The usable samples, each with its split.
        sheets: Split to the path of its contact sheet.
    """
    summaries: list[SplitSummary] = []
    for split in (*SPLITS, "all"):
        own = [sample for sample, name in kept if name == split]
        if own:
            labels = np.asarray([sample.target for sample in own])
            summaries.append(
                SplitSummary(
                    name=split,
                    images=len(own),
                    groups=len({sample.group for sample in own}),
                    official=all(sample.split == split for sample in own),
                    low=float(labels.min()),
                    median=float(np.median(labels)),
                    high=float(labels.max()),
                    sheet=sheets.get(split),
                )
            )
    return tuple(summaries)


def histogram(labels: Sequence[float]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Images per bar, and the edges of the bars; both empty where there are no labels."""
    if not labels:
        return (), ()
    counts, edges = np.histogram(np.asarray(labels), bins=BINS)
    return tuple(counts.tolist()), tuple(edges.tolist())


def covariate_summaries(card: Card, samples: Sequence[Sample]) -> tuple[CovariateSummary, ...]:
    """How many of the samples have each covariate, and its range or words."""
    summaries: list[CovariateSummary] = []
    for covariate in card.covariates:
        given = [s.covariates[covariate.name] for s in samples if covariate.name in s.covariates]
        low, high = (min(given), max(given)) if given else (None, None)
        shown = (covariate.word(value) or f"{value:g}" for value in given)
        words = dict(sorted(Counter(shown).items())) if covariate.words else {}
        name, images = covariate.name, len(samples)
        summaries.append(CovariateSummary(name, len(given), images, low, high, words))
    return tuple(summaries)


def problems(rejected: Sequence[Rejected]) -> tuple[ExclusionReason, ...]:
    """Reasons that differ in a number only are one problem."""
    alike: defaultdict[str, list[Rejected]] = defaultdict(list)
    for one in rejected:
        alike[re.sub(r"\d+(\.\d+)?", "#", one.reason)].append(one)
    found = [ExclusionReason(same[0].reason, len(same), same[0].id) for same in alike.values()]
    return tuple(sorted(found, key=lambda problem: -problem.count))


def copies(samples: Sequence[Sample], hashes: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """Ids of images whose hashes are the same though they are of different groups."""
    groups = {sample.id: sample.group for sample in samples}
    found = find_copies([groups[name] for name in hashes], list(hashes.values()))
    names = list(hashes)
    return tuple(tuple(names[row] for row in rows) for rows in found)


def unused(scan: Scan, where: str) -> int:
    """How many files of the folder are neither images, tables nor description of the dataset."""
    items = [*scan.samples, *scan.rejected]
    named = {as_url(container(part)) for item in items for part in parts_of(item.address)}
    named |= set(map(as_url, scan.tables))
    files = {path: info for path, info in list_files(where).items() if path != DESCRIPTION}
    addresses = [str(info["address"]) for info in files.values()]
    folders = {address for address in named if address.endswith("/")}
    return sum(
        address not in named and f"{address.rsplit('/', 1)[0]}/" not in folders
        for address in addresses
    )


def faults(
    problem: str | None, share: float, min_fraction: float, readable: int
) -> tuple[str, ...]:
    """Why a folder cannot be used.

    Args:
        problem: Why it cannot be split, if so.
        share: Share of the images that can be used, estimated.
        min_fraction: Least share of usable images. ``[0, 1]``.
        readable: Number of images that could be decoded.
    """
    faults: list[str] = []
    if readable == 0:
        faults.append("no image can be used")
    elif share < min_fraction:
        faults.append(
            f"about {share:.0%} of the images can be used, at least {min_fraction:.0%} are expected"
        )
    if problem is not None:
        faults.append(problem)
    return tuple(faults)
