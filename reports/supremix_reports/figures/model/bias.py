"""Bias along the label: whether predictions are drawn towards the mean at the ends of the range."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from supremix_reports.figures.model.regions import label_rows
from supremix_reports.figures.model.samples import Predicted, Samples, with_interval
from supremix_reports.figures.plot import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    Plot,
    drawing,
    many_dots,
    number,
    whiskers,
)
from supremix_reports.statistics.measures.agreement import slope_interval
from supremix_reports.statistics.resampling.intervals import Interval
from supremix_reports.tables import schema


def bias_plot(data: Predicted) -> Plot:
    """Draw the error against the true value, with its slope and the bias of label regions.

    Of at least three samples.
    """
    of, words, target, unit, _ = data
    rows = label_rows(of)
    groups = of.rows[schema.GROUP].to_numpy()
    error, true = of.column(schema.ERROR), of.column(schema.TARGET)
    slope = slope_interval(error, true, groups, **of.resampling.arguments())
    ends = "; ".join(
        f"{where} region ({number(row['from'])} to {number(row['to'])} {unit}) "
        f"{with_interval(row['bias'], row['bias_low'], row['bias_high'])} {unit}"
        for where, row in (("lowest", rows[0]), ("highest", rows[-1]))
    )
    line = f"slope {with_interval(*slope.numbers)}"
    return Plot(
        caption=f"Prediction minus truth against the true {target}, {words}. Squares: mean of "
        "label regions of about equally many samples; line: least squares; "
        f"{of.resampling.percent} bootstrap intervals over {of.over_patients}. "
        f"{line[0].upper()}{line[1:]} (0: none; -1: predictions that do not follow the label). "
        f"{_expected(of)} Bias of the {ends}. {of.describe()}",
        alt=f"Dots of the error against true {target} of {words}: {line}; bias of the {ends}.",
        figure=_drawn(of, rows, slope, target, unit),
        data=pl.DataFrame(rows).with_columns(
            pl.lit(end, dtype=pl.Float64).alias(name) for name, end in slope.row("slope").items()
        ),
    )


def _expected(of: Samples) -> str:
    """Say which slope even a calibrated model has, and whether this one is calibrated."""
    prediction, error = of.column(schema.PREDICTION), of.column(schema.ERROR)
    if np.ptp(prediction) <= 1e-12 * max(1.0, float(np.abs(prediction).max())):
        return "All predictions are equal."
    r = float(np.corrcoef(prediction, of.column(schema.TARGET))[0, 1])
    groups = of.rows[schema.GROUP].to_numpy()
    own = slope_interval(error, prediction, groups, **of.resampling.arguments())
    return (
        "Some regression to the mean is not a fault: predictions that are right on average for "
        f"what they say have the slope r² - 1, here {number(r * r - 1)}. Whether they are, shows "
        f"in the slope of the error along the prediction, 0 if so: here "
        f"{with_interval(*own.numbers)}."
    )


def _drawn(of: Samples, rows: list[dict[str, Any]], slope: Interval, target: str, unit: str) -> Any:
    x, y = of.each[schema.TARGET].to_numpy(), of.each[schema.ERROR].to_numpy()
    at = np.array([row["at"] for row in rows])
    bias, low, high = ([row[f"bias{end}"] for row in rows] for end in ("", "_low", "_high"))
    with drawing(height=3.5) as (figure, (axes,)):
        many = many_dots(len(x))
        axes.plot(
            x, y, "o", color=GREY, alpha=0.55, markeredgewidth=0, rasterized=many,
            markersize=2.5 if many else 4,
        )  # fmt: skip
        axes.axhline(0, color=BLACK, linewidth=0.8)
        ends = np.array([x.min(), x.max()])
        centre, mean = of.column(schema.TARGET).mean(), of.column(schema.ERROR).mean()
        axes.plot(
            ends, mean + slope.value * (ends - centre), color=ORANGE, linestyle="--",
            label="least squares",
        )  # fmt: skip
        whiskers(axes, at, bias, low, high, zorder=3)
        axes.plot(
            at, bias, "s", color=BLUE, markeredgecolor=BLACK, markersize=6, zorder=4,
            label="mean of a label region",
        )  # fmt: skip
        axes.set_xlabel(f"true {target} ({unit})")
        axes.set_ylabel(f"prediction minus truth ({unit})")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure
