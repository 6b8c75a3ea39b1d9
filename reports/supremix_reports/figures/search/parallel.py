"""Parallel coordinates: every finished trial as a line through its hyperparameters to its error."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import numpy as np
import polars as pl

from supremix_reports.errors import PlotError
from supremix_reports.figures.plot import Plot, counted, drawing, number, robust_top, shade
from supremix_reports.figures.search.trials import Searched, SearchedParameter, SearchTrials
from supremix_reports.statistics.resampling.intervals import Array
from supremix_reports.tables import schema

_ABSENT: Final = -0.1  # left of the axes: where a line goes that does not have the parameter
_THICK: Final = 0.1  # share of the trials, the best ones, whose lines are thick


def parallel_plot(of: Searched) -> Plot:
    """Draw each finished trial as a line over one axis a parameter."""
    trials, words, unit = of.trials, of.words, of.unit
    which = trials.comparable
    if len(which) < 2 or not trials.parameters:
        raise PlotError(
            "Parallel coordinates need two finished trials with an error and a parameter that took "
            f"two values; there are {counted(len(which), 'such trial')} and "
            f"{counted(len(trials.parameters), 'such parameter')}.{trials.left_out()}"
        )
    errors = trials.errors(which)
    positions = np.stack(
        [trials.positions(which, parameter) for parameter in trials.parameters], axis=1
    )
    ranges = "" if trials.recorded else " The space is not recorded: axes span the values tried."
    absent = (
        " Lines through the mark × do not have the parameter (a condition does not hold)."
        if np.isnan(positions).any()
        else ""
    )
    best = trials.configs[which[int(errors.argmin())]]
    shown = [s for s in trials.parameters if s.name in best]
    parameters = ", ".join(f"{s.name} {_word(best[s.name])}" for s in shown)
    return Plot(
        caption=f"Each line is a finished trial of {words} ({len(which)}), from its "
        "hyperparameters down to its validation MAE; darker is better, and the best tenth is "
        "thick. Axes span the searched range, logarithmic where the search was; errors much larger "
        f"than most are at the end of theirs.{absent}{ranges}"
        f"{trials.left_out()}",
        alt=f"Parallel coordinates of {counted(len(which), 'trial')} of {words}. That of least "
        f"error, {number(errors.min())} {unit}, has {parameters}.",
        figure=_drawn(trials.parameters, positions, errors, unit),
        data=_data(trials, which, errors),
    )


def _data(trials: SearchTrials, which: list[int], errors: Array) -> pl.DataFrame:
    """Hyperparameters as JSON texts, so that a choice of mixed values has one type."""
    configs = [trials.configs[i] for i in which]
    columns = {
        s.name: [json.dumps(config[s.name]) if s.name in config else None for config in configs]
        for s in trials.parameters
    }
    own = trials.rows[which].select(schema.RUN, schema.TRIAL, pl.Series(schema.ERROR, errors))
    return own.hstack(pl.DataFrame(columns))


def _drawn(
    parameters: tuple[SearchedParameter, ...], positions: Array, errors: Array, unit: str
) -> Any:
    low, top = float(errors.min()), robust_top(errors)
    last = (errors - low) / (top - low) if top > low else np.full(len(errors), 0.5)
    points = np.column_stack([np.where(np.isnan(positions), _ABSENT, positions), last.clip(0, 1)])
    names = [*(s.name for s in parameters), f"MAE ({unit})"]
    rows = range(len(names))
    with drawing(height=0.7 + 0.42 * len(names)) as (figure, (axes,)):
        ranks = errors.argsort(kind="stable").argsort(kind="stable")
        thick = max(1, round(_THICK * len(errors)))
        for i in (-ranks).argsort(kind="stable"):
            best = ranks[i] < thick
            axes.plot(
                points[i], rows, color=shade(float(ranks[i]) / max(len(errors) - 1, 1)),
                linewidth=2.4 if best else 0.8, alpha=1.0 if best else 0.55,
            )  # fmt: skip
        for k, parameter in enumerate(parameters):
            absent = bool(np.isnan(positions[:, k]).any())
            _axis(axes, k, _ticks(parameter), absent=absent)
        beyond = bool(errors.max() > top)
        _axis(axes, len(parameters), _error_ticks(low, top, beyond=beyond), absent=False)
        axes.set_yticks(rows, names, fontsize=9)
        axes.set_xticks([])
        axes.set_ylim(len(names) - 0.7, -0.6)
        axes.set_xlim(_ABSENT - 0.03 if np.isnan(positions).any() else -0.03, 1.03)
        axes.grid(visible=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(axis="y", length=0, pad=4)
    return figure


def _axis(axes: Any, at: int, ticks: list[tuple[float, str]], *, absent: bool) -> None:
    axes.plot([0, 1], [at, at], color="black", linewidth=0.8)
    for position, text in ticks:
        axes.plot(position, at, "|", color="black", markersize=5)
        axes.annotate(
            text, (position, at), xytext=(0, 4), textcoords="offset points", fontsize=8,
            ha={0.0: "left", 1.0: "right"}.get(position, "center"), va="bottom", zorder=5,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.4},
        )  # fmt: skip
    if absent:
        axes.plot(_ABSENT, at, "x", color="black", markersize=6)


def _ticks(parameter: SearchedParameter) -> list[tuple[float, str]]:
    if parameter.options:
        return [(parameter.position(option), _word(option)) for option in parameter.options]
    return [(position, number(parameter.value(position))) for position in (0.0, 0.5, 1.0)]


def _error_ticks(low: float, top: float, *, beyond: bool) -> list[tuple[float, str]]:
    if top <= low:
        return [(0.5, number(low))]
    more = " and more" if beyond else ""
    ends = (0.0, ""), (0.5, ""), (1.0, more)
    return [(p, number(low + p * (top - low)) + end) for p, end in ends]


def _word(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and math.isfinite(value):
        return number(value)
    return str(value)
