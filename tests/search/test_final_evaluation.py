"""The final evaluation, killed at every point and resumed, with workers that only write files."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from evaluated_runs import (
    KilledError,
    Workers,
    finish,
    prepared_in,
    searched,
    searched_with_errors,
)

from supremix.errors import RunFolderError
from supremix.runs.folder import RunFolder
from supremix.search.final_evaluation import write_tables
from supremix.search.session import SearchSession
from supremix.tuning.ledger.ledger import FINAL, TESTED, Ledger
from supremix_reports import Calibration, LabelScale, SchemaError, read_file, read_table

TABLES = (
    "trials", "curves", "measures", "cohort", "predictions", "mae", "defaults", "intervals",
)  # fmt: skip


def tables(run: RunFolder) -> dict[str, pl.DataFrame]:
    return {name: read_table(str(run.path), name) for name in TABLES}


def test_the_table_of_predictions_is_that_of_the_workers_files(tmp_path: Path) -> None:
    run, workers = searched(tmp_path / "run"), Workers()
    finish(run, workers)
    assert workers.written == ["00000-val.parquet", "00000-test-0.parquet", "00000-test-1.parquet"]
    rows = read_table(str(run.path), "predictions")
    assert rows.group_by("split", "seed", maintain_order=True).len().rows() == [
        ("val", 0, 8),
        ("test", 0, 8),
        ("test", 1, 8),
    ]
    assert set(rows["run"]) == {"run"}
    with Ledger(run.ledger) as ledger:
        noted = [event for event in ledger.events if event["event"] in (FINAL, TESTED)]
    assert [event["predictions"] for event in noted] == [
        {"hc18": ["00000-val.parquet"]},
        ["00000-test-0.parquet"],
        ["00000-test-1.parquet"],
    ]


def test_killed_at_any_point_it_gives_the_same_tables(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole" / "run")
    finish(whole, Workers())
    for step in itertools.count():
        run = searched(tmp_path / str(step) / "run")
        try:
            finish(run, Workers(step))
        except KilledError:
            finish(run, Workers())
        else:
            break
        found, wanted = tables(run), tables(whole)
        assert all(found[name].equals(wanted[name]) for name in TABLES), step
        for folder in (run.model, run.model / "networks" / "1"):  # the members of the ensemble
            assert (folder / "model.json").is_file(), step
    assert step == 8  # two steps for each of the three files, and an epoch before each test


def calibration_of(run: RunFolder) -> Calibration:
    return Calibration.from_dict(json.loads((run.model / "calibration.json").read_text()))


def test_validation_calibrates_the_model_and_test_measures_its_intervals(tmp_path: Path) -> None:
    run, workers = searched(tmp_path / "run"), Workers(samples=60)
    finish(run, workers)
    found, rows = calibration_of(run), read_table(str(run.path), "predictions")
    val = rows.filter(pl.col("split") == "val")
    assert found.exact is False  # the final model is trained on validation as well
    assert found.prediction.tolist() == val["prediction"].to_list()
    assert found.count == val["group"].n_unique() == 30
    labels = prepared_in(run).labels
    assert found.scale == LabelScale.of(labels)
    (row,) = (
        read_table(str(run.path), "intervals")
        .filter((pl.col("interval") == "split") & (pl.col("level") == 0.9))
        .to_dicts()
    )
    assert (row["split"], row["groups"], row["calibration_groups"]) == ("test", 30, 30)
    assert (row["exact"], row["note"], row["unit"]) == (False, None, "mm")
    assert 0 < row["width"] < 10
    assert "0.9 prediction intervals: " in run.summary.read_text()


def test_each_test_seed_keeps_its_network_and_without_a_test_each_new_seed(tmp_path: Path) -> None:
    run, workers = searched(tmp_path / "run"), Workers()
    finish(run, workers)
    assert workers.exported == [str(run.model), str(run.model / "networks" / "1")]

    run = searched_with_errors(tmp_path / "untested" / "run", FOUND, **SEARCH)
    workers = Workers(samples=60)
    finish(run, workers, **SEARCH)
    assert workers.exported == [str(run.model), str(run.model / "networks" / "1")]
    found, rows = calibration_of(run), read_table(str(run.path), "predictions")
    first = rows.filter(pl.col("seed") == rows["seed"][0])
    assert found.exact is True  # and its own predictions are the calibration
    assert found.of_one().prediction.tolist() == first["prediction"].to_list()
    assert found.of_mean(2).spread is not None
    notes = read_table(str(run.path), "intervals")["note"]
    assert notes.null_count() == 0
    assert "there are no test patients" in notes[0]


SEARCH: dict[str, Any] = {"trials": 3, "finalists": 2, "confirm_seeds": 2, "test": False}
FOUND = [1.0, 2.0, 0.9, 3.0, 3.0, 0.9, 0.9, 1.5, 1.5]  # trial 2 is best, with new seeds as well


def test_what_the_search_found_is_compared_with_the_defaults_on_the_same_new_seeds(
    tmp_path: Path,
) -> None:
    run = searched_with_errors(tmp_path / "run", FOUND, **SEARCH)
    workers = Workers(trial0=9.0)
    finish(run, workers, **SEARCH)
    assert workers.written == [f"0000{n}-val.parquet" for n in (5, 6, 3, 4)]
    assert set(read_table(str(run.path), "predictions")["trial"]) == {2}
    (row,) = read_table(str(run.path), "defaults").to_dicts()
    assert (row["trial"], row["split"], row["seeds"], row["n"]) == (2, "val", 2, 8)
    assert row["difference_low"] < row["difference"] < row["difference_high"] < -6
    both = [
        pl.concat([read_file(str(run.predictions / f"0000{n}-val.parquet"), "predictions")
                   for n in files])
        for files in ((5, 6), (3, 4))
    ]  # fmt: skip
    errors = [(one["prediction"] - one["target"]).abs().mean() for one in both]
    assert row["difference"] == pytest.approx(errors[0] - errors[1])


def test_where_the_defaults_are_best_the_best_others_are_compared_with_them(tmp_path: Path) -> None:
    errors = [1.0, 2.0, 0.9, 0.5, 0.5, *FOUND[5:]]
    run = searched_with_errors(tmp_path / "run", errors, **SEARCH)
    finish(run, Workers(trial2=9.0), **SEARCH)
    assert set(read_table(str(run.path), "predictions")["trial"]) == {0}
    (row,) = read_table(str(run.path), "defaults").to_dicts()
    assert row["trial"] == 2
    assert row["difference_low"] > 6


def test_one_training_each_shows_nothing(tmp_path: Path) -> None:
    search = SEARCH | {"confirm_seeds": 0}
    run = searched_with_errors(tmp_path / "run", FOUND[:3], **search)
    finish(run, Workers(trial0=9.0), **search)
    (row,) = read_table(str(run.path), "defaults").to_dicts()
    assert (row["trial"], row["significant"], row["note"]) == (2, None, "one seed")


def test_nothing_is_compared_where_only_the_defaults_were_trained(tmp_path: Path) -> None:
    run = searched(tmp_path / "run")
    finish(run, Workers())
    assert read_table(str(run.path), "defaults").is_empty()


def test_the_finished_trials_are_diagnosed_in_their_table(tmp_path: Path) -> None:
    run = searched_with_errors(tmp_path / "run", FOUND[:3], **SEARCH | {"confirm_seeds": 0})
    with Ledger(run.ledger) as ledger:
        ledger.append("trial", number=3, config={}, replicate_of=None, seed=0)
        ledger.append("end", number=3, state="failed", reason="out of memory", epoch=0)
        write_tables(SearchSession(run, ledger, [prepared_in(run, **SEARCH)]))
    rows = read_table(str(run.path), "trials").sort("trial")

    assert rows["convergence"].to_list() == [*["cannot be said"] * 3, None]
    assert set(rows["convergence_note"][:3]) == {"fewer than 20 epochs were evaluated"}


def test_what_was_noted_is_not_predicted_again(tmp_path: Path) -> None:
    run = searched(tmp_path / "run")
    with pytest.raises(KilledError):
        finish(run, Workers(2))
    workers = Workers()
    finish(run, workers)
    assert workers.written == ["00000-test-0.parquet", "00000-test-1.parquet"]
    again = Workers()
    finish(run, again)
    assert again.written == []


def test_a_lost_file_of_predictions_is_named(tmp_path: Path) -> None:
    run = searched(tmp_path / "run")
    finish(run, Workers())
    (run.predictions / "00000-test-1.parquet").unlink()
    with pytest.raises(RunFolderError, match=r"00000-test-1\.parquet.*Restore the file"):
        finish(run, Workers())


def test_a_value_that_no_table_has_is_an_error(tmp_path: Path) -> None:
    run = searched(tmp_path / "run")
    with Ledger(run.ledger) as ledger:
        one = SearchSession(run, ledger, [prepared_in(run)])
        (row, *_) = [event["row"] for event in ledger.events if event["event"] == "epoch"]
        row["speed"] = 3.0
        with pytest.raises(SchemaError, match="'speed' that the schema lacks"):
            write_tables(one)
