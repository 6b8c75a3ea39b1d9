"""The best error against the budget over several datasets: which method gets there sooner."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl

from supremix_reports.errors import PlotError
from supremix_reports.figures.plot import (
    COLOURS,
    DASHES,
    Plot,
    counted,
    drawing,
    listed,
    nth,
    number,
)
from supremix_reports.figures.search.curves import BEST, SPENT, best_so_far
from supremix_reports.figures.search.trials import SearchTrials
from supremix_reports.tables import schema

SHARE: Final = "share"
GAP: Final = "gap"
_GRID: Final = 101


def across_budget_plot(trials: pl.DataFrame) -> Plot:
    """Draw the best error so far over the least one, against the budget, a line a method."""
    gaps = budget_gaps(trials)
    methods, rest = several_searches(trials, gaps)
    data = method_gaps(gaps)
    ends = [
        f"{method} {number(data.filter(pl.col(schema.METHOD) == method)[GAP][-1])}"
        for method in methods
    ]
    datasets = gaps[schema.DATASET].n_unique()
    return Plot(
        caption="Least validation MAE so far, divided by the least one that any method has reached "
        "on the dataset, against the share of the epochs of the search that is spent. Lines: "
        f"means of a method over its datasets ({datasets} in all), from where each of them has a "
        "finished trial; bands: from the least to the largest of them. Trials that "
        f"retrain hyperparameters with new seeds are left out.{rest}",
        alt=f"Falling lines of the relative least error of {counted(len(methods), 'method')} over "
        f"{counted(datasets, 'dataset')}; at the end {listed(ends)}.",
        figure=_drawn(data, methods),
        data=data,
    )


def several_searches(trials: pl.DataFrame, drawn: pl.DataFrame) -> tuple[list[str], str]:
    """Return the methods that are drawn, and in words the datasets of `trials` that are not.

    Raises:
        PlotError: Fewer than two datasets or methods are drawn.
    """
    pairs = drawn.select(schema.DATASET, schema.METHOD).unique().height
    if pairs < 2:
        raise PlotError(
            "Two datasets or methods with finished trials are needed; there is "
            f"{'one' if pairs else 'none'}."
        )
    lacking = sorted(set(trials[schema.DATASET]) - set(drawn[schema.DATASET]))
    rest = f" Not drawn, without a finished trial or of error 0: {listed(lacking)}."
    return sorted(set(drawn[schema.METHOD])), rest if lacking else ""


def budget_gaps(trials: pl.DataFrame) -> pl.DataFrame:
    """Return the best error so far of each search, over the least one of its dataset.

    Returns:
        A row a search (run, dataset and method) and percent of its budget: dataset, method, run,
        share (0 to 1), gap (best so far over the least of any search on the dataset, 1 or more);
        shares before the first finished trial are left out, so are datasets of least error 0.
    """
    keys = [schema.DATASET, schema.METHOD, schema.RUN]
    frames: list[pl.DataFrame] = []
    for part in trials.sort(*keys, schema.TRIAL).partition_by(keys, maintain_order=True):
        rows = best_so_far(SearchTrials(rows=part, configs=(), parameters=(), recorded=False))
        known = rows.filter(pl.col(BEST).is_not_null())
        if known.is_empty() or float(str(rows[SPENT].max())) <= 0:
            continue
        share = np.linspace(0, 1, _GRID)
        # The nearest double of a share may lie a hair below the end of a trial.
        spent = share * rows[SPENT][-1] * (1 + 1e-12)
        at = np.searchsorted(known[SPENT].to_numpy(), spent, side="right")
        share, best = share[at > 0], known[BEST].to_numpy()[at[at > 0] - 1]
        frames.append(
            pl.DataFrame({SHARE: share, GAP: best}).with_columns(
                pl.lit(part[key][0]).alias(key) for key in keys
            )
        )
    if not frames:
        kinds = dict.fromkeys(keys, pl.String) | {SHARE: pl.Float64, GAP: pl.Float64}
        return pl.DataFrame(schema=kinds)
    table = pl.concat(frames).select(*keys, SHARE, GAP)
    least = pl.col(GAP).min().over(schema.DATASET)
    return table.filter(least > 0).with_columns(pl.col(GAP) / least)


def method_gaps(gaps: pl.DataFrame) -> pl.DataFrame:
    """Return mean, least and largest gap of each method where all its searches have one.

    Returns:
        Columns method, share, gap, low, high, searches; sorted.
    """
    keys = [schema.METHOD, schema.RUN, schema.DATASET]
    searches = gaps.select(keys).unique().group_by(schema.METHOD).len("all")
    return (
        gaps.group_by(schema.METHOD, SHARE)
        .agg(
            pl.col(GAP).sort().mean(),
            pl.col(GAP).min().alias("low"),
            pl.col(GAP).max().alias("high"),
            pl.len().alias("searches"),
        )
        .join(searches, on=schema.METHOD)
        .filter(pl.col("searches") == pl.col("all"))
        .drop("all")
        .sort(schema.METHOD, SHARE)
    )


def _drawn(data: pl.DataFrame, methods: list[str]) -> Any:
    with drawing(height=3.4) as (figure, (axes,)):
        for k, method in enumerate(methods):
            own = data.filter(pl.col(schema.METHOD) == method)
            share = 100 * own[SHARE].to_numpy()
            colour = nth(COLOURS, k)
            axes.fill_between(
                share, own["low"], own["high"], step="post", color=colour, alpha=0.13, linewidth=0
            )
            axes.step(
                share, own[GAP], where="post", color=colour, linestyle=nth(DASHES, k), linewidth=2,
                label=f"{method} ({own['searches'][0]})",
            )  # fmt: skip
        axes.set_xlim(0, 100)
        axes.set_xlabel("share of the epochs spent (%)")
        axes.set_ylabel("least so far / least of the dataset")
        axes.legend(title="method (searches)", title_fontsize=8)
    return figure
