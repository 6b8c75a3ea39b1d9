"""Evidence about a search: what mattered, what was tried, how it went, what it is sensitive to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from supremix_reports.errors import TableError
from supremix_reports.figures.plot import FigureSpec, NotShown, Plot
from supremix_reports.figures.search.across import across_plots as across_plots
from supremix_reports.figures.search.curves import budget_plot, learning_plot
from supremix_reports.figures.search.importance import importance_plot
from supremix_reports.figures.search.parallel import parallel_plot
from supremix_reports.figures.search.sensitivity import sensitivity_plot
from supremix_reports.figures.search.trials import Searched, search_trials
from supremix_reports.tables import schema

FIGURES: Final[tuple[FigureSpec[Searched], ...]] = (
    FigureSpec("importance", "Importance of the parameters", importance_plot),
    FigureSpec("sensitivity", "Sensitivity to single parameters", sensitivity_plot),
    FigureSpec("budget", "Error against budget", budget_plot),
    FigureSpec("curves", "Learning curves", learning_plot),
    FigureSpec("parallel", "Hyperparameters and errors of the trials", parallel_plot),
)
"""The figures of a search, in the order of a report; a new one is a line here."""


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
    own = (pl.col(schema.DATASET) == dataset) & (pl.col(schema.METHOD) == method)
    trials, curves = trials.filter(own), curves.filter(own)
    words = f"{method} on {dataset}"
    data: Searched | str = f"There are no trials of {words}."
    try:
        if not trials.is_empty():
            data = Searched(search_trials(trials, space), curves, words, unit)
    except TableError as error:
        data = str(error)
    return [figure.plot(data, dataset, method) for figure in FIGURES]
