"""How the error answers to mixup parameters, temperature and batch size: a panel each."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from supremix_reports.errors import PlotError
from supremix_reports.figures.plot import (
    BLUE,
    GREY,
    Plot,
    counted,
    listed,
    log_axis,
    number,
    panel_grid,
    spread_axis,
    whiskers,
)
from supremix_reports.figures.search.marginals import (
    LEAST,
    PARAMETERS,
    RATIO,
    TREES,
    Marginal,
    marginals_of,
    value_text,
    with_ratio,
)
from supremix_reports.figures.search.trials import Searched, SearchedParameter, SearchTrials
from supremix_reports.statistics.resampling.intervals import Array


def sensitivity_plot(of: Searched) -> Plot:
    """Draw the error along mixup parameters, temperature and batch size, a panel each."""
    trials, words = with_ratio(of.trials), of.words
    marginals = marginals_of(trials, PARAMETERS)
    if not marginals:
        wanted = [p for p in PARAMETERS if p in {s.name for s in trials.parameters}]
        found = f"searched here: {listed(wanted)}" if wanted else "none was searched"
        raise PlotError(
            f"The sensitivity to mixup ratio, temperature and batch size needs at least {LEAST} "
            "finished trials with an error and one of these parameters with two values; "
            f"{found}, with {counted(len(trials.comparable), 'such trial')}.{trials.left_out()}"
        )
    return Plot(
        caption=_caption(trials, marginals, words),
        alt=f"Panels of the validation error of {words} along "
        f"{listed([m.parameter.name for m in marginals])}. {' '.join(map(_least, marginals))}",
        figure=_drawn(trials, marginals, of.unit),
        data=pl.DataFrame([row for m in marginals for row in m.rows()]),
    )


def draw_panel(axes: Any, one: Marginal, positions: Array, errors: Array) -> None:
    """Draw one marginal over its trials, (N,) positions on its scale and (N,) errors."""
    parameter = one.parameter
    x = axis_numbers(parameter, one.at)
    axes.plot(
        axis_numbers(parameter, positions), errors, "o", color=GREY, alpha=0.6, markersize=3.5
    )
    axes.plot(x, one.middle, color=BLUE, marker="" if one.how == "forest" else "s")
    if one.how == "forest" and not parameter.options:
        axes.fill_between(x, one.low, one.high, color=BLUE, alpha=0.2, linewidth=0)
    else:
        whiskers(axes, x, one.middle, one.low, one.high, ecolor=BLUE)
    axes.set_title(parameter.name)
    scale_axis(axes, parameter)


def scale_axis(axes: Any, parameter: SearchedParameter) -> None:
    """Show the whole range of a parameter, so that it is seen which part of it was tried."""
    if parameter.options:
        axes.set_xticks(
            range(len(parameter.options)), [str(option) for option in parameter.options]
        )
        axes.set_xlim(-0.4, len(parameter.options) - 0.6)
        return
    if parameter.log:
        log_axis(axes.xaxis, parameter.value(0.0), parameter.value(1.0))
    else:
        axes.locator_params(axis="x", nbins=4)
    axes.set_xlim(parameter.value(-0.04), parameter.value(1.04))


def axis_numbers(parameter: SearchedParameter, positions: Array) -> Array:
    """Return positions as they stand on the axis: values, or the numbers of the options."""
    if parameter.options:
        return positions * (len(parameter.options) - 1)
    return np.array([parameter.value(position) for position in positions])


def _caption(trials: SearchTrials, marginals: list[Marginal], words: str) -> str:
    forest = [m.parameter.name for m in marginals if m.how == "forest"]
    bins = [m.parameter.name for m in marginals if m.how == "binned"]
    parts = [f"Validation MAE of the finished trials of {words} along single parameters."]
    if forest:
        parts.append(
            f"{listed(forest)}: a random forest ({TREES} trees) fitted to the trials and averaged "
            "over the other parameters as they were tried (partial dependence, Friedman 2001); "
            "the band holds the averages of 95 % of its trees."
        )
    if bins:
        parts.append(
            f"{listed(bins)}: medians of bins of trials with 95 % bootstrap intervals (none below "
            "three trials); the other parameters are as they were tried, not held."
        )
    if any(m.parameter.name == RATIO for m in marginals):
        parts.append(
            "The mixup ratio is alpha / (alpha + beta), the mean share of the anchor in a mixture."
        )
    parts.append("Dots are trials. The search tried good hyperparameters more often than others.")
    return " ".join(parts) + trials.left_out()


def _least(one: Marginal) -> str:
    i = int(one.middle.argmin())
    value, error = value_text(one.parameter, float(one.at[i])), number(float(one.middle[i]))
    return f"{one.parameter.name}: least near {value} ({error})."


def _drawn(trials: SearchTrials, marginals: list[Marginal], unit: str) -> Any:
    which = trials.comparable
    errors = trials.errors(which)
    with panel_grid(len(marginals), 0.5, f"validation MAE ({unit})") as (figure, panels):
        for axes, one in zip(panels, marginals, strict=True):
            draw_panel(axes, one, trials.positions(which, one.parameter), errors)
        drawn = np.concatenate([errors, *(m.middle for m in marginals)])
        if not spread_axis(panels[0].yaxis, drawn):
            room = 0.06 * (float(np.ptp(drawn)) or 1.0)
            panels[0].set_ylim(drawn.min() - room, drawn.max() + room)
    return figure
