"""The models of a benchmark on outside cohorts: errors, calibration, and methods compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from supremix_reports.statistics.comparing.comparisons import compare_methods
from supremix_reports.statistics.measures.agreement import CALIBRATION
from supremix_reports.statistics.measures.mae import calibration_rows, mae_rows
from supremix_reports.summaries.error_rows import measure_columns
from supremix_reports.tables import schema
from supremix_reports.tables.tables import has_table, read_table, write_table

_MEASURED: Final = (schema.MAE, schema.NULL_MAE, schema.LINEAR_MAE, schema.SKILL, *CALIBRATION)


@dataclass(frozen=True, kw_only=True, slots=True)
class OutsideResult:
    """The models of a method, trained on a dataset, and what they predict of an outside cohort.

    Args:
        cohort: name of the cohort.
        dataset: name of the dataset that the models were trained on.
        method: name of the method.
        unit: unit of the label.
        predictions: as `mae_rows` takes them, of all models, each a seed; None where there are
            none.
        excluded: number of images without a prediction.
        warnings: what must not be overlooked, in sentences.
        reason: why there are no predictions; None where there are.
    """

    cohort: str
    dataset: str
    method: str
    unit: str
    predictions: pl.DataFrame | None = None
    excluded: int | None = None
    warnings: Sequence[str] = ()
    reason: str | None = None


def write_external(folder: str, found: Sequence[OutsideResult], *, reference: str) -> None:
    """Write `external.parquet` into a benchmark's folder.

    Args:
        folder: path or fsspec address; the errors on test are taken from its table `mae`.
        found: the models and what they predict.
        reference: name of the method that the others are compared with.
    """
    mae = read_table(folder, "mae") if has_table(folder, "mae") else None
    write_table(folder, "external", external_rows(found, reference, mae))


def external_rows(
    found: Sequence[OutsideResult], reference: str, mae: pl.DataFrame | None
) -> list[dict[str, Any]]:
    """Return the rows of the table `external`, in the order of `found`.

    Methods are compared with the reference as in the table `gains`, their p values corrected for
    all comparisons of this table.

    Args:
        found: the models and what they predict.
        reference: name of the method that the others are compared with.
        mae: the benchmark's table `mae`, for the errors on test; None for none.
    """
    compared = _compared(found, reference)
    return [
        {
            schema.COHORT_NAME: one.cohort,
            schema.DATASET: one.dataset,
            schema.METHOD: one.method,
            schema.UNIT: one.unit,
            schema.REFERENCE: reference,
            schema.EXCLUDED: one.excluded,
            schema.WARNINGS: "\n".join(one.warnings) or None,
            schema.REASON: one.reason,
            **_tested(one, mae),
            **_measures(one),
            **compared.get((_key(one), one.method), {}),
        }
        for one in found
    ]


def _tested(one: OutsideResult, mae: pl.DataFrame | None) -> dict[str, Any]:
    """The error of the same models on the test split of their dataset."""
    if mae is None:
        return {}
    own = {schema.DATASET: one.dataset, schema.METHOD: one.method}
    own |= {schema.SPLIT: schema.TEST, schema.METRIC: schema.MAE}
    rows = mae.filter(**own).to_dicts()
    return measure_columns(schema.TEST, {schema.MAE: rows[0]} if rows else {}, schema.MAE)


def _measures(one: OutsideResult) -> dict[str, Any]:
    if one.predictions is None:
        return {}
    own: list[Mapping[str, Any]] = [
        *mae_rows(one.predictions, unit=one.unit),
        *calibration_rows(one.predictions, unit=one.unit),
    ]
    rows = {row[schema.METRIC]: row for row in own}
    columns = {name: rows[schema.MAE][name] for name in (schema.N, schema.GROUPS, schema.SEEDS)}
    for name in _MEASURED:
        columns |= measure_columns(name, rows, name)
    return columns


def _key(one: OutsideResult) -> str:
    """What stands for the dataset in the comparison: the cohort, and what was trained on."""
    return f"{one.cohort}\n{one.dataset}"


def _compared(
    found: Sequence[OutsideResult], reference: str
) -> dict[tuple[str, str], dict[str, Any]]:
    """By cohort with dataset, and method, the columns of the comparison with the reference."""
    columns = (schema.DATASET, schema.METHOD, schema.SPLIT, schema.SEED, schema.ID, schema.GROUP)
    columns += (schema.TARGET, schema.PREDICTION, schema.NULL_PREDICTION, schema.LINEAR_PREDICTION)
    known = [
        one.predictions.with_columns(
            pl.lit(_key(one)).alias(schema.DATASET), pl.lit(one.method).alias(schema.METHOD)
        ).select(columns)
        for one in found
        if one.predictions is not None
    ]
    if not any(one.method == reference and one.predictions is not None for one in found):
        note = {schema.NOTE: "the reference has no result"}
        return {(_key(one), one.method): note for one in found if one.method != reference}
    gains = compare_methods(pl.concat(known), reference=reference)
    kept = set(schema.column_names("external")) - {schema.N, schema.GROUPS, schema.SEEDS}
    kept -= {schema.DATASET, schema.METHOD, schema.UNIT}
    return {
        (row[schema.DATASET], row[schema.METHOD]): {k: v for k, v in row.items() if k in kept}
        for row in gains.to_dicts()
    }
