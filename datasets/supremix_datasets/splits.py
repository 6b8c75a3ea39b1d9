"""Who trains, who validates, who tests: by group, stratified by label, the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from supremix_datasets.cards.sample import SPLITS
from supremix_datasets.dealing import deal, filled, groups_of, united
from supremix_datasets.errors import SplitError, TooFewSamplesError
from supremix_datasets.folds import Fold, fold_of_samples


def assign(
    index: pl.DataFrame,
    *,
    seed: int = 0,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    keep_copies_together: bool = False,
    fold: Fold | None = None,
) -> NDArray[np.str_]:
    """The split of every sample.

    Official splits are kept; a split that the official ones lack is taken out of their training
    groups. Everything else is dealt by group: groups are sorted into label quantiles, shuffled
    within each by a hash of the seed and the group's name, and each goes to the split that is
    furthest below its share. A split that would stay empty takes the smallest group that was dealt
    to a split with several. The result depends on names, labels and seed only, not on the order of
    the rows nor on the machine.

    Args:
        index: Columns ``group``, ``target`` and perhaps ``split`` (null: not official).
        seed: Seed of the split.
        fractions: Shares of train, val and test of all samples; ``>= 0``, sum 1.
        keep_copies_together: Whether patients who have an image in common are dealt as one; the
            index has a column ``image_hash`` then.
        fold: Fold of a cross-validation, whose images are the test split; the others are dealt to
            train and val by their shares. Official splits do not count then. None for none.

    Returns:
        ``(N,)`` of ``"train"``, ``"val"``, ``"test"``.

    Raises:
        SplitError: the fractions cannot be used, or a group has two official splits, also one of
            patients who are dealt as one, or the folds of the index cannot be used.
        TooFewSamplesError: there are too few groups for every split to get one.
    """
    shares = _shares(fractions)
    if fold is not None:
        together = united(index) if keep_copies_together else index
        return _fold_splits(together, fold, seed, shares)
    if keep_copies_together:
        index = _united(index)
    official = _official(index)
    missing = {name for name in shares if name not in official.values()}
    groups = groups_of(index, seed)
    undecided = [group for group in groups if group.name not in official]
    dealt = deal(undecided, shares)
    if official and not undecided and missing:
        training = [group for group in groups if official[group.name] == "train"]
        dealt = deal(training, {n: s for n, s in shares.items() if n in missing or n == "train"})
        official = {name: split for name, split in official.items() if split != "train"}
    chosen = filled({**dealt, **official}, [g for g in groups if g.name in dealt], [*shares])
    empty = [name for name in shares if name not in chosen.values()]
    if empty:
        raise TooFewSamplesError(
            f"{len(groups)} groups (patients) are too few to fill the splits {empty} of {shares}. "
            "Give more data or other fractions."
        )
    return np.asarray([chosen[str(group)] for group in index["group"].to_list()], dtype=np.str_)


def _fold_splits(
    index: pl.DataFrame, fold: Fold, seed: int, shares: dict[str, float]
) -> NDArray[np.str_]:
    """The splits of a fold: its images are test, the others are dealt without official splits."""
    tested = fold_of_samples(index, fold, seed=seed) == fold.number
    rest = index.filter(pl.Series(~tested)).drop("split", strict=False)
    inner = {name: share for name, share in shares.items() if name != "test"}
    groups = groups_of(rest, f"{seed}/fold {fold.number}", by_site=fold.by_site)
    chosen = filled(deal(groups, inner), groups, [*inner])
    if set(inner) - set(chosen.values()):
        raise TooFewSamplesError(
            f"without fold {fold.number} of {fold.count} there are {len(groups)} groups "
            f"(patients), too few to fill the splits {[*inner]}. Give more data or fewer folds."
        )
    found = np.full(index.height, "test", dtype="<U5")
    found[~tested] = [chosen[str(group)] for group in rest["group"].to_list()]
    return found


def _united(index: pl.DataFrame) -> pl.DataFrame:
    """The index with patients who have an image in common as one group, of one official split."""
    found = united(index)
    try:
        _official(found)
    except SplitError as error:
        _official(index)
        raise SplitError(
            "images that are the same lie in two official splits, so they cannot be kept together. "
            "Leave keep_copies_together out, or mend the table."
        ) from error
    return found


def _shares(fractions: Sequence[float]) -> dict[str, float]:
    total = math.fsum(fractions)
    if len(fractions) != 3 or min(fractions) < 0 or abs(total - 1) > 1e-6 or fractions[0] == 0:
        raise SplitError(
            "fractions must be three shares of train, val and test, each >= 0, train > 0, summing "
            f"to 1; found {tuple(fractions)}"
        )
    return {name: share for name, share in zip(SPLITS, fractions, strict=True) if share > 0}


def _official(index: pl.DataFrame) -> dict[str, str]:
    """Group to official split, for the groups that have one."""
    chosen: dict[str, str] = {}
    if "split" not in index.columns:
        return chosen
    known = index.filter(pl.col("split").is_not_null())
    for group, split in known.select("group", "split").unique(maintain_order=True).iter_rows():
        if split not in SPLITS:
            raise SplitError(f"an official split must be one of {SPLITS}, found {split!r}")
        if chosen.setdefault(str(group), str(split)) != split:
            raise SplitError(
                "a group (patient) is in two official splits, "
                f"{chosen[str(group)]!r} and {split!r}: its images would leak. Mend the table."
            )
    return chosen
