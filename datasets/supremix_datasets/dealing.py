"""Dealing patients to parts: by group, stratified by label, the same on every machine."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from supremix_datasets.copies import united_groups

QUANTILES = 10


@dataclass(frozen=True, slots=True)
class PatientGroup:
    """All images of one patient.

    Args:
        name: The patient, or another unit that must not span two parts.
        size: Number of images.
        label: Mean of their labels.
        order: Bytes that decide the order within a stratum.
        site: Site of the patient, where groups are stratified by site; else empty.
    """

    name: str
    size: int
    label: float
    order: bytes
    site: str = ""


def groups_of(index: pl.DataFrame, seed: int | str, *, by_site: bool = False) -> list[PatientGroup]:
    """The groups of an index.

    Args:
        index: Columns ``group``, ``target`` and, where asked for, ``site``.
        seed: Seed of the order.
        by_site: Whether groups have sites; one with images of several has the first of them.
    """
    labels: dict[str, list[float]] = {}
    for group, target in index.select("group", "target").iter_rows():
        labels.setdefault(str(group), []).append(float(target))
    sites: dict[str, str] = {}
    if by_site:
        for group, site in index.select("group", pl.col("site").fill_null("")).iter_rows():
            sites[str(group)] = min(site, sites.get(str(group), site))
    return [
        # fsum is exact, so the order of the rows cannot change the mean
        PatientGroup(
            name,
            len(values),
            math.fsum(values) / len(values),
            _order(seed, name),
            sites.get(name, ""),
        )
        for name, values in labels.items()
    ]


def united(index: pl.DataFrame) -> pl.DataFrame:
    """The index with patients who have an image in common, see ``image_hash``, as one group."""
    groups = [str(group) for group in index["group"].to_list()]
    names = united_groups(groups, index["image_hash"].to_list())
    return index.with_columns(pl.Series("group", names, dtype=pl.String))


def _order(seed: int | str, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()


def deal(groups: Sequence[PatientGroup], shares: Mapping[str, float]) -> dict[str, str]:
    """The part of each group: each goes to the one that is furthest below its share of the images.

    Groups are sorted into label quantiles, of each site where they have sites, and are in the order
    of their bytes within these.

    Args:
        groups: The groups.
        shares: Share of each part; their sum may be anything.
    """
    stratum = _strata(groups, max(5, len(shares)))
    ranked = sorted(groups, key=lambda g: (stratum[g.name], g.order, g.name))
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


def _strata(groups: Sequence[PatientGroup], least: int) -> dict[str, tuple[str, int]]:
    """By group its site and label quantile; each quantile holds at least so many groups."""
    found: dict[str, tuple[str, int]] = {}
    for site in sorted({group.site for group in groups}):
        own = sorted(
            (g for g in groups if g.site == site), key=lambda g: (g.label, g.order, g.name)
        )
        bins = min(QUANTILES, max(1, len(own) // least))
        found |= {group.name: (site, rank * bins // len(own)) for rank, group in enumerate(own)}
    return found


def filled(
    chosen: Mapping[str, str], movable: Sequence[PatientGroup], parts: Sequence[str]
) -> dict[str, str]:
    """The parts of the groups, none of them empty where the movable groups suffice for that."""
    found = dict(chosen)
    smallest_first = sorted(movable, key=lambda g: (g.size, g.order, g.name))
    for name in parts:
        counts = Counter(found.values())
        spare = (g.name for g in smallest_first if counts[found[g.name]] > 1)
        moved = None if counts[name] else next(spare, None)
        if moved is not None:
            found[moved] = name
    return found
