"""The relative error along single parameters, over all datasets of a method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from supremix_reports.figures.plot import (
    BLACK,
    FAINT,
    NotShown,
    Plot,
    colour_of,
    counted,
    drawing,
    listed,
    log_axis,
    marker_of,
    number,
    whiskers,
)
from supremix_reports.figures.search.marginals import PARAMETERS, value_text, with_ratio
from supremix_reports.figures.search.sensitivity import axis_numbers, scale_axis
from supremix_reports.figures.search.trials import SearchedParameter, search_trials
from supremix_reports.statistics.bootstrap import none_for_nan
from supremix_reports.statistics.intervals import Array, median_interval
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


def across_sensitivity_plot(name: str, trials: pl.DataFrame, method: str) -> Plot | NotShown:
    """Draw the relative error along single parameters, over all datasets."""
    title = f"Sensitivity of {method} to single parameters, across datasets"
    panels = _pooled(trials)
    if not panels:
        return NotShown(
            name=name,
            title=title,
            reason="Two datasets with three finished trials each, and mixup ratio, temperature or "
            f"batch size among the searched parameters, are needed; {method} has not.",
        )
    rows = [row for panel in panels for row in _bins(panel)]
    datasets = max(len(np.unique(panel.owners)) for panel in panels)
    used = {str(owner) for panel in panels for owner in panel.owners}
    lacking = sorted(set(trials[schema.DATASET].unique()) - used)
    rest = f" Not shown, with too few finished trials: {listed(lacking)}." if lacking else ""
    least = " ".join(_least_of(rows, panel.parameter.name) for panel in panels)
    return Plot(
        name=name,
        title=title,
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
    if panel.parameter.options:
        parts = [
            np.flatnonzero(panel.positions == position) for position in np.unique(panel.positions)
        ]
    else:
        count = min(5, max(2, len(panel.positions) // _PER_BIN))
        parts = np.array_split(panel.positions.argsort(kind="stable"), count)
    rows: list[dict[str, Any]] = []
    for part in parts:
        median = median_interval(panel.errors[part], panel.owners[part])
        rows.append(
            {
                "parameter": panel.parameter.name,
                "position": float(np.median(panel.positions[part])),
                "value": value_text(panel.parameter, float(np.median(panel.positions[part]))),
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
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    datasets = sorted({str(owner) for panel in panels for owner in panel.owners})
    with drawing(lines, columns, height=0.9 + 2.2 * lines, sharey=True) as (figure, grid):
        for k, (axes, panel) in enumerate(zip(grid, panels, strict=False)):
            own = [row for row in rows if row["parameter"] == panel.parameter.name]
            _draw_pooled(axes, panel, own, datasets)
            if k % columns == 0:
                axes.set_ylabel("validation MAE / median")
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        errors = np.concatenate([panel.errors for panel in panels])
        if errors.max() > 8:
            log_axis(grid[0].yaxis, float(errors.min()), float(errors.max()))
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def _draw_pooled(
    axes: Any, panel: _Pooled, rows: list[dict[str, Any]], datasets: list[str]
) -> None:
    parameter = panel.parameter
    for i, dataset in enumerate(datasets):
        own = panel.owners == dataset
        axes.plot(
            axis_numbers(parameter, panel.positions[own]), panel.errors[own], marker_of(i),
            color=colour_of(i), alpha=0.55, markersize=3.5, markeredgewidth=0, label=dataset,
        )  # fmt: skip
    at = axis_numbers(parameter, np.array([row["position"] for row in rows]))
    middle, low, high = ([row[name] for row in rows] for name in (RELATIVE, "low", "high"))
    axes.plot(at, middle, "s-", color=BLACK, linewidth=1.8)
    whiskers(axes, at, middle, low, high)
    axes.axhline(1, color=FAINT, linewidth=0.8)
    axes.set_title(parameter.name)
    scale_axis(axes, parameter)
