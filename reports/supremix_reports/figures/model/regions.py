"""Errors by part of the data: by label region, by site, by sex."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from supremix_reports.errors import PlotError
from supremix_reports.figures.model.samples import Predicted, Samples
from supremix_reports.figures.plot import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    Plot,
    drawing,
    number,
    whiskers,
)
from supremix_reports.statistics.resampling.bootstrap import Resampling
from supremix_reports.statistics.resampling.intervals import (
    Array,
    Interval,
    mean_interval,
    seeds_interval,
)
from supremix_reports.tables import schema
from supremix_reports.tables.frames import folds_of

PER_BIN: Final = 8
"""Samples that a label region holds at least, about."""
MOST: Final = 6
"""Label regions at most."""
SHOWN: Final = 20
"""Sites that get a line of their own; the rest is taken together."""

_UNKNOWN: Final = "not known"


def label_edges(targets: npt.ArrayLike) -> Array:
    """Return the edges of up to six label regions with about equally many samples each.

    Args:
        targets: (N,) true values, one a sample.

    Returns:
        Edges (K + 1,), strictly rising; a region holds its lower edge, the last one both. Fewer
        than three edges where there are too few samples or distinct values for two regions.
    """
    values = np.asarray(targets, dtype=np.float64)
    count = min(MOST, len(values) // PER_BIN)
    if count < 2:
        return np.unique(values)[:1]
    edges = np.unique(np.quantile(values, np.linspace(0, 1, count + 1)))
    inside = np.unique(regions(values, edges))
    kept = [edges[0], *(edges[i] for i in inside[1:]), edges[-1]]
    return np.unique(kept)


def regions(targets: npt.ArrayLike, edges: Array) -> npt.NDArray[np.intp]:
    """Return the number of the region of each true value, (N,), counted from 0."""
    return np.searchsorted(edges[1:-1], np.asarray(targets, dtype=np.float64), side="right")


def label_rows(of: Samples) -> list[dict[str, Any]]:
    """Return MAE and bias of each label region, with their intervals.

    Those of the MAE are over patients and seeds, those of the bias over patients.

    Returns:
        A row a region: from, to, at (median true value), n, patients, mae, mae_low, mae_high,
        bias, bias_low, bias_high.

    Raises:
        PlotError: There are too few samples, or distinct true values, for two regions.
    """
    edges = label_edges(of.each[schema.TARGET].to_numpy())
    if len(edges) < 3:
        raise PlotError(
            f"Two label regions of {PER_BIN} samples each, apart in their true values, are needed; "
            f"there are {of.describe()}"
        )
    bins = regions(of.column(schema.TARGET), edges)
    rows: list[dict[str, Any]] = []
    for k in range(len(edges) - 1):
        part = of.rows.filter(pl.Series(bins == k))
        at = float(np.median(part[schema.TARGET].to_numpy()))
        place = {"from": float(edges[k]), "to": float(edges[k + 1]), "at": at}
        rows.append(place | _measures(part, of.resampling))
    return rows


def label_plot(data: Predicted) -> Plot:
    """Draw the MAE by label region."""
    of, words, target, unit, _ = data
    rows = label_rows(of)
    whole = _mae(of.rows, of.resampling)
    worst = max(rows, key=lambda row: row["mae"])
    with drawing(height=3.2) as (figure, (axes,)):
        x = np.array([(row["from"] + row["to"]) / 2 for row in rows])
        half = np.array([(row["to"] - row["from"]) / 2 for row in rows])
        axes.axhline(whole.value, color=GREY, linestyle="--", linewidth=1, label="all")
        axes.bar(x, [r["mae"] for r in rows], 2 * half * 0.96, color=BLUE, alpha=0.55)
        mae, low, high = ([row[f"mae{end}"] for row in rows] for end in ("", "_low", "_high"))
        whiskers(axes, x, mae, low, high)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(f"true {target} ({unit})")
        axes.set_ylabel(f"MAE ({unit})")
        _counts(axes, x, rows)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return Plot(
        caption=f"Mean absolute error of {words} by region of the true {target}, in regions of "
        f"about equally many samples, with {of.resampling.percent} intervals over {of.over}; the "
        f"numbers are those of samples. Dashed: of all samples, {number(whole.value)} {unit}. "
        f"{of.describe()}",
        alt=f"Bars of the MAE of {words} in {len(rows)} regions of {target}; the largest, "
        f"{number(worst['mae'])} {unit}, from {number(worst['from'])} to {number(worst['to'])}.",
        figure=figure,
        data=pl.DataFrame(rows),
    )


def parts_plot(data: Predicted, column: str) -> Plot:
    """Draw MAE and bias of each site, or of each sex; the column is "site" or "sex"."""
    of, words, _, unit, _ = data
    known = of.rows[column].drop_nulls().n_unique() if column in of.rows.columns else 0
    if known < 2:
        raise PlotError(
            f"All samples are of one {column}." if known else f"No {column} is recorded."
        )
    rows, joined = part_rows(of, column)
    over = of.over if of.seeds == 1 else f"{of.over} (MAE) and over {of.over_patients} (bias)"
    whole = _mae(of.rows, of.resampling)
    worst = max(rows, key=lambda row: row["mae"])
    rest = f" The {joined} with the fewest samples are taken together." if joined else ""
    return Plot(
        caption=f"Mean absolute error and bias (prediction minus truth) of {words} by {column}, "
        f"with {of.resampling.percent} intervals over {over} (none for a single patient); "
        "behind each name the number of samples. Dashed: MAE of all, "
        f"{number(whole.value)} {unit}.{rest} "
        f"Differences between them are not tested. {of.describe()}",
        alt=f"MAE and bias of {words} for {len(rows)} values of {column}; the largest MAE, "
        f"{number(worst['mae'])} {unit}, is that of {worst[column]}.",
        figure=_draw_parts(rows, column, whole.value, unit),
        data=pl.DataFrame(rows),
    )


def part_rows(of: Samples, column: str) -> tuple[list[dict[str, Any]], int]:
    """Return MAE and bias of each site or sex, by name, and how many were taken together.

    Returns:
        A row a part (`site` or `sex`, n, patients, mae, bias and their intervals), and the number
        of the smallest sites beyond the 19 largest that the last row holds together.
    """
    rows = of.rows.with_columns(pl.col(column).cast(pl.String).fill_null(_UNKNOWN))
    sizes = rows.group_by(column).agg(pl.col(schema.ID).n_unique().alias("n"))
    names = sizes.sort("n", column, descending=[True, False])[column].to_list()
    own, rest = (names, []) if len(names) <= SHOWN else (names[: SHOWN - 1], names[SHOWN - 1 :])
    parts = [
        {column: name} | _measures(rows.filter(pl.col(column) == name), of.resampling)
        for name in sorted(own)
    ]
    if rest:
        together = rows.filter(pl.col(column).is_in(rest))
        parts.append({column: f"{len(rest)} others"} | _measures(together, of.resampling))
    return parts, len(rest)


def _measures(rows: pl.DataFrame, resampling: Resampling) -> dict[str, Any]:
    mae = _mae(rows, resampling)
    columns = (rows[schema.ERROR].to_numpy(), rows[schema.GROUP].to_numpy())
    bias = mean_interval(*columns, **resampling.arguments())
    counts = {"n": rows[schema.ID].n_unique(), "patients": mae.groups}
    return {**counts, **mae.row("mae"), **bias.row("bias")}


def _mae(rows: pl.DataFrame, resampling: Resampling) -> Interval:
    columns = (rows[name].to_numpy() for name in (schema.ERROR, schema.GROUP, schema.SEED))
    return seeds_interval(*columns, folds=folds_of(rows), **resampling.arguments())


def _draw_parts(rows: Sequence[dict[str, Any]], column: str, whole: float, unit: str) -> Any:
    y = np.arange(len(rows), dtype=np.float64)
    size = 1.0 + 0.27 * len(rows)
    with drawing(1, 2, height=size, sharey=True) as (figure, (left, right)):
        for axes, what, mark, colour in (
            (left, "mae", "o", BLUE),
            (right, "bias", "s", ORANGE),
        ):
            values, low, high = ([r[f"{what}{end}"] for r in rows] for end in ("", "_low", "_high"))
            whiskers(axes, y, values, low, high, across=True)
            axes.plot(values, y, mark, color=colour, markeredgecolor=BLACK, markersize=6)
            axes.grid(visible=False, axis="y")
        left.axvline(whole, color=GREY, linestyle="--", linewidth=1)
        right.axvline(0, color=GREY, linewidth=1)
        left.set_xlim(left=0)
        left.set_xlabel(f"MAE ({unit})")
        right.set_xlabel(f"bias ({unit})")
        left.set_yticks(y, [f"{row[column]} ({row['n']})" for row in rows])
        left.set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _counts(axes: Any, x: Array, rows: Sequence[dict[str, Any]]) -> None:
    """Write the number of samples into the foot of each bar."""
    for at, row in zip(x, rows, strict=True):
        axes.annotate(
            str(row["n"]), (at, 0), xytext=(0, 3), textcoords="offset points", ha="center",
            fontsize=8,
        )  # fmt: skip
