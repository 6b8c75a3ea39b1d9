"""Methods compared by the same groups: interrupted, taken up, and each as if it were alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from live_support import TINY, assert_nothing_left, assert_same_tables, events_of

import supremix
from supremix.errors import SearchInterrupted
from supremix.progress.progress import Progress
from supremix.search import driver
from supremix_reports import read_table

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.usefixtures("local_ray")]

METHODS = ("supremix", "l1")
SMALL: dict[str, Any] = {**TINY, "epochs": 2, "trials": 2}


@pytest.fixture
def executors(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The executors that were started."""
    started: list[Any] = []

    class Counted(driver.Executor):
        def __enter__(self) -> Any:
            started.append(self)
            return super().__enter__()

    monkeypatch.setattr(driver, "Executor", Counted)
    return started


def test_methods_are_compared_by_one_executor_and_resumed_where_they_ended(
    tmp_path: Path, heads: str, executors: list[Any]
) -> None:
    run, heard = tmp_path / "run", list[Progress]()

    def interrupt(progress: Progress) -> None:
        heard.append(progress)
        if progress.part == "l1 (2 of 2)" and progress.about_trials and progress.done:
            raise KeyboardInterrupt

    comparison = supremix.Comparison("hc18", heads, METHODS, **_small(run, interrupt))
    with pytest.raises(SearchInterrupted, match=f"--resume {run}"):
        comparison.run()
    assert_nothing_left()
    assert len(executors) == 1
    assert {p.part for p in heard if p.about_trials} == {"supremix (1 of 2)", "l1 (2 of 2)"}
    partial = supremix.ComparisonResult(run)
    assert partial.failures == {"l1": "not searched yet"}

    first = (run / "supremix" / "ledger.jsonl").read_bytes()
    begun = events_of(run / "l1")
    result = supremix.Comparison.resume(run).run()
    assert len(executors) == 2
    assert (run / "supremix" / "ledger.jsonl").read_bytes() == first
    assert events_of(run / "l1")[: len(begun)] == begun
    _check_whole(result, run)

    supremix.Comparison.resume(run).run()
    assert len(executors) == 2  # nothing is left to do
    assert supremix.ComparisonResult(run).table.equals(result.table)

    alone = supremix.Search("hc18", heads, "l1", **_small(tmp_path / "alone", None)).run()
    assert_same_tables(run / "l1", alone.path)
    assert_nothing_left()


def _small(out: Path, progress: Any) -> dict[str, Any]:
    options = {name: value for name, value in SMALL.items() if name != "dataset"}
    return {**options, "out": out, "progress": progress}


def _check_whole(result: supremix.ComparisonResult, run: Path) -> None:
    table = result.table
    assert set(table["method"]) == set(METHODS)
    assert table["test"].is_sorted()
    assert table["difference"][0] == 0
    assert table["n"].n_unique() == 1
    assert result.failures == {}
    for method, single in result.results.items():
        row = table.row(by_predicate=pl.col("method") == method, named=True)
        test: Any = single.test
        assert (row["test"], row["test_low"]) == (test.value, test.low)
        assert row["test"] == single.best.error == single.best.interval.value
        assert single.validation is not None
        assert row["val"] == single.validation.value
        assert row["trial"] == single.best.trial
        assert set(single.predictions["run"]) == {f"{run.name}/{method}"}
        assert (run / method / "best" / "model.json").is_file()
    assert set(read_table(str(run), "mae")["method"]) == set(METHODS)
    assert result.verdict in (run / "comparison.md").read_text()
