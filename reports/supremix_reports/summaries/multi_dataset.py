"""Searches on several datasets: a row a dataset, and that on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from supremix_reports.document.markdown import duration, specification, table
from supremix_reports.summaries.comparison import MethodRun, comparison_rows
from supremix_reports.summaries.error_rows import (
    SKILL_NOTE,
    interval_text,
    null_rows,
    training_cells,
)
from supremix_reports.summaries.verdicts import skill_sentences
from supremix_reports.tables import schema, storage
from supremix_reports.tables.tables import read_table, write_table

MULTI_DATASET: Final = "multi_dataset.md"
_HEAD: Final = (
    "dataset", "unit", "test", "skill", "validation", "best trial", "trials", "epochs", "time",
    "images seen", "training time",
)  # fmt: skip


def write_multi_dataset(
    folder: str, runs: Sequence[MethodRun], spec: Mapping[str, object]
) -> pl.DataFrame:
    """Write `mae.parquet`, `comparison.parquet` and `multi_dataset.md` into the search's folder.

    Args:
        folder: path or fsspec address.
        runs: what was found on each dataset, as far as it has come.
        spec: what the searches share; its plain values are listed.

    Returns:
        The table `comparison`, a row a dataset; errors of different datasets have different units
        and are not compared.
    """
    rows = [row for run in runs for row in comparison_rows([run])]
    measures = [run.measures for run in runs if run.measures is not None]
    write_table(folder, "mae", [row for part in measures for row in part.to_dicts()])
    write_table(folder, "comparison", rows)
    page = multi_dataset_markdown(rows, read_table(folder, "mae"), spec)
    storage.write_atomic(storage.join(folder, MULTI_DATASET), page.encode())
    return read_table(folder, "comparison")


def multi_dataset_markdown(
    rows: Sequence[Mapping[str, Any]], mae: pl.DataFrame, spec: Mapping[str, object]
) -> str:
    """Return the results on several datasets as Markdown.

    Args:
        rows: those of the table `comparison`, a row a dataset.
        mae: the table `mae` of the search.
        spec: what the searches share; its plain values are listed.
    """
    lacking = [[row[schema.DATASET], row[schema.REASON]] for row in rows if row[schema.REASON]]
    parts = [
        f"# {rows[0][schema.METHOD]} on {len(rows)} datasets",
        f"**{' '.join(notes)}**" if (notes := skill_sentences(mae)) else "",
        table(_HEAD, [cells for row in rows for cells in (_cells(row), *_null_cells(row, mae))]),
        "Mean absolute errors with 95 % intervals (bootstrap over groups, the patients). *Test*: "
        "the best hyperparameters, retrained on training and validation data and measured once. "
        f"*Skill*: {SKILL_NOTE}. *Validation*: the best hyperparameters, trained with new seeds "
        "where that was asked for. Epochs and time are those of all trials together; *images seen* "
        "and *training time* those of one training with the best hyperparameters. Each dataset has "
        "a run folder of its own, named like it.",
        "## Without a result\n\n" + table(["dataset", "why"], lacking) if lacking else "",
        specification(spec),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cells(row: Mapping[str, Any]) -> list[object]:
    ended = sum(row[state] for state in schema.STATES)
    return [
        row[schema.DATASET],
        row[schema.UNIT],
        interval_text(row, schema.TEST),
        interval_text(row, schema.SKILL),
        interval_text(row, schema.VAL),
        row[schema.TRIAL],
        ended,
        row[schema.EPOCHS],
        duration(row[schema.SECONDS]),
        *training_cells(row),
    ]


def _null_cells(row: Mapping[str, Any], mae: pl.DataFrame) -> list[list[object]]:
    """The cells of the null models of a dataset, below its own."""
    numbers = (schema.TEST, schema.SKILL, schema.VAL)
    return [
        [
            null[schema.METHOD],
            row[schema.UNIT],
            *(interval_text(null, name) for name in numbers),
            *[None] * 6,
        ]
        for null in null_rows(mae.filter(pl.col(schema.DATASET) == row[schema.DATASET]))
    ]
