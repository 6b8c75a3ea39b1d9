"""The patients and images of a report: by split, and what was excluded and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import polars as pl

from supremix_reports.document.parts import (
    Cell,
    Column,
    Flow,
    FlowStep,
    Missing,
    Part,
    Section,
    Table,
    count_cell,
    decimals,
    number_cell,
)
from supremix_reports.figures.plot import counted
from supremix_reports.report.data import ReportData
from supremix_reports.report.entries import Entry, own_table
from supremix_reports.report.privacy import without_places
from supremix_reports.tables import schema

LABEL, COVARIATE, SITE, EXCLUDED = "label", "covariate", "site", "excluded"
"""Kinds of rows of the table `cohort`."""

_SPLITS: Final = {
    schema.TRAIN: "Training", schema.VAL: "Validation", schema.TEST: "Test", None: "All",
}  # fmt: skip
_SITES: Final = 12
"""Sites up to which each has a row of its own."""
_REASONS: Final = 10
"""Reasons for excluding images that are listed; those of the fewest images are taken together."""

Row = Mapping[str, Any]


def cohort_section(data: ReportData) -> Section:
    """Return the section on patients and images: of each dataset, or of each way to split it."""
    found: dict[str, Entry] = {}
    tables: dict[str, pl.DataFrame] = {}
    for entry in data.entries:
        table = own_table(entry, "cohort")
        if table is not None:
            content = table.drop(schema.RUN)
            key = f"{entry.run.dataset} {content.to_dicts()} {entry.environment.get('labelled')}"
            found.setdefault(key, entry)
            tables.setdefault(key, content)
    if not found:
        parts = (Missing(title="The cohort", reason="no run has a table of it."),)
        return Section(key="cohort", title="Cohort", parts=parts)
    if len(found) == 1:
        ((key, entry),) = found.items()
        parts = tuple(_parts(entry, tables[key]))
        return Section(key="cohort", title="Cohort", parts=parts)
    names = [entry.run.dataset for entry in found.values()]
    sections = tuple(
        Section(
            key=f"cohort-{entry.run.name}",
            title=entry.run.dataset
            if names.count(entry.run.dataset) == 1
            else f"{entry.run.dataset} ({entry.run.name})",
            parts=tuple(_parts(entry, tables[key])),
            folded=True,
        )
        for key, entry in found.items()
    )
    return Section(key="cohort", title="Cohort", sections=sections)


def _parts(entry: Entry, table: pl.DataFrame) -> list[Part]:
    return [_table(entry, table), _flow(entry, table)]


def _table(entry: Entry, table: pl.DataFrame) -> Table:
    splits = [s for s in _SPLITS if not _of(table, s, LABEL).is_empty()]
    labels = [_of(table, split, LABEL).row(0, named=True) for split in splits]
    unit = entry.unit or ""
    rows = [
        _row("Patients", [count_cell(row[schema.GROUPS]) for row in labels]),
        _row("Images", [count_cell(row[schema.N]) for row in labels]),
        *_number_rows(f"{_capital(entry.target)} ({unit})", labels, labels),
    ]
    every = _of(table, None, COVARIATE)
    for name in every[schema.NAME].unique(maintain_order=True):
        own = every.filter(pl.col(schema.NAME) == name)
        parts = [_of(table, s, COVARIATE).filter(pl.col(schema.NAME) == name) for s in splits]
        if own.height > 1 or own[schema.CATEGORY].count():
            rows += _category_rows(_capital(_words(name)), own, parts, labels)
        else:
            numbers = [part.row(0, named=True) for part in parts]
            rows += _number_rows(_capital(_words(name)), numbers, labels)
    sites = _of(table, None, SITE)
    parts = [_of(table, split, SITE) for split in splits]
    if sites.height > _SITES:
        counts = [count_cell(part[schema.CATEGORY].n_unique()) for part in parts]
        rows.append(_row("Sites", counts))
    elif sites.height:
        rows += _category_rows("Site", sites, parts, labels)
    heads = ("", *(_SPLITS[split] for split in splits))
    return Table(
        name="cohort",
        caption=f"The patients and images of {entry.run.dataset} by split.",
        columns=tuple(Column(name=n or "Characteristic", number=bool(n)) for n in heads),
        rows=tuple(rows),
        note="All images of a patient are in one split. Numbers: over images; SD: standard "
        "deviation. Categories and sites: patients, with "
        "their share of the split's; a patient whose images differ is counted in each.",
        paper=True,
    )


def _number_rows(name: str, rows: Sequence[Row], labels: Sequence[Row]) -> list[tuple[Cell, ...]]:
    """Mean and SD, median, range, and how many images lack the number where any does."""
    digits = decimals([row[schema.HIGH] for row in rows])
    text = [{n: _number(row[n], digits) for n in _NUMBERS} for row in rows]
    found = [
        _row(f"{name}, mean ± SD", [Cell(text=f"{t['mean']} ± {t['sd']}") for t in text]),
        _row(f"{name}, median", [Cell(text=t["median"]) for t in text]),
        _row(f"{name}, range", [Cell(text=f"{t['low']} to {t['high']}") for t in text]),
    ]
    lacking = [label[schema.N] - row[schema.N] for row, label in zip(rows, labels, strict=True)]
    if any(lacking):
        found.append(_row(f"{name}, not known (images)", [count_cell(n) for n in lacking]))
    return found


_NUMBERS: Final = (schema.MEAN, schema.SD, schema.MEDIAN, schema.LOW, schema.HIGH)


def _number(value: float | None, digits: int) -> str:
    return number_cell(value, digits=digits).text


def _category_rows(
    name: str, every: pl.DataFrame, parts: Sequence[pl.DataFrame], labels: Sequence[Row]
) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for word in every[schema.CATEGORY]:
        cells: list[Cell] = []
        for part, label in zip(parts, labels, strict=True):
            own = part.filter(pl.col(schema.CATEGORY).eq_missing(pl.lit(word, dtype=pl.String)))
            count = int(own[schema.GROUPS].sum())
            share = f"({count / label[schema.GROUPS]:.0%})" if label[schema.GROUPS] else ""
            cells.append(Cell(text=f"{count_cell(count).text} {share}".strip()))
        rows.append(_row(f"{name}: {'not known' if word is None else word}", cells))
    return rows


def _row(name: str, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """A row of a table whose rows keep their order."""
    return (Cell(text=name), *(replace(cell, order=None) for cell in cells))


def _flow(entry: Entry, table: pl.DataFrame) -> Flow:
    """From the images that were found to the splits, with what was excluded and why."""
    excluded = table.filter(pl.col(schema.KIND) == EXCLUDED)
    lost = int(excluded[schema.N].sum())
    whole = _of(table, None, LABEL).row(0, named=True)
    used = f"{_count(whole[schema.N], 'image')} of {_count(whole[schema.GROUPS], 'patient')}"
    ends: list[str] = []
    for split in (schema.TRAIN, schema.VAL, schema.TEST):
        own = _of(table, split, LABEL)
        if own.height:
            row = own.row(0, named=True)
            counts = f"{_count(row[schema.N], 'image')}, {_count(row[schema.GROUPS], 'patient')}"
            ends.append(f"{_SPLITS[split]}: {counts}{_labelled(entry, split, row[schema.N])}")
    return Flow(
        title=f"From the images of {entry.run.dataset} to the splits",
        steps=(
            FlowStep(text=f"{_count(whole[schema.N] + lost, 'image')} found", aside=()),
            FlowStep(
                text=f"{_count(lost, 'image')} excluded" if lost else "No image was excluded",
                aside=tuple(_reasons(excluded)),
            ),
            FlowStep(text=f"{used} used", aside=()),
        ),
        ends=tuple(ends),
    )


def _labelled(entry: Entry, split: str, images: int) -> str:
    used = entry.environment.get("labelled")
    if split != schema.TRAIN or not isinstance(used, int) or used >= images:
        return ""
    return f", of which the labels of {_count(used, 'image')} are used"


def _reasons(excluded: pl.DataFrame) -> list[str]:
    """Reasons that differ in numbers or names alone are one; none names a path."""
    alike: dict[str, list[Row]] = {}
    for row in excluded.iter_rows(named=True):
        text = without_places(str(row[schema.CATEGORY]))
        alike.setdefault(re.sub(r"'[^']*'|\d+(\.\d+)?", "…", text), []).append(row)
    counts = {
        without_places(str(rows[0][schema.CATEGORY])) if len(rows) == 1 else text: sum(
            row[schema.N] for row in rows
        )
        for text, rows in alike.items()
    }
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    texts = [f"{count}: {text}" for text, count in ordered[:_REASONS]]
    rest = ordered[_REASONS:]
    if rest:
        texts.append(f"{sum(n for _, n in rest)}: {len(rest)} other reasons")
    return texts


def _of(table: pl.DataFrame, split: str | None, kind: str) -> pl.DataFrame:
    same = pl.col(schema.SPLIT).eq_missing(pl.lit(split, dtype=pl.String))
    return table.filter(same & (pl.col(schema.KIND) == kind))


def _count(number: int, thing: str) -> str:
    return counted(number, thing).replace(str(number), count_cell(number).text, 1)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
