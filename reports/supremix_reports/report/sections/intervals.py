"""Prediction intervals and bias correction in a report: coverage, width, and both errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from supremix_reports.document.parts import (
    Cell,
    Column,
    Missing,
    Paragraph,
    Part,
    Section,
    Table,
    count_cell,
    number_cell,
    text_cell,
)
from supremix_reports.errors import StatisticsError
from supremix_reports.figures.plot import plot_name
from supremix_reports.report.data import ReportData
from supremix_reports.report.entries import Entry, own_table
from supremix_reports.statistics.conformal.bias_correction import TRAP, BiasLine, correction_table
from supremix_reports.statistics.conformal.choices import BiasCorrection
from supremix_reports.statistics.conformal.coverage import SHOWN_LEVEL
from supremix_reports.summaries.coverage import coverage_sentence, worth
from supremix_reports.tables import schema

_KINDS = (
    "Split: as wide for all images. Normalised: in proportion to the spread of the networks of "
    "several seeds. Mondrian: calibrated within the third of the training labels that the "
    "prediction is in."
)


def interval_sections(
    intervals: pl.DataFrame | None, bias: Sequence[Part], *, several: bool = False
) -> tuple[Section, ...]:
    """Return the sections about intervals and about bias correction, of those that there are.

    Args:
        intervals: Rows of the table `intervals` of one run or cohort, or of several.
        bias: Parts about the correction of the bias.
        several: Whether there are several runs: one row each.
    """
    sections: list[Section] = []
    if intervals is not None and not intervals.is_empty():
        parts = [_runs_table(intervals)] if several else intervals_parts(intervals)
        sections.append(Section(key="intervals", title="Prediction intervals", parts=tuple(parts)))
    if bias:
        sections.append(Section(key="bias", title="Bias correction", parts=tuple(bias)))
    return tuple(sections)


def run_interval_sections(
    data: ReportData, correction: BiasCorrection | None
) -> tuple[Section, ...]:
    """Return these sections of a report on runs.

    Args:
        data: The runs.
        correction: The correction of the bias that was asked for; None for none.
    """
    tables = [own_table(entry, "intervals") for entry in data.entries]
    known = [
        table.with_columns(pl.lit(entry.method).alias(schema.METHOD))
        for entry, table in zip(data.entries, tables, strict=True)
        if table is not None
    ]
    bias: list[Part] = []
    if correction is not None:
        for entry in data.entries:
            bias += _bias_of(entry, correction, plot_name("bias", entry.run.name))
    several = len(data.entries) > 1
    return interval_sections(pl.concat(known) if known else None, bias, several=several)


def _bias_of(entry: Entry, correction: BiasCorrection, name: str) -> list[Part]:
    """Errors on test without and with a correction that is fitted on validation."""
    title = f"{entry.method} on {entry.run.dataset}"
    predictions = own_table(entry, "predictions")
    known, tested = (
        None if predictions is None else predictions.filter(pl.col(schema.SPLIT) == split)
        for split in (schema.VAL, schema.TEST)
    )
    if known is None or tested is None or known.is_empty() or tested.is_empty():
        reason = "it needs predictions on validation, to fit it, and on test, to measure it."
        return [Missing(title=f"Bias correction of {title}", reason=reason)]
    names = (schema.TARGET, schema.PREDICTION, schema.GROUP)
    target, prediction, _ = (tested[n].to_numpy() for n in names)
    try:
        line = BiasLine.fit(*(known[n].to_numpy() for n in names))
        corrected = line.corrected(prediction, correction, target)
        table = correction_table(tested, corrected, correction)
    except StatisticsError as error:
        return [Missing(title=f"Bias correction of {title}", reason=f"{error}.")]
    return bias_parts(table, entry.unit or "", title=f" of {title} on test", name=name)


def _runs_table(intervals: pl.DataFrame) -> Table:
    """The intervals of one level of several runs, a row each."""
    shown = intervals.filter(
        (pl.col(schema.INTERVAL) == "split") & (pl.col(schema.LEVEL) == SHOWN_LEVEL)
    )
    heads = ("Dataset", "Method", "Coverage", "Mean width", "Unit", "Patients")
    heads += ("Calibration patients", "Note")
    return Table(
        name="intervals",
        caption=f"Coverage and mean width of {SHOWN_LEVEL:.0%} prediction intervals on test, with "
        "95 % intervals of the coverage over patients (Wilson).",
        columns=tuple(Column(name=n, number=k in (2, 3, 5, 6)) for k, n in enumerate(heads)),
        rows=tuple(
            (
                text_cell(row[schema.DATASET]),
                text_cell(row[schema.METHOD]),
                *_measured(row),
                text_cell(row[schema.UNIT]),
                count_cell(row[schema.GROUPS]),
                count_cell(row[schema.CALIBRATION_GROUPS]),
                text_cell(row[schema.NOTE] or ""),
            )
            for row in shown.to_dicts()
        ),
        note="Split intervals, as wide for all images of a run. "
        + " ".join(sorted({worth(row) for row in shown.to_dicts()})),
        heads=2,
        paper=True,
    )


def intervals_parts(intervals: pl.DataFrame, name: str = "intervals") -> list[Part]:
    """Return the coverage and the width of intervals as a sentence and a table.

    Args:
        intervals: Rows of the table `intervals` of one run or cohort.
        name: Name of the table.
    """
    first = intervals.row(0, named=True)
    sentence = coverage_sentence(intervals)
    rows = tuple(_row(row) for row in intervals.to_dicts())
    heads = ("Intervals", "Level", "Region", "Coverage", f"Mean width ({first[schema.UNIT]})")
    heads += ("Patients", "Note")
    return [
        *([Paragraph(text=sentence)] if sentence else []),
        Table(
            name=name,
            caption=f"Coverage and mean width of prediction intervals on {first[schema.SPLIT]}, "
            "with 95 % intervals of the coverage over patients (Wilson).",
            columns=tuple(Column(name=n, number=3 <= k <= 5) for k, n in enumerate(heads)),
            rows=rows,
            note=f"{_KINDS} Calibration: {first[schema.CALIBRATION_GROUPS]} patients. "
            f"{worth(first)} Each patient counts alike.",
            heads=3,
            paper=True,
        ),
    ]


def _row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (
        text_cell(row[schema.INTERVAL]),
        text_cell(f"{row[schema.LEVEL]:.0%}"),
        text_cell(row[schema.REGION]),
        *_measured(row),
        count_cell(row[schema.GROUPS]),
        text_cell(row[schema.NOTE] or ""),
    )


def _measured(row: Mapping[str, Any]) -> tuple[Cell, Cell]:
    coverage = (row[n] for n in (schema.COVERAGE, schema.COVERAGE_LOW, schema.COVERAGE_HIGH))
    return number_cell(*coverage, digits=2), number_cell(row[schema.WIDTH])


def bias_parts(
    bias: pl.DataFrame, unit: str, *, title: str = "", name: str = "bias_correction"
) -> list[Part]:
    """Return the errors without and with a correction as a table, with what must be said of it.

    Args:
        bias: What `correction_table` gives.
        unit: Unit of the label.
        title: What the errors are of, for the caption.
        name: Name of the table.
    """
    measures = {"mae": f"MAE ({unit})", "rmse": f"RMSE ({unit})", "pearson": "Pearson r"}
    measures["bias_slope"] = "Slope of the bias"
    rows = tuple(
        (
            text_cell(row["correction"]),
            *(
                number_cell(row[m], row[f"{m}_low"], row[f"{m}_high"], sign=m == "bias_slope")
                for m in measures
            ),
        )
        for row in bias.to_dicts()
    )
    trap = "beheshti" in bias["correction"].to_list()
    return [
        *([Paragraph(text=TRAP, tone="warning")] if trap else []),
        Table(
            name=name,
            caption=f"Errors{title} without and with the correction of the bias towards the mean "
            "of the labels, with 95 % intervals over patients.",
            columns=(
                Column(name="Correction"),
                *(Column(name=text, number=True) for text in measures.values()),
            ),
            rows=rows,
            note="Slope of the bias: that of prediction minus truth along the truth. The line was "
            "fitted on calibration patients alone. The correction adds no information on a "
            "patient; prediction intervals are those of the uncorrected predictions.",
            paper=True,
        ),
    ]
