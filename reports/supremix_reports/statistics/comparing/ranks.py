"""Ranks of methods over datasets: Friedman's test, Nemenyi's critical difference, its diagram.

After Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets": on each dataset
the methods are ranked by their error, 1 the least; equal errors share the mean of their ranks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from scipy import stats

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.measures.skill import shows_skill
from supremix_reports.statistics.resampling.bootstrap import LEVEL
from supremix_reports.statistics.resampling.seeds import Array
from supremix_reports.tables import schema

RANK: Final = "rank"
_LEAST: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Mean ranks of methods over datasets, best first, and what they show.

    Args:
        methods: names, by mean rank.
        mean_ranks: mean over datasets of each method's rank, 1 the best.
        datasets: names of the datasets ranked on, sorted.
        table: a row a dataset and method: dataset, method, value (the error), rank.
        statistic: Friedman's chi-square, corrected for ties; None without datasets or methods
            enough.
        p: its p value: how probable such ranks are if the methods are all alike.
        critical_difference: Mean ranks that differ by less do not differ significantly (Nemenyi).
        cliques: Groups of methods, in order, without a significant difference, each as large as
            can be.
        level: 1 − level is the probability of telling any two apart if all are alike.
        left_out: what was not ranked: dataset and why.
        reason: why there are no ranks or no test; None where there is.
    """

    methods: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    datasets: tuple[str, ...]
    table: pl.DataFrame
    statistic: float | None = None
    p: float | None = None
    critical_difference: float | None = None
    cliques: tuple[tuple[str, ...], ...] = ()
    level: float = LEVEL
    left_out: tuple[tuple[str, str], ...] = ()
    reason: str | None = None


def rank_methods(
    mae: pl.DataFrame, *, split: str = schema.TEST, metric: str = schema.MAE, level: float = LEVEL
) -> Ranks:
    """Rank methods over datasets and test whether they differ.

    Args:
        mae: rows of the table `mae`, one for each dataset and method of the split and metric.
        split: split to look at.
        metric: measure to rank by, an error: less is better.
        level: 1 − level is the probability of telling any two apart if all are alike.

    Returns:
        The ranks. Datasets without a value of every method, and those on which no method shows
        skill, are left out and listed. With fewer than two datasets or methods, or one seed, there
        is no test, and `reason` says so.

    Raises:
        StatisticsError: several rows for a dataset and method, or a level that is none.
    """
    if not 0 < level < 1:
        raise StatisticsError(f"level has to be between 0 and 1; got {level!r}.")
    rows = mae.filter(pl.col(schema.SPLIT) == split, pl.col(schema.METRIC) == metric)
    _check_single(rows)
    known = rows.filter(pl.col(schema.VALUE).is_finite())
    methods = sorted(set(known[schema.METHOD]))
    there = set(known.select(schema.DATASET, schema.METHOD).iter_rows())
    no_skill = dict.fromkeys(_without_skill(mae, split), "no method shows skill")
    lacking = {
        name: f"no error of {', '.join(gaps) or 'any method'}"
        for name in sorted(set(rows[schema.DATASET]))
        if (gaps := [one for one in methods if (name, one) not in there]) or not methods
    }
    left_out = no_skill | lacking
    complete = sorted(set(rows[schema.DATASET]) - left_out.keys())
    rank = pl.col(schema.VALUE).rank("average").over(schema.DATASET).alias(RANK)
    table = (
        known.filter(pl.col(schema.DATASET).is_in(complete))
        .sort(schema.DATASET, schema.METHOD)
        .select(schema.DATASET, schema.METHOD, schema.VALUE, rank)
    )
    means = table.group_by(schema.METHOD).agg(pl.col(RANK).mean()).sort(RANK, schema.METHOD)
    names = tuple(means[schema.METHOD]) if complete else tuple(methods)
    reason = None
    if len(complete) < _LEAST or len(methods) < _LEAST:
        reason = (
            "Ranks over datasets need two datasets with errors of all methods, and two methods; "
            f"there are {len(complete)} and {len(methods)}."
        )
    elif known.filter(pl.col(schema.DATASET).is_in(complete))[schema.SEEDS].to_numpy().min() < 2:
        reason = "There is one seed, from which no difference is shown; a test of ranks needs two."
    found = Ranks(
        methods=names,
        mean_ranks=tuple(means[RANK]),
        datasets=tuple(complete),
        table=table,
        level=level,
        left_out=tuple(sorted(left_out.items())),
        reason=reason,
    )
    if reason:
        return found
    statistic = _friedman(table[RANK].to_numpy().reshape(len(complete), len(methods)))
    apart = nemenyi_difference(len(names), len(complete), level=level)
    return replace(
        found,
        statistic=statistic,
        p=float(stats.chi2.sf(statistic, len(names) - 1)),
        critical_difference=apart,
        cliques=_cliques(names, found.mean_ranks, apart),
    )


def nemenyi_difference(methods: int, datasets: int, *, level: float = LEVEL) -> float:
    """Return the least difference of mean ranks that tells two methods apart.

    q √(k (k + 1) / (6 N)), with q the quantile of the studentised range of k methods and infinite
    degrees of freedom, divided by √2 (Nemenyi 1963; Demšar 2006, section 3.2.2).

    Args:
        methods: k, their number, from 2.
        datasets: N, their number, from 1.
        level: 1 − level is the probability of telling any two apart if all are alike.
    """
    q = float(stats.studentized_range.ppf(level, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * datasets))


def _without_skill(mae: pl.DataFrame, split: str) -> set[str]:
    """The datasets on which the skill of methods is known, and none shows any."""
    known = mae.filter(pl.col(schema.SPLIT) == split, pl.col(schema.METRIC) == schema.SKILL)
    rows = known.select(schema.DATASET, schema.LOW).rows()
    return {name for name, _ in rows} - {name for name, low in rows if shows_skill(low)}


def _check_single(rows: pl.DataFrame) -> None:
    twice = rows.filter(rows.select(schema.DATASET, schema.METHOD).is_duplicated())
    if not twice.is_empty():
        first = twice.row(0, named=True)
        raise StatisticsError(
            f"There are several values of {first[schema.METHOD]} on {first[schema.DATASET]}; "
            "ranks need one. Give the runs of one search or benchmark."
        )


def _friedman(ranks: Array) -> float:
    """Friedman's chi-square of ranks (N, k): their spread against that of N rows without order.

    scipy's asks for three methods at least; for two it is the sign test's normal form.
    """
    datasets, methods = ranks.shape
    between = ((ranks.sum(axis=0) - datasets * (methods + 1) / 2) ** 2).sum()
    within = ((ranks - (methods + 1) / 2) ** 2).sum()
    return float((methods - 1) * between / within) if within else 0.0


def _cliques(
    names: Sequence[str], means: Sequence[float], apart: float
) -> tuple[tuple[str, ...], ...]:
    """Runs of at least two methods within the critical difference, none inside another."""
    found: list[tuple[int, int]] = []
    for first in range(len(names)):
        last = max(k for k in range(len(names)) if means[k] - means[first] < apart)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return tuple(tuple(names[first : last + 1]) for first, last in found)
