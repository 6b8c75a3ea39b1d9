"""The folds of a cross-validation taken together: pooled predictions, errors, and a page.

Each fold is a run folder of its own. From their tables follow, in the folder that holds them,

    predictions.parquet            a row an image, repeat and seed, predicted out of fold
    mae.parquet                    the measures of these predictions
    intervals.parquet              coverage of prediction intervals for all patients
    trials, curves, measures       those of all folds, their trials numbered on from fold to fold
    cohort.parquet                 all patients together
    summary.md                     the result on a page
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from supremix_reports.document.markdown import specification, table
from supremix_reports.statistics.conformal.coverage import fold_interval_rows
from supremix_reports.statistics.measures.best_error import best_error
from supremix_reports.statistics.measures.imbalance import LabelDensity
from supremix_reports.statistics.measures.mae import mae_rows
from supremix_reports.summaries.coverage import coverage_sentence
from supremix_reports.summaries.summary import SUMMARY, densities, errors_section, trial_counts
from supremix_reports.summaries.verdicts import skill_sentences
from supremix_reports.tables import schema, storage
from supremix_reports.tables.tables import has_table, read_table, write_table

_NUMBERED: Final = ("trials", "curves", "measures")

NESTED: Final = (
    "Hyperparameters were searched in each fold, without its patients (nested cross-validation): "
    "the error is that of search and training together, and is not optimistically biased."
)
ONCE: Final = (
    "Hyperparameters were searched once, in the first fold, and taken for all others, whose "
    "patients took part in that search: the pooled error is optimistically biased. That of the "
    "first fold alone is not."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldRun:
    """The concluded run of one fold.

    Args:
        folder: its run folder, a path or fsspec address.
        fold: index of the fold.
        repeat: index of the repeat of the cross-validation.
    """

    folder: str
    fold: int
    repeat: int


def selection_sentence(spec: Mapping[str, object]) -> str:
    """Say whether the way in which hyperparameters were chosen biases the pooled error.

    Args:
        spec: specification of the run.
    """
    return ONCE if spec.get("search_once") else NESTED


def write_folds(
    folder: str,
    run: str,
    folds: Sequence[FoldRun],
    spec: Mapping[str, object],
    *,
    density: LabelDensity,
) -> None:
    """Write the tables and the summary of the folds of one method on one dataset.

    Args:
        folder: path or fsspec address of the folder that holds them.
        run: name of the run in the tables.
        folds: all folds, of all repeats.
        spec: specification of the run; under "copies" the words about images that occur under
            several patients.
        density: of the labels of all patients.

    Raises:
        TableError, SchemaError: when a table of a fold is missing or unfit.
    """
    pooled = _pooled(folds, run)
    for name, frame in pooled.items():
        write_table(folder, name, frame.to_dicts())
    unit = pooled["trials"][schema.UNIT][0]
    predictions = read_table(folder, "predictions")
    write_table(folder, "mae", mae_rows(predictions, unit=unit, density=density))
    columns = (schema.RUN, schema.DATASET, schema.METHOD, schema.SPLIT)
    source = {name: predictions[name][0] for name in columns}
    rows = fold_interval_rows(predictions, unit=unit)
    write_table(folder, "intervals", [source | row for row in rows])
    words = {"label_regions": density.describe(unit)}
    names = ("trials", "predictions", "mae", "intervals")
    tables = {name: read_table(folder, name) for name in names}
    page = folds_markdown(dict(spec) | words, **tables)
    storage.write_atomic(storage.join(folder, SUMMARY), page.encode())


def _pooled(folds: Sequence[FoldRun], run: str) -> dict[str, pl.DataFrame]:
    """The tables of all folds; trials are numbered on, so that a number stands for one trial."""
    found: dict[str, list[pl.DataFrame]] = {}
    begin = 0
    for one in folds:
        names = [name for name in _NUMBERED if has_table(one.folder, name)]
        tables = {name: read_table(one.folder, name) for name in (*names, "predictions")}
        tables["predictions"] = tables["predictions"].filter(pl.col(schema.SPLIT) == schema.TEST)
        columns = {schema.FOLD: one.fold, schema.REPEAT: one.repeat, schema.RUN: run}
        for name, frame in tables.items():
            known = {key: pl.lit(v) for key, v in columns.items() if key in frame.columns}
            numbers = [
                (pl.col(column) + begin).cast(pl.Int32)
                for column in (schema.TRIAL, schema.REPLICATE_OF)
                if column in frame.columns
            ]
            found.setdefault(name, []).append(frame.with_columns(*numbers, **known))
        begin += 1 + int(max(tables["trials"][schema.TRIAL].to_list(), default=-1))
    if has_table(folds[0].folder, "cohort"):
        cohort = read_table(folds[0].folder, "cohort").filter(pl.col(schema.SPLIT).is_null())
        found["cohort"] = [cohort.with_columns(pl.lit(run).alias(schema.RUN))]
    return {name: pl.concat(frames, how="vertical_relaxed") for name, frames in found.items()}


def fold_rows(trials: pl.DataFrame, predictions: pl.DataFrame) -> list[dict[str, Any]]:
    """Return what came out of each fold.

    Args:
        trials: the pooled table `trials`.
        predictions: the pooled table `predictions`.

    Returns:
        A row a repeat and fold: repeat, fold, n (images), groups (patients), mae, null_mae (None
        where not recorded), trial (number of the best one) and config (its hyperparameters).
    """
    target = pl.col(schema.TARGET)
    rows = (
        predictions.group_by(schema.REPEAT, schema.FOLD)
        .agg(
            pl.col(schema.ID).n_unique().alias(schema.N),
            pl.col(schema.GROUP).n_unique().alias(schema.GROUPS),
            (pl.col(schema.PREDICTION) - target).abs().mean().alias(schema.MAE),
            (pl.col(schema.NULL_PREDICTION) - target).abs().mean().alias(schema.NULL_MAE),
            pl.col(schema.TRIAL).first(),
        )
        .sort(schema.REPEAT, schema.FOLD)
    )
    configs = dict(trials.select(schema.TRIAL, schema.CONFIG).iter_rows())
    return [
        {**row, schema.CONFIG: json.loads(configs.get(row[schema.TRIAL], "{}"))}
        for row in rows.to_dicts()
    ]


def folds_table(
    trials: pl.DataFrame, predictions: pl.DataFrame
) -> tuple[list[str], list[list[Any]]]:
    """Return head and rows of a table of folds, with the hyperparameters that differ between them.

    Args:
        trials: the pooled table `trials`.
        predictions: the pooled table `predictions`.
    """
    rows = fold_rows(trials, predictions)
    names = dict.fromkeys(name for row in rows for name in row[schema.CONFIG])
    varied = [n for n in names if len({str(row[schema.CONFIG].get(n)) for row in rows}) > 1]
    repeated = len({row[schema.REPEAT] for row in rows}) > 1
    unit = trials[schema.UNIT][0]
    head = [
        *(["repeat"] if repeated else []), "fold", "patients", "images", f"error ({unit})",
        "training median", *varied,
    ]  # fmt: skip
    return head, [
        [
            *([row[schema.REPEAT]] if repeated else []),
            *(row[n] for n in (schema.FOLD, schema.GROUPS, schema.N, schema.MAE, schema.NULL_MAE)),
            *(row[schema.CONFIG].get(name) for name in varied),
        ]
        for row in rows
    ]


def folds_markdown(
    spec: Mapping[str, object],
    trials: pl.DataFrame,
    predictions: pl.DataFrame,
    mae: pl.DataFrame,
    intervals: pl.DataFrame,
) -> str:
    """Return the summary of a cross-validation as Markdown.

    Args:
        spec: the specification, as `summary_markdown` takes it.
        trials: the pooled table `trials`.
        predictions: the pooled table `predictions`.
        mae: their measures.
        intervals: the coverage of their prediction intervals.
    """
    row = mae.filter(pl.col(schema.METRIC) == schema.MAE).row(0, named=True)
    error, notes = best_error(mae, new_seeds=False), skill_sentences(mae)
    value = "" if error is None else f": {error.value:.4g} {row[schema.UNIT]}** ({error.basis})"
    parts = [
        f"# {row[schema.METHOD]} on {row[schema.DATASET]}, {row[schema.FOLDS]} folds",
        f"**{' '.join(notes)}**" if notes else "",
        f"**Error of the patients out of fold{value}.\n{row[schema.N]} images of "
        f"{row[schema.GROUPS]} groups, each predicted by models that were trained without them. "
        f"{selection_sentence(spec)}",
        errors_section(mae),
        coverage_sentence(intervals),
        f"**{spec['copies']}**" if spec.get("copies") else "",
        "## Folds\n\n" + table(*folds_table(trials, predictions)) + "\n\nWith the best "
        "hyperparameters of each fold, where they differ. The folds share training data, so their "
        "errors are not independent; the interval above takes that into account.",
        densities(mae, spec),
        trial_counts(trials),
        "The model is the ensemble of the folds' models: the mean of their predictions.",
        specification({name: value for name, value in spec.items() if name != "copies"}),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
