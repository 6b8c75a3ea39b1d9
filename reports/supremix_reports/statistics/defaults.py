"""Whether what a search found is better than the defaults it began with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from supremix_reports.statistics.bootstrap import LEVEL
from supremix_reports.statistics.comparisons import compare_methods
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


def defaults_sentence(row: Mapping[str, Any] | None, best: int) -> str:
    """Say in words whether a search found better hyperparameters than its defaults.

    Args:
        row: the row of the table `defaults`; None where there is none.
        best: number of the trial whose hyperparameters are named best; 0 for the defaults.
    """
    if row is None:
        return "There is no comparison with the defaults: only one of the two was trained."
    what = f"The search's hyperparameters (trial {row[schema.TRIAL]}) against the defaults"
    named = "; the defaults are named best" if best == 0 else ""
    if row[schema.DIFFERENCE] is None:
        return f"{what}: no comparison, {row[schema.NOTE]}{named}."
    difference = f"{row[schema.DIFFERENCE]:+.3g} {row[schema.UNIT]}"
    low, high = row[schema.DIFFERENCE_LOW], row[schema.DIFFERENCE_HIGH]
    if low is not None:
        difference += f" ({LEVEL:.0%} interval {low:+.3g} to {high:+.3g})"
    seeds = row[schema.SEEDS]
    over = "one training each" if seeds == 1 else f"{seeds} new seeds"
    return f"{what}: {difference} on validation over {over}: {_verdict(row)}{named}."


def _verdict(row: Mapping[str, Any]) -> str:
    if row[schema.SIGNIFICANT] is None:
        return f"no difference shown ({row[schema.NOTE]})"
    if not row[schema.SIGNIFICANT]:
        return "no difference shown"
    return "better" if row[schema.DIFFERENCE] < 0 else "worse"
