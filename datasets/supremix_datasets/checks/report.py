"""What a check of a dataset's folder found, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from supremix_datasets.cards.card import Card


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSummary:
    """One split.

    Args:
        name: ``train``, ``val``, ``test``; ``all`` where the images cannot be split.
        images: Number of usable images in the split.
        groups: Number of groups (patients) in the split.
        official: True where the files themselves give this split for all of its images.
        low: Lowest label in the split.
        median: Median label of the split.
        high: Highest label in the split.
        sheet: Path of its contact sheet; None where none of its images could be decoded.
    """

    name: str
    images: int
    groups: int
    official: bool
    low: float
    median: float
    high: float
    sheet: str | None


@dataclass(frozen=True, slots=True)
class CovariateSummary:
    """One covariate: how many of the images have it, and its values.

    Args:
        name: Name of the covariate.
        known: Number of images that have it.
        images: Number of images.
        low: Lowest value; None where no image has one.
        high: Highest value.
        words: Images by word, where the covariate is a category.
    """

    name: str
    known: int
    images: int
    low: float | None
    high: float | None
    words: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ExclusionReason:
    """Why images are excluded, how many, and the id of one of them."""

    reason: str
    count: int
    example: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckReport:
    """What a check of a dataset's folder found.

    Args:
        card: The card, on the grid that images were looked at.
        source: Address of the folder.
        full: True where every image was decoded.
        listed: Images that were found in the folder or its tables, usable or not.
        images: Images that can be used, as far as was looked.
        decoded: Images that were decoded, or tried.
        groups: Groups (patients) of the usable images.
        splits: The splits that a search would use.
        label_counts: Images in each bar of the histogram of labels.
        label_edges: Edges of the bars, one more than bars.
        covariates: The covariates in the card's order, raw values.
        sites: Images by site, most first; empty where no site is known.
        sizes: Decoded files by their shape, most first.
        problems: What is excluded, the most frequent reason first.
        copies: Ids of decoded images that are the same to the last bit though they belong to
            different groups: one patient under two names, perhaps, in two splits.
        warnings: What the reader has to say of the samples as a whole, in sentences.
        unused: Files of the folder that are neither images nor tables of the dataset.
        faults: Why the folder cannot be used; empty where it can.
    """

    card: Card
    source: str
    full: bool
    listed: int
    images: int
    decoded: int
    groups: int
    splits: tuple[SplitSummary, ...]
    label_counts: tuple[int, ...]
    label_edges: tuple[float, ...]
    covariates: tuple[CovariateSummary, ...]
    sites: Mapping[str, int]
    sizes: Mapping[str, int]
    problems: tuple[ExclusionReason, ...]
    copies: tuple[tuple[str, ...], ...]
    warnings: tuple[str, ...]
    unused: int
    faults: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether preparing the folder would succeed, as far as was looked."""
        return not self.faults

    @property
    def excluded(self) -> int:
        """Images that cannot be used, as far as was looked."""
        return sum(problem.count for problem in self.problems)
