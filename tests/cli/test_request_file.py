"""Requests as files: what is written in one is what would be written on the command line."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

import supremix
from supremix import cli
from supremix.errors import SpecError, UnknownNameError
from supremix.search.request.declaration import command_options
from supremix.search.request.file import read_request, request_toml
from supremix.search.request.option import SEARCH, TRAININGS, Command
from supremix.search.spec import SearchSpec
from supremix_spaces import Float, Space

REQUEST = """
dataset = "hc18"
source = "there"
trials = 4
time = "1h30m"
shape = [32, 48]
fractions = [0.5, 0.3, 0.2]
overrides = ["lr=0.1", "window=3,5"]
gpu_hours = 8
test = false
deterministic = true
compile = true
"""
READ = {
    "dataset": "hc18", "source": "there", "trials": 4, "time": 5400.0, "shape": (32, 48),
    "fractions": (0.5, 0.3, 0.2), "overrides": ("lr=0.1", "window=3,5"), "gpu_hours": 8.0,
    "test": False, "deterministic": True, "compile": True,
}  # fmt: skip


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(REQUEST)
    return path


def test_a_file_is_as_if_its_options_were_written(fake: Any, file: Path) -> None:
    assert run("search", str(file)) == 0

    assert {name: fake.called[name] for name in READ} == READ


def test_options_on_the_command_line_win(fake: Any, file: Path) -> None:
    run("search", "--trials", "9", "--set", "lr=1", str(file), "--test")

    expected = READ | {"trials": 9, "overrides": ("lr=1",), "test": True}
    assert {name: fake.called[name] for name in READ} == expected


def test_a_length_wins_over_the_other_way_to_give_it_in_a_file(fake: Any, file: Path) -> None:
    file.write_text(REQUEST + 'images_seen = "240k"\n')
    run("search", str(file))
    assert (fake.called["epochs"], fake.called["images_seen"]) == (None, 240_000)
    run("search", str(file), "--epochs", "9")
    assert (fake.called["epochs"], fake.called["images_seen"]) == (9, None)
    assert "images_seen" not in read_request(file, SEARCH, given={"epochs"})


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("trails = 4", r"'trails'.*trials"),
        ("resume = 'runs/a'", "'resume'"),
        ("trials = '4'", "trials in .* has to be a whole number; got '4'"),
        ("trials = 4.5", "trials in .* has to be a whole number"),
        ("trials = true", "trials in .* has to be a whole number"),
        ("time = 'soon'", "time in .*30m"),
        ("shape = [32]", "shape in .*two or three"),
        ("overrides = [1]", "overrides in .* a list of texts"),
        ("test = 1", "test in .* true or false"),
        ("dataset = {a = 1}", "dataset in .* text in quotes"),
        ("trials =", "not valid TOML"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_what_is(
    line: str, named: str, tmp_path: Path, fake: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.toml"
    path.write_text(line)

    with pytest.raises(SpecError, match=named):
        read_request(path, SEARCH)
    assert run("search", str(path)) == 2
    assert fake.called == {}
    assert "Traceback" not in capsys.readouterr().err


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"there is no file .*none\.toml"):
        read_request(tmp_path / "none.toml", SEARCH)


@pytest.mark.parametrize("command", [*TRAININGS, "prepare"])
def test_a_dry_run_prints_a_file_of_the_same_request(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    trials = [] if command in ("joint", "prepare") else ["--trials", "3", "--time", "5m"]
    words = ["--dataset", "ukb-t1,hcp-aging" if command == "joint" else "ukb-t1", *trials]

    assert run(command, *words, "--dry-run") == 0
    printed = capsys.readouterr().out
    (tmp_path / "run.toml").write_text(printed)
    assert run(command, "run.toml", "--dry-run") == 0

    assert capsys.readouterr().out == printed
    written = tomllib.loads(printed)
    defaults = {
        one.name: list(one.default) if isinstance(one.default, tuple) else one.default
        for one in command_options(command)
        if one.default is not None and one.name in written
    }
    changed = {"dataset", "trials", "time", "overrides"}
    assert all(written[name] == defaults[name] for name in defaults.keys() - changed)
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]


def test_a_dry_run_refuses_what_a_run_would(capsys: pytest.CaptureFixture[str]) -> None:
    both = ("--epochs", "400", "--images-seen", "240k")
    assert run("search", "--dataset", "ukb-t1", *both, "--dry-run") == 2
    assert "epochs=400 and images_seen=240000 both give the length" in capsys.readouterr().err
    assert run("search", "--resume", "runs/a", "--dry-run") == 2
    assert run("benchmark", "--dataset", "ukb-t1", "--norm", "none", "--trials", "1",
               "--dry-run") == 2  # fmt: skip


def test_a_run_that_is_resumed_takes_no_file(
    file: Path, fake: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("search", str(file), "--resume", "runs/a") == 2
    assert "leave out request" in " ".join(capsys.readouterr().err.split())


def test_the_specification_of_a_run_is_a_request(tmp_path: Path) -> None:
    spec = SearchSpec(dataset="ukb-t1", trials=3, overrides=("lr=0.1",), grace=2)
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec.to_dict()))

    assert supremix.Search.from_file(path).spec == spec
    assert supremix.Search.from_file(path, trials=5).spec.trials == 5
    assert run("search", str(path), "--dry-run") == 0


def test_objects_in_a_specification_are_for_python(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = SearchSpec(dataset="ukb-t1", trials=3, space=Space({"lr": Float(0.1, 1.0)}))
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec.to_dict()))

    assert supremix.Search.from_file(path).spec == spec
    assert run("search", str(path)) == 2
    assert "supremix.Search.from_file" in " ".join(capsys.readouterr().err.split())


def test_what_a_dry_run_prints_is_a_search_in_python(tmp_path: Path) -> None:
    values = {"dataset": "ukb-t1", "trials": 3, "objective": "per-dataset", "out": "o"}
    path = tmp_path / "run.toml"
    path.write_text(request_toml(SEARCH, values))

    search = supremix.Search.from_file(path)
    assert (search.spec, search.path.name) == (SearchSpec(dataset="ukb-t1", trials=3), "o")

    path.write_text(request_toml(SEARCH, values | {"objective": "joint"}))
    with pytest.raises(SpecError, match="has objective, which is for the command line"):
        supremix.Search.from_file(path)
    with pytest.raises(UnknownNameError, match="trails"):
        supremix.Search.from_file(path, trails=1, objective="per-dataset")
