"""The trials as a frame to look at: settings as columns, ranked, the measures with intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from supremix_reports.tables import schema

CONFIG_PREFIX: Final = "config_"
"""What the columns of settings begin with, so that none is taken for a result."""


def trials_frame(trials: pl.DataFrame) -> pl.DataFrame:
    """Return a table of trials with each setting in a column of its own.

    Args:
        trials: rows of the table `trials`.

    Returns:
        The same rows; in place of the column `config`, a column `config_<name>` for each setting
        of any trial, null where a trial does not have it.
    """
    configs: list[dict[str, Any]] = [json.loads(text) for text in trials[schema.CONFIG]]
    names = dict.fromkeys(name for config in configs for name in config)
    columns = [
        _series(f"{CONFIG_PREFIX}{name}", [config.get(name) for config in configs])
        for name in names
    ]
    return trials.drop(schema.CONFIG).hstack(columns)


def ranked(trials: pl.DataFrame) -> pl.DataFrame:
    """Return trials from best to worst.

    Finished ones come first, by their error: the error of a trial that ended early was measured
    on another footing. Then stopped and pruned ones, then failed ones.
    """
    order = (schema.FINISHED, schema.STOPPED, schema.PRUNED, schema.FAILED)
    return (
        trials.with_columns(
            pl.col(schema.STATE)
            .replace_strict({state: i for i, state in enumerate(order)}, return_dtype=pl.Int8)
            .alias("_order")
        )
        .sort("_order", schema.ERROR, schema.TRIAL, nulls_last=True)
        .drop("_order")
    )


def best_trial(trials: pl.DataFrame) -> dict[str, Any] | None:
    """Return the best trial that has an error, as a row; None when there is none.

    Where the best settings were trained anew with other seeds, their mean error decides, else the
    least error.
    """
    judged = trials.filter(pl.col(schema.ERROR).is_not_null())
    tried = ranked(judged.filter(pl.col(schema.REPLICATE_OF).is_null()))
    means = (
        judged.filter(
            pl.col(schema.REPLICATE_OF).is_not_null(), pl.col(schema.STATE) == schema.FINISHED
        )
        .group_by(schema.REPLICATE_OF)
        .agg(pl.col(schema.ERROR).mean().alias("_mean"))
    )
    if not means.is_empty():
        tried = tried.join(
            means, left_on=schema.TRIAL, right_on=schema.REPLICATE_OF, maintain_order="left"
        ).sort("_mean", maintain_order=True)
    rows = tried.drop("_mean", strict=False).head(1).to_dicts()
    return rows[0] if rows else None


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
