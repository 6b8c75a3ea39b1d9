"""The command `supremix benchmark`: what it asks for, takes up, and shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import supremix
from supremix import cli
from supremix.cli.views.benchmark import show_benchmark
from supremix.errors import SearchInterrupted
from supremix_reports import (
    MethodRun,
    OutsideResult,
    config_text,
    mae_rows,
    read_table,
    write_benchmark,
    write_external,
    write_table,
)

SIX = ("benchmark", "--dataset", "ukb-t1,hcp-aging", "--trials", "2")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[supremix.Benchmark]:
    """The benchmarks that were to be run; none is."""
    found: list[supremix.Benchmark] = []

    def run(self: supremix.Benchmark) -> Any:
        found.append(self)
        raise SearchInterrupted(str(self.path), "benchmark")

    monkeypatch.setattr(supremix.Benchmark, "run", run)
    return found


def run(*words: str, code: int = 130) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == code


def test_one_command_asks_for_every_method_on_every_dataset(
    asked: list[supremix.Benchmark], tmp_path: Path
) -> None:
    run(*SIX, "--method", "supremix,l1", "--test-seeds", "4", "--epochs", "7", "--out",
        str(tmp_path / "run"), "--finalists", "1")  # fmt: skip
    (benchmark,) = asked
    assert benchmark.datasets == ("ukb-t1", "hcp-aging")
    assert benchmark.methods == ("supremix", "l1")
    assert {(s.test_seeds, s.epochs, s.trials, s.finalists) for s in benchmark.specs} == {
        (4, 7, 2, 1)
    }


def test_it_has_a_baseline_and_three_seeds_where_nobody_says_else(
    asked: list[supremix.Benchmark],
) -> None:
    run(*SIX)
    assert asked[0].methods == ("supremix", "rnc", "l1")
    assert asked[0].reference == "l1"
    assert {spec.test_seeds for spec in asked[0].specs} == {3}


def test_sources_are_told_by_name_or_for_the_only_dataset(
    asked: list[supremix.Benchmark],
) -> None:
    run("benchmark", "--dataset", "hc18", "--source", "heads", "--trials", "2")
    run("benchmark", "--dataset", "hc18,ukb-t1", "--source", "hc18=heads", "--trials", "2")
    heads = str(Path("heads").absolute())
    assert [spec.source for spec in asked[0].specs] == [heads] * 3
    assert [spec.source for spec in asked[1].specs] == [heads] * 3 + [None] * 3


def begun(folder: Path) -> Path:
    """A benchmark that was asked for, and no more."""
    benchmark = supremix.Benchmark(["ukb-t1"], methods=["l1"], trials=2, out=folder)
    with benchmark.created():
        return folder


def test_resume_takes_what_is_to_be_added_and_nothing_else(
    asked: list[supremix.Benchmark], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(begun(tmp_path / "run"))
    run("benchmark", "--resume", folder, "--method", "supremix,l1", "--test-seeds", "5")
    run("benchmark", "--resume", folder, "--dataset", "hcp-aging,ukb-t1")
    assert asked[0].methods == ("l1", "supremix")
    assert {spec.test_seeds for spec in asked[0].specs} == {5}
    assert asked[1].datasets == ("ukb-t1", "hcp-aging")
    run("benchmark", "--resume", folder, "--epochs", "5", code=2)
    assert "leave out" in capsys.readouterr().err
    run("benchmark", "--resume", folder, "--source", "ukb-t1=elsewhere", code=2)
    assert "by --dataset" in " ".join(capsys.readouterr().err.split())
    assert len(asked) == 2


def test_outside_cohorts_are_named_with_their_folders_and_can_be_added(
    asked: list[supremix.Benchmark], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(*SIX, "--external", "table=a,ixi=b,table=c", "--out", str(tmp_path / "new"))
    named = [("table", "a"), ("ixi", "b"), ("table", "c")]
    assert asked[0].external == [(name, str(Path(at).absolute())) for name, at in named]
    folder = str(begun(tmp_path / "run"))
    run("benchmark", "--resume", folder, "--external", "ixi=b")
    assert asked[1].external == [("ixi", str(Path("b").absolute()))]
    run(*SIX, "--external", "other-hospital", code=2)
    assert "write NAME=FOLDER" in capsys.readouterr().err
    (tmp_path / "run.toml").write_text(
        'dataset = "ukb-t1"\ntrials = 2\nexternal = "ixi=b"\n', encoding="utf-8"
    )
    run("benchmark", str(tmp_path / "run.toml"))
    assert asked[2].external == asked[1].external


def test_or_resume_starts_and_then_goes_on(
    asked: list[supremix.Benchmark], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("benchmark", "--dataset", "ukb-t1", "--method", "l1", "--trials", "2", "--or-resume")
    run(*words, "--out", str(tmp_path / "run"))
    assert not asked[0]._begun
    run(*words, "--out", str(begun(tmp_path / "run")))
    assert asked[1]._begun
    run(*words, code=2)
    assert "--out" in capsys.readouterr().err


def test_a_search_is_resumed_by_the_same_option_whatever_it_is(
    asked: list[supremix.Benchmark], tmp_path: Path
) -> None:
    run("search", "--resume", str(begun(tmp_path / "run")))
    assert asked[0].methods == ("l1",)


def test_without_a_dataset_it_says_what_to_name(capsys: pytest.CaptureFixture[str]) -> None:
    run("benchmark", "--trials", "2", code=2)
    assert "name a dataset" in " ".join(capsys.readouterr().err.split())


def finished(folder: Path, method: str, shift: float) -> MethodRun:
    common = {"run": f"b/ukb-t1/{method}", "dataset": "ukb-t1", "method": method, "trial": 0}
    trial = {
        **common, "state": "finished", "error": shift, "epochs": 2, "seconds": 1.0, "seed": 0,
        "config": config_text({}), "unit": "years",
    }  # fmt: skip
    samples = [
        {**common, "seed": seed, "split": "test", "id": f"s{k}", "group": f"g{k}",
         "target": float(k), "prediction": k + shift + 0.01 * seed + 0.1 * (k % 3),
         "null_prediction": 12.0, "linear_prediction": 10.0, "label_low": 0.0, "label_high": 25.0}
        for seed in (0, 1, 2) for k in range(24)
    ]  # fmt: skip
    place = str(folder / "ukb-t1" / method)
    write_table(place, "trials", [trial])
    write_table(place, "predictions", samples)
    write_table(place, "mae", mae_rows(read_table(place, "predictions"), unit="years"))
    return MethodRun.read(
        str(folder), dataset="ukb-t1", method=method, run=f"ukb-t1/{method}", unit="years",
        reason=None,
    )  # fmt: skip


def shown_of(folder: Path, shifts: dict[str, float]) -> str:
    content = {"datasets": ["ukb-t1"], "methods": [*shifts], "test_seeds": 3, "reference": "l1"}
    (folder / "benchmark.json").write_text(json.dumps(content))
    runs = [finished(folder, method, shift) for method, shift in shifts.items()]
    write_benchmark(str(folder), runs, reference="l1")
    console = Console(width=200, record=True)
    show_benchmark(supremix.BenchmarkResult(folder), console)
    return " ".join(console.export_text().split())


def test_it_shows_the_null_models_and_each_methods_skill(tmp_path: Path) -> None:
    shown = shown_of(begun(tmp_path / "run"), {"supremix": 2.0, "l1": 4.0})
    assert "dataset unit supremix l1 training median linear in covariates" in shown
    assert ") 6 (" in shown  # that of the median of 0 to 23
    assert "dataset supremix l1 ukb-t1 0.648 (" in shown
    assert "no skill" not in shown
    assert "supremix on ukb-t1 (test) has 3 of 72 predictions beyond the possible labels" in shown


def test_methods_without_skill_are_named_before_any_gain(tmp_path: Path) -> None:
    shown = shown_of(begun(tmp_path / "run"), {"supremix": 20.0, "l1": 30.0})
    assert shown.index("l1 on ukb-t1 (test) shows no skill") < shown.index("against l1 (gain")
    assert "(the skill of the better one is not shown)" in shown
    assert "significant" not in shown


def test_it_shows_errors_gains_and_what_came_to_nothing(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    content = {"datasets": ["ukb-t1"], "methods": ["supremix", "rnc", "l1"], "test_seeds": 3}
    (folder / "benchmark.json").write_text(json.dumps(content | {"reference": "l1"}))
    failed = MethodRun.read(
        str(folder), dataset="ukb-t1", method="rnc", run="ukb-t1/rnc", unit="years",
        reason="all 2 trials failed",
    )  # fmt: skip
    runs = [finished(folder, "supremix", 2.0), finished(folder, "l1", 4.0), failed]
    write_benchmark(str(folder), runs, reference="l1")
    console = Console(width=200, record=True)
    show_benchmark(supremix.BenchmarkResult(folder), console)
    shown = " ".join(console.export_text().split())
    assert "ukb-t1 years 2.11 (" in shown
    assert "+48.7 % (p" in shown
    assert "significant" in shown
    assert "rnc on ukb-t1 has no result: all 2 trials failed" in shown
    assert "the runs on ukb-t1, one a method" in shown


def test_it_shows_outside_cohorts_with_what_is_to_be_minded(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    shown_of(folder, {"supremix": 2.0, "l1": 4.0})
    common = {"cohort": "there", "dataset": "ukb-t1", "unit": "years"}
    predictions = {
        method: read_table(str(folder / "ukb-t1" / method), "predictions")
        for method in ("supremix", "l1")
    }
    found = [
        OutsideResult(**common, method=method, predictions=table, excluded=1, warnings=["old"])
        for method, table in predictions.items()
    ]
    found.append(OutsideResult(**common, method="rnc", reason="there is no model"))
    write_external(str(folder), found, reference="l1")
    console = Console(width=250, record=True)
    show_benchmark(supremix.BenchmarkResult(folder), console)
    shown = " ".join(console.export_text().split())
    assert "on the outside cohort there (years)" in shown
    # The same predictions as on test.
    row = supremix.BenchmarkResult(folder).external
    assert row is not None
    assert row["mae"][:2].to_list() == pytest.approx(row["test"][:2].to_list())
    assert "+48.7 % (p" in shown.split("on the outside cohort")[1]
    assert "warning: supremix on ukb-t1, l1 on ukb-t1: old" in shown
    assert "warning: rnc on ukb-t1: not measured: there is no model" in shown
    assert "external.parquet" in shown


@pytest.mark.parametrize("command", ["benchmark", "search"])
def test_whichever_command_goes_on_with_it_it_ends_with_a_report(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(tmp_path / "run")
    write_benchmark(str(folder), [finished(folder, "l1", 4.0)], reference="l1")
    written: list[tuple[str, str]] = []
    monkeypatch.setattr(supremix, "report", lambda store, out: written.append((store, out)))
    monkeypatch.setattr(supremix.Benchmark, "run", lambda self: supremix.BenchmarkResult(self.path))
    run(command, "--resume", str(folder), code=0)
    assert written == [(str(folder), str(folder / "report"))]
