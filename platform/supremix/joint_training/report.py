"""The tables of a joint training, and its comparison of joint with single training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from upath import UPath

from supremix.runs.folder import RunFolder
from supremix.search.result_tables import calibrate, curve_row
from supremix.storage.paths import write_bytes
from supremix.storage.retry import storage_errors, with_retries
from supremix_reports import (
    Interval,
    coverage_sentence,
    mae_interval,
    mae_rows,
    paired_difference,
    read_file,
    read_table,
    skill_sentences,
    write_table,
)
from supremix_reports.document.markdown import grid

JOINT, ALONE = "joint", "alone"
"""Folders of the models in the run folder; in either one a folder for each dataset."""

PAGE = "joint.md"

Row = dict[str, Any]

_SPLITS = {"val": "validation", "test": "test"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A training that has ended.

    Args:
        columns: Columns of all its rows in the tables: run, method and trial, and of a training on
            one dataset the dataset.
        rows: Rows of its epochs; of the joint training with a row for each dataset in "tasks".
        predictions: Address of the file with its predictions of validation and test.
    """

    columns: Mapping[str, Any]
    rows: Sequence[Row]
    predictions: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JointRow:
    """A dataset's error on one split, trained jointly and alone.

    Args:
        dataset: Its name.
        split: "val" or "test".
        unit: Unit of the errors.
        joint: MAE of the jointly trained model, its 95 % interval by bootstrap over patients.
        alone: Error of the model trained on this dataset alone; None where there was none.
        difference: Joint error minus that of the single model, on the same samples; None likewise.
        null: Error of predicting the training median for the same samples.
    """

    dataset: str
    split: str
    unit: str
    joint: Interval
    alone: Interval | None
    difference: Interval | None
    null: Interval


def is_reported(folder: UPath) -> bool:
    """Whether a joint training is complete."""
    with storage_errors(str(folder)):
        return (folder / PAGE).is_file()


def write_joint_tables(
    run: RunFolder,
    trained: Sequence[Trained],
    *,
    method: str,
    units: Mapping[str, str],
    labels: Mapping[str, Any],
    cohort: Sequence[Row],
) -> None:
    """Write the tables as Parquet, the calibration of each model, and last the page.

    Args:
        run: Run folder.
        trained: The joint training, then those of one dataset each.
        method: Name of the method.
        units: Unit of the target of each dataset.
        labels: (N,) labels of the training split of each dataset.
        cohort: Rows of the table ``cohort``.
    """

    def write() -> None:
        write_table(str(run.path), "cohort", cohort)
        _write(run, trained, method, units, labels)

    with_retries(write, f"the tables in {run.path}")


def _write(
    run: RunFolder,
    trained: Sequence[Trained],
    method: str,
    units: Mapping[str, str],
    labels: Mapping[str, Any],
) -> None:
    folder = str(run.path)
    write_table(folder, "curves", [row for one in trained for row in _curve(one)])
    table = pl.concat([read_file(one.predictions, "predictions") for one in trained])
    write_table(folder, "predictions", table.to_dicts())
    rows: list[dict[str, object]] = []
    for name, unit in units.items():
        rows += mae_rows(table.filter(pl.col("dataset") == name), unit=unit)
    write_table(folder, "mae", rows)
    intervals = [row for one in trained for row in _calibrate(run, one, units, labels)]
    write_table(folder, "intervals", intervals)
    mae = read_table(folder, "mae")
    text = page(
        run.name,
        method,
        joint_rows(table, mae),
        skill_sentences(mae),
        _coverage(read_table(folder, "intervals")),
    )
    write_bytes(run.path / PAGE, text.encode())


def _calibrate(
    run: RunFolder, one: Trained, units: Mapping[str, str], labels: Mapping[str, Any]
) -> Iterable[Row]:
    """Calibrate a training's models: they were trained without validation, and not chosen by it."""
    folder = run.path / (ALONE if "dataset" in one.columns else JOINT)
    for (name,), own in read_file(one.predictions, "predictions").group_by(
        "dataset", maintain_order=True
    ):
        dataset = str(name)
        yield from calibrate(folder / dataset, own, labels[dataset], "model", unit=units[dataset])


def _coverage(intervals: pl.DataFrame) -> list[str]:
    """How the intervals of each model cover, in sentences."""
    parts = intervals.partition_by("method", "dataset", maintain_order=True)
    return [f"{one['method'][0]} on {one['dataset'][0]}: {coverage_sentence(one)}" for one in parts]


def _curve(one: Trained) -> Iterable[Row]:
    for row in one.rows:
        tasks = row["tasks"] if "tasks" in row else {one.columns["dataset"]: row}
        for name, own in tasks.items():
            yield curve_row(own, **{**one.columns, "dataset": name})


def joint_rows(predictions: pl.DataFrame, mae: pl.DataFrame) -> list[JointRow]:
    """Errors of joint and of single training, for every dataset and split.

    Args:
        predictions: Table ``predictions`` of a joint training.
        mae: Its table ``mae``, which has the units.
    """
    units = dict(mae.select("dataset", "unit").iter_rows())
    rows: list[JointRow] = []
    for name, unit in units.items():
        own = predictions.filter(pl.col("dataset") == name)
        for split in _SPLITS:
            both = own.filter(pl.col("split") == split)
            is_joint = pl.col("method").str.starts_with(f"{JOINT}-") & (pl.col("trial") == 0)
            rows.append(_row(name, split, unit, both.filter(is_joint), both.filter(~is_joint)))
    return rows


def _row(dataset: str, split: str, unit: str, joint: pl.DataFrame, alone: pl.DataFrame) -> JointRow:
    # Both lie in the order of the store.
    errors, others = (f["prediction"] - f["target"] for f in (joint, alone))
    groups = joint["group"].to_numpy()
    single = difference = None
    if not alone.is_empty():
        single = mae_interval(others.to_numpy(), alone["group"].to_numpy())
        difference = paired_difference(errors.to_numpy(), others.to_numpy(), groups)
    return JointRow(
        dataset=dataset,
        split=split,
        unit=unit,
        joint=mae_interval(errors.to_numpy(), groups),
        alone=single,
        difference=difference,
        null=mae_interval((joint["null_prediction"] - joint["target"]).to_numpy(), groups),
    )


def page(
    run: str,
    method: str,
    rows: Sequence[JointRow],
    notes: Sequence[str],
    coverage: Sequence[str],
) -> str:
    """The page of a joint training, in Markdown.

    Args:
        run: Name of the run.
        method: Name of the method.
        rows: The errors.
        notes: Which models show no skill, in sentences.
        coverage: How the prediction intervals of each model cover, in sentences.
    """
    covered = "\n".join(f"- {text}" for text in coverage)
    errors = ("joint", "alone", "training median", "joint minus alone")
    head = ("dataset", "split", "images", *errors, "unit")
    said = f"**{' '.join(notes)}**\n\n" if notes else ""
    table = grid(head, [_cells(row) for row in rows])
    names = ", ".join(dict.fromkeys(row.dataset for row in rows))
    return (
        f"# {run}\n\nOne encoder trained with {method} on {names} at once, "
        "compared with one trained on each alone with the same hyperparameters, epochs, batches "
        "and seed.\n\n"
        f"{said}{table}\n\nMean absolute errors with 95 % intervals, by bootstrap over patients; "
        "the difference is paired. *Training median*: the error of predicting it for the same "
        "patients. All models were fitted to the training split alone. One seed: the "
        "intervals are of the samples, not of the training.\n\n"
        f"Prediction intervals for single images, calibrated on validation:\n\n{covered}\n"
    )


def _cells(row: JointRow) -> tuple[str, ...]:
    errors = [interval_words(i) for i in (row.joint, row.alone, row.null)]
    difference = interval_words(row.difference, "+")
    return row.dataset, _SPLITS[row.split], str(row.joint.n), *errors, difference, row.unit


def interval_words(interval: Interval | None, sign: str = "") -> str:
    """An error with its interval, with `sign` "+" also where it is positive; a dash for None."""
    if interval is None:
        return "–"
    value, low, high = (format(number, f"{sign}.3g") for number in interval.numbers)
    return f"{value} ({low} to {high})"
