"""Evidence about a model: how its predictions agree with the truth, and where they do not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Unpack

import numpy as np
import polars as pl

from supremix_reports.errors import PlotError
from supremix_reports.figures.model.bias import bias_plot
from supremix_reports.figures.model.regions import label_plot, parts_plot
from supremix_reports.figures.model.samples import (
    ABSOLUTE,
    HIGHEST,
    LOWEST,
    SEX,
    Predicted,
    Samples,
    samples,
    with_interval,
)
from supremix_reports.figures.model.samples import worst_cases as worst_cases
from supremix_reports.figures.plot import (
    BLACK,
    BLUE,
    FAINT,
    GREY,
    RED,
    FigureSpec,
    NotShown,
    Plot,
    drawing,
    many_dots,
    number,
)
from supremix_reports.statistics.measures.agreement import Agreement, limits_of_agreement
from supremix_reports.statistics.resampling.bootstrap import Resampling, ResamplingOptions
from supremix_reports.statistics.resampling.intervals import metric_interval
from supremix_reports.tables import schema
from supremix_reports.tables.frames import folds_of

LEAST: Final = 3
"""Samples below which there is nothing to see."""

_NAMED: Final = 5  # of the worst, with ids


def model_plots(
    predictions: pl.DataFrame,
    *,
    dataset: str,
    method: str,
    unit: str,
    target: str,
    ids: bool = False,
    split: str = schema.TEST,
    figures: Sequence[FigureSpec[Predicted]] | None = None,
    **options: Unpack[ResamplingOptions],
) -> list[Plot | NotShown]:
    """Draw the evidence about the models of one dataset and method, one or several seeds.

    Args:
        predictions: rows of the table `predictions`; those of other datasets, methods and splits
            are left aside. A column `sex` is used where there is one.
        dataset: name of the dataset.
        method: name of the method.
        unit: unit of the label.
        target: name of the label.
        ids: name the five worst samples in "predicted against true", and give samples and
            patients in `data`; without it no plot and no data name any.
        split: "train", "val" or "test".
        figures: Those of `FIGURES` that are drawn; None for all.
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0);
            with the same three as a table of results, its intervals are those of the plots.

    Returns:
        Predicted against true, Bland-Altman, error by label region, bias along the label, error by
        site and by sex; each as a plot, or with the reason why there is none.
    """
    own = (pl.col(schema.DATASET) == dataset) & (pl.col(schema.METHOD) == method)
    of = samples(predictions.filter(own), split, Resampling(**options))
    words = f"{method} on {dataset}"
    data: Predicted | str = Predicted(of, words, target, unit, ids)
    if of.each.height < LEAST:
        lacking = f" ({of.missing} missing or not finite)" if of.missing else ""
        data = (
            f"At least {LEAST} samples with a prediction are needed; {words} has {of.each.height} "
            f"on the {split} split{lacking}."
        )
    drawn = FIGURES if figures is None else figures
    return [figure.plot(data, dataset, method, target=target) for figure in drawn]


def predicted_plot(data: Predicted) -> Plot:
    """Draw each sample's prediction, the mean over seeds with their range, against its true value.

    Of at least one sample; with `ids` the five worst are named.
    """
    of, words, target, unit, ids = data
    numbers = _numbers(of)
    shown = "; ".join(f"{key} {value}" for key, value in numbers.items())
    bars = " (mean over the seeds; bars: from the lowest to the highest)" if of.seeds > 1 else ""
    averaged = (
        " The numbers are means over the seeds of each model's own: the dots, which average the "
        "models, have less error."
        if of.seeds > 1
        else ""
    )
    worst = " Named are the five with the largest absolute errors." if ids else ""
    return Plot(
        caption=f"Predicted against true {target} of {words}{bars}, with "
        f"{of.resampling.percent} intervals over {of.over}: {shown}. Line: prediction "
        f"equals truth.{averaged}{worst} {of.describe()}",
        alt=f"Dots of predicted against true {target} of {words}: {shown}.",
        figure=_draw_predicted(of, target, unit, ids=ids),
        data=_data(of, ids=ids),
    )


def agreement_plot(data: Predicted) -> Plot:
    """Draw differences against means, with bias and limits of agreement (Bland and Altman 1986).

    Of at least three samples; with `ids` samples and patients are in the data.
    """
    of, words, target, unit, ids = data
    if of.groups < 2:
        raise PlotError("Limits of agreement need two patients; all samples are of one.")
    columns = (of.column(schema.ERROR), of.rows[schema.GROUP].to_numpy())
    found = limits_of_agreement(*columns, **of.resampling.arguments())
    how = (
        "by the formula of Bland and Altman 1999 (t distribution)"
        if found.by_formula
        else f"by a bootstrap over {of.over_patients}"
    )
    seeds = (
        " Dots are means over the seeds; the limits are of the predictions of all models, so that "
        "what sets the models apart is in them."
        if of.seeds > 1
        else ""
    )
    lines = (("bias", found.bias), ("lower limit", found.lower), ("upper limit", found.upper))
    values = ", ".join(f"{what} {with_interval(*one.numbers)}" for what, one in lines)
    rows = _data(of, ids=ids).with_columns(
        ((pl.col(schema.TARGET) + pl.col(schema.PREDICTION)) / 2).alias("mean")
    )
    return Plot(
        caption=f"Prediction minus truth against their mean, {words}. Bias and 95 % limits of "
        f"agreement (bias ± 1.96 standard deviations), in {unit}: {values}; intervals (bands, "
        f"{of.resampling.percent}) {how}.{seeds} {of.describe()}",
        alt=f"Bland-Altman plot of {words}, in {unit}: {values}.",
        figure=_draw_agreement(rows, found, target, unit),
        data=rows,
    )


def _numbers(of: Samples) -> dict[str, str]:
    """MAE, R² and Pearson correlation in words; "not defined" where they are not."""
    columns = (of.column(schema.TARGET), of.column(schema.PREDICTION))
    groups = of.rows[schema.GROUP].to_numpy()
    settings: dict[str, Any] = {
        "seeds": of.rows[schema.SEED].to_numpy(),
        "folds": folds_of(of.rows),
        **of.resampling.arguments(),
    }
    found: dict[str, str] = {}
    for metric, label in (("mae", "MAE"), ("r2", "R²"), ("pearson", "Pearson r")):
        one = metric_interval(metric, *columns, groups, **settings)
        known = not math.isnan(one.value)
        found[label] = with_interval(*one.numbers) if known else "not defined"
    return found


def _data(of: Samples, *, ids: bool) -> pl.DataFrame:
    """A row a sample; by its numbers alone, so that the order tells nothing of the names."""
    named = [schema.ID, schema.GROUP] if ids else []
    numbers = [schema.TARGET, schema.PREDICTION, LOWEST, HIGHEST, schema.ERROR, ABSOLUTE]
    return of.each.select(*named, *numbers, schema.SEEDS)


def _draw_predicted(of: Samples, target: str, unit: str, *, ids: bool) -> Any:
    x, y, low, high = (
        of.each[name].to_numpy() for name in (schema.TARGET, schema.PREDICTION, LOWEST, HIGHEST)
    )
    ends = [min(x.min(), low.min()), max(x.max(), high.max())]
    room = 0.03 * (ends[1] - ends[0] or 1.0)
    with drawing(height=4.6, width=4.8) as (figure, (axes,)):
        many = many_dots(len(x))
        axes.plot(ends, ends, color=BLACK, linewidth=1)
        if of.seeds > 1:
            axes.vlines(x, low, high, color=FAINT, linewidth=1, rasterized=many, zorder=1.5)
        axes.plot(
            x, y, "o", color=BLUE, alpha=0.7, markeredgewidth=0, rasterized=many,
            markersize=2.5 if many else 4.5,
        )  # fmt: skip
        if ids:
            _name_worst(axes, of)
        axes.set_xlim(ends[0] - room, ends[1] + room)
        axes.set_ylim(ends[0] - room, ends[1] + room)
        axes.set_aspect("equal")
        axes.set_xlabel(f"true {target} ({unit})")
        axes.set_ylabel(f"predicted {target} ({unit})")
    return figure


def _name_worst(axes: Any, of: Samples) -> None:
    worst = of.each.sort(ABSOLUTE, schema.ID, descending=[True, False]).head(_NAMED)
    middle = float(np.mean(axes.get_xlim()))
    for name, x, y in worst.select(schema.ID, schema.TARGET, schema.PREDICTION).iter_rows():
        right = x > middle
        axes.annotate(
            name, (x, y), xytext=(-5 if right else 5, 0), textcoords="offset points",
            ha="right" if right else "left", va="center", fontsize=8, color=RED,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip


def _draw_agreement(data: pl.DataFrame, found: Agreement, target: str, unit: str) -> Any:
    with drawing(height=3.6) as (figure, (axes,)):
        many = many_dots(data.height)
        axes.plot(
            data["mean"], data[schema.ERROR], "o", color=BLUE, alpha=0.7, markeredgewidth=0,
            rasterized=many, markersize=2.5 if many else 4.5,
        )  # fmt: skip
        axes.axhline(0, color=GREY, linewidth=0.8)
        sides = axes.get_yaxis_transform()
        for what, one, dash in (
            ("+1.96 SD", found.upper, "--"),
            ("bias", found.bias, "-"),
            ("−1.96 SD", found.lower, "--"),
        ):
            axes.axhline(one.value, color=RED, linestyle=dash, linewidth=1.2)
            axes.axhspan(one.low, one.high, color=RED, alpha=0.12, linewidth=0)
            axes.annotate(
                f"{what}\n{number(one.value)}", (1.01, one.value), xycoords=sides, va="center",
                fontsize=8, annotation_clip=False,
            )  # fmt: skip
        axes.set_xlabel(f"mean of true and predicted {target} ({unit})")
        axes.set_ylabel(f"prediction minus truth ({unit})")
    return figure


FIGURES: Final[tuple[FigureSpec[Predicted], ...]] = (
    FigureSpec("predicted", "Predicted against true", predicted_plot),
    FigureSpec("agreement", "Agreement (Bland-Altman)", agreement_plot),
    FigureSpec("regions", "Error by region of the {target}", label_plot),
    FigureSpec("bias", "Bias along the {target}", bias_plot),
    FigureSpec("site", "Error by site", lambda data: parts_plot(data, schema.SITE)),
    FigureSpec("sex", "Error by sex", lambda data: parts_plot(data, SEX)),
)
"""The figures of a model, in the order of a report; a new one is a line here."""
