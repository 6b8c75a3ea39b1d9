"""The tables of results of a report: errors, differences to the reference, gains, ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from supremix_reports.document.parts import (
    DASH,
    Cell,
    Column,
    Table,
    count_cell,
    decimals,
    number_cell,
    p_cell,
    text_cell,
)
from supremix_reports.figures.plot import counted
from supremix_reports.statistics.measures.skill import shows_skill
from supremix_reports.summaries.error_rows import (
    NULL_MODELS,
    SKILL_NOTE,
    interval_columns,
    null_rows,
)
from supremix_reports.summaries.verdicts import verdict
from supremix_reports.tables import schema

_SHARE: Final = 2  # decimals of what is at most 1
_PERCENT: Final = 1
_BOLD: Final = (
    "In bold the least error of a dataset, if that method shows skill; it says nothing about "
    "significance: see the differences. "
)
_NULL: Final = (
    "Training median: the error of predicting, for the same patients, the median of the labels "
    "that the models were trained on. "
)
_VERDICTS: Final = {
    "better": "significantly better",
    "worse": "significantly worse",
    "no significant difference": "no significant difference",
    "no verdict": "without a verdict",
}
_OTHERS: Final = {
    "rmse": "RMSE",
    "r2": "R²",
    "pearson": "Pearson r",
    "balanced_mae": "balanced MAE",
    "skill": "Skill",
    "null_mae": "MAE of the training median",
    "linear_mae": "MAE, linear in covariates",
    "beyond_range": "Beyond range",
}


def error_table(mae: pl.DataFrame, *, split: str, level: float) -> Table:
    """Return the main table: a row a dataset, a column a method."""
    own = _of(mae, split)
    rows = own.filter(pl.col(schema.METRIC) == schema.MAE)
    methods = _names(rows, schema.METHOD)
    null = [name for name, metric in NULL_MODELS.items() if metric in own[schema.METRIC]]
    head, end = (Column(name="Dataset"), Column(name="Unit")), Column(name="Patients", number=True)
    return Table(
        name="errors",
        caption=f"Mean absolute error on {split} of each dataset and method, with "
        f"{level:.0%} intervals over patients and seeds.",
        columns=(
            *head,
            *(Column(name=method, number=True) for method in methods),
            *(Column(name=name.capitalize(), number=True) for name in null),
            end,
        ),
        rows=tuple(
            _error_row(own.filter(pl.col(schema.DATASET) == dataset), split, methods, null)
            for dataset in _names(rows, schema.DATASET)
        ),
        note=f"{_BOLD if len(methods) > 1 else ''}{_NULL if null else ''}{_seeds_note(rows)}",
        paper=True,
    )


def _seeds_note(rows: pl.DataFrame) -> str:
    seeds = sorted(rows[schema.SEEDS].unique().to_list())
    folds = [] if schema.FOLDS not in rows.columns else rows[schema.FOLDS].drop_nulls().unique()
    words = "Where there is one seed, the interval is over patients alone. "
    if len(folds):
        numbers = " or ".join(map(str, sorted(folds)))
        words = f"Out of {numbers} folds, pooled: the interval is over patients and folds. "
    if len(seeds) == 1:
        return f"{words}Seeds of each: {seeds[0]}."
    return (
        f"{words}Seeds of each: {seeds[0]} to {seeds[-1]}; see the next table." if seeds else words
    )


def _error_row(
    measures: pl.DataFrame, split: str, methods: Sequence[str], null: Sequence[str]
) -> tuple[Cell, ...]:
    """The row of a dataset, from its rows of the table `mae`."""
    own, skills = (
        {r[schema.METHOD]: r for r in measures.filter(pl.col(schema.METRIC) == name).to_dicts()}
        for name in (schema.MAE, schema.SKILL)
    )
    digits = decimals([row[schema.VALUE] for row in own.values()])
    known = [row[schema.VALUE] for row in own.values() if row[schema.VALUE] is not None]
    least = min(known) if len(known) > 1 else None
    first = next(iter(own.values()))
    no_skill = {name for name, row in skills.items() if not shows_skill(row[schema.LOW])}
    return (
        text_cell(first[schema.DATASET]),
        text_cell(first[schema.UNIT]),
        *(
            number_cell(
                *_interval(own[method]),
                digits=digits,
                best=own[method][schema.VALUE] == least and method not in no_skill,
            )
            if method in own
            else Cell(text=DASH)
            for method in methods
        ),
        *(_null_cell(null_rows(measures), split, name, digits) for name in null),
        count_cell(max(row[schema.GROUPS] for row in own.values())),
    )


def _null_cell(rows: Sequence[Mapping[str, Any]], split: str, name: str, digits: int) -> Cell:
    """The error of a null model; of several, where methods were trained on other labels."""
    found = [
        number_cell(*(row[column] for column in interval_columns(split)), digits=digits)
        for row in rows
        if row[schema.METHOD].startswith(name)
    ]
    if len(found) == 1:
        return found[0]
    return text_cell(" / ".join(cell.text for cell in found) or None)


def measures_table(mae: pl.DataFrame, *, split: str, level: float) -> Table:
    """Return every measure of every dataset and method, a row each."""
    rows = _of(mae, split)
    others = [name for name in _OTHERS if name in rows[schema.METRIC]]
    head = ("Dataset", "Method", "MAE", *(_OTHERS[name] for name in others))
    counts = ("Images", "Patients", "Seeds")
    lines: list[tuple[Cell, ...]] = []
    for (dataset, method), part in rows.group_by(
        [schema.DATASET, schema.METHOD], maintain_order=True
    ):
        own = {row[schema.METRIC]: row for row in part.to_dicts()}
        first = own.get(schema.MAE) or next(iter(own.values()))
        measures = [_measure_cell(name, own.get(name)) for name in (schema.MAE, *others)]
        numbers = [count_cell(first[name]) for name in (schema.N, schema.GROUPS, schema.SEEDS)]
        lines.append((text_cell(dataset), text_cell(method), *measures, *numbers))
    return Table(
        name="measures",
        caption=f"All measures on {split}, with {level:.0%} intervals over patients and seeds.",
        columns=tuple(
            Column(name=name, number=name not in ("Dataset", "Method")) for name in head + counts
        ),
        rows=tuple(lines),
        note="MAE and RMSE in the dataset's unit. Of several seeds: the mean of each seed's own "
        "measure. A dash: not defined, also for one seed alone, or not measured. Skill: "
        f"{SKILL_NOTE}. Beyond range: the number of predictions that no label can have.",
        heads=2,
        paper=True,
    )


def _measure_cell(name: str, row: Mapping[str, Any] | None) -> Cell:
    digits = _SHARE if name in ("r2", "pearson", "skill") else None
    if row is not None and name == "beyond_range":
        return count_cell(row[schema.VALUE])
    return Cell(text=DASH) if row is None else number_cell(*_interval(row), digits=digits)


def gains_table(gains: pl.DataFrame, *, reference: str, level: float) -> Table:
    """Return what each method differs from the reference by, a row a dataset and method."""
    texts = ("Dataset", "Method", "Unit", "Verdict")
    tests = ("p (Wilcoxon)", "p (bootstrap)", "p (corrected)")
    names = ("Dataset", "Method", "Difference", "Unit", "Gain (%)", "Verdict", *tests)
    counts = ("Patients", "Seeds")
    return Table(
        name="gains",
        caption=f"Difference of each method to {reference} on the same patients, with "
        f"{level:.0%} intervals.",
        columns=tuple(Column(name=n, number=n not in texts) for n in (*names, *counts)),
        rows=tuple(_gain_row(row) for row in gains.to_dicts()),
        note=f"Difference: mean absolute error minus that of {reference}; below 0 the method is "
        "better. Gain: how much smaller its error is, in percent of the reference's. Corrected: "
        "the larger of the two p values, by Holm's method for all comparisons of the table. The "
        "intervals are of each row alone (not corrected for the number of methods).",
        heads=2,
        paper=True,
    )


def _gain_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    difference = tuple(row[n] for n in ("difference", "difference_low", "difference_high"))
    gain = (row["gain"], row["gain_low"], row["gain_high"])
    return (
        text_cell(row[schema.DATASET]),
        text_cell(row[schema.METHOD]),
        number_cell(*difference, digits=decimals(difference), sign=True),
        text_cell(row[schema.UNIT]),
        number_cell(*gain, digits=_PERCENT, sign=True),
        text_cell(verdict(row)),
        p_cell(row["p"]),
        p_cell(row["p_bootstrap"]),
        p_cell(row["p_adjusted"]),
        count_cell(row[schema.GROUPS]),
        count_cell(row[schema.SEEDS]),
    )


def gains_sentences(gains: pl.DataFrame, averages: pl.DataFrame, reference: str) -> list[str]:
    """Say in words for each method on how many datasets it is better than the reference.

    Returns:
        A sentence a method. It gives the mean gain with what is to be said against it, and without
        an interval where there is one seed: over patients alone it would claim what nobody knows.
    """
    means = {row[schema.METHOD]: row for row in averages.iter_rows(named=True)}
    sentences: list[str] = []
    for (method,), part in gains.group_by([schema.METHOD], maintain_order=True):
        verdicts, reasons = zip(
            *(verdict(row).partition(": ")[::2] for row in part.to_dicts()), strict=True
        )
        why = "; ".join(dict.fromkeys(filter(None, reasons)))
        verdicts_said = [
            f"{words} on {verdicts.count(kind)}"
            for kind, words in _VERDICTS.items()
            if kind in verdicts
        ]
        count = counted(len(verdicts), "dataset")
        sentence = f"{method} against {reference}: {', '.join(verdicts_said)} of {count}"
        sentence += f" ({why})" if why else ""
        sentences.append(f"{sentence}{_mean_gain(means.get(str(method)))}.")
    return sentences


def _mean_gain(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    note = f" ({row[schema.NOTE]})" if row[schema.NOTE] else ""
    if row["gain"] is None:
        return f"; no mean gain{note}"
    ends = (row["gain_low"], row["gain_high"]) if row[schema.SEEDS] > 1 else ()
    cell = number_cell(row["gain"], *ends, digits=_PERCENT, sign=True)
    return f"; mean gain {cell.whole} % over {counted(row[schema.DATASETS], 'dataset')}{note}"


def _interval(row: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    return row[schema.VALUE], row[schema.LOW], row[schema.HIGH]


def _of(mae: pl.DataFrame, split: str) -> pl.DataFrame:
    return mae.filter(pl.col(schema.SPLIT) == split)


def _names(rows: pl.DataFrame, column: str) -> list[str]:
    return rows[column].unique(maintain_order=True).to_list()
