"""The error of the hyperparameters that a search names best: one number, the same in every view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from supremix_reports.statistics.resampling.bootstrap import LEVEL
from supremix_reports.tables import schema
from supremix_reports.tables.ranking import on_validation
from supremix_reports.tables.tables import has_table, read_table


@dataclass(frozen=True, slots=True, kw_only=True)
class BestError:
    """The error of the best hyperparameters.

    Args:
        value: Mean absolute error, in the unit of the target.
        basis: What it was measured on, in words, with its interval.
    """

    value: float
    basis: str


def best_error(mae: pl.DataFrame, *, new_seeds: bool) -> BestError | None:
    """Return the error of the best hyperparameters on test, else on validation; None without one.

    Args:
        mae: rows of the table `mae` of one search.
        new_seeds: whether they were trained with new seeds before they were named best. Else the
            error on validation is that of the trial that was chosen by it.
    """
    rows = {row[schema.SPLIT]: row for row in mae.to_dicts() if row[schema.METRIC] == schema.MAE}
    row = rows.get(schema.TEST) or rows.get(schema.VAL)
    if row is None or row[schema.VALUE] is None:
        return None
    tested = row[schema.SPLIT] == schema.TEST
    words = _on_test(row) if tested else on_validation(row[schema.SEEDS] if new_seeds else 0)
    if row[schema.LOW] is not None:
        words += f", {LEVEL:.0%} interval {row[schema.LOW]:.4g} to {row[schema.HIGH]:.4g}"
    return BestError(value=row[schema.VALUE], basis=words)


def read_best_error(folder: str, *, new_seeds: bool) -> BestError | None:
    """Return the same from a run folder; None before its table `mae` is written.

    Args:
        folder: path or fsspec address of the run folder.
        new_seeds: as of `best_error`.
    """
    if not has_table(folder, "mae"):
        return None
    return best_error(read_table(folder, "mae"), new_seeds=new_seeds)


def _on_test(row: dict[str, Any]) -> str:
    if row.get(schema.FOLDS):
        return out_of_folds(row[schema.FOLDS], row[schema.SEEDS])
    return "on test" if row[schema.SEEDS] == 1 else f"mean over {row[schema.SEEDS]} seeds on test"


def out_of_folds(folds: int, seeds: int) -> str:
    """Say that predictions are pooled out of folds.

    Args:
        folds: number of folds.
        seeds: number of seeds, over all repeats of the cross-validation.
    """
    more = f", mean over {seeds} repeats or seeds" if seeds > 1 else ""
    return f"pooled out of {folds} folds{more}"
