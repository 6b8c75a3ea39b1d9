"""Evidence about searches over several datasets and methods: what holds across them.

Errors in years and in centimetres have no common scale, so each dataset's errors are divided by
its own median, or by its least error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from supremix_reports.errors import PlotError
from supremix_reports.figures.plot import (
    BLACK,
    COLOURS,
    FAINT,
    MARKERS,
    FigureSpec,
    NotShown,
    Plot,
    counted,
    drawing,
    listed,
    log_axis,
    nth,
    number,
)
from supremix_reports.figures.search.across_budget import across_budget_plot, several_searches
from supremix_reports.figures.search.across_sensitivity import RELATIVE, across_sensitivity_plot
from supremix_reports.figures.search.importance import FANOVA, PED_ANOVA, WHAT, importances
from supremix_reports.figures.search.importance import LEAST as LEAST_IMPORTANCE
from supremix_reports.figures.search.trials import SearchTrials, search_trials
from supremix_reports.tables import schema


def across_plots(trials: pl.DataFrame) -> list[Plot | NotShown]:
    """Draw what the searches of several datasets and methods have in common.

    Args:
        trials: rows of the table `trials`, of any runs, datasets and methods.

    Returns:
        The errors of all trials side by side, the best error against the budget, and for each
        method the importance of its parameters over the datasets and the sensitivity to single
        ones; each as a plot, or with the reason why there is none.
    """
    shared = (
        FigureSpec("errors", "Errors of all trials, by dataset and method", errors_plot),
        FigureSpec("budget", "Error against budget, across datasets", across_budget_plot),
    )
    plots = [figure.plot(trials, "across") for figure in shared]
    for method in sorted(trials[schema.METHOD].unique().to_list()):
        importance = f"Importance of the parameters of {method} across datasets"
        sensitivity = f"Sensitivity of {method} to single parameters, across datasets"
        own = (
            FigureSpec("importance", importance, importance_map),
            FigureSpec("sensitivity", sensitivity, across_sensitivity_plot),
        )
        part = trials.filter(pl.col(schema.METHOD) == method)
        plots += [figure.plot(part, "across", method) for figure in own]
    return plots


def errors_plot(trials: pl.DataFrame) -> Plot:
    """Draw the errors of all finished trials, divided by the least one of their dataset."""
    data = relative_errors(trials)
    methods, rest = several_searches(trials, data)
    means = data.group_by(schema.METHOD).agg(pl.col(RELATIVE).median()).sort(schema.METHOD)
    medians = listed([f"{method} {number(value)}" for method, value in means.iter_rows()])
    return Plot(
        caption="Validation MAE of every finished trial, divided by the least one of any method on "
        "its dataset: 1 is the least error of a training. Bars: medians. How far the dots of a "
        "method spread tells how much its hyperparameters matter, and what a small budget risks. "
        "The least of many errors is optimistically biased. Trials that "
        f"retrain hyperparameters with new seeds are left out.{rest}",
        alt=f"Dots of the relative errors of {counted(data.height, 'trial')} by dataset, "
        f"methods {listed(methods)}. Median over all datasets: {medians}.",
        figure=_draw_errors(data, methods),
        data=data,
    )


def relative_errors(trials: pl.DataFrame) -> pl.DataFrame:
    """Return the errors of finished trials, divided by the least one of their dataset.

    Returns:
        Columns dataset, method, run, trial, error, relative_error; sorted. Datasets whose least
        error is 0 have no ratio and are left out.
    """
    error = pl.col(schema.ERROR)
    least = error.min().over(schema.DATASET)
    keys = [schema.DATASET, schema.METHOD, schema.RUN, schema.TRIAL]
    return (
        trials.filter(
            pl.col(schema.STATE) == schema.FINISHED,
            error.is_finite(),
            pl.col(schema.REPLICATE_OF).is_null(),
        )
        .filter(least > 0)
        .with_columns((error / least).alias(RELATIVE))
        .select(*keys, error, RELATIVE)
        .sort(keys)
    )


def importance_map(trials: pl.DataFrame) -> Plot:
    """Draw the importance of each parameter of a method on each dataset, and its mean."""
    method = trials[schema.METHOD][0]
    parts: dict[str, SearchTrials] = {}
    for (dataset,), own in trials.sort(schema.DATASET).group_by(
        schema.DATASET, maintain_order=True
    ):
        found = search_trials(own, None)
        errors = found.errors(found.comparable)
        if found.parameters and len(errors) >= LEAST_IMPORTANCE and np.ptp(errors) > 0:
            parts[str(dataset)] = found
    if len(parts) < 2:
        raise PlotError(
            f"Two datasets with {LEAST_IMPORTANCE} finished trials of different errors are needed; "
            f"{method} has {len(parts)}."
        )
    data = importance_rows(parts)
    evaluator = data["evaluator"][0]
    means = (
        data.group_by("parameter")
        .agg(pl.col("importance").sum() / len(parts))
        .sort("importance", "parameter", descending=[True, False])
    )
    first = listed([f"{p} ({share:.0%})" for p, share in means.head(3).iter_rows()])
    lacking = sorted(set(trials[schema.DATASET].unique()) - set(parts))
    rest = f" Not shown, with too few trials: {listed(lacking)}." if lacking else ""
    return Plot(
        caption=f"Importance of each parameter of {method} on each dataset, in percent, by Optuna. "
        f"{WHAT[evaluator]}. Ranges are those of the values tried; a dash: not evaluated, as not "
        f"all trials have it. The last row is the mean over {counted(len(parts), 'dataset')}. With "
        "few trials a single cell means little; a parameter that is strong on every dataset is "
        f"worth searching first.{rest}",
        alt=f"A map of importance by parameter and dataset for {method}. Largest means: {first}.",
        figure=_draw_map(data, means["parameter"].to_list(), list(parts)),
        data=data,
    )


def importance_rows(parts: Mapping[str, SearchTrials]) -> pl.DataFrame:
    """Return the importance of parameters on each dataset, by the first evaluator at hand.

    Returns:
        Columns dataset, parameter, evaluator, importance.
    """
    found = [(dataset, row) for dataset, of in parts.items() for row in importances(of)]
    evaluator = FANOVA if any(row["evaluator"] == FANOVA for _, row in found) else PED_ANOVA
    columns = ("parameter", "evaluator", "importance")
    return pl.DataFrame(
        [
            {schema.DATASET: dataset, **{name: row[name] for name in columns}}
            for dataset, row in found
            if row["evaluator"] == evaluator
        ]
    )


def _draw_errors(data: pl.DataFrame, methods: list[str]) -> Any:
    datasets = sorted(data[schema.DATASET].unique().to_list())
    height = 1.1 + len(datasets) * (0.12 + 0.2 * len(methods))
    with drawing(height=height) as (figure, (axes,)):
        for k, method in enumerate(methods):
            for i, dataset in enumerate(datasets):
                own = data.filter(
                    pl.col(schema.DATASET) == dataset, pl.col(schema.METHOD) == method
                )
                x = own[RELATIVE].to_numpy()
                y = i + (k - (len(methods) - 1) / 2) * 0.8 / len(methods)
                # Steps of the golden ratio keep neighbouring dots apart, always in the same way.
                jitter = (np.arange(len(x)) * 0.618 % 1 - 0.5) * 0.4 / len(methods)
                axes.plot(
                    x, y + jitter, nth(MARKERS, k), color=nth(COLOURS, k), alpha=0.7, markersize=4,
                    label=method if i == 0 else None, markeredgewidth=0,
                )  # fmt: skip
                if len(x):
                    half = 0.35 / len(methods)
                    axes.vlines(np.median(x), y - half, y + half, color=BLACK, linewidth=2)
        axes.set_yticks(range(len(datasets)), datasets)
        axes.set_ylim(len(datasets) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        for edge in range(len(datasets) - 1):
            axes.axhline(edge + 0.5, color=FAINT, linewidth=0.6)
        top = float(data[RELATIVE].to_numpy().max())
        if top > 8:
            log_axis(axes.xaxis, 1.0, top)
        axes.set_xlabel("validation MAE / least of the dataset")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def _draw_map(data: pl.DataFrame, parameters: list[str], datasets: list[str]) -> Any:
    cells = np.full((len(datasets) + 1, len(parameters)), np.nan)
    columns = (schema.DATASET, "parameter", "importance")
    for dataset, parameter, share in data.select(columns).iter_rows():
        cells[datasets.index(dataset), parameters.index(parameter)] = share
    cells[-1] = np.nansum(cells[:-1], axis=0) / len(datasets)
    with drawing(height=1.4 + 0.3 * len(cells)) as (figure, (axes,)):
        axes.imshow(cells, cmap="Blues", vmin=0, vmax=max(0.5, np.nanmax(cells)), aspect="auto")
        for (i, j), share in np.ndenumerate(cells):
            dark = share > 0.6 * max(0.5, np.nanmax(cells))
            text = "–" if np.isnan(share) else f"{100 * share:.0f}"
            axes.text(
                j, i, text, ha="center", va="center", fontsize=8, color="white" if dark else "black"
            )
        axes.axhline(len(datasets) - 0.5, color="black", linewidth=1)
        axes.set_yticks(range(len(cells)), [*datasets, "mean"])
        axes.set_xticks(
            range(len(parameters)), parameters, rotation=35, ha="right", rotation_mode="anchor"
        )
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure
