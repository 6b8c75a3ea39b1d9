"""The page about a model on a cohort that was no part of its search, and the files next to it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

import polars as pl

from supremix_reports.document.html import render_html
from supremix_reports.document.parts import (
    Cell,
    Column,
    Listing,
    Missing,
    Paragraph,
    Part,
    Report,
    Section,
    Table,
    count_cell,
    named_apart,
    number_cell,
    text_cell,
)
from supremix_reports.document.text import render_markdown
from supremix_reports.figures.model.model import FIGURES, model_plots
from supremix_reports.figures.model.regions import part_rows, parts_plot
from supremix_reports.figures.model.samples import Predicted, samples
from supremix_reports.figures.plot import FigureSpec
from supremix_reports.report.files import check_target
from supremix_reports.report.privacy import without_places
from supremix_reports.report.sections.evidence import frame_table, pictured
from supremix_reports.report.sections.first_screen import headline
from supremix_reports.report.sections.intervals import bias_parts, interval_sections
from supremix_reports.report.sections.results import error_table, measures_table
from supremix_reports.statistics.measures.agreement import CALIBRATION
from supremix_reports.statistics.resampling.bootstrap import DEFAULT
from supremix_reports.summaries.verdicts import skill_verdict
from supremix_reports.tables import schema, storage
from supremix_reports.tables.tables import write_table

AGE: Final = "age"
AGE_BAND: Final = "age band"
PAGE, SUMMARY = "report.html", "summary.md"
WARNINGS: Final = "warnings.json"
"""The warnings as a list of sentences; written last, so where it is there all else is."""

_PARTS: Final = (schema.SITE, schema.SEX, AGE_BAND)
_FIGURES: Final[tuple[FigureSpec[Predicted], ...]] = (
    *FIGURES[1:],
    FigureSpec("age", "Error by age", lambda data: parts_plot(data, AGE_BAND)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """A model measured on a cohort.

    Args:
        predictions: Columns of the table `predictions`, without trial, and `age` in years; those of
            one dataset, method and split.
        mae: Rows of the table `mae`, those of `CALIBRATION` among them.
        shift: How the cohort differs from the training data; the columns are shown as they are.
        intervals: Rows of the table `intervals`; None without intervals.
        bias: What `correction_table` gives; None without a correction.
        excluded: id and reason of each image without a prediction.
        warnings: What a reader must not overlook, in sentences.
        target: Name of the label.
        facts: What was measured on what, by the word for each.
    """

    predictions: pl.DataFrame
    mae: pl.DataFrame
    shift: pl.DataFrame
    excluded: pl.DataFrame
    warnings: Sequence[str]
    target: str
    facts: Iterable[tuple[str, str]]
    intervals: pl.DataFrame | None = None
    bias: pl.DataFrame | None = None


def write_evaluation(
    out: str, found: Evaluated, *, ids: bool = False, date: str | None = None
) -> tuple[str, ...]:
    """Write predictions, mae, shift, excluded and those asked for, two pages, and the warnings.

    Args:
        out: Folder or address; files of these names are replaced.
        found: What is written.
        ids: Whether the pages name images.
        date: The day on the pages; None for today (UTC).

    Returns:
        The names of the files.

    Raises:
        ReportError: `out` is a run's folder.
    """
    check_target(out)
    report = build_evaluation(found, ids=ids, date=date or datetime.now(UTC).date().isoformat())
    frames = {
        "predictions": found.predictions,
        "shift": found.shift,
        "excluded": found.excluded,
        **({} if found.bias is None else {"bias_correction": found.bias}),
    }
    for name, frame in frames.items():
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        storage.write_atomic(storage.join(out, f"{name}.parquet"), buffer.getvalue())
    tables = {"mae": found.mae, "intervals": found.intervals}
    kept = {name: frame for name, frame in tables.items() if frame is not None}
    for name, frame in kept.items():
        write_table(out, name, frame.to_dicts())
    pages = {PAGE: render_html(report), SUMMARY: render_markdown(report, pictures=False)}
    for name, text in pages.items():
        storage.write_atomic(storage.join(out, name), text.encode())
    warnings = f"{json.dumps(list(found.warnings), indent=2)}\n".encode()
    storage.write_atomic(storage.join(out, WARNINGS), warnings)
    return (*pages, *(f"{name}.parquet" for name in (*frames, *kept)), WARNINGS)


def build_evaluation(found: Evaluated, *, ids: bool, date: str) -> Report:
    """Put the page together."""
    first = found.predictions.row(0, named=True)
    dataset, method, split = (first[n] for n in (schema.DATASET, schema.METHOD, schema.SPLIT))
    (unit,) = found.mae[schema.UNIT].unique()
    banded = found.predictions.with_columns(age_bands(found.predictions[AGE]))
    level, words = DEFAULT.level, {"dataset": dataset, "method": method, "unit": unit}

    def plots(figures: Sequence[FigureSpec[Predicted]]) -> list[Part]:
        drawn = model_plots(
            banded, **words, target=found.target, ids=ids, split=split, figures=figures
        )
        return pictured(drawn, ("svg",))

    rows = {row[schema.METRIC]: row for row in found.mae.to_dicts()}
    sections = (
        Section(
            key="result",
            title="Result",
            parts=(
                headline(rows, found.target, f"on {dataset}", level),
                Paragraph(text=skill_verdict(found.mae, level=level), tone="strong"),
                *(Paragraph(text=without_places(t), tone="warning") for t in found.warnings),
                *plots(FIGURES[:1]),
            ),
            first=True,
        ),
        Section(
            key="cohort", title="Model and cohort", parts=(Listing(entries=tuple(found.facts)),)
        ),
        Section(
            key="errors",
            title="Errors",
            parts=(
                error_table(found.mae, split=split, level=level),
                measures_table(found.mae, split=split, level=level),
                _calibration(rows),
                _parts_table(banded, split, unit),
            ),
        ),
        *interval_sections(
            found.intervals, [] if found.bias is None else bias_parts(found.bias, unit)
        ),
        Section(key="shift", title="Difference to the training data", parts=_shift(found.shift)),
        Section(key="model", title="The model", parts=tuple(plots(_FIGURES))),
        Section(key="excluded", title="Excluded images", parts=_excluded(found.excluded, ids=ids)),
    )
    return Report(
        title=f"{method} on {dataset}",
        date=date,
        version=version("supremix"),
        sections=named_apart(sections),
    )


def age_bands(ages: pl.Series) -> pl.Series:
    """The decade of each age in years, as text that sorts by age; null where it is not known."""
    return pl.Series(
        AGE_BAND,
        [
            None if age is None else f"{age // 10 * 10:>3.0f} to {age // 10 * 10 + 9:.0f}"
            for age in ages
        ],
        dtype=pl.String,
    )


def _calibration(rows: dict[str, dict[str, object]]) -> Table:
    shown = [(name, rows[name]) for name in CALIBRATION if name in rows]
    return Table(
        name="calibration",
        caption="Calibration: the least-squares line of the label on the prediction, with "
        f"{DEFAULT.percent} intervals over patients.",
        columns=(
            Column(name="Measure"),
            Column(name="Value", number=True),
            Column(name="If perfect"),
        ),
        rows=tuple(
            (text_cell(CALIBRATION[name]), _measured(row), text_cell(ideal))
            for (name, row), ideal in zip(shown, ("1", "0", "0"), strict=True)
        ),
        note="Slope below 1: the predictions are spread too far. Bias: mean of prediction minus "
        "truth.",
        paper=True,
    )


def _measured(row: Mapping[str, Any]) -> Cell:
    value, low, high = (row[name] for name in (schema.VALUE, schema.LOW, schema.HIGH))
    return number_cell(value, low, high)


def _parts_table(predictions: pl.DataFrame, split: str, unit: str) -> Part:
    """MAE and bias of each site, sex and age band, where these are known of two at least."""
    of = samples(predictions, split)
    title = "Errors by site, sex and age"
    rows: list[tuple[Cell, ...]] = []
    for column in _PARTS:
        if predictions[column].n_unique() < 2:
            continue
        for part in part_rows(of, column)[0]:
            mae, bias = (
                number_cell(*(part[f"{name}{end}"] for end in ("", "_low", "_high")), sign=sign)
                for name, sign in (("mae", False), ("bias", True))
            )
            counts = (count_cell(part["n"]), count_cell(part["patients"]))
            rows.append((text_cell(column), text_cell(part[column].strip()), mae, bias, *counts))
    if not rows:
        return Missing(title=title, reason="the cohort has no two sites, sexes or age bands.")
    names = ("By", "Value", f"MAE ({unit})", f"Bias ({unit})", "Images", "Patients")
    return Table(
        name="parts",
        caption=f"{title}, with {DEFAULT.percent} intervals over patients.",
        columns=tuple(Column(name=name, number=k > 1) for k, name in enumerate(names)),
        rows=tuple(rows),
        note="Bias: prediction minus truth. Differences between the rows are not tested.",
        heads=2,
        paper=True,
    )


def _shift(shift: pl.DataFrame) -> tuple[Part, ...]:
    caption = (
        "Means of the training data and of the cohort, their difference in standard deviations of "
        "the training, and the shares of the cohort that lie outside of the training data."
    )
    text = (
        "Covariates and intensities are as the model sees them. Outside: labels beyond the lowest "
        "and highest of the training; images whose distance from the training images is above the "
        "limit that held-out images give, which the expected share of images like those exceeds."
    )
    return frame_table(shift, name="shift", caption=caption), Paragraph(text=text)


def _excluded(excluded: pl.DataFrame, *, ids: bool) -> tuple[Part, ...]:
    if excluded.is_empty():
        return (Paragraph(text="None: every image has a prediction."),)
    if not ids:
        excluded = excluded.with_columns(
            pl.col("reason").map_elements(without_places, return_dtype=pl.String)
        )
    counts = excluded.group_by("reason", maintain_order=True).agg(
        pl.len().alias("images"), pl.col("id").first().alias("for instance")
    )
    shown = counts if ids else counts.drop("for instance")
    caption = "Images without a prediction, by the reason."
    return (frame_table(shown, name="excluded", caption=caption),)
