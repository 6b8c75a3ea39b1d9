"""Prediction intervals and bias correction in a report, of one run and of several."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from benchmark_folder import write_benchmark, write_cell
from calibrations import SCALE

from supremix_reports import Calibration, ReportError, interval_rows, read_table, write_table
from supremix_reports.report.report import Options, write_report


def with_intervals(folder: Path) -> Path:
    """A run with the table that a search writes."""
    rows = read_table(str(folder), "predictions")
    val, test = (rows.filter(pl.col("split") == split) for split in ("val", "test"))
    found = interval_rows(Calibration.of(val, SCALE, "trials").of_one(), test, unit="years")
    source = {n: rows[n][0] for n in ("run", "dataset", "method")} | {"split": "test"}
    write_table(str(folder), "intervals", [source | row for row in found])
    return folder


def report(*folders: Path, **options: object) -> str:
    out = folders[0].parent / "out"
    write_report([str(f) for f in folders], str(out), Options(formats=("md",), **options))  # type: ignore[arg-type]
    return (out / "report.md").read_text()


def test_one_run_shows_every_kind_and_says_what_it_is_worth(tmp_path: Path) -> None:
    text = report(with_intervals(write_cell(tmp_path / "run", patients=60)))
    rows = read_table(str(tmp_path / "run"), "intervals")
    (row,) = rows.filter((pl.col("interval") == "split") & (pl.col("level") == 0.9)).to_dicts()
    assert f"0.9 prediction intervals: {row['coverage']:.1%} (95% interval" in text
    assert "the level is approximate" in text
    for words in ("split", "mondrian", "Coverage", "Mean width (years)"):
        assert words in text
    assert "Bias correction" not in text


@pytest.mark.parametrize("high", [0.86, 0.92])
def test_intervals_that_are_too_narrow_by_more_than_chance_are_named(
    tmp_path: Path, high: float
) -> None:
    folder = with_intervals(write_cell(tmp_path / "run", patients=60))
    kind, level = pl.col("interval") == "split", pl.col("level") == 0.9
    rows = read_table(str(folder), "intervals").filter((kind & level) | (pl.col("coverage") > 0.99))
    measured = {"coverage": 0.815, "coverage_low": 0.76, "coverage_high": high, "width": 100.0}
    values = [
        pl.when(kind & level).then(v).otherwise(pl.col(n)).alias(n) for n, v in measured.items()
    ]
    write_table(str(folder), "intervals", rows.with_columns(values).to_dicts())
    text = report(folder)
    assert ("too narrow here" in text) is (high < 0.9)
    if high < 0.9:
        assert "0.9 prediction intervals: 81.5%" in text


def test_several_runs_have_a_row_each(tmp_path: Path) -> None:
    folder = write_benchmark(tmp_path / "bench", datasets=("brains",), methods=("rnc", "l1"))
    for method in ("rnc", "l1"):
        with_intervals(folder / "brains" / method)
    text = report(folder)
    table = text.split("Coverage and mean width of 90% prediction intervals on test")[1]
    rows = [line for line in table.splitlines() if line.startswith("| brains")][:2]
    assert [row.split("|")[2].strip() for row in rows] == ["rnc", "l1"]


@pytest.mark.parametrize("method", ["cole", "beheshti"])
def test_a_correction_is_shown_next_to_the_uncorrected_errors(tmp_path: Path, method: str) -> None:
    text = report(write_cell(tmp_path / "run", patients=60), correct_bias=method)
    rows = read_table(str(tmp_path / "run"), "predictions").filter(pl.col("split") == "test")
    mae = (rows["prediction"] - rows["target"]).abs().mean()
    section = text.split("## Bias correction")[1]
    assert f"| none | {mae:.2f}" in section
    assert f"| {method} |" in section
    assert ("Quote the uncorrected error" in section) == (method == "beheshti")
    assert f"--correct-bias {method}" in text


def test_a_run_without_a_test_says_why_there_is_no_corrected_error(tmp_path: Path) -> None:
    folder = write_cell(tmp_path / "run", patients=60)
    rows = read_table(str(folder), "predictions").filter(pl.col("split") == "val")
    write_table(str(folder), "predictions", rows.to_dicts())
    assert "and on test, to measure it" in report(folder, split="val", correct_bias="cole")


def test_another_correction_is_refused() -> None:
    with pytest.raises(ReportError, match="cole or beheshti; found 'linear'"):
        Options(correct_bias="linear")  # type: ignore[arg-type]
