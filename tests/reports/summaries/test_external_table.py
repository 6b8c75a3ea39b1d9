"""The table of outside cohorts, and the section that a report makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from benchmark_folder import write_benchmark

from supremix_reports import (
    OutsideResult,
    calibration_rows,
    compare_methods,
    mae_rows,
    read_table,
    write_external,
    write_table,
)
from supremix_reports.report.report import Options, write_report
from supremix_reports.statistics.comparing.comparisons import holm

QUICK = Options(resamples=200, comparing=400, formats=("md",))


def predictions(cohort: str, shift: float, *, seeds: int = 2, size: int = 24) -> pl.DataFrame:
    generator = np.random.default_rng(len(cohort))
    target = generator.uniform(20, 80, size)
    return pl.concat(
        pl.DataFrame(
            {
                "dataset": cohort, "method": "x", "seed": seed, "split": "test",
                "id": [f"i{k}" for k in range(size)], "group": [f"p{k // 2}" for k in range(size)],
                "target": target, "prediction": target + shift + generator.normal(0, 2, size),
                "null_prediction": 50.0, "linear_prediction": None,
            },
            schema_overrides={"linear_prediction": pl.Float64},
        )
        for seed in range(seeds)
    )  # fmt: skip


def result(cohort: str, dataset: str, method: str, shift: float, **more: Any) -> OutsideResult:
    given = {"predictions": predictions(cohort, shift), "excluded": 0, **more}
    return OutsideResult(cohort=cohort, dataset=dataset, method=method, unit="years", **given)


@pytest.fixture
def found() -> list[OutsideResult]:
    """Two methods on two datasets, on two cohorts."""
    return [
        result(cohort, dataset, method, shift + number)
        for number, (cohort, dataset) in enumerate(
            (c, d) for c in ("east", "west") for d in ("brains", "heads")
        )
        for method, shift in (("ours", 1.0), ("l1", 2.0))
    ]


def test_the_numbers_follow_from_the_predictions(
    tmp_path: Path, found: list[OutsideResult]
) -> None:
    write_external(str(tmp_path), found, reference="l1")
    table = read_table(str(tmp_path), "external")
    assert table.height == 8
    one = predictions("east", 1.0)
    rows = {
        row["metric"]: row
        for row in (*mae_rows(one, unit="years"), *calibration_rows(one, unit="years"))
    }
    shown = table.row(0, named=True)
    for name in ("mae", "null_mae", "skill", "calibration_slope", "calibration_intercept", "bias"):
        ends = [rows[name][end] for end in ("value", "low", "high")]
        assert [shown[name], shown[f"{name}_low"], shown[f"{name}_high"]] == ends
    assert (shown["n"], shown["groups"], shown["seeds"]) == (24, 12, 2)
    assert shown["linear_mae"] is shown["test"] is None


def test_the_calibration_of_several_models_is_the_mean_of_their_own() -> None:
    both = predictions("east", 1.0)
    slope, one, other = (
        {row["metric"]: row["value"] for row in calibration_rows(part, unit="years")}
        for part in (both, both.filter(seed=0), both.filter(seed=1))
    )
    for name, value in slope.items():
        assert value == pytest.approx((one[name] + other[name]) / 2)


def test_p_values_are_corrected_for_all_comparisons_on_all_cohorts(
    tmp_path: Path, found: list[OutsideResult]
) -> None:
    write_external(str(tmp_path), found, reference="l1")
    rows = read_table(str(tmp_path), "external").filter(method="ours").to_dicts()
    joint = [max(row["p"], row["p_bootstrap"]) for row in rows]
    assert [row["p_adjusted"] for row in rows] == pytest.approx(holm(joint))
    alone = pl.concat(
        one.predictions.with_columns(pl.lit(one.method).alias("method"))
        for one in found[:2]
        if one.predictions is not None
    )
    (gain,) = compare_methods(alone, reference="l1").to_dicts()
    for name in ("difference", "difference_low", "gain", "p", "p_bootstrap"):
        assert rows[0][name] == pytest.approx(gain[name])


def test_what_was_not_measured_has_a_reason_and_compares_with_nothing(tmp_path: Path) -> None:
    lost = OutsideResult(
        cohort="east", dataset="brains", method="l1", unit="years", reason="no memory"
    )
    write_external(str(tmp_path), [result("east", "brains", "ours", 1.0), lost], reference="l1")
    ours, l1 = read_table(str(tmp_path), "external").to_dicts()
    assert (ours["note"], ours["significant"]) == ("the reference has no result", None)
    assert (l1["reason"], l1["mae"]) == ("no memory", None)
    write_external(str(tmp_path), [lost], reference="l1")
    assert read_table(str(tmp_path), "external").height == 1


def test_a_report_shows_errors_there_next_to_those_on_test(tmp_path: Path) -> None:
    folder = write_benchmark(tmp_path / "bench", datasets=["brains"], methods=["supremix", "l1"])
    mae = [
        row | {"run": None}
        for method in ("supremix", "l1")
        for row in read_table(str(folder / "brains" / method), "mae").to_dicts()
    ]
    write_table(str(folder), "mae", mae)
    warned = ["Looked for /home/me/data/x.png."]
    results = [
        result("east", "brains", "supremix", 1.0, warnings=warned),
        result("east", "brains", "l1", 2.0, warnings=warned),
        OutsideResult(
            cohort="west", dataset="brains", method="l1", unit="years", reason="no /home/me/model"
        ),
    ]
    write_external(str(folder), results, reference="l1")
    table = read_table(str(folder), "external")
    (test,) = [r["value"] for r in mae if (r["method"], r["split"], r["metric"]) == (
        "l1", "test", "mae")]  # fmt: skip
    assert table["test"][1] == test
    write_report([str(folder)], str(tmp_path / "report"), QUICK)
    text = (tmp_path / "report" / "report.md").read_text()
    section = text[text.index("## Outside cohorts") : text.index("## Cohort")]
    assert "### east" in section
    assert "| brains | supremix | years |" in section
    assert "east (trained on brains) | supremix" in section
    assert "supremix on brains, l1 on brains: Looked for x.png." in section
    assert "l1 on brains: It was not measured: no model" in section
    assert "/home" not in section
    assert "testing on external data | Outside cohorts" in text
    (folder / "external.parquet").write_bytes(b"torn")
    write_report([str(folder)], str(tmp_path / "report"), QUICK)
    again = (tmp_path / "report" / "report.md").read_text()
    assert "external.parquet is damaged" in again
    (folder / "external.parquet").unlink()
    write_report([str(folder)], str(tmp_path / "report"), QUICK)
    assert "Outside cohorts" not in (tmp_path / "report" / "report.md").read_text()
