"""What a report begins with: the result in large type, or the table of errors of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from supremix_reports.catalog.discovery import Problem
from supremix_reports.document.parts import (
    Cell,
    Headline,
    Paragraph,
    Part,
    Section,
    decimals,
    number_cell,
)
from supremix_reports.figures.plot import counted
from supremix_reports.report.data import ReportData
from supremix_reports.report.entries import Entry
from supremix_reports.report.sections.comparison import Compared
from supremix_reports.report.sections.evidence import convergence_parts
from supremix_reports.report.sections.results import error_table, gains_sentences
from supremix_reports.summaries.folds import selection_sentence
from supremix_reports.summaries.verdicts import skill_sentences, skill_verdict
from supremix_reports.tables import schema

_SPLITS: Final = {schema.TEST: "test", schema.VAL: "validation"}
_NULL: Final = {
    schema.NULL_MAE: "Median predictor",
    schema.LINEAR_MAE: "Linear in covariates",
}
"""Models without an image, as the headline has them."""


def first_section(
    data: ReportData,
    compared: Compared | str,
    problems: Sequence[Problem],
    pictures: Sequence[Part] = (),
) -> Section:
    """Return the section that answers what came out and how sure that is.

    Args:
        data: the runs.
        compared: what came out of comparing the methods, or why nothing did.
        problems: what is wrong with any run.
        pictures: what is shown next to the result of a single run.
    """
    found: list[Part] = []
    if data.mae.is_empty():
        text = f"No run has an error on {_SPLITS[data.split]}: see Problems."
        found.append(Paragraph(text=text, tone="warning"))
    elif len(data.entries) == 1:
        found += _single(data, data.entries[0])
    else:
        found += _several(data, compared)
    # Of one run the verdict alone stands out.
    length = [
        replace(part, tone="plain" if part.tone == "strong" else part.tone)
        for part in convergence_parts(data, data.entries)
    ]
    found += [*length, *_warning(problems), *pictures]
    return Section(key="result", title="Result", parts=tuple(found), first=True)


def _single(data: ReportData, entry: Entry) -> list[Part]:
    """The error of one model in large type, and whether it shows skill."""
    level = data.resampling.level
    rows = {row[schema.METRIC]: row for row in data.mae.to_dicts()}
    verdict = skill_verdict(data.mae, level=level)
    where = f"on {_SPLITS[data.split]}"
    shown = schema.MAE in rows
    parts: list[Part] = [headline(rows, entry.target, where, level)] if shown else []
    if verdict:
        parts.append(Paragraph(text=verdict, tone="strong"))
    if entry.run.spec.get(schema.FOLDS) and schema.MAE in rows and rows[schema.MAE][schema.FOLDS]:
        parts.append(Paragraph(text=selection_sentence(entry.run.spec)))
    # That there is no skill is the verdict already.
    others = [text for text in skill_sentences(data.mae, level=level) if text != verdict]
    return parts + [Paragraph(text=text, tone="warning") for text in others]


def headline(
    rows: Mapping[str, Mapping[str, Any]], target: str, where: str, level: float
) -> Headline:
    """Return the error of one model in large type.

    Args:
        rows: Rows of the table `mae` by metric, `mae` among them.
        target: Name of the label.
        where: What it was measured on, in words.
        level: Probability that its intervals are to cover.
    """
    error = rows[schema.MAE]
    unit, digits = error[schema.UNIT], decimals([error[schema.VALUE]])
    shown = number_cell(error[schema.VALUE], error[schema.LOW], error[schema.HIGH], digits=digits)
    over = "patients" if error[schema.SEEDS] == 1 else f"patients and {error[schema.SEEDS]} seeds"
    if error.get(schema.FOLDS):
        over += f", pooled out of {error[schema.FOLDS]} folds"
    interval = f"{100 * level:g} % interval {shown.detail[1:-1]}, over {over}"
    images = counted(error[schema.N], "image")
    null = [
        (words, Cell(text=f"{number_cell(rows[name][schema.VALUE], digits=digits).text} {unit}"))
        for name, words in _NULL.items()
        if name in rows
    ]
    return Headline(
        title=f"Mean absolute error of the {target} {where}",
        text=f"MAE {shown.text} {unit}",
        detail=interval if shown.detail else "",
        facts=(
            ("Patients", Cell(text=str(error[schema.GROUPS]), detail=f"({images})")),
            *null,
            *([("R²", _share(rows["r2"]))] if "r2" in rows else []),
        ),
    )


def _share(row: Mapping[str, Any]) -> Cell:
    return number_cell(row[schema.VALUE], row[schema.LOW], row[schema.HIGH], digits=2)


def _several(data: ReportData, compared: Compared | str) -> list[Part]:
    """The table of errors, and below it what it shows."""
    level = data.resampling.level
    warnings = skill_sentences(data.mae, level=level)
    verdicts: list[str] = []
    if isinstance(compared, Compared):
        verdicts = gains_sentences(compared.gains, compared.averages, compared.reference)
    return [
        error_table(data.mae, split=data.split, level=level),
        *(Paragraph(text=text, tone="warning") for text in warnings),
        *(Paragraph(text=text, tone="strong") for text in verdicts),
    ]


def _warning(problems: Sequence[Problem]) -> list[Part]:
    count = sum(not problem.remark for problem in problems)
    if not count:
        return []
    words = "1 problem was" if count == 1 else f"{count} problems were"
    text = f"{words} found in the runs; each is listed under Problems."
    return [Paragraph(text=text, tone="warning")]
