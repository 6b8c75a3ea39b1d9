"""The folds of a cross-validation taken together: pooled tables and the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from supremix_reports import (
    FoldRun,
    LabelDensity,
    MethodRun,
    collect,
    compare_methods,
    comparison_rows,
    config_text,
    folds_table,
    read_table,
    seeds_interval,
    write_folds,
    write_table,
)
from supremix_reports.report.report import Options, write_report
from supremix_reports.summaries.folds import NESTED, ONCE
from supremix_reports.tables.frames import best_trial

PATIENTS, FOLDS = 60, 3


def write_fold(folder: Path, fold: int, repeat: int, *, method: str = "l1") -> FoldRun:
    """A concluded run whose test patients are every third, with two trials and one validation."""
    rng = np.random.default_rng([fold, repeat])
    source = {"run": folder.name, "dataset": "d", "method": method, "trial": 1}
    trials = [
        {
            **source, "trial": number, "seed": repeat, "state": "finished", "error": 1.0 + number,
            "epochs": 2, "seconds": 1.0, "config": config_text({"lr": 0.1 * (fold + 1), "wd": 1}),
            "unit": "mm", "steps": 4, "images_seen": 8, "replicate_of": 0 if number else None,
        }
        for number in range(2)
    ]  # fmt: skip
    target = np.arange(PATIENTS, dtype=np.float64)
    tested = np.flatnonzero((np.arange(PATIENTS) + repeat) % FOLDS == fold)
    samples = [
        {
            **source, "seed": 1000 * repeat, "split": split, "id": f"i{n}", "group": f"p{n}",
            "target": target[n], "prediction": target[n] + rng.normal(), "null_prediction": 30.0,
        }
        for split, own in (("val", [0, 1]), ("test", tested))
        for n in own
    ]  # fmt: skip
    cohort = [
        {"run": folder.name, "dataset": "d", "split": split, "kind": "label", "name": "l", "n": n}
        for split, n in (("test", 20), (None, PATIENTS))
    ]
    write_table(str(folder), "trials", trials)
    write_table(str(folder), "predictions", samples)
    write_table(str(folder), "cohort", cohort)
    return FoldRun(folder=str(folder), fold=fold, repeat=repeat)


def pooled(folder: Path, repeats: int = 1, *, method: str = "l1", **spec: object) -> Path:
    runs = [
        write_fold(folder / f"{repeat}-{fold}", fold, repeat, method=method)
        for repeat in range(repeats)
        for fold in range(FOLDS)
    ]
    density = LabelDensity.of(np.arange(60.0), 1.0)
    write_folds(str(folder), "cv", runs, {"folds": FOLDS, **spec}, density=density)
    return folder


@pytest.mark.parametrize("repeats", [1, 2])
def test_every_patient_is_predicted_once_a_repeat_out_of_fold(repeats: int, tmp_path: Path) -> None:
    table = read_table(str(pooled(tmp_path, repeats)), "predictions")

    assert table.height == PATIENTS * repeats
    assert table.select("repeat", "id").is_unique().all()
    assert set(table["split"]) == {"test"}
    assert table.group_by("repeat", "fold").len()["len"].to_list() == [20] * FOLDS * repeats
    assert set(table["run"]) == {"cv"}


def test_the_error_is_that_of_all_predictions_with_an_interval_over_folds(tmp_path: Path) -> None:
    folder = str(pooled(tmp_path, 2))
    table, mae = read_table(folder, "predictions"), read_table(folder, "mae")
    row = mae.row(by_predicate=pl.col("metric") == "mae", named=True)
    columns = [table["prediction"] - table["target"], table["group"], table["seed"]]
    expected = seeds_interval(*(c.to_numpy() for c in columns), folds=table["fold"].to_numpy())

    assert row["value"] == pytest.approx(columns[0].abs().mean())
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert (row["folds"], row["seeds"], row["n"], row["groups"]) == (FOLDS, 2, PATIENTS, PATIENTS)


def test_trials_are_numbered_on_and_none_is_best_for_all(tmp_path: Path) -> None:
    folder = str(pooled(tmp_path))
    trials, predictions = read_table(folder, "trials"), read_table(folder, "predictions")

    assert trials["trial"].to_list() == [0, 1, 2, 3, 4, 5]
    assert trials["replicate_of"].to_list() == [None, 0, None, 2, None, 4]
    assert trials["fold"].to_list() == [0, 0, 1, 1, 2, 2]
    assert best_trial(trials, predictions) is None
    head, rows = folds_table(trials, predictions)
    assert head[:3] == ["fold", "patients", "images"]
    assert head[-1] == "lr"
    assert [row[-1] for row in rows] == pytest.approx([0.1, 0.2, 0.3])
    assert read_table(folder, "cohort")["n"].to_list() == [PATIENTS]


@pytest.mark.parametrize(("once", "words"), [(False, "nested"), (True, "is optimistically biased")])
def test_the_page_says_how_hyperparameters_were_chosen(
    once: bool, words: str, tmp_path: Path
) -> None:
    page = (pooled(tmp_path, search_once=once) / "summary.md").read_text()

    assert page.startswith("# l1 on d, 3 folds\n")
    assert "pooled out of 3 folds" in page
    assert words in page
    assert "| fold | patients | images | error (mm) | training median | lr |" in page


def test_methods_are_compared_patient_by_patient_out_of_fold(tmp_path: Path) -> None:
    tables = [
        read_table(str(pooled(tmp_path / method, method=method)), "predictions")
        for method in ("l1", "other")
    ]
    worse = tables[1].with_columns(pl.col("prediction") + 5)
    gains = compare_methods(pl.concat([tables[0], worse]), reference="l1")

    runs = [
        MethodRun.read(str(tmp_path), dataset="d", method=m, run=m, unit="mm", reason=None)
        for m in ("l1", "other")
    ]
    found = comparison_rows(runs)[0]
    assert (found["folds"], found["trial"], found["images_seen"]) == (FOLDS, None, 8)
    row = gains.row(0, named=True)
    assert (row["significant"], row["note"], row["groups"]) == (True, None, PATIENTS)
    alone = compare_methods(
        pl.concat([tables[0], worse]).with_columns(pl.lit(None, pl.Int32).alias("fold")),
        reference="l1",
    )
    assert alone.row(0, named=True)["note"] == "one seed"


@pytest.mark.parametrize("once", [False, True])
def test_the_report_takes_the_folds_as_one_run(once: bool, tmp_path: Path) -> None:
    spec = {"dataset": "d", "method": "l1", "folds": FOLDS, "search_once": once}
    folder = pooled(tmp_path / "cv", search_once=once)
    (folder / "spec.json").write_text(json.dumps(spec))
    (folder / "folds.json").write_text(json.dumps({"runs": ["0-0", "0-1", "0-2"]}))

    write_report([str(folder)], str(tmp_path / "report"), Options(formats=("md",)))
    page = (tmp_path / "report" / "report.md").read_text()
    assert "pooled out of 3 folds" in page
    assert ONCE in page if once else NESTED in page
    assert "The folds of l1 on d" in page
    assert "One seed only" not in page
    assert [run.name for run in collect(str(folder)).runs] == ["cv"]
