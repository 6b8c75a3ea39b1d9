"""Parallel coordinates: every finished trial as a line through its settings to its error."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import numpy as np
import polars as pl

from supremix_reports.figures.plot import NotShown, Plot, counted, drawing, number, shade
from supremix_reports.figures.search.trials import SearchTrials, Setting
from supremix_reports.statistics.intervals import Array
from supremix_reports.tables import schema

_TITLE: Final = "Settings and errors of the trials"
_ABSENT: Final = -0.12  # below the axes: where a line goes that does not have the parameter
_THICK: Final = 0.1  # share of the trials, the best ones, whose lines are thick


def parallel_plot(name: str, tried: SearchTrials, words: str, unit: str) -> Plot | NotShown:
    """Draw each finished trial as a line over one axis a parameter.

    Args:
        name: of the plot.
        tried: the trials.
        words: what they are of.
        unit: of the error.
    """
    which = tried.judged
    if len(which) < 2 or not tried.settings:
        return NotShown(
            name=name,
            title=_TITLE,
            reason="Parallel coordinates need two finished trials with an error and a parameter "
            f"that took two values; there are {counted(len(which), 'such trial')} and "
            f"{counted(len(tried.settings), 'such parameter')}.{tried.left_out()}",
        )
    errors = tried.errors(which)
    places = np.stack([tried.places(which, setting) for setting in tried.settings], axis=1)
    ranges = "" if tried.recorded else " The space is not recorded: axes span the values tried."
    absent = (
        " Lines through the mark × do not have the parameter (a condition does not hold)."
        if np.isnan(places).any()
        else ""
    )
    best = tried.configs[which[int(errors.argmin())]]
    shown = [s for s in tried.settings if s.name in best]
    settings = ", ".join(f"{s.name} {_word(best[s.name])}" for s in shown)
    return Plot(
        name=name,
        title=_TITLE,
        caption=f"Each line is a finished trial of {words} ({len(which)}), from its settings to "
        "its validation MAE; darker is better, and the best tenth is thick. Axes span the "
        f"searched range, logarithmic where the search was.{absent}{ranges}{tried.left_out()}",
        alt=f"Parallel coordinates of {counted(len(which), 'trial')} of {words}. The best one, "
        f"with an error of {number(errors.min())} {unit}, has {settings}.",
        figure=_drawn(tried.settings, places, errors, unit),
        data=_data(tried, which, errors),
    )


def _data(tried: SearchTrials, which: list[int], errors: Array) -> pl.DataFrame:
    """Settings as JSON texts, so that a choice of mixed values has one type."""
    columns: dict[str, Any] = {
        schema.RUN: [tried.rows[schema.RUN][i] for i in which],
        schema.TRIAL: [tried.rows[schema.TRIAL][i] for i in which],
        schema.ERROR: errors,
    }
    for setting in tried.settings:
        values = [tried.configs[i] for i in which]
        columns[setting.name] = [
            json.dumps(config[setting.name]) if setting.name in config else None
            for config in values
        ]
    return pl.DataFrame(columns)


def _drawn(settings: tuple[Setting, ...], places: Array, errors: Array, unit: str) -> Any:
    low, high = float(errors.min()), float(errors.max())
    last = (errors - low) / (high - low) if high > low else np.full(len(errors), 0.5)
    points = np.column_stack([np.where(np.isnan(places), _ABSENT, places), last])
    with drawing(height=3.9) as (figure, (axes,)):
        ranks = errors.argsort(kind="stable").argsort(kind="stable")
        thick = max(1, round(_THICK * len(errors)))
        for i in (-ranks).argsort(kind="stable"):
            best = ranks[i] < thick
            axes.plot(
                points[i], color=shade(float(ranks[i]) / max(len(errors) - 1, 1)),
                linewidth=2.4 if best else 0.9, alpha=1.0 if best else 0.65,
            )  # fmt: skip
        for k, setting in enumerate(settings):
            absent = bool(np.isnan(places[:, k]).any())
            _axis(axes, k, _ticks(setting), absent=absent)
        _axis(axes, len(settings), _error_ticks(low, high), absent=False)
        names = [*(s.name for s in settings), f"MAE ({unit})"]
        axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
        axes.set_yticks([])
        axes.set_xlim(-0.25, len(names) - 0.45)
        axes.set_ylim(_ABSENT - 0.05 if np.isnan(places).any() else -0.04, 1.04)
        axes.grid(visible=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(axis="x", length=0, pad=6)
    return figure


def _axis(axes: Any, at: int, ticks: list[tuple[float, str]], *, absent: bool) -> None:
    axes.plot([at, at], [0, 1], color="black", linewidth=0.8)
    for place, text in ticks:
        axes.annotate(
            text, (at, place), xytext=(3, 0), textcoords="offset points", fontsize=8,
            va={0.0: "bottom", 1.0: "top"}.get(place, "center"), zorder=5,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    if absent:
        axes.plot(at, _ABSENT, "x", color="black", markersize=6)


def _ticks(setting: Setting) -> list[tuple[float, str]]:
    if setting.options:
        return [(setting.place(option), _word(option)) for option in setting.options]
    return [(place, number(setting.value(place))) for place in (0.0, 0.5, 1.0)]


def _error_ticks(low: float, high: float) -> list[tuple[float, str]]:
    if high <= low:
        return [(0.5, number(low))]
    return [(p, number(low + p * (high - low))) for p in (0.0, 0.5, 1.0)]


def _word(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and math.isfinite(value):
        return number(value)
    return str(value)
