"""What is amiss inside the tables.

Files that cannot be read to their end, trials and predictions from which no error follows, methods
with one seed only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import polars as pl

from supremix_reports.catalog.discovery import Problem
from supremix_reports.catalog.lazy_tables import Source, damage, scan
from supremix_reports.tables import schema

SMALL: Final = 2**20
"""Bytes of a file that is read to its end to know that it is whole, of any table."""

WHOLE: Final = ("trials", "predictions", "mae")
"""Tables that are read to their end at any size."""

_COUNT: Final = "_count"
_Row = Mapping[str, Any]


def checked(
    table: str, sources: Sequence[Source], names: Mapping[str, str]
) -> tuple[list[Source], list[Problem]]:
    """Read files to their end and leave out those that cannot be read.

    Args:
        table: a name of `schema.SCHEMAS`.
        sources: where it lies.
        names: by address of a file the name of its run.

    Returns:
        The sources that can be read, and a problem for each of the others.
    """
    read = [source for source in sources if table in WHOLE or source.size <= SMALL]
    # All at once, which is fast; only where that fails, one by one to find the culprits.
    if not read or _fault(table, read) is None:
        return list(sources), []
    faults = {source.address: _fault(table, [source]) for source in read}
    problems = [
        Problem(names[address], f"{table}.parquet", f"{damage(fault, address)} It is left out.")
        for address, fault in faults.items()
        if fault is not None
    ]
    return [s for s in sources if faults.get(s.address) is None], problems


def _fault(table: str, sources: Sequence[Source]) -> BaseException | None:
    """What happens on reading every value, if it goes wrong."""
    try:
        scan(table, sources).select(_digest(table)).collect(engine="streaming")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        return error
    return None


def _digest(table: str) -> list[pl.Expr]:
    """Of each column a number that takes reading all of it."""
    return [
        (pl.col(field.name).str.len_bytes() if str(field.type) == "string" else pl.col(field.name))
        .sum()
        .alias(field.name)
        for field in schema.SCHEMAS[table]
    ]


def trial_problems(trials: pl.LazyFrame) -> list[Problem]:
    """Return what is wrong with trials of runs: none, all failed, errors that are no numbers."""
    error, state = pl.col(schema.ERROR), pl.col(schema.STATE)
    odd = error.is_nan() | error.is_infinite()
    counts = (
        trials.group_by(schema.RUN)
        .agg(
            pl.len().alias(_COUNT),
            (state == schema.FAILED).sum().alias(schema.FAILED),
            odd.sum().alias("odd"),
            (error.is_null() & (state == schema.FINISHED)).sum().alias("empty"),
        )
        .filter(
            (pl.col(schema.FAILED) == pl.col(_COUNT)) | (pl.col("odd") > 0) | (pl.col("empty") > 0)
        )
        .sort(schema.RUN)
        .collect(engine="streaming")
    )
    return [problem for row in counts.iter_rows(named=True) for problem in _of_trials(row)]


def _of_trials(row: _Row) -> Iterable[Problem]:
    name, count = row[schema.RUN], row[_COUNT]
    if row[schema.FAILED] == count:
        yield Problem(name, "trials", f"All {count} trials failed; their reasons are in the table.")
    if row["odd"]:
        reason = f"{row['odd']} of {count} trials have an error that is no finite number."
        yield Problem(name, "trials", reason)
    if row["empty"]:
        reason = f"{row['empty']} of {count} trials were finished but have no error."
        yield Problem(name, "trials", reason)


def prediction_problems(
    predictions: pl.LazyFrame,
    test_seeds: Mapping[str, int | None],
    without_test: Collection[str] = (),
) -> tuple[list[Problem], pl.LazyFrame]:
    """Return what is wrong with predictions; leave out the splits that no error follows from.

    Where one prediction is no number, the run's whole split is left out: the error of the other
    samples would be optimistically biased.

    Args:
        predictions: rows of the table `predictions`.
        test_seeds: Number of seeds of each run with which its benchmark retrains the best
            hyperparameters; None outside one.
        without_test: Names of the runs that were asked for without a test.

    Returns:
        The problems, and the rows that can be used.
    """
    models = _models(predictions)
    problems: list[Problem] = []
    unusable: list[tuple[str, str]] = []
    by_split: dict[tuple[str, str, str, str], list[_Row]] = {}
    for row in models.iter_rows(named=True):
        key = (row[schema.RUN], row[schema.DATASET], row[schema.METHOD], row[schema.SPLIT])
        by_split.setdefault(key, []).append(row)
    for (run, _, _, split), rows in by_split.items():
        problems += _of_split(run, split, rows, test_seeds.get(run))
        if any(row["odd"] for row in rows):
            unusable.append((run, split))
    tested = {key[0] for key in by_split if key[3] == "test"}
    for run in dict.fromkeys(key[0] for key in by_split):
        if run not in tested:
            reason = (
                "There are no predictions on the test split: it was not evaluated on it. It "
                "has no test error."
            )
            remark = run in without_test
            problems.append(Problem(run, "predictions", reason, remark=remark))
    for run, split in unusable:
        predictions = predictions.filter(
            (pl.col(schema.RUN) != run) | (pl.col(schema.SPLIT) != split)
        )
    return problems, predictions


def _models(predictions: pl.LazyFrame) -> pl.DataFrame:
    """A row a run, dataset, method, split and seed: one model's predictions."""
    keys = [schema.RUN, schema.DATASET, schema.METHOD, schema.SPLIT, schema.SEED]
    target, prediction = pl.col(schema.TARGET), pl.col(schema.PREDICTION)
    finite = target.is_finite().fill_null(False) & prediction.is_finite().fill_null(False)
    return (
        predictions.group_by(keys)
        .agg(
            pl.len().alias(_COUNT),
            (~finite).sum().alias("odd"),
            (prediction.min() == prediction.max()).alias("same"),
            (target.min() == target.max()).alias("flat"),
            pl.col(schema.ID).n_unique().alias(schema.ID),
            pl.col(schema.ID).hash(0).sort().hash(0).sum().alias("samples"),
            pl.col(schema.FOLD).is_not_null().any().alias("folds"),
        )
        .sort(keys)
        .collect(engine="streaming")
    )


def _of_split(run: str, split: str, rows: Sequence[_Row], wanted: int | None) -> Iterable[Problem]:
    what = f"predictions, {split}"
    count, odd = sum(row[_COUNT] for row in rows), sum(row["odd"] for row in rows)
    if odd:
        reason = (
            f"{odd} of {count} rows have a target or prediction that is no finite number. The "
            "split of this run is left out: an error of the other samples alone would be "
            "optimistically biased."
        )
        yield Problem(run, what, reason)
    same = [row[schema.SEED] for row in rows if row["same"] and row[_COUNT] > 1 and not row["odd"]]
    if same:
        seeds = ", ".join(map(str, same))
        reason = (
            f"All predictions are equal (seed {seeds}): the model tells no sample from another. "
            "Its error stands in the tables; its correlation is not defined."
        )
        yield Problem(run, what, reason)
    if any(row[_COUNT] != row[schema.ID] for row in rows):
        yield Problem(run, what, "A sample is there more than once for the same seed.")
    if len({row["samples"] for row in rows}) > 1:
        reason = "The seeds were measured on different samples, so their errors do not compare."
        yield Problem(run, what, reason)
    if split == "test":
        yield from _of_seeds(run, [row[schema.SEED] for row in rows], wanted, rows[0]["folds"])


def _of_seeds(run: str, seeds: Sequence[int], wanted: int | None, folds: bool) -> Iterable[Problem]:
    if wanted is not None and len(seeds) < wanted:
        named = ", ".join(map(str, seeds))
        reason = f"{len(seeds)} of the {wanted} seeds of the benchmark are there: {named}."
        yield Problem(run, "seeds", reason)
    if len(seeds) == 1 and not folds:
        reason = (
            "One seed only: its interval covers the choice of patients, not that of the seed, and "
            "no difference from another method is called significant."
        )
        yield Problem(run, "seeds", reason, remark=True)
