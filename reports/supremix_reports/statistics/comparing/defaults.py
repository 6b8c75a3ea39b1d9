"""Whether what a search found is better than the defaults it began with."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from supremix_reports.statistics.comparing.comparisons import compare_methods
from supremix_reports.tables import schema

DEFAULT_VALUES: Final = "defaults"
"""The reference of the table `defaults`."""


def defaults_row(found: pl.DataFrame, defaults: pl.DataFrame, *, unit: str) -> dict[str, Any]:
    """Return the row of the table `defaults`: a search's hyperparameters against its defaults.

    The difference, its interval and the verdict are those of `compare_methods`, over patients and
    seeds. They do not cover that `found` was chosen among several finalists.

    Args:
        found: rows of the table `predictions` on validation, of the best hyperparameters other
            than the defaults, a seed for each of their trainings.
        defaults: likewise of the defaults, with the same seeds.
        unit: unit of the target.

    Returns:
        Columns and values.
    """
    first = found.row(0, named=True)
    method = pl.lit(DEFAULT_VALUES).alias(schema.METHOD)
    table = compare_methods(
        pl.concat([found, defaults.with_columns(method)]),
        reference=DEFAULT_VALUES,
        split=schema.VAL,
        units={first[schema.DATASET]: unit},
    )
    source = {name: first[name] for name in (schema.RUN, schema.TRIAL, schema.SPLIT)}
    return table.row(0, named=True) | source
