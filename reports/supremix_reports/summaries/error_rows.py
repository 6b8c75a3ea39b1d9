"""Errors in rows: of each method, and of models that look at no image on the same samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from supremix_reports.document.markdown import duration
from supremix_reports.tables import schema

Row = Mapping[str, Any]
Measures = Mapping[str, Row]
"""Rows of the table `mae` of one dataset, method and split, by metric."""

NULL_MODELS: Final = {
    "training median": schema.NULL_MAE,
    "linear in covariates": schema.LINEAR_MAE,
}
"""By name in a table of errors the metric of a model that looks at no image."""

SKILL_NOTE: Final = (
    "1 minus the error in units of that of the better model without images (the training median, "
    "or one linear in the covariates) on the same patients; 0 for a model that has learned nothing "
    "from images"
)
"""The skill in words, below tables of errors."""


def final_measures(mae: pl.DataFrame) -> list[Measures]:
    """Return the measures of each dataset and method on test, or on validation without a test."""
    return [_final(splits) for splits in _measured(mae).values()]


def error_rows(mae: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each method on one dataset, and below them one for each null model.

    Args:
        mae: rows of the table `mae` of one dataset.

    Returns:
        Rows with the columns method, val, test and skill (of test, or of validation where there is
        no test), the last three with the ends of their intervals; None for what is not there.
    """
    methods = _measured(mae).items()
    rows = [_row(method, own, schema.MAE) for (_, method), own in methods]
    return rows + null_rows(mae)


def null_rows(mae: pl.DataFrame) -> list[dict[str, Any]]:
    """Return those of the null models alone: one each, or one a method where they differ."""
    rows: list[dict[str, Any]] = []
    for name, error in NULL_MODELS.items():
        found = {
            method: _row(name, own, error)
            for (_, method), own in _measured(mae).items()
            if error in _final(own)
        }
        distinct = {str([_rounded(v) for v in row.values()]): m for m, row in found.items()}
        for method in distinct.values():
            label = name if len(distinct) == 1 else f"{name} ({method})"
            rows.append(found[method] | {schema.METHOD: label})
    return rows


def interval_text(row: Row, name: str) -> str:
    """Return a number of a row with its interval: ``4.21 (3.9 to 4.6)``; a dash for none."""
    value, low, high = (row[key] for key in interval_columns(name))
    if value is None:
        return "–"
    form = "z.2f" if name == schema.SKILL else ".4g"
    return f"{value:{form}}" + ("" if low is None else f" ({low:{form}} to {high:{form}})")


def training_cells(row: Row) -> tuple[str | None, str | None]:
    """Return the length of one training, in images seen and in time; None for what is not known."""
    images, seconds = row[schema.IMAGES_SEEN], row[schema.TRAINING_SECONDS]
    return None if images is None else f"{images:,}", None if seconds is None else duration(seconds)


def interval_columns(name: str) -> tuple[str, str, str]:
    """The columns of a number and of the two ends of its interval."""
    return name, f"{name}_{schema.LOW}", f"{name}_{schema.HIGH}"


def measure_columns(name: str, measures: Measures, metric: str) -> dict[str, float | None]:
    """Return a measure as the column `name` and the two ends of its interval."""
    row = measures.get(metric, {})
    values = (row.get(column) for column in (schema.VALUE, schema.LOW, schema.HIGH))
    return dict(zip(interval_columns(name), values, strict=True))


def _row(label: str, own: Mapping[str, Measures], error: str) -> dict[str, Any]:
    row: dict[str, Any] = {schema.METHOD: label}
    for split in (schema.VAL, schema.TEST):
        row |= measure_columns(split, own.get(split, {}), error)
    skill = _final(own) if error == schema.MAE else {}
    return row | measure_columns(schema.SKILL, skill, schema.SKILL)


def _measured(mae: pl.DataFrame) -> dict[tuple[str, str], dict[str, dict[str, Row]]]:
    """By dataset and method, split and metric the rows of the table."""
    found: dict[tuple[str, str], dict[str, dict[str, Row]]] = {}
    for row in mae.iter_rows(named=True):
        splits = found.setdefault((row[schema.DATASET], row[schema.METHOD]), {})
        splits.setdefault(row[schema.SPLIT], {})[row[schema.METRIC]] = row
    return found


def _final(splits: Mapping[str, Measures]) -> Measures:
    return splits.get(schema.TEST) or splits.get(schema.VAL) or {}


def _rounded(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
