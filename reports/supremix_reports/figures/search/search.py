"""Evidence about a search: what mattered, what was tried, how it went, what it is sensitive to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import polars as pl

from supremix_reports.errors import TableError
from supremix_reports.figures.plot import NotShown, Plot, plot_name
from supremix_reports.figures.search.across import across_plots as across_plots
from supremix_reports.figures.search.curves import budget_plot, learning_plot
from supremix_reports.figures.search.importance import importance_plot
from supremix_reports.figures.search.parallel import parallel_plot
from supremix_reports.figures.search.sensitivity import sensitivity_plot
from supremix_reports.figures.search.trials import SearchTrials, tried
from supremix_reports.tables import schema

TITLES: Final = {
    "importance": "Importance of the parameters",
    "sensitivity": "Sensitivity to single parameters",
    "budget": "Error against budget",
    "curves": "Learning curves",
    "parallel": "Settings and errors of the trials",
}


def search_plots(
    trials: pl.DataFrame,
    curves: pl.DataFrame,
    space: Mapping[str, Any] | None,
    *,
    dataset: str,
    method: str,
    unit: str,
) -> list[Plot | NotShown]:
    """Draw the evidence about the search of one dataset and method.

    Args:
        trials: rows of the table `trials`; those of other datasets and methods are left aside.
        curves: rows of the table `curves`, likewise.
        space: the search space as `space.json` holds it; None takes ranges and options from the
            values that were tried.
        dataset: name of the dataset.
        method: name of the method.
        unit: unit of the error.

    Returns:
        Importance of the parameters, sensitivity to single ones, error against budget, learning
        curves and parallel coordinates; each as a plot, or with the reason why there is none.
    """
    names = {key: plot_name(dataset, method, key) for key in TITLES}
    own = (pl.col(schema.DATASET) == dataset) & (pl.col(schema.METHOD) == method)
    trials, curves = trials.filter(own), curves.filter(own)
    words = f"{method} on {dataset}"
    if trials.is_empty():
        return _none(names, f"There are no trials of {words}.")
    try:
        found = tried(trials, space)
    except TableError as error:
        return _none(names, str(error))
    makers: dict[str, Callable[[str, SearchTrials], Plot | NotShown]] = {
        "importance": lambda name, of: importance_plot(name, of, words),
        "sensitivity": lambda name, of: sensitivity_plot(name, of, words, unit),
        "budget": lambda name, of: budget_plot(name, of, words, unit),
        "curves": lambda name, of: learning_plot(name, of, curves, words, unit),
        "parallel": lambda name, of: parallel_plot(name, of, words, unit),
    }
    return [makers[key](name, found) for key, name in names.items()]


def _none(names: Mapping[str, str], reason: str) -> list[Plot | NotShown]:
    return [NotShown(name=name, title=TITLES[key], reason=reason) for key, name in names.items()]
