"""The command line of predictions: what is shown, what is written, and the exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import supremix
from supremix import cli
from supremix.training.artifacts.cohort import SCHEMA

COLUMNS = ["file", *SCHEMA]


class FakeModel:
    card = SimpleNamespace(unit="mm", target="head", name="hc18", imaging="ultrasound")
    expected = {"pixel_size": "a positive number", "sex": "F or M, may be left out"}  # noqa: RUF012

    def __init__(self, ensemble: bool) -> None:
        self.ensemble = ensemble

    def predict_table(
        self,
        images: Sequence[str],
        covariates: Mapping[str, float | str],
        *,
        interval: float | None,
        interval_method: str,
        correct_bias: str | None,
        batch: int,
        workers: int | None,
        progress: Callable[[int, int], None],
    ) -> pl.DataFrame:
        rows: list[dict[str, Any]] = []
        for image in images:
            row: dict[str, Any] = {"file": image, "id": image.removesuffix(".png"), "unit": "mm"}
            if "broken" in image:
                row["problem"] = "the file ends too early"
            else:
                row["prediction"] = 100.0 + float(covariates.get("pixel_size", 0.0))
                row["out_of_distribution"] = "odd" in image
                row["in_training"] = "known" in image
            rows.append(row)
            progress(len(rows), len(images))
        table = pl.DataFrame(rows, schema={"file": pl.String, **SCHEMA})
        note = "too few" if interval_method == "mondrian" else None
        if interval is not None:
            half = None if note else 10 * interval
            ends = [(pl.col("prediction") + sign * pl.lit(half)) for sign in (-1, 1)]
            low, high = (one.alias(n) for one, n in zip(ends, ("lower", "upper"), strict=True))
            table = table.with_columns(low, high, pl.lit(note).alias("interval_note"))
        if self.ensemble:
            table = table.with_columns(pl.lit(2.5).alias("spread"))
        if correct_bias:
            table = table.with_columns((pl.col("prediction") + 1).alias("corrected_prediction"))
        return table


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supremix, "load", lambda path, device, ensemble: FakeModel(ensemble))


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(["predict", *words])
    assert isinstance(end.value.code, int)
    return end.value.code


def test_predictions_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("runs/x", "a.png", "odd.png", "known.png", "--pixel-size", "0.5") == 0
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [
        ["a.png", "100.50"],
        ["odd.png", "100.50", "unlike the training images"],
        ["known.png", "100.50", "one of the training images"],
    ]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_predictions_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    out = tmp_path / "new" / f"out.{ending}"
    words = ("a.png", "broken.png", "odd.png", "known.png", "--with", "pixel_size=0.25")
    assert run("runs/x", *words, "--out", str(out)) == 1
    read = pl.read_csv if ending == "csv" else pl.read_parquet
    table = read(out)
    assert table.columns == COLUMNS
    assert table["prediction"].to_list() == [100.25, None, 100.25, 100.25]
    assert table["problem"].to_list() == [None, "the file ends too early", None, None]
    told = capsys.readouterr()
    assert told.out == ""
    assert f"3 of 4 images predicted, in {out}; 1 are unlike the training images" in told.err
    assert "the model was trained on 1 of them" in told.err
    assert "broken.png: the file ends too early" in told.err


def test_intervals_and_corrected_predictions_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("runs/x", "a.png", "--interval", "0.9", "--correct-bias", "cole") == 0
    told = capsys.readouterr().out
    assert "0.9 interval" in told
    for words in ("100.00", "91.00 to 109.00", "101.00"):
        assert words in told
    assert run("runs/x", "a.png", "--interval", "0.9", "--interval-method", "mondrian") == 0
    assert "none: too few" in capsys.readouterr().out
    assert run("runs/x", "a.png", "--correct-bias", "linear") == 2
    assert "'cole'" in capsys.readouterr().err
    assert run("runs/x", "a.png", "--explain", "occlusion", "--interval", "0.9") == 2
    assert "no predictions are made with" in capsys.readouterr().err


def test_the_spread_of_an_ensemble_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("runs/x", "a.png", "--ensemble") == 0
    head, row = (line.split() for line in capsys.readouterr().out.splitlines())
    assert (head[-1], row) == ("spread", ["a.png", "100.00", "2.50"])
    assert run("runs/x", "a.png") == 0
    assert "spread" not in capsys.readouterr().out


def test_a_broken_image_does_not_cost_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("runs/x", "broken.png", "good.png") == 1
    told = capsys.readouterr()
    assert "good.png" in told.out
    assert "broken.png: the file ends too early" in told.err


def test_of_many_broken_images_the_first_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("runs/x", *(f"broken{k}.png" for k in range(30)), "--quiet") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("ends too early") == 20
    assert "and 10 more without a prediction" in told.err


def test_without_an_image_the_command_says_what_the_model_expects(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("runs/x") == 0
    assert capsys.readouterr().out.splitlines() == [
        "head (mm) from images of hc18: ultrasound",
        "  --with pixel_size=…  a positive number",
        "  --with sex=…  F or M, may be left out",
    ]


def test_a_broken_covariate_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("runs/x", "a.png", "--with", "pixel_size") == 2
    assert "NAME=VALUE" in capsys.readouterr().err


def test_a_table_that_cannot_be_written_is_refused_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("runs/x", "a.png", "--out", str(tmp_path / "out.txt")) == 2
    assert "neither .csv nor .parquet" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert run("runs/x", "a.png", "--out", str(tmp_path / "file" / "out.csv")) == 2
    assert "out.csv cannot be used" in capsys.readouterr().err
