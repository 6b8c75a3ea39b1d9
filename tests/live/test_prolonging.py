"""Prolonging a finished search: its best trials go on, and what is best is decided again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from live_support import TINY, assert_nothing_left

import supremix
from supremix.errors import SpecError

pytestmark = pytest.mark.slow


def curves(result: supremix.Result) -> dict[int, list[float]]:
    rows = pl.read_parquet(f"{result.path}/curves.parquet").sort("trial", "epoch")
    parts = rows.partition_by("trial", as_dict=True)
    return {int(key[0]): part["error"].to_list() for key, part in parts.items()}


@pytest.mark.parametrize("method", ["l1", pytest.param("supremix", marks=pytest.mark.long)])
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
    with pytest.raises(SpecError, match="have 3 epochs; prolong them to more, found 3"):
        supremix.Search.resume(tmp_path / "first", epochs=3).run()
    longer = supremix.Search.resume(tmp_path / "first", epochs=6).run()
    whole = supremix.Search(**{**asked, "epochs": 6}, out=tmp_path / "whole").run()
    trials = longer.trials.filter(pl.col("replicate_of").is_null())
    prolonged = trials.filter(pl.col("state") == "finished")
    assert 0 in prolonged["trial"]
    assert set(prolonged["epochs"]) == {6}
    others = trials.filter(pl.col("state") != "finished")
    assert set(others["reason"]) <= {"behind the trials that were prolonged to 6 epochs"}
    planned = curves(whole)
    for number in prolonged["trial"]:
        assert curves(longer)[number] == planned[number]
    assert longer.best.trial in prolonged["trial"]
    assert longer.test is not None
    tested = longer.predictions.filter(pl.col("split") == "test")
    assert set(tested["trial"]) == {longer.best.trial}
    with pytest.raises(SpecError, match="prolong them to more, found 6"):
        supremix.Search.resume(tmp_path / "first", epochs=6).run()
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
