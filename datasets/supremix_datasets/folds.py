"""Folds of a cross-validation: every patient is in the test split of exactly one of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from supremix_datasets.dealing import deal, filled, groups_of
from supremix_datasets.errors import SplitError, TooFewSamplesError

COLUMN = "fold"
"""Column of the index with the folds that the dataset itself has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """One fold of a cross-validation.

    Args:
        number: Index of the fold, from 0.
        count: Number of folds, at least 2.
        by_site: Whether folds and splits are stratified by site, as well as by label.

    Raises:
        SplitError: There is no such fold.
    """

    number: int
    count: int
    by_site: bool = False

    def __post_init__(self) -> None:
        if self.count < 2 or not 0 <= self.number < self.count:
            raise SplitError(
                "a cross-validation has at least 2 folds, numbered from 0; found fold "
                f"{self.number} of {self.count}"
            )


def fold_of_samples(index: pl.DataFrame, fold: Fold, *, seed: int = 0) -> NDArray[np.int64]:
    """The fold of every sample: those of the dataset where it has folds, else dealt by patient.

    Patients are sorted into label quantiles, of each site where asked for, shuffled within each by
    a hash of seed and name, and dealt so that folds have the same number of images, as nearly as
    whole patients allow.

    Args:
        index: Columns ``group``, ``target``; ``site`` where folds are stratified by it, and perhaps
            ``fold``.
        fold: Number of folds, and how they are stratified; which of them it is changes nothing.
        seed: Seed of the folds.

    Returns:
        ``(N,)`` numbers from 0 to ``fold.count - 1``, all of which occur.

    Raises:
        SplitError: The dataset's own folds are incomplete, of another number, or share a patient;
            or no site is known.
        TooFewSamplesError: There are more folds than patients.
    """
    if has_own_folds(index):
        return _own_folds(index, fold.count)
    if fold.by_site and not index["site"].count():
        raise SplitError(
            "folds cannot be stratified by site: no image has one. Leave it out, or name the "
            "column of the site in dataset.toml ([columns] site = …)."
        )
    listed = groups_of(index, f"{seed}/folds", by_site=fold.by_site)
    if len(listed) < fold.count:
        raise TooFewSamplesError(
            f"{fold.count} folds need at least as many groups (patients); found {len(listed)}. "
            "Give fewer folds, or more data."
        )
    parts = [str(number) for number in range(fold.count)]
    chosen = filled(deal(listed, dict.fromkeys(parts, 1.0)), listed, parts)
    return np.asarray([int(chosen[str(g)]) for g in index["group"].to_list()], dtype=np.int64)


def has_own_folds(index: pl.DataFrame) -> bool:
    """Whether the dataset itself says which images are in which fold."""
    return COLUMN in index.columns and bool(index[COLUMN].count())


def _own_folds(index: pl.DataFrame, count: int) -> NDArray[np.int64]:
    words: list[str | None] = index[COLUMN].to_list()
    names = sorted({word for word in words if word is not None}, key=_natural)
    lacking = words.count(None)
    if lacking:
        raise SplitError(
            f"the column of the fold is empty for {lacking} of {len(words)} images. Every image "
            "needs a fold; fill it in, or take the column out of the table to have folds dealt."
        )
    if len(names) != count:
        raise SplitError(
            f"the table has {len(names)} folds ({', '.join(names[:10])}), but {count} are asked "
            f"for. Give --folds {max(2, len(names))}, or take the column out of the table."
        )
    spread = index.group_by("group").agg(pl.col(COLUMN).n_unique()).filter(pl.col(COLUMN) > 1)
    if spread.height:
        raise SplitError(
            f"{spread.height} groups (patients) are in several folds of the table, such as "
            f"{min(spread['group'].to_list())!r}: their images would leak. Mend the table."
        )
    number = {name: n for n, name in enumerate(names)}
    return np.asarray([number[str(word)] for word in words], dtype=np.int64)


def _natural(word: str) -> tuple[tuple[int, str], ...]:
    """A key by which fold 2 comes before fold 10."""
    parts = re.findall(r"\d+|\D+", word)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)
