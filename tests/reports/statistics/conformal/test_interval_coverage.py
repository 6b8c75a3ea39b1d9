"""The table `intervals`: coverage and width on test, each patient counted alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from calibrations import SCALE, frame
from scipy import stats

from supremix_reports import Calibration, interval_rows, read_table, write_table
from supremix_reports.statistics.conformal.coverage import LEVELS, wilson_interval


def rows_of(table: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows of a run with these predictions."""
    val, test = (table.filter(table["split"] == split) for split in ("val", "test"))
    source = {"run": "r", "dataset": "d", "method": "l1", "split": "test"}
    calibration = Calibration.of(val, SCALE, "trials").of_one()
    return [source | row for row in interval_rows(calibration, test, unit="mm")]


def test_coverage_and_width_are_those_of_counting(tmp_path: object) -> None:
    table = frame(1, 40, 3)
    rows = rows_of(table)
    (row,) = [r for r in rows if (r["interval"], r["level"]) == ("split", 0.9)]
    val, test = (table.filter(table["split"] == split) for split in ("val", "test"))
    errors = (val["target"] - val["prediction"]).abs().to_numpy()
    ordered = np.sort(errors)
    half = ordered[np.searchsorted(np.arange(1, 121) / 3, 0.9 * 41 - 1e-9)]
    covered = (test["target"] - test["prediction"]).abs().to_numpy() <= half
    assert row["width"] == pytest.approx(2 * half)
    assert row["coverage"] == pytest.approx(covered.mean())
    assert (row["n"], row["groups"], row["calibration_groups"]) == (120, 40, 40)
    assert row["coverage_low"] < row["coverage"] < row["coverage_high"]
    write_table(str(tmp_path), "intervals", rows)
    assert read_table(str(tmp_path), "intervals").height == len(rows) == len(LEVELS) * 4


def test_what_cannot_be_measured_says_why() -> None:
    one = rows_of(frame(1, 12))
    notes = {(r["interval"], r["level"], r["region"]): r["note"] for r in one}
    assert notes["split", 0.9, "all"] is None
    assert "needs 19 calibration patients" in notes["split", 0.95, "all"]
    assert notes["mondrian", 0.8, "low"] is None
    assert "no test image" in notes["mondrian", 0.8, "high"]
    assert all((r["note"] is None) == (r.get("width") is not None) for r in one)


def test_without_a_test_split_there_is_no_coverage() -> None:
    table = frame(1, 12)
    without = rows_of(table.filter(table["split"] == "val"))
    assert {r["note"] is None for r in without} == {False}
    assert (
        "no test patients"
        in {r["interval"]: r["note"] for r in without if r["level"] == 0.8}["split"]
    )


@pytest.mark.parametrize(("share", "count"), [(0.9, 40), (1.0, 12), (0.0, 5)])
def test_the_interval_of_a_share_is_wilsons(share: float, count: int) -> None:
    found = stats.binomtest(round(share * count), count).proportion_ci(method="wilson")
    assert wilson_interval(share, count) == pytest.approx((found.low, found.high), abs=1e-12)
