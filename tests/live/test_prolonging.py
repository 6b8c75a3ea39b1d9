"""Prolonging a finished search: its best trials go on, and what is best is decided again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from live_support import TINY, assert_nothing_left
from undisturbed import EPOCHS, UndisturbedRun

import supremix
from supremix.errors import SpecError
from supremix.training import fit

pytestmark = pytest.mark.slow


def curves(result: supremix.Result) -> dict[int, list[float]]:
    rows = pl.read_parquet(f"{result.path}/curves.parquet").sort("trial", "epoch")
    parts = rows.partition_by("trial", as_dict=True)
    return {int(key[0]): part["error"].to_list() for key, part in parts.items()}


def test_prolonged_trials_are_the_bare_loop_of_the_new_length(
    tmp_path: Path, runs: dict[str, UndisturbedRun], local_ray: None
) -> None:
    planned = runs["l1"]
    run = tmp_path / "run"
    shutil.copytree(planned.path, run)
    with pytest.raises(SpecError, match="have 4 epochs; prolong them to more, found 4"):
        supremix.Search.resume(run, epochs=EPOCHS).run()
    longer = supremix.Search.resume(run, epochs=6).run()
    task = replace(planned.task, epochs=6)
    for number in _prolonged(longer, finished(supremix.Result(planned.path))):
        rows = fit(task, planned.config(number)).history
        assert curves(longer)[number] == [row["error"] for row in rows]
    length = json.loads((run / "length.json").read_text())
    assert (length["epochs"], length["planned_epochs"]) == (6, EPOCHS)
    assert length["images_seen"] == longer.trials.filter(trial=0)["images_seen"][0]
    with pytest.raises(SpecError, match="prolong them to more, found 6"):
        supremix.Search.resume(run, epochs=6).run()
    assert_nothing_left()


def finished(result: supremix.Result) -> set[int]:
    """The trials of a search that were trained to their end, those with new seeds left out."""
    trials = result.trials.filter(pl.col("replicate_of").is_null(), state="finished")
    return set(trials["trial"])


def _prolonged(longer: supremix.Result, before: set[int]) -> set[int]:
    """The trials that were prolonged to 6 epochs, once what was decided of them is checked."""
    prolonged = finished(longer)
    assert 0 in prolonged
    assert prolonged < before
    trials = longer.trials
    assert set(trials.filter(pl.col("trial").is_in(prolonged))["epochs"]) == {6}
    others = trials.filter(pl.col("trial").is_in(before - prolonged))
    assert set(others["reason"]) == {"behind the trials that were prolonged to 6 epochs"}
    assert longer.best.trial in prolonged
    assert longer.test is not None
    tested = longer.predictions.filter(split="test")
    assert set(tested["trial"]) == {longer.best.trial}
    return prolonged


@pytest.mark.long
@pytest.mark.parametrize("method", ["l1", "supremix"])
def test_prolonged_trials_are_those_of_a_search_that_was_planned_so_long(
    tmp_path: Path, heads: str, local_ray: None, method: str
) -> None:
    asked: dict[str, Any] = {
        **TINY,
        "source": heads,
        "method": method,
        "trials": 3,
        "pruner": "none",
        "overrides": "schedule=constant" if method == "supremix" else (),
        "cache": str(tmp_path / "cache"),
    }
    first = supremix.Search(**asked, out=tmp_path / "first").run()
    assert set(curves(first)) == {0, 1, 2, 3, 4}
    before = finished(first)
    longer = supremix.Search.resume(tmp_path / "first", epochs=6).run()
    whole = supremix.Search(**{**asked, "epochs": 6}, out=tmp_path / "whole").run()
    planned = curves(whole)
    for number in _prolonged(longer, before):
        assert curves(longer)[number] == planned[number]
    assert_nothing_left()


@pytest.mark.long
def test_a_search_under_one_cycle_is_not_prolonged(
    tmp_path: Path, heads: str, local_ray: None
) -> None:
    asked: dict[str, Any] = {**TINY, "source": heads, "method": "l1", "trials": 1}
    cycle = supremix.Search(
        **asked,
        overrides="schedule=one-cycle",
        cache=str(tmp_path / "cache"),
        out=tmp_path / "run",
    )
    cycle.run()
    with pytest.raises(SpecError, match="depends on the 3 epochs that it was planned for"):
        supremix.Search.resume(tmp_path / "run", epochs=6).run()
