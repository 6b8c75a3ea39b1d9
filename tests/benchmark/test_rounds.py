"""The order of a comparison's searches, with searches that take no time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supremix.benchmark import rounds
from supremix.errors import SearchFailedError
from supremix.runs.folder import RunFolder
from supremix.tuning.ledger.ledger import FINAL
from supremix_reports import config_text, read_table, write_table


class House:
    """Stands for what searches: notes each, and lets those fail that it is told to."""

    def __init__(self) -> None:
        self.executors = 0
        self.searched: list[tuple[str, int]] = []
        self.failing: set[str] = set()

    @contextlib.contextmanager
    def executor(self, *arguments: Any) -> Iterator[int]:
        self.executors += 1
        yield self.executors

    def search(self, setting: Any, ledger: Any, executor: int) -> None:
        name = setting.run.path.name
        self.searched.append((name, executor))
        if name in self.failing:
            raise SearchFailedError("all 2 trials failed")
        write_trials(setting.run)
        ledger.append(FINAL, trial=0, predictions={})


def write_trials(run: RunFolder) -> None:
    name = run.path.name
    row = {
        "run": name, "dataset": "hc18", "method": name, "trial": 0, "state": "finished",
        "error": 1.0, "epochs": 2, "seconds": 1.0, "seed": 0, "config": config_text({}),
        "unit": "mm",
    }  # fmt: skip
    sample = {
        "run": name, "dataset": "hc18", "method": name, "trial": 0, "seed": 0, "split": "test",
        "id": "a", "group": "a", "target": 1.0, "prediction": 2.0,
    }  # fmt: skip
    write_table(str(run.path), "trials", [row])
    write_table(str(run.path), "predictions", [sample])


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    house = House()
    monkeypatch.setattr(rounds, "search", house.search)
    monkeypatch.setattr(rounds, "started_executor", house.executor)
    monkeypatch.setattr(rounds, "write_tables", lambda *arguments: None)
    return house


def setting(folder: Path, name: str) -> Any:
    run = RunFolder(folder / name)
    run.path.mkdir(exist_ok=True)
    spec = SimpleNamespace(
        resolve_method=lambda: SimpleNamespace(name=name),
        to_dict=lambda: {"method": name},
        test=False,
    )
    card = SimpleNamespace(name="hc18", unit="mm")
    return SimpleNamespace(run=run, spec=spec, store=SimpleNamespace(card=card), listen=print)


def go(folder: Path, *names: str) -> dict[str, str | None]:
    """Run the rounds; the reasons in the table."""
    ground: Any = SimpleNamespace(plan=None)
    settings = [setting(folder, name) for name in names]
    rounds._Rounds(folder, settings, lambda: None).run(ground, print)
    return dict(read_table(str(folder), "comparison").select("method", "reason").iter_rows())


def test_one_crew_serves_all_methods_in_their_order(house: House, tmp_path: Path) -> None:
    assert go(tmp_path, "c", "a", "b") == {"a": None, "b": None, "c": None}
    assert house.searched == [("c", 1), ("a", 1), ("b", 1)]


def test_concluded_methods_are_not_searched_again(house: House, tmp_path: Path) -> None:
    go(tmp_path, "a")
    go(tmp_path, "a", "b")
    go(tmp_path, "a", "b")
    assert house.searched == [("a", 1), ("b", 2)]
    assert house.executors == 2


def test_a_method_that_fails_is_named_and_leaves_the_others_a_fresh_crew(
    house: House, tmp_path: Path
) -> None:
    house.failing = {"b"}
    assert go(tmp_path, "a", "b", "c") == {"a": None, "b": "all 2 trials failed", "c": None}
    assert house.searched == [("a", 1), ("b", 1), ("c", 2)]


def test_where_no_method_comes_to_a_result_all_reasons_are_told(
    house: House, tmp_path: Path
) -> None:
    house.failing = {"a", "b"}
    with pytest.raises(SearchFailedError, match=r"no method .*a: all 2 trials failed; b: all 2"):
        go(tmp_path, "a", "b")
