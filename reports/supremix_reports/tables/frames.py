"""The trials as a frame to look at: hyperparameters as columns, ranked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from supremix_reports.tables import schema
from supremix_reports.tables.ranking import TrialOutcome, best_outcome, rank_key

CONFIG_PREFIX: Final = "config_"
"""What the columns of hyperparameters begin with, so that none is taken for a result."""


def trials_frame(trials: pl.DataFrame) -> pl.DataFrame:
    """Return a table of trials with each hyperparameter in a column of its own.

    Args:
        trials: rows of the table `trials`.

    Returns:
        The same rows; in place of the column `config`, a column `config_<name>` for each
        hyperparameter of any trial, null where a trial does not have it.
    """
    configs: list[dict[str, Any]] = [json.loads(text) for text in trials[schema.CONFIG]]
    names = dict.fromkeys(name for config in configs for name in config)
    columns = [
        _series(f"{CONFIG_PREFIX}{name}", [config.get(name) for config in configs])
        for name in names
    ]
    return trials.drop(schema.CONFIG).hstack(columns)


def ranked(trials: pl.DataFrame) -> pl.DataFrame:
    """Return trials from best to worst by their own error, see `rank_key`."""
    outcomes = outcomes_of(trials)
    return trials[sorted(range(len(outcomes)), key=lambda row: rank_key(outcomes[row]))]


def best_trial(
    trials: pl.DataFrame, predictions: pl.DataFrame | None = None
) -> dict[str, Any] | None:
    """Return the trial whose hyperparameters are best, as a row; None without one.

    There is none among the trials of several folds, each of which has its own.

    Args:
        trials: rows of the table `trials` of one run.
        predictions: rows of its table `predictions`, if there are any: they are of the
            hyperparameters that were named best. Without any, `best_outcome` says which are.
    """
    if folds_of(trials) is not None:
        return None
    outcomes = outcomes_of(trials)
    known = {outcome.number: row for row, outcome in enumerate(outcomes)}
    named = None if predictions is None else next(iter(predictions[schema.TRIAL]), None)
    if named not in known:
        best = best_outcome(outcomes)
        named = None if best is None else best.number
    return None if named is None else trials.row(known[named], named=True)


def folds_of(table: pl.DataFrame) -> npt.NDArray[np.int64] | None:
    """Return the fold (N,) of each row of a table, of a cross-validation; None without folds."""
    if schema.FOLD not in table.columns or table.is_empty() or table[schema.FOLD].has_nulls():
        return None
    return table[schema.FOLD].to_numpy().astype(np.int64)


def outcomes_of(trials: pl.DataFrame) -> list[TrialOutcome]:
    """Return what decides which trial is best, of each row of the table `trials`."""
    names = (schema.TRIAL, schema.STATE, schema.ERROR, schema.REPLICATE_OF)
    return [TrialOutcome(*row) for row in trials.select(names).iter_rows()]


def _series(name: str, values: Sequence[Any]) -> pl.Series:
    """Return a column of the narrowest type that holds all values; JSON texts when they mix."""
    kinds: set[object] = {type(value) for value in values if value is not None}
    if kinds <= {int}:
        return pl.Series(name, values, dtype=pl.Int64 if kinds else pl.Null)
    if kinds <= {int, float}:
        return pl.Series(name, values, dtype=pl.Float64, strict=False)
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds == {str}:
        return pl.Series(name, values, dtype=pl.String)
    texts = [None if value is None else json.dumps(value) for value in values]
    return pl.Series(name, texts, dtype=pl.String)
