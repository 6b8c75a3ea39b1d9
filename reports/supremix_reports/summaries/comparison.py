"""Methods compared: a row a method, differences on the same test samples, a verdict.

The methods of a comparison were searched on the same store, split, seed and budget, each in a run
folder of its own inside that of the comparison. From their tables follow

    mae.parquet           the measures of every method and split, collected
    comparison.parquet    a row a method, best on test first
    comparison.md         that on a page
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import polars as pl

from supremix_reports.errors import ReportError
from supremix_reports.statistics.comparing.comparisons import compare_methods
from supremix_reports.statistics.learning_curves.convergence import best_convergence
from supremix_reports.statistics.resampling.intervals import Interval, seeds_interval
from supremix_reports.summaries.comparison_page import comparison_markdown
from supremix_reports.summaries.error_rows import (
    final_measures,
    interval_columns,
    measure_columns,
)
from supremix_reports.tables import schema, storage
from supremix_reports.tables.frames import best_trial, folds_of
from supremix_reports.tables.ranking import DEFAULTS
from supremix_reports.tables.tables import has_table, read_table, write_table

COMPARISON: Final = "comparison.md"
NOT_YET: Final = "not searched yet"

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodRun:
    """One method of a comparison and the results of its run so far.

    Args:
        dataset: name of the dataset.
        method: name of the method.
        run: name of its run folder inside the comparison's.
        unit: unit of the target.
        trials: its table `trials`; None where there is none yet.
        predictions: its table `predictions`; None where it has no result.
        measures: its table `mae`; None where it has no result.
        curves: its table `curves`; None where there is none yet.
        reason: why it has no result, or not all of it; None where it has.
    """

    dataset: str
    method: str
    run: str
    unit: str
    trials: pl.DataFrame | None = None
    predictions: pl.DataFrame | None = None
    measures: pl.DataFrame | None = None
    curves: pl.DataFrame | None = None
    reason: str | None = None

    @classmethod
    def read(
        cls, folder: str, *, dataset: str, method: str, run: str, unit: str, reason: str | None
    ) -> MethodRun:
        """Read what the run folder inside `folder` holds; the arguments are those of the class."""
        trials, predictions, measures, curves = (
            _table(storage.join(folder, run), name)
            for name in ("trials", "predictions", "mae", "curves")
        )
        return cls(
            dataset=dataset,
            method=method,
            run=run,
            unit=unit,
            trials=trials,
            predictions=predictions,
            measures=measures,
            curves=curves,
            reason=reason or (NOT_YET if predictions is None else None),
        )


def _table(run: str, name: str) -> pl.DataFrame | None:
    return read_table(run, name) if has_table(run, name) else None


def write_comparison(
    folder: str, runs: Sequence[MethodRun], spec: Mapping[str, object]
) -> pl.DataFrame:
    """Write `mae.parquet`, `comparison.parquet` and `comparison.md` into a comparison's folder.

    Args:
        folder: path or fsspec address.
        runs: the methods, as far as they have come.
        spec: what they share; its plain values are listed.

    Returns:
        The table `comparison`.

    Raises:
        ReportError: the methods were tested on different samples.
    """
    rows = comparison_rows(runs)
    measures = [run.measures for run in runs if run.measures is not None]
    write_table(folder, "mae", [row for table in measures for row in table.to_dicts()])
    write_table(folder, "comparison", rows)
    page = comparison_markdown(rows, read_table(folder, "mae"), spec)
    storage.write_atomic(storage.join(folder, COMPARISON), page.encode())
    return read_table(folder, "comparison")


def comparison_rows(runs: Sequence[MethodRun]) -> list[Row]:
    """Return the rows of the table `comparison`: best on test first, without result last.

    Raises:
        ReportError: the methods were tested on different samples.
    """
    tests = {
        run.method: _of_samples(test)
        for run in runs
        if (test := _errors(run, schema.TEST)) is not None
    }
    _check_same(tests)
    least = min(tests, key=lambda method: _mae(tests[method]), default=None)
    differences = {} if least is None else _differences(runs, least)
    rows = [_row(run, tests.get(run.method)) | differences.get(run.method, {}) for run in runs]
    return sorted(rows, key=lambda row: (_last(row[schema.TEST]), _last(row[schema.VAL])))


def _row(run: MethodRun, test: pl.DataFrame | None) -> Row:
    row: Row = {
        **dict.fromkeys(schema.column_names("comparison")),
        schema.DATASET: run.dataset,
        schema.METHOD: run.method,
        schema.RUN: run.run,
        schema.UNIT: run.unit,
        schema.REASON: run.reason,
        **_spent(run),
    }
    row[schema.CONVERGENCE] = _convergence(run, row[schema.TRIAL])
    for split in (schema.VAL, schema.TEST):
        if (errors := _errors(run, split)) is not None:
            row |= _interval(errors).row(split)
    for measures in [] if run.measures is None else final_measures(run.measures):
        row |= measure_columns(schema.SKILL, measures, schema.SKILL)
    if test is not None:
        row |= {schema.N: test.height, schema.GROUPS: test[schema.GROUP].n_unique()}
    if run.predictions is not None and folds_of(run.predictions) is not None:
        row[schema.FOLDS] = run.predictions[schema.FOLD].n_unique()
    return row


def _spent(run: MethodRun) -> Row:
    trials = run.trials
    if trials is None:
        return dict.fromkeys((*schema.STATES, schema.EPOCHS), 0) | {
            schema.SECONDS: 0.0, schema.TRIAL: None, schema.SEED: None,
        }  # fmt: skip
    states = trials[schema.STATE].to_list()
    finished = pl.col(schema.STATE) == schema.FINISHED
    best = best_trial(trials.filter(finished | (pl.col(schema.TRIAL) == DEFAULTS)), run.predictions)
    return {
        **{state: states.count(state) for state in schema.STATES},
        schema.EPOCHS: int(trials[schema.EPOCHS].sum()),
        schema.SECONDS: float(trials[schema.SECONDS].sum()),
        schema.TRIAL: None if best is None else best[schema.TRIAL],
        schema.SEED: trials[schema.SEED].first(),
        **_training(trials, _best_trials(best, run.predictions)),
    }


def _best_trials(best: Row | None, predictions: pl.DataFrame | None) -> list[int]:
    """The number of the best trial; of folds that of each."""
    if best is not None:
        return [best[schema.TRIAL]]
    if predictions is None or folds_of(predictions) is None:
        return []
    return predictions[schema.TRIAL].unique().to_list()


def _training(trials: pl.DataFrame, best: Sequence[int]) -> Row:
    """The length of a whole training with the best hyperparameters, and its mean time."""
    if not best:
        return dict.fromkeys((schema.IMAGES_SEEN, schema.TRAINING_SECONDS))
    own = trials.filter(pl.col(schema.TRIAL).is_in(best) | pl.col(schema.REPLICATE_OF).is_in(best))
    whole = own.filter(pl.col(schema.IMAGES_SEEN) == pl.col(schema.IMAGES_SEEN).max())
    return {
        schema.IMAGES_SEEN: whole[schema.IMAGES_SEEN].first() if whole.height else None,
        schema.TRAINING_SECONDS: whole[schema.SECONDS].mean(),
    }


def _convergence(run: MethodRun, best: int | None) -> str | None:
    """The verdict on the convergence of the best hyperparameters; None where there is none."""
    if run.trials is None or run.curves is None or best is None:
        return None
    found = best_convergence(run.trials, run.curves, best)
    return None if found is None else found.verdict


def _errors(run: MethodRun, split: str) -> pl.DataFrame | None:
    """The errors of a method on a split, by sample and seed."""
    if run.predictions is None:
        return None
    part = run.predictions.filter(pl.col(schema.SPLIT) == split)
    error = (pl.col(schema.PREDICTION) - pl.col(schema.TARGET)).alias(schema.ERROR)
    return None if part.is_empty() else part.with_columns(error)


def _of_samples(errors: pl.DataFrame) -> pl.DataFrame:
    """The mean absolute error over seeds of each sample, in the order of their names."""
    keys = [schema.ID, schema.GROUP, schema.TARGET]
    return errors.group_by(keys).agg(pl.col(schema.ERROR).abs().mean()).sort(schema.ID)


def _check_same(tests: Mapping[str, pl.DataFrame]) -> None:
    same = [schema.ID, schema.GROUP, schema.TARGET]
    first = next(iter(tests), None)
    for method, test in tests.items():
        if first is not None and not test.select(same).equals(tests[first].select(same)):
            raise ReportError(
                f"{first} and {method} were tested on different samples ({tests[first].height} "
                f"and {test.height}), so their errors cannot be compared. Search both on the "
                "same store and split."
            )


def _mae(test: pl.DataFrame) -> float:
    return cast("float", test[schema.ERROR].abs().mean())


def _interval(part: pl.DataFrame) -> Interval:
    errors, groups = part[schema.ERROR].to_numpy(), part[schema.GROUP].to_numpy()
    return seeds_interval(errors, groups, part[schema.SEED].to_numpy(), folds=folds_of(part))


def _differences(runs: Sequence[MethodRun], least: str) -> dict[str, Row]:
    """Each method's error minus the least one, as a report has it; the least one's own is 0."""
    tested = [run.predictions for run in runs if run.predictions is not None]
    names = (*interval_columns(schema.DIFFERENCE), schema.SIGNIFICANT, schema.NOTE)
    return {least: {schema.DIFFERENCE: 0.0}} | {
        row[schema.METHOD]: {name: row[name] for name in names}
        for row in compare_methods(pl.concat(tested), reference=least).to_dicts()
    }


def _last(value: float | None) -> float:
    return math.inf if value is None else value
