from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import supremix
from supremix import cli
from supremix.joint_training.joint import joint as api
from supremix.joint_training.report import JointRow
from supremix_reports import Interval


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert isinstance(end.value.code, int)
    return end.value.code


def interval(value: float) -> Interval:
    return Interval(value=value, low=value - 0.5, high=value + 0.5, n=20, groups=15)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stands for `supremix.joint`: keeps what it was called with."""
    calls: dict[str, Any] = {}

    def fake(**options: Any) -> Any:
        calls.update(options)
        rows = [
            JointRow(
                dataset=name,
                split="test",
                unit="years",
                joint=interval(3.25),
                alone=interval(3.5) if options["alone"] else None,
                difference=interval(-0.25) if options["alone"] else None,
                null=interval(7.0),
            )
            for name in options["datasets"]
        ]
        return SimpleNamespace(rows=rows, mae=pl.DataFrame(), path=Path("runs/both"))

    monkeypatch.setattr(supremix, "joint", fake)
    monkeypatch.setenv("COLUMNS", "120")
    return calls


def test_every_option_reaches_the_training(called: dict[str, Any]) -> None:
    code = run(
        "joint", "--dataset", "a, b-c", "--source", "a=s3://there", "--shape", "b-c=3,4,5",
        "--phantoms", "9", "--split-seed", "5", "--fractions", "0.5,0.3,0.2",
        "--keep-copies-together",
        "--method", "l1", "--set", "lr=0.1", "--set", "b-c.window=none", "--set", "head=probe",
        "--seed", "3", "--epochs", "4", "--images-seen", "2k", "--effort", "quick",
        "--no-alone", "--encoder", "densenet", "--width", "8", "--depth", "2", "--norm", "group",
        "--shortcut", "B", "--span-nodes",
        "--precision", "bf16", "--workers", "2", "--cpus-per-worker", "1.5", "--gpus-per-worker",
        "0.5", "--address", "auto", "--cache", "c", "--stores", "s3://b", "--out", "o", "--quiet",
    )  # fmt: skip
    del called["progress"]
    assert code == 0
    assert called == {
        "datasets": ["a", "b-c"], "sources": {"a": "s3://there"}, "shapes": {"b-c": (3, 4, 5)},
        "phantoms": 9, "split_seed": 5, "fractions": (0.5, 0.3, 0.2),
        "keep_copies_together": True, "method": "l1", "seed": 3,
        "epochs": 4, "images_seen": 2000, "effort": "quick", "alone": False,
        "config": {"lr": 0.1, "b-c.window": None, "head": "probe"},
        "encoder": "densenet", "width": 8, "depth": 2, "norm": "group", "shortcut": "B",
        "span_nodes": True, "precision": "bf16",
        "workers": 2, "cpus_per_worker": 1.5, "gpus_per_worker": 0.5, "address": "auto",
        "cache": "c", "stores": "s3://b", "out": "o",
    }  # fmt: skip


def test_defaults_are_those_of_the_api(called: dict[str, Any]) -> None:
    run("joint", "--dataset", "a,b", "--quiet")
    signature = inspect.signature(api).parameters
    empty = {"sources": {}, "shapes": {}, "config": {}}
    for name in called.keys() - {"datasets", "progress"} - empty.keys():
        assert called[name] == signature[name].default
    assert {name: called[name] for name in empty} == empty


def test_the_table_sets_joint_beside_alone(
    called: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run("joint", "--dataset", "a,b", "--quiet")
    told = capsys.readouterr().out
    assert "3.25 (2.75 to 3.75)  3.5 (3 to 4)  7 (6.5 to 7.5)" in told
    assert "-0.25 (-0.75 to +0.25)  years" in told
    assert "everything is in runs/both" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset", "a,,b"], "a comma too many"),
        (["--dataset", "a,b", "--source", "folder"], "does not say of which dataset"),
        (["--dataset", "a,b", "--set", "lr=0.1,0.2"], "takes one value"),
        (["--dataset", "a,b", "--set", "lr"], "Cannot read the setting"),
        (["--dataset", "a,b", "--shape", "a=3"], "two or three whole numbers"),
    ],
)
def test_a_wrong_word_says_what_to_write(
    called: dict[str, Any], capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert run("joint", *words) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert called == {}
