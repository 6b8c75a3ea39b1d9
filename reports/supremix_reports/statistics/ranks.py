"""Ranks of methods over datasets: Friedman's test, Nemenyi's critical difference, its diagram.

After Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets": on each dataset
the methods are ranked by their error, 1 the least; equal errors share the mean of their ranks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from scipy import stats

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.bootstrap import LEVEL
from supremix_reports.statistics.seeds import Array
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
        The ranks. Datasets without a value of every method are left out and listed. With fewer
        than two datasets or methods there is no test, and `reason` says so.

    Raises:
        StatisticsError: several rows for a dataset and method, or a level that is none.
    """
    if not 0 < level < 1:
        raise StatisticsError(f"level has to be between 0 and 1; got {level!r}.")
    rows = mae.filter((pl.col(schema.SPLIT) == split) & (pl.col(schema.METRIC) == metric))
    values = _values(rows)
    methods = sorted({method for known in values.values() for method in known})
    complete, left_out = _complete(values, methods)
    reason = _reason(len(complete), len(methods))
    errors = np.array([[values[name][m] for m in methods] for name in complete])
    errors = errors.reshape(len(complete), len(methods))
    ranks = stats.rankdata(errors, axis=1) if errors.size else errors
    table = _table(complete, methods, errors, ranks)
    if not complete:
        return Ranks(
            methods=tuple(methods), mean_ranks=(), datasets=(), table=table, level=level,
            left_out=left_out, reason=reason,
        )  # fmt: skip
    order = np.argsort(ranks.mean(axis=0), kind="stable")
    names, means = tuple(methods[i] for i in order), tuple(ranks.mean(axis=0)[order].tolist())
    common: dict[str, Any] = {
        "methods": names, "mean_ranks": means, "datasets": tuple(complete), "table": table,
        "level": level, "left_out": left_out, "reason": reason,
    }  # fmt: skip
    if reason:
        return Ranks(**common)
    statistic = _friedman(ranks)
    apart = nemenyi_difference(len(names), len(complete), level=level)
    return Ranks(
        **common,
        statistic=statistic,
        p=float(stats.chi2.sf(statistic, len(names) - 1)),
        critical_difference=apart,
        cliques=_cliques(names, means, apart),
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


def _values(rows: pl.DataFrame) -> dict[str, dict[str, float]]:
    """The finite values by dataset and method; a dataset without any is there, and empty."""
    twice = rows.filter(rows.select(schema.DATASET, schema.METHOD).is_duplicated())
    if not twice.is_empty():
        first = twice.row(0, named=True)
        raise StatisticsError(
            f"There are several values of {first[schema.METHOD]} on {first[schema.DATASET]}; "
            "ranks need one. Give the runs of one search or benchmark."
        )
    values: dict[str, dict[str, float]] = {}
    for row in rows.sort(schema.DATASET, schema.METHOD).iter_rows(named=True):
        known = values.setdefault(row[schema.DATASET], {})
        value = row[schema.VALUE]
        if value is not None and math.isfinite(value):
            known[row[schema.METHOD]] = value
    return values


def _complete(
    values: dict[str, dict[str, float]], methods: Sequence[str]
) -> tuple[list[str], tuple[tuple[str, str], ...]]:
    """The datasets with a value of every method, and the others with what they lack."""
    complete: list[str] = []
    left_out: list[tuple[str, str]] = []
    for name, known in values.items():
        lacking = [method for method in methods if method not in known]
        if lacking or not known:
            left_out.append((name, f"no error of {', '.join(lacking) or 'any method'}"))
        else:
            complete.append(name)
    return complete, tuple(left_out)


def _reason(datasets: int, methods: int) -> str | None:
    if datasets >= _LEAST and methods >= _LEAST:
        return None
    return (
        f"Ranks over datasets need two datasets with errors of all methods, and two methods; "
        f"there are {datasets} and {methods}."
    )


def _table(
    datasets: Sequence[str], methods: Sequence[str], errors: Array, ranks: Array
) -> pl.DataFrame:
    pairs = [(name, method) for name in datasets for method in methods]
    return pl.DataFrame(
        {
            schema.DATASET: pl.Series([name for name, _ in pairs], dtype=pl.String),
            schema.METHOD: pl.Series([method for _, method in pairs], dtype=pl.String),
            schema.VALUE: pl.Series(errors.ravel().tolist(), dtype=pl.Float64),
            RANK: pl.Series(ranks.ravel().tolist(), dtype=pl.Float64),
        }
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
