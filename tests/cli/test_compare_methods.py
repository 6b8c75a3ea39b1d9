from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import supremix
from supremix import cli, errors
from supremix_reports import (
    MethodRun,
    config_text,
    mae_rows,
    read_table,
    write_comparison,
    write_table,
)


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert isinstance(end.value.code, int)
    return end.value.code


def write_run(folder: Path, method: str, error: float) -> None:
    """A run of three trials, whose final model misses by `error` more or less."""
    name, common = str(folder / method), {"run": method, "dataset": "hc18", "method": method}
    ends = {"state": ["finished", "pruned", "failed"], "error": [error, 9.0, None]}
    trials = [
        {
            **common, "trial": n, "state": ends["state"][n], "error": ends["error"][n], "epochs": 4,
            "seconds": 60.0, "seed": 0, "config": config_text({"lr": 0.1}), "unit": "mm",
        }
        for n in range(3)
    ]  # fmt: skip
    rows = [
        {
            **common, "trial": 0, "seed": seed, "split": split, "id": f"{n}", "group": f"g{n}",
            "target": 1.0, "prediction": 1.0 + error + n % 2, "null_prediction": 10.0,
        }
        for seed in (0, 1)
        for split in ("val", "test")
        for n in range(8)
    ]  # fmt: skip
    write_table(name, "trials", trials)
    write_table(name, "predictions", rows)
    write_table(name, "mae", mae_rows(read_table(name, "predictions"), unit="mm"))


class FakeComparison:
    """Stands for `supremix.Comparison`: l1 beats supremix, and rnc fails where it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.called = folder, dict[str, Any]()
        self.resumed: str | None = None

    def __call__(self, **options: Any) -> FakeComparison:
        self.called = options
        return self

    def resume(self, run: str, **options: Any) -> FakeComparison:
        self.resumed, self.called = run, {"methods": ["supremix", "l1"], **options}
        return self

    def run(self) -> supremix.ComparisonResult:
        report, methods = self.called["progress"], self.called["methods"]
        report(
            supremix.Progress(message="searching", part="l1 (2 of 2)", done=1, total=4, elapsed=9.0)
        )
        for method, error in (("supremix", 5.0), ("l1", 2.0)):
            write_run(self.folder, method, error)
        runs = [
            MethodRun.read(
                str(self.folder), dataset="hc18", method=method, run=method, unit="mm",
                reason="all 4 trials failed" if method == "rnc" else None,
            )
            for method in methods
        ]  # fmt: skip
        write_comparison(str(self.folder), runs, {})
        (self.folder / "comparison.json").write_text(
            json.dumps({"datasets": ["hc18"], "methods": methods})
        )
        return supremix.ComparisonResult(self.folder)


@pytest.fixture
def comparison(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeComparison:
    fake = FakeComparison(tmp_path)
    monkeypatch.setattr(supremix, "Comparison", fake)
    monkeypatch.setenv("COLUMNS", "130")
    return fake


def test_several_methods_are_compared_with_every_option(comparison: FakeComparison) -> None:
    words = ["--dataset", "hc18", "--method", "supremix, l1", "--trials", "4", "--set", "lr=0.1"]
    assert run("search", *words) == 0
    called = comparison.called
    assert (called["methods"], called["trials"], called["overrides"]) == (
        ["supremix", "l1"],
        4,
        ("lr=0.1",),
    )
    assert "method" not in called


def test_the_table_the_verdict_and_the_files_are_told(
    comparison: FakeComparison, capsys: pytest.CaptureFixture[str]
) -> None:
    run("search", "--dataset", "hc18", "--method", "supremix,l1")
    told = capsys.readouterr()
    lines = [" ".join(line.split()) for line in told.out.splitlines()]
    took = "trials epochs time images seen training time"
    assert lines[0] == f"method test (mm) skill difference validation {took}"
    assert lines[1].startswith(
        "l1 2.5 (2.125 to 2.875) 0.72 (0.68 to 0.76) 0 2.5 (2.125 to 2.875) 3 (1 early, 1 failed)"
    )
    assert lines[2].startswith("supremix 5.5 (5.125 to 5.875) 0.39 (0.35 to 0.43) 3 (3 to 3)")
    assert lines[3] == "training median 9 (9 to 9) – – 9 (9 to 9)"
    assert lines[1].endswith("12 3:00 – –")
    assert "A winner is shown: l1 has the least test error" in told.out
    for name in ("comparison.md", "comparison.parquet", "mae.parquet", "the run of supremix"):
        assert name in told.out
    assert "l1 (2 of 2): 1 of 4 trials done, 0 running" in told.err


def test_a_method_without_a_result_is_told_and_is_a_failure(
    comparison: FakeComparison, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("search", "--dataset", "hc18", "--method", "supremix,l1,rnc") == 1
    assert "rnc has no result: all 4 trials failed" in capsys.readouterr().out


def test_a_comparison_is_resumed_by_its_folder(comparison: FakeComparison, tmp_path: Path) -> None:
    (tmp_path / "comparison.json").write_text('{"datasets": ["hc18"], "methods": ["l1", "rnc"]}')
    assert run("search", "--resume", str(tmp_path), "--quiet") == 0
    assert comparison.resumed == str(tmp_path)


def test_a_comma_too_many_is_refused(
    comparison: FakeComparison, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("search", "--dataset", "hc18", "--method", "supremix,") == 2
    assert "a comma too many" in capsys.readouterr().err
    assert comparison.called == {}


def test_what_is_no_comparison_cannot_be_read_as_one(tmp_path: Path) -> None:
    with pytest.raises(errors.RunFolderError, match="not the folder of a comparison"):
        supremix.ComparisonResult(tmp_path)
