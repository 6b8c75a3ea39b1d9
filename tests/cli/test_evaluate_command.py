"""The command line of evaluations: what is asked for, and what is shown of the result."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import supremix
from supremix import cli


def rows() -> pl.DataFrame:
    own = {"dataset": "there", "method": "l1", "split": "test", "n": 40, "groups": 20, "seeds": 1}
    values = {
        "mae": (5.0, 4.0, 6.0), "null_mae": (9.0, 8.0, 10.0), "skill": (0.44, 0.3, 0.6),
        "calibration_slope": (0.9, 0.8, 1.0), "calibration_intercept": (1.0, None, None),
        "bias": (-0.5, -1.0, 0.1),
    }  # fmt: skip
    return pl.DataFrame(
        [
            own | {"metric": name, "value": value, "low": low, "high": high, "unit": "mm"}
            for name, (value, low, high) in values.items()
        ]
    )


INTERVALS = pl.DataFrame(
    {
        "level": [0.9], "interval": ["split"], "region": ["all"], "coverage": [0.85],
        "coverage_low": [0.7], "coverage_high": [0.95], "width": [12.0], "groups": [40],
        "split": ["test"], "unit": ["mm"], "calibration_groups": [33],
    }
)  # fmt: skip
BIAS = pl.DataFrame(
    {"correction": ["none", "beheshti"], "mae": [5.0, 2.0], "bias_slope": [-0.4, 0.01]}
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []

    def evaluate(*given: Any, **options: Any) -> supremix.Evaluation:
        options.pop("progress")(1, 2)
        found.append((*given, options))
        empty = pl.DataFrame()
        return supremix.Evaluation(
            path="run/evaluations/there",
            predictions=empty,
            mae=rows(),
            shift=empty,
            excluded=pl.DataFrame({"id": ["a"], "reason": ["gone"]}),
            warnings=("the cohort lies outside",),
            unit="mm",
            intervals=INTERVALS if options["interval"] else None,
            bias=BIAS if options["correct_bias"] else None,
        )

    monkeypatch.setattr(supremix, "evaluate", evaluate)
    return found


def run(*words: str) -> object:
    with pytest.raises(SystemExit) as end:
        cli.main(["evaluate", *words])
    return end.value.code


def test_the_result_is_shown(
    calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--dataset", "table", "--source", "there", "--batch", "4", "--device", "cpu", "--ids")
    assert run("runs/x", *words) == 0
    expected = {"batch": 4, "workers": None, "device": "cpu", "ids": True, "ensemble": False}
    expected |= {"interval": None, "interval_method": "split", "correct_bias": None}
    assert calls == [("runs/x", "table", "there", None, expected)]
    told = capsys.readouterr().out
    assert "5 (4 to 6)" in told
    assert "training median" in told
    assert (
        "calibration slope 0.9 (0.8 to 1); calibration intercept 1; bias -0.5 (-1 to 0.1)" in told
    )
    assert "warning: the cohort lies outside" in told
    assert "excluded: 1 images" in told
    assert "everything is in run/evaluations/there" in told


def test_coverage_and_both_errors_are_shown(
    calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--dataset", "table", "--source", "there", "--interval", "0.9")
    assert run("runs/x", *words, "--correct-bias", "beheshti") == 0
    told = capsys.readouterr().out
    assert "0.9 prediction intervals: 85.0% (95% interval 70.0% to 95.0%) of 40 test" in told
    assert "MAE 5 uncorrected, 2 corrected (mm)" in told
    assert "Quote the uncorrected error" in told


def test_a_dataset_and_its_folder_have_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("runs/x", "--dataset", "table") == 2
    assert "--source" in capsys.readouterr().err
