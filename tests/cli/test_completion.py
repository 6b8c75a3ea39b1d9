"""What a shell is offered: datasets, methods, values of options, runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from supremix import cli
from supremix.cli.parsing.completion import (
    complete_datasets,
    complete_methods,
    complete_runs,
    find_run,
    find_runs,
)
from supremix.training import method_names
from supremix_datasets.registry import names


def completed(line: str) -> list[str]:
    """What bash offers for the last word of a line."""
    words = line.split(" ")
    found = CliRunner().invoke(
        cli.app,
        [],
        prog_name="supremix",
        env={
            "_SUPREMIX_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
    )
    return found.stdout.split()


def test_names_are_those_that_there_are() -> None:
    assert complete_datasets("") == list(names())
    assert set(complete_methods("")) == set(method_names())


def test_a_list_goes_on_with_names_that_are_not_in_it() -> None:
    assert complete_methods("l1,rnc-p") == ["l1,rnc-published"]
    assert "l1,l1" not in complete_methods("l1,l")
    assert complete_datasets("ixi,hc") == ["ixi,hc18", "ixi,hcp-aging"]


def test_runs_are_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert complete_runs("") == []
    for name in ("runs/hc18-l1", "runs/ixi-rnc", "runs/.hidden", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "runs/notes.txt").write_text("x")
    assert complete_runs("") == ["runs/hc18-l1", "runs/ixi-rnc"]
    assert complete_runs("runs/i") == ["runs/ixi-rnc"]
    assert complete_runs("o") == ["other"]
    assert complete_runs(f"{tmp_path}/ru") == [f"{tmp_path}/runs"]
    assert complete_runs("gone/") == []


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("supremix sea", ["search"]),
        ("supremix search --dataset hc", ["hc18", "hcp-aging"]),
        ("supremix search --method rnc-", ["rnc-published", "rnc-term"]),
        ("supremix search --sampler ", ["tpe", "gp", "random"]),
        ("supremix results --table co", ["cohort"]),
        ("supremix datasets ix", ["ixi"]),
    ],
)
def test_bash_is_offered_them(line: str, offered: list[str]) -> None:
    assert completed(line) == offered


def test_bash_is_offered_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "hc18-l1").mkdir(parents=True)
    for command in ("status", "watch", "report", "predict", "evaluate", "export", "results"):
        assert completed(f"supremix {command} runs/h") == ["runs/hc18-l1"]
    assert completed("supremix search --resume runs/h") == ["runs/hc18-l1"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_script(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    words = ["--show-completion", shell]
    found = CliRunner().invoke(cli.app, words, prog_name="supremix")
    assert found.exit_code == 0
    assert "_SUPREMIX_COMPLETE" in found.stdout


def test_a_run_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "hc18-l1").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    assert find_run("hc18-l1") == "runs/hc18-l1"
    given = ["other", "runs/hc18-l1", "s3://bucket/hc18-l1", "gone"]
    assert find_runs(given) == given
    assert (find_run(None), find_runs(None)) == (None, None)


def test_the_commands_find_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "empty-run").mkdir(parents=True)
    for words in (["status"], ["predict"], ["search", "--resume"]):
        found = CliRunner().invoke(cli.app, [*words, "empty-run"])
        assert "runs/empty-run" in str(found.exception)
