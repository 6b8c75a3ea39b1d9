"""A comparison on a page: in plain sentences whether there is a winner, and its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from supremix_reports.document.markdown import duration, specification, table
from supremix_reports.summaries.error_rows import (
    SKILL_NOTE,
    interval_text,
    null_rows,
    training_cells,
)
from supremix_reports.summaries.folds import selection_sentence
from supremix_reports.summaries.verdicts import comparison_verdict
from supremix_reports.tables import schema

_HEAD: Final = (
    "method", "test", "skill", "difference", "validation", "best trial", "trials", "early",
    "failed", "epochs", "time", "images seen", "training time",
)  # fmt: skip


def comparison_markdown(
    rows: Sequence[Mapping[str, Any]], mae: pl.DataFrame, spec: Mapping[str, object]
) -> str:
    """Return the comparison as Markdown.

    Args:
        rows: those of the table `comparison`.
        mae: the table `mae` of the comparison.
        spec: what the methods share; its plain values are listed.
    """
    dataset, unit = (rows[0][name] for name in (schema.DATASET, schema.UNIT))
    lacking = [[row[schema.METHOD], row[schema.REASON]] for row in rows if row[schema.REASON]]
    parts = [
        f"# {', '.join(row[schema.METHOD] for row in rows)} on {dataset}",
        f"**{comparison_verdict(rows, mae)}**",
        table(_HEAD, [_cells(row) for row in rows] + [_null_cells(row) for row in null_rows(mae)]),
        f"Mean absolute errors in {unit} with 95 % intervals (bootstrap over groups, the "
        "patients). *Test*: the best hyperparameters, retrained on training and validation data "
        "and measured once; with folds each patient by the models of one fold. *Skill*, on test, "
        f"or on validation without a test: {SKILL_NOTE}. "
        "*Difference*: the test error minus the least one, paired, so "
        "that both methods are measured on the same drawn groups. *Validation*: the best "
        "hyperparameters, trained with new seeds where that was asked for. *Early*: trials that "
        "were pruned or stopped. Epochs and time are those of all trials together. *Images seen* "
        "and *training time*: of one training with the best hyperparameters; a contrastive step "
        "sees two views of each image.",
        *([selection_sentence(spec)] if rows[0].get(schema.FOLDS) else []),
        "The methods had the same images, split, seed, encoder and, each, the same budget. Each "
        "has a run folder of its own, named like it.",
        "## Without a result\n\n" + table(["method", "why"], lacking) if lacking else "",
        specification(spec),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cells(row: Mapping[str, Any]) -> list[object]:
    early = row[schema.PRUNED] + row[schema.STOPPED]
    return [
        row[schema.METHOD],
        interval_text(row, schema.TEST),
        interval_text(row, schema.SKILL),
        interval_text(row, schema.DIFFERENCE),
        interval_text(row, schema.VAL),
        row[schema.TRIAL],
        row[schema.FINISHED] + early + row[schema.FAILED],
        early,
        row[schema.FAILED],
        row[schema.EPOCHS],
        duration(row[schema.SECONDS]),
        *training_cells(row),
    ]


def _null_cells(row: Mapping[str, Any]) -> list[object]:
    """The cells of a model that looks at no image: it has errors and no trials."""
    test, skill, val = (interval_text(row, n) for n in (schema.TEST, schema.SKILL, schema.VAL))
    return [row[schema.METHOD], test, skill, None, val, *[None] * (len(_HEAD) - 5)]
