"""The models of a benchmark on outside cohorts, in a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from supremix_reports.document.parts import (
    Cell,
    Column,
    Missing,
    Paragraph,
    Section,
    Table,
    count_cell,
    decimals,
    number_cell,
    text_cell,
)
from supremix_reports.errors import SchemaError, TableError
from supremix_reports.report.privacy import without_places
from supremix_reports.report.sections.results import gains_table
from supremix_reports.run_layout import BENCHMARK
from supremix_reports.statistics.measures.agreement import CALIBRATION
from supremix_reports.statistics.resampling.bootstrap import DEFAULT
from supremix_reports.summaries.error_rows import interval_columns
from supremix_reports.tables import schema, storage
from supremix_reports.tables.tables import has_table, read_table

_ERRORS: Final = {
    schema.TEST: "Test",
    schema.MAE: "Cohort",
    schema.NULL_MAE: "Training median",
    schema.LINEAR_MAE: "Linear in covariates",
}
_SHARES: Final = {schema.SKILL: "Skill"} | {
    name: words.capitalize() for name, words in CALIBRATION.items()
}


def external_sections(addresses: Sequence[str], *, paths: bool) -> tuple[Section, ...]:
    """Return the section about outside cohorts, where the report is about a benchmark with some.

    Args:
        addresses: what the report is about.
        paths: whether paths in warnings and reasons are shown whole.
    """
    whole = len(addresses) == 1 and storage.exists(storage.join(addresses[0], BENCHMARK))
    if not whole or not has_table(addresses[0], "external"):
        return ()
    try:
        table = read_table(addresses[0], "external")
    except (TableError, SchemaError):  # whose words name the user's disk
        reason = "external.parquet is damaged or of another version."
        missing = Missing(title="Errors on outside cohorts", reason=reason)
        return (Section(key="external", title="Outside cohorts", parts=(missing,)),)
    if table.is_empty():
        return ()
    sections = tuple(
        _cohort_section(str(name), own, paths=paths)
        for (name,), own in table.group_by([schema.COHORT_NAME], maintain_order=True)
    )
    text = (
        "The models that were tested above on patients who were no part of the benchmark. The "
        "training median and the linear model are those of the data that the models were trained "
        "on."
    )
    parts = (Paragraph(text=text),)
    sections += _comparison(table)
    return (Section(key="external", title="Outside cohorts", parts=parts, sections=sections),)


def _comparison(table: pl.DataFrame) -> tuple[Section, ...]:
    """The methods on all cohorts: their p values are corrected together, so it is one table."""
    compared = table.filter(pl.col(schema.METHOD) != pl.col(schema.REFERENCE))
    if compared.is_empty():
        return ()
    named = pl.format("{} (trained on {})", schema.COHORT_NAME, schema.DATASET)
    rows = compared.with_columns(named.alias(schema.DATASET))
    reference = compared[schema.REFERENCE][0]
    parts = (gains_table(rows, reference=reference, level=DEFAULT.level),)
    title = "Comparison of the methods on outside cohorts"
    return (Section(key="external-comparison", title=title, parts=parts),)


def _cohort_section(cohort: str, rows: pl.DataFrame, *, paths: bool) -> Section:
    shown = (lambda text: text) if paths else without_places
    measured = rows.filter(pl.col(schema.MAE).is_not_null())
    parts: list[Paragraph | Table] = []
    warned: dict[str, list[str]] = {}
    for row in rows.to_dicts():
        name = f"{row[schema.METHOD]} on {row[schema.DATASET]}"
        for text in (row[schema.WARNINGS] or "").splitlines():
            warned.setdefault(text, []).append(name)
        if row[schema.REASON] is not None:
            warned[f"It was not measured: {row[schema.REASON]}"] = [name]
    if measured.height:
        parts.append(_errors_table(cohort, measured))
    parts += [
        Paragraph(text=f"{', '.join(names)}: {shown(text)}", tone="warning")
        for text, names in warned.items()
    ]
    return Section(key=f"external-{cohort}", title=cohort, parts=tuple(parts))


def _errors_table(cohort: str, rows: pl.DataFrame) -> Table:
    errors = {name: head for name, head in _ERRORS.items() if rows[name].count()}
    digits = decimals([value for value in rows[schema.MAE].to_list() if value is not None])
    heads = ("Dataset", "Method", "Unit", *errors.values(), *_SHARES.values())
    counts = ("Images", "Patients", "Models", "Excluded")
    return Table(
        name=f"external-{cohort}",
        caption="Mean absolute errors on the test split of the dataset and on the cohort "
        f"{cohort}, and the calibration there, with {DEFAULT.percent} intervals over patients and "
        "models.",
        columns=tuple(Column(name=n, number=k > 2) for k, n in enumerate((*heads, *counts))),
        rows=tuple(_errors_row(row, errors, digits) for row in rows.to_dicts()),
        note="Skill: 1 minus the error in units of that of the better model without images. "
        "Calibration slope 1 and intercept 0 are perfect; a slope below 1: the predictions are "
        "spread too far. Bias: mean of prediction minus truth. Of several models: the mean of "
        "each one's own.",
        heads=2,
        paper=True,
    )


def _errors_row(row: Mapping[str, Any], errors: Mapping[str, str], digits: int) -> tuple[Cell, ...]:
    def cell(name: str, digits: int | None) -> Cell:
        return number_cell(*(row[column] for column in interval_columns(name)), digits=digits)

    return (
        text_cell(row[schema.DATASET]),
        text_cell(row[schema.METHOD]),
        text_cell(row[schema.UNIT]),
        *(cell(name, digits) for name in errors),
        *(cell(name, 2 if name == schema.SKILL else None) for name in _SHARES),
        *(count_cell(row[n]) for n in (schema.N, schema.GROUPS, schema.SEEDS, schema.EXCLUDED)),
    )
