"""The relative error along single parameters, over all datasets of a method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from supremix_reports.errors import PlotError
from supremix_reports.figures.plot import (
    BLACK,
    COLOURS,
    FAINT,
    MARKERS,
    Plot,
    counted,
    listed,
    nth,
    number,
    panel_grid,
    spread_axis,
    whiskers,
)
from supremix_reports.figures.search.marginals import PARAMETERS, bins, value_text, with_ratio
from supremix_reports.figures.search.sensitivity import axis_numbers, scale_axis
from supremix_reports.figures.search.trials import SearchedParameter, search_trials
from supremix_reports.statistics.resampling.bootstrap import none_for_nan
from supremix_reports.statistics.resampling.intervals import Array, median_interval
from supremix_reports.tables import schema

RELATIVE: Final = "relative_error"
"""An error over the median, or the least, of its dataset."""

_PER_BIN: Final = 6


@dataclass(frozen=True, slots=True)
class _Pooled:
    """Trials of several datasets along one parameter."""

    parameter: SearchedParameter
    positions: Array
    errors: Array
    owners: Array


def across_sensitivity_plot(trials: pl.DataFrame) -> Plot:
    """Draw the relative error along single parameters of a method, over all datasets."""
    method, panels = trials[schema.METHOD][0], _pooled(trials)
    if not panels:
        raise PlotError(
            "Two datasets with three finished trials each, and mixup ratio, temperature or batch "
            f"size among the searched parameters, are needed; {method} has not."
        )
    rows = [row for panel in panels for row in _bins(panel)]
    datasets = max(len(np.unique(panel.owners)) for panel in panels)
    used = {str(owner) for panel in panels for owner in panel.owners}
    lacking = sorted(set(trials[schema.DATASET].unique()) - used)
    rest = f" Not shown, with too few finished trials: {listed(lacking)}." if lacking else ""
    least = " ".join(_least_of(rows, panel.parameter.name) for panel in panels)
    return Plot(
        caption="Validation MAE of the finished trials, divided by the median of their dataset "
        f"(1: a typical trial there), of {method} on up to {counted(datasets, 'dataset')}. "
        "Squares: medians of bins of about equally many trials; intervals, 95 %, by a bootstrap "
        "over datasets (none for fewer than three in a bin). The other parameters are as they "
        f"were tried, not held.{rest}",
        alt=f"Panels of the relative error of {method} along "
        f"{listed([panel.parameter.name for panel in panels])}. {least}",
        figure=_draw_panels(panels, rows),
        data=pl.DataFrame(rows),
    )


def _pooled(trials: pl.DataFrame) -> list[_Pooled]:
    of = with_ratio(search_trials(trials, None))
    which = of.comparable
    names = np.array([of.rows[schema.DATASET][i] for i in which])
    errors = of.errors(which)
    medians = {name: float(np.median(errors[names == name])) for name in np.unique(names)}
    usable = [n for n, m in medians.items() if m > 0 and (names == n).sum() >= 3]
    kept = np.isin(names, usable)
    relative = errors / np.array([medians[name] or 1.0 for name in names])
    panels: list[_Pooled] = []
    for wanted in PARAMETERS:
        for parameter in (s for s in of.parameters if s.name == wanted):
            positions = of.positions(which, parameter)
            known = kept & ~np.isnan(positions)
            if len(np.unique(names[known])) >= 2 and np.ptp(positions[known]) > 0:
                panels.append(_Pooled(parameter, positions[known], relative[known], names[known]))
    return panels


def _bins(panel: _Pooled) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for part in bins(panel.parameter, panel.positions, _PER_BIN):
        median = median_interval(panel.errors[part], panel.owners[part])
        position = float(np.median(panel.positions[part]))
        rows.append(
            {
                "parameter": panel.parameter.name,
                "position": position,
                "value": value_text(panel.parameter, position),
                RELATIVE: median.value,
                "low": none_for_nan(median.low),
                "high": none_for_nan(median.high),
                "trials": len(part),
                "datasets": median.groups,
            }
        )
    return rows


def _least_of(rows: list[dict[str, Any]], name: str) -> str:
    own = [row for row in rows if row["parameter"] == name]
    best = min(own, key=lambda row: row[RELATIVE])
    return f"{name}: least near {best['value']} ({number(best[RELATIVE])})."


def _draw_panels(panels: list[_Pooled], rows: list[dict[str, Any]]) -> Any:
    datasets = sorted({str(owner) for panel in panels for owner in panel.owners})
    with panel_grid(len(panels), 0.9, "validation MAE / median") as (figure, grid):
        for axes, panel in zip(grid, panels, strict=True):
            own = [row for row in rows if row["parameter"] == panel.parameter.name]
            _draw_pooled(axes, panel, own, datasets)
        spread_axis(grid[0].yaxis, np.concatenate([panel.errors for panel in panels]))
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def _draw_pooled(
    axes: Any, panel: _Pooled, rows: list[dict[str, Any]], datasets: list[str]
) -> None:
    parameter = panel.parameter
    for i, dataset in enumerate(datasets):
        own = panel.owners == dataset
        axes.plot(
            axis_numbers(parameter, panel.positions[own]), panel.errors[own], nth(MARKERS, i),
            color=nth(COLOURS, i), alpha=0.55, markersize=3.5, markeredgewidth=0, label=dataset,
        )  # fmt: skip
    at = axis_numbers(parameter, np.array([row["position"] for row in rows]))
    middle, low, high = ([row[name] for row in rows] for name in (RELATIVE, "low", "high"))
    axes.plot(at, middle, "s-", color=BLACK, linewidth=1.8)
    whiskers(axes, at, middle, low, high)
    axes.axhline(1, color=FAINT, linewidth=0.8)
    axes.set_title(parameter.name)
    scale_axis(axes, parameter)
