"""Who trains, who validates, who tests: by group, stratified by label, the same everywhere."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from supremix_datasets.cards.sample import SPLITS
from supremix_datasets.copies import united_groups
from supremix_datasets.errors import SplitError, TooFewSamplesError

QUANTILES = 10


@dataclass(frozen=True, slots=True)
class _PatientGroup:
    name: str
    size: int
    label: float
    order: bytes


def assign(
    index: pl.DataFrame,
    *,
    seed: int = 0,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    keep_copies_together: bool = False,
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

    Returns:
        ``(N,)`` of ``"train"``, ``"val"``, ``"test"``.

    Raises:
        SplitError: the fractions cannot be used, or a group has two official splits, also one of
            patients who are dealt as one.
        TooFewSamplesError: there are too few groups for every split to get one.
    """
    shares = _shares(fractions)
    if keep_copies_together:
        index = _united(index)
    official = _official(index)
    missing = {name for name in shares if name not in official.values()}
    groups = _groups(index, seed)
    undecided = [group for group in groups if group.name not in official]
    dealt = _deal(undecided, shares)
    if official and not undecided and missing:
        training = [group for group in groups if official[group.name] == "train"]
        dealt = _deal(training, {n: s for n, s in shares.items() if n in missing or n == "train"})
        official = {name: split for name, split in official.items() if split != "train"}
    chosen = _filled({**dealt, **official}, [g for g in groups if g.name in dealt], [*shares])
    empty = [name for name in shares if name not in chosen.values()]
    if empty:
        raise TooFewSamplesError(
            f"{len(groups)} groups (patients) are too few to fill the splits {empty} of {shares}. "
            "Give more data or other fractions."
        )
    return np.asarray([chosen[str(group)] for group in index["group"].to_list()], dtype=np.str_)


def _united(index: pl.DataFrame) -> pl.DataFrame:
    """The index with patients who have an image in common as one group."""
    groups = [str(group) for group in index["group"].to_list()]
    united = index.with_columns(
        pl.Series("group", united_groups(groups, index["image_hash"].to_list()), dtype=pl.String)
    )
    try:
        _official(united)
    except SplitError as error:
        _official(index)
        raise SplitError(
            "images that are the same lie in two official splits, so they cannot be kept together. "
            "Leave keep_copies_together out, or mend the table."
        ) from error
    return united


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


def _groups(index: pl.DataFrame, seed: int) -> list[_PatientGroup]:
    labels: dict[str, list[float]] = {}
    for group, target in index.select("group", "target").iter_rows():
        labels.setdefault(str(group), []).append(float(target))
    return [
        # fsum is exact, so the order of the rows cannot change the mean
        _PatientGroup(name, len(values), math.fsum(values) / len(values), _order(seed, name))
        for name, values in labels.items()
    ]


def _order(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()


def _filled(
    chosen: dict[str, str], movable: Sequence[_PatientGroup], splits: Sequence[str]
) -> dict[str, str]:
    """The splits of the groups, none of them empty where the movable groups suffice for that."""
    smallest_first = sorted(movable, key=lambda g: (g.size, g.order, g.name))
    for name in splits:
        counts = Counter(chosen.values())
        spare = (g.name for g in smallest_first if counts[chosen[g.name]] > 1)
        moved = None if counts[name] else next(spare, None)
        if moved is not None:
            chosen = {**chosen, moved: name}
    return chosen


def _deal(groups: Sequence[_PatientGroup], shares: dict[str, float]) -> dict[str, str]:
    ranked = sorted(groups, key=lambda g: (g.label, g.order, g.name))
    bins = min(QUANTILES, max(1, len(ranked) // 5))
    stratum = {group.name: rank * bins // len(ranked) for rank, group in enumerate(ranked)}
    ranked.sort(key=lambda g: (stratum[g.name], g.order, g.name))
    whole = math.fsum(shares.values())
    given = dict.fromkeys(shares, 0)
    chosen: dict[str, str] = {}
    seen = 0
    for group in ranked:
        seen += group.size
        neediest = max(shares, key=lambda name: shares[name] / whole * seen - given[name])
        chosen[group.name] = neediest
        given[neediest] += group.size
    return chosen
