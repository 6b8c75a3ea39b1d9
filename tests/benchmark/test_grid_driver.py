"""The order of a grid's searches, with searches that take no time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import supremix
from supremix.benchmark import driver
from supremix.benchmark.grid import Grid
from supremix.errors import SearchFailedError
from supremix.runs.folder import RunFolder
from supremix.search.session import SearchSession
from supremix.search.shared_session import SharedSession
from supremix.tuning.ledger.ledger import FINAL, SESSION, TESTED, TRIAL
from supremix_reports import config_text, read_table, write_table


class Searches:
    """Stand for `search_all`: note which searches run together, and let some of them fail."""

    def __init__(self) -> None:
        self.executors = 0
        self.ran: list[tuple[list[str], int]] = []
        self.studies: list[int | None] = []
        self.failing: set[str] = set()

    @contextlib.contextmanager
    def executor(self, *arguments: Any) -> Iterator[Any]:
        self.executors += 1
        yield SimpleNamespace(number=self.executors, plan=SimpleNamespace(count=2))

    def search_all(
        self, searches: Sequence[SearchSession], executor: Any, studies: int | None
    ) -> dict[str, SearchFailedError]:
        self.ran.append(([one.path_in_grid for one in searches], executor.number))
        self.studies.append(studies)
        for one in searches:
            one.ledger.append(SESSION, worker_groups=2)
            if one.path_in_grid not in self.failing:
                conclude(one)
        return {
            one.run.name: SearchFailedError("all 2 trials failed")
            for one in searches
            if one.path_in_grid in self.failing
        }


def conclude(search: SearchSession) -> None:
    if search.is_evaluated:
        return
    for one in search.prepared:
        write_trials(one.run, one.store.card.name, one.spec.resolve_method().name)
    search.ledger.append(TRIAL, number=0, config={"lr": 1.0}, replicate_of=None, seed=0)
    search.ledger.append(FINAL, trial=0, predictions={})
    name = search.first.store.card.name
    for seed in search.test_seeds:
        search.ledger.append(TESTED, trial=0, seed=seed, dataset=name, predictions=[])


def write_trials(run: RunFolder, dataset: str, method: str) -> None:
    source = {"run": run.name, "dataset": dataset, "method": method, "trial": 0, "seed": 0}
    trial = {
        "state": "finished", "error": 1.0, "epochs": 2, "seconds": 1.0,
        "config": config_text({}), "unit": "mm",
    }  # fmt: skip
    sample = {"split": "test", "id": "a", "group": "a", "target": 1.0, "prediction": 2.0}
    write_table(str(run.path), "trials", [source | trial])
    write_table(str(run.path), "predictions", [source | sample])


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> Searches:
    searches = Searches()
    monkeypatch.setattr(driver, "search_all", searches.search_all)
    monkeypatch.setattr(driver, "started_executor", searches.executor)
    monkeypatch.setattr(driver, "write_tables", lambda *arguments: None)
    return searches


def compare(folder: Path, *methods: str) -> supremix.Comparison:
    options = {"trials": 2, "test": False, "confirm_seeds": 0, "out": folder}
    return supremix.Comparison("hc18", "heads", methods, **options)


def several(folder: Path, objective: str = "per-dataset", **more: Any) -> Grid:
    options = {"trials": 2, "test": False, "out": folder, **more}
    return supremix.MultiDatasetSearch(["ukb-t1", "hcp-aging"], objective=objective, **options)


def go(grid: Grid, *, table: bool = True) -> dict[tuple[str, str], str | None]:
    """Run the searches; returns the reasons in the table, by dataset and method."""
    with grid.created(), contextlib.ExitStack() as ledgers:
        prepared: list[Any] = [
            SimpleNamespace(
                spec=cell.spec,
                run=cell.run,
                store=SimpleNamespace(card=SimpleNamespace(name=cell.dataset, unit="mm")),
                space=SimpleNamespace(to_dict=dict),
                reference=1.0,
                grid_path=grid.path,
                listen=print,
                plan=None,
            )
            for cell in grid.cells
        ]
        driver.GridDriver(grid, prepared, SharedSession(print, [], ledgers)).run()
    if not table:
        return {}
    rows = read_table(str(grid.path), "comparison")
    return {(d, m): why for d, m, why in rows.select("dataset", "method", "reason").iter_rows()}


def test_one_executor_serves_all_methods_in_their_order(searches: Searches, tmp_path: Path) -> None:
    reasons = go(compare(tmp_path / "run", "rnc", "l1", "supremix"))
    assert set(reasons.values()) == {None}
    assert searches.ran == [(["rnc"], 1), (["l1"], 1), (["supremix"], 1)]


def test_concluded_methods_are_not_searched_again(searches: Searches, tmp_path: Path) -> None:
    searches.failing = {"l1"}
    go(compare(tmp_path / "run", "rnc", "l1"))
    searches.failing = set()
    for _ in range(2):
        reasons = go(supremix.Comparison.resume(tmp_path / "run"))
        assert set(reasons.values()) == {None}
    assert searches.ran == [(["rnc"], 1), (["l1"], 1), (["l1"], 2)]


def test_a_method_that_fails_is_named_and_leaves_the_others_a_fresh_executor(
    searches: Searches, tmp_path: Path
) -> None:
    searches.failing = {"l1"}
    reasons = go(compare(tmp_path / "run", "rnc", "l1", "supremix"))
    assert {method: why for (_, method), why in reasons.items()} == {
        "rnc": None, "l1": "all 2 trials failed", "supremix": None
    }  # fmt: skip
    assert searches.ran == [(["rnc"], 1), (["l1"], 1), (["supremix"], 2)]


def test_where_no_search_comes_to_a_result_all_reasons_are_given(
    searches: Searches, tmp_path: Path
) -> None:
    searches.failing = {"rnc", "l1"}
    with pytest.raises(SearchFailedError, match=r"no search .*rnc: all 2 .*; run/l1: all 2 trials"):
        go(compare(tmp_path / "run", "rnc", "l1"))


def test_with_warm_starts_concluded_datasets_are_there_to_learn_from(
    searches: Searches, tmp_path: Path
) -> None:
    both = ["ukb-t1", "hcp-aging"]
    searches.failing = {"hcp-aging"}
    go(several(tmp_path / "warm"))
    go(several(tmp_path / "cold", warm_start=False))
    for name in ("warm", "cold"):
        go(supremix.MultiDatasetSearch.resume(tmp_path / name))
    assert [names for names, _ in searches.ran] == [both, both, both, ["hcp-aging"]]
    assert searches.studies == [None] * 4


def test_a_benchmark_runs_what_is_new_in_parallel(searches: Searches, tmp_path: Path) -> None:
    out = tmp_path / "run"
    go(supremix.Benchmark(["ukb-t1"], methods=["l1"], trials=2, out=out))
    go(supremix.Benchmark.resume(out, datasets=["hcp-aging"], methods=["rnc"]))
    assert [names for names, _ in searches.ran] == [
        ["ukb-t1/l1"],
        ["ukb-t1/rnc", "hcp-aging/l1", "hcp-aging/rnc"],
    ]
    assert searches.studies == [2, 2]  # whatever their number


def test_a_joint_objective_is_one_search_that_fails_for_all(
    searches: Searches, tmp_path: Path
) -> None:
    grid = several(tmp_path / "run", "joint")
    go(grid)
    assert searches.ran == [(["run"], 1)]
    assert (grid.path / "space.json").is_file()
    searches.failing = {"other"}
    with pytest.raises(SearchFailedError, match=r"no search .*other: all 2 trials failed"):
        go(several(tmp_path / "other", "joint"))
    reasons = supremix.MultiDatasetResult(tmp_path / "other").failures
    assert reasons == dict.fromkeys(("ukb-t1", "hcp-aging"), "all 2 trials failed")


def crossed(folder: Path, **more: Any) -> Grid:
    return supremix.CrossValidation("hc18", "heads", "l1", folds=3, trials=2, out=folder, **more)


@pytest.fixture
def pooled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[int | None]]]:
    found: list[tuple[str, list[int | None]]] = []

    def write(folder: Any, spec: Any, prepared: Sequence[Any]) -> None:
        found.append((folder.name, [one.spec.fold for one in prepared]))

    monkeypatch.setattr(driver, "write_pooled", write)
    monkeypatch.setattr(driver.GridDriver, "_warn", lambda self: None)
    return found


def test_folds_run_in_parallel_and_are_pooled_when_all_are_tested(
    searches: Searches, pooled: list[Any], tmp_path: Path
) -> None:
    searches.failing = {"fold-1"}
    with pytest.raises(
        SearchFailedError, match=r"no method has a result in every fold.*fold-1: all 2"
    ):
        go(crossed(tmp_path / "run"))
    assert pooled == []
    searches.failing = set()
    go(supremix.CrossValidation.resume(tmp_path / "run"), table=False)
    assert [names for names, _ in searches.ran] == [["fold-0", "fold-1", "fold-2"], ["fold-1"]]
    assert pooled[-1] == ("run", [0, 1, 2])


def test_the_folds_of_compared_methods_run_method_by_method(
    searches: Searches, pooled: list[Any], tmp_path: Path
) -> None:
    options = {"trials": 2, "folds": 2, "out": tmp_path / "run"}
    go(supremix.Comparison("hc18", "heads", ["rnc", "l1"], **options))
    assert [names for names, _ in searches.ran] == [
        ["rnc/fold-0", "rnc/fold-1"],
        ["l1/fold-0", "l1/fold-1"],
    ]
    assert pooled[-2:] == [("rnc", [0, 1]), ("l1", [0, 1])]


def test_hyperparameters_that_are_searched_once_are_those_of_the_first_fold(
    searches: Searches, pooled: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taken: list[Any] = []

    def fixed(prepared: Any, config: Any) -> Any:
        taken.append((prepared.spec.fold, config))
        return prepared

    monkeypatch.setattr(driver, "with_hyperparameters", fixed)
    go(crossed(tmp_path / "run", search_once=True), table=False)
    assert [names for names, _ in searches.ran] == [["fold-0"], ["fold-1", "fold-2"]]
    assert taken == [(1, {"lr": 1.0}), (2, {"lr": 1.0})]
    searches.failing = {"fold-0"}
    with pytest.raises(SearchFailedError, match="the search in other/fold-0 has no result"):
        go(crossed(tmp_path / "other", search_once=True))
