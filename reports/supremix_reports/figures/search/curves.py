"""How a search went: the error of each trial epoch by epoch, the best error against the budget."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl

from supremix_reports.errors import PlotError
from supremix_reports.figures.plot import (
    BLACK,
    BLUE,
    FAINT,
    GREY,
    ORANGE,
    Plot,
    counted,
    drawing,
    end_axis,
    number,
    robust_top,
    shade,
)
from supremix_reports.figures.search.trials import Searched, SearchTrials
from supremix_reports.statistics.learning_curves.shuffles import SHUFFLES, best_in_shuffled_orders
from supremix_reports.statistics.resampling.intervals import Array
from supremix_reports.tables import schema

RANK: Final = "rank"
SPENT: Final = "spent_epochs"
BEST: Final = "best_error"


def learning_plot(of: Searched) -> Plot:
    """Draw the validation error of each trial over its epochs."""
    trials, curves, words, unit = of.trials, of.curves, of.words, of.unit
    rows = learning_curves(trials, curves)
    if rows.is_empty():
        raise PlotError("No trial has an error after any of its epochs.")
    lines = rows.select(schema.RUN, schema.TRIAL, schema.STATE).unique()
    early = lines.filter(pl.col(schema.STATE) != schema.FINISHED).height
    best = rows.filter(pl.col(RANK) == 1)
    final = f"{number(best[schema.ERROR][-1])} {unit}" if best.height else "none"
    missing = _without_error(trials, curves)
    top = _top_of(rows)
    beyond = rows.filter(pl.col(schema.ERROR) > top).select(schema.RUN, schema.TRIAL).n_unique()
    highest = number(rows[schema.ERROR].to_numpy().max())
    text = f"{beyond} of {counted(lines.height, 'trial')} up to {highest} {unit}" if beyond else ""
    cut = f" The axis leaves out what lies above: {text}." if beyond else ""
    return Plot(
        caption=f"Validation MAE of each trial of {words} after each epoch: of a probe on frozen "
        "features while pretraining, of the model afterwards; a dot where the second stage "
        "begins. Finished trials are coloured by their rank, that of least error is thick; grey "
        f"and dashed are those that ended early or failed ({early} of {lines.height}). "
        f"The least error of a single training is {final}, optimistically biased. Trials "
        f"that retrain hyperparameters with new seeds are left out.{cut}{missing}",
        alt=f"Lines of the validation error over epochs of {counted(lines.height, 'trial')} of "
        f"{words}; {early} ended early. The least error of a single training is {final}.",
        figure=_draw_curves(rows, unit, top, text),
        data=rows,
    )


def _top_of(rows: pl.DataFrame) -> float:
    """The largest error that is drawn, from the better half of the trials by their last error."""
    last = rows.group_by(schema.RUN, schema.TRIAL).agg(pl.col(schema.ERROR).last().alias("last"))
    better = last.filter(pl.col("last") <= pl.col("last").median())
    chosen = rows.join(better, on=[schema.RUN, schema.TRIAL], how="semi")
    # The first epochs of a good training are far above its last ones, and are to be seen.
    return robust_top(chosen[schema.ERROR].to_numpy(), share=0.9, reach=4)


def learning_curves(trials: SearchTrials, curves: pl.DataFrame) -> pl.DataFrame:
    """Return the epochs that have an error, with each trial's state and rank.

    Returns:
        Columns run, trial, state, rank (1 for the least error of the finished trials, null for
        others), epoch, stage, error; sorted.
    """
    keys = [schema.RUN, schema.TRIAL]
    own = trials.rows.filter(pl.col(schema.REPLICATE_OF).is_null())
    ranks = (
        own.filter(pl.col(schema.STATE) == schema.FINISHED, pl.col(schema.ERROR).is_finite())
        .sort(schema.ERROR, *keys)
        .select(*keys, pl.int_range(1, pl.len() + 1).alias(RANK))
    )
    return (
        curves.filter(pl.col(schema.ERROR).is_finite())
        .join(own.select(*keys, schema.STATE), on=keys)
        .join(ranks, on=keys, how="left")
        .select(*keys, schema.STATE, RANK, schema.EPOCH, schema.STAGE, schema.ERROR)
        .sort(*keys, schema.EPOCH)
    )


def budget_plot(of: Searched) -> Plot:
    """Draw the least error so far against the epochs spent."""
    trials, words, unit = of.trials, of.words, of.unit
    rows = best_so_far(trials)
    if rows[BEST].drop_nulls().is_empty():
        raise PlotError("No trial was finished with an error.")
    bands = shuffled(trials) if rows[schema.RUN].n_unique() == 1 else None
    last = rows.filter(pl.col(BEST).is_not_null()).tail(1).to_dicts()[0]
    band = (
        f" Band and dashed line: the same trials in {SHUFFLES} shuffled orders (5 % to 95 %, "
        "median; after Dodge et al. 2019). A line below the band means that later trials profited "
        "from earlier ones; a best trial that came first by luck looks the same."
        if bands is not None
        else ""
    )
    return Plot(
        caption=f"Least validation MAE of the finished trials of {words} so far, against the "
        "epochs that all trials up to there have cost, those that ended early included, in the "
        "order of their numbers: errors of single trainings, the least of which is optimistically "
        "biased; trials that retrain hyperparameters with new seeds are left out. "
        f"Dots: the finished trials.{band}",
        alt=f"A falling staircase: the least validation error of a training of {words} reaches "
        f"{number(last[BEST])} {unit} after {last[SPENT]} epochs.",
        figure=_draw_budget(rows, bands, unit),
        data=rows,
    )


def best_so_far(trials: SearchTrials) -> pl.DataFrame:
    """Return the running minimum of the error over the trials.

    Returns:
        A row a trial that tried hyperparameters of its own, in the order of the numbers: run,
        trial, state, error (null unless finished), spent_epochs, best_error; of each run for
        itself.
    """
    finished = pl.col(schema.STATE) == schema.FINISHED
    error = pl.when(finished & pl.col(schema.ERROR).is_finite()).then(pl.col(schema.ERROR))
    return (
        trials.rows.filter(pl.col(schema.REPLICATE_OF).is_null())
        .with_columns(error.alias(schema.ERROR))
        .select(
            schema.RUN,
            schema.TRIAL,
            schema.STATE,
            schema.ERROR,
            pl.col(schema.EPOCHS).cast(pl.Int64).cum_sum().over(schema.RUN).alias(SPENT),
            pl.col(schema.ERROR).cum_min().forward_fill().over(schema.RUN).alias(BEST),
        )
    )


def shuffled(trials: SearchTrials) -> tuple[Array, Array] | None:
    """Return `best_in_shuffled_orders` of the trials of one run."""
    rows = best_so_far(trials)
    epochs = rows[SPENT].diff().fill_null(rows[SPENT].first()).to_numpy().astype(np.float64)
    return best_in_shuffled_orders(epochs, rows[schema.ERROR].fill_null(np.inf).to_numpy())


def _without_error(trials: SearchTrials, curves: pl.DataFrame) -> str:
    keys = [schema.RUN, schema.TRIAL]
    unknown = curves.join(trials.rows.select(keys), on=keys, how="anti").height
    lacking = curves.filter(~pl.col(schema.ERROR).is_finite().fill_null(value=False))
    count = lacking.join(trials.rows.select(keys), on=keys, how="semi").height
    words = f" {counted(count, 'epoch')} without an error not drawn." if count else ""
    return words + (f" {counted(unknown, 'epoch')} of no known trial not drawn." if unknown else "")


def _draw_curves(rows: pl.DataFrame, unit: str, top: float, beyond: str) -> Any:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    last = int(rows[RANK].fill_null(0).to_numpy().max())
    with drawing(height=3.6) as (figure, (axes,)):
        shades = ListedColormap([shade(i / 255) for i in range(256)])
        colours = ScalarMappable(Normalize(1, max(last, 2)), shades)
        for _, line in _lines(rows):
            _draw_line(axes, line, colours)
        end_axis(axes, float(rows[schema.ERROR].to_numpy().min()), top, beyond)
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"validation MAE ({unit})")
        axes.xaxis.get_major_locator().set_params(integer=True)
        if last > 1:
            bar = figure.colorbar(colours, ax=axes, label="rank of the finished trial")
            bar.ax.invert_yaxis()
            bar.ax.yaxis.get_major_locator().set_params(integer=True)
    return figure


def _lines(rows: pl.DataFrame) -> list[tuple[int, pl.DataFrame]]:
    """The trials, those drawn on top last: early ones first, then from the worst to the best."""
    parts = rows.partition_by(schema.RUN, schema.TRIAL, maintain_order=True)
    ranks = [part[RANK].first() for part in parts]
    keyed = [(10**9 if rank is None else int(str(rank)), i) for i, rank in enumerate(ranks)]
    return [(rank, parts[i]) for rank, i in sorted(keyed, reverse=True)]


def _draw_line(axes: Any, line: pl.DataFrame, colours: Any) -> None:
    rank = line[RANK].first()
    style: dict[str, Any] = {"color": FAINT, "linestyle": (0, (3, 2)), "linewidth": 1.0}
    if rank is not None:
        thick = 2.6 if rank == 1 else 1.1
        style = {"color": colours.to_rgba(rank), "linewidth": thick}
    epochs, errors = line[schema.EPOCH].to_numpy(), line[schema.ERROR].to_numpy()
    # A trial of one epoch has no line; a dot keeps it in sight.
    axes.plot(epochs, errors, marker="." if len(epochs) == 1 else "", **style)
    second = (line[schema.STAGE] != line[schema.STAGE].first()).to_numpy()
    if second.any():
        begin = int(np.argmax(second))
        axes.plot(epochs[begin], errors[begin], marker="o", markersize=3.5, color=style["color"])


def _draw_budget(rows: pl.DataFrame, bands: tuple[Array, Array] | None, unit: str) -> Any:
    with drawing(height=3.3) as (figure, (axes,)):
        if bands is not None:
            epochs, (low, middle, high) = bands
            axes.fill_between(epochs, low, high, color=ORANGE, alpha=0.22, linewidth=0)
            axes.plot(epochs, middle, color=ORANGE, linestyle="--", label="in shuffled order")
        for i, run in enumerate(rows.partition_by(schema.RUN, maintain_order=True)):
            known = run.filter(pl.col(BEST).is_not_null())
            axes.step(
                known[SPENT], known[BEST], where="post", color=BLUE, linewidth=2,
                label="least so far" if i == 0 else None,
            )  # fmt: skip
        done = rows.filter(pl.col(schema.ERROR).is_not_null())
        axes.plot(
            done[SPENT], done[schema.ERROR], "o", color=GREY, markeredgecolor=BLACK,
            markeredgewidth=0.4, label="finished trial",
        )  # fmt: skip
        errors = done[schema.ERROR].to_numpy()
        top = robust_top(errors)
        above = int((errors > top).sum())
        beyond = f"{counted(above, 'trial')} up to {number(errors.max())}" if above else ""
        end_axis(axes, float(errors.min()), top, beyond)
        axes.set_xlim(left=0)
        axes.set_xlabel("epochs spent")
        axes.set_ylabel(f"validation MAE ({unit})")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure
