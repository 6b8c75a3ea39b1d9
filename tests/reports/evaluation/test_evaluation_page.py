"""The page about a model on another cohort: its parts follow from the tables."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from supremix_reports import Evaluated, calibration_rows, mae_rows, write_evaluation
from supremix_reports.document.parts import Headline, Missing, Picture, Table
from supremix_reports.evaluation.page import age_bands, build_evaluation


def evaluated(**changes: Any) -> Evaluated:
    generator = np.random.default_rng(1)
    target = generator.uniform(20, 80, 60)
    predictions = pl.DataFrame(
        {
            "dataset": "there", "method": "l1", "split": "test", "seed": 0,
            "id": [f"i{k}" for k in range(60)], "group": [f"p{k // 2}" for k in range(60)],
            "target": target, "prediction": target + generator.normal(0, 4, 60),
            "site": ["a", "b"] * 30, "sex": [None] * 60, "age": target, "null_prediction": 50.0,
        },
        schema_overrides={"sex": pl.String},
    ).with_columns(**changes)  # fmt: skip
    mae = pl.DataFrame(
        [*mae_rows(predictions, unit="mm"), *calibration_rows(predictions, unit="mm")],
        infer_schema_length=None,
    )
    return Evaluated(
        predictions=predictions,
        mae=mae,
        shift=pl.DataFrame({"quantity": ["thickness"], "difference": [0.5]}),
        excluded=pl.DataFrame({"id": ["secret"], "reason": ["no file at /home/me/x.png"]}),
        warnings=["Looked for /home/me/data/x.png."],
        target="thickness",
        facts=[("Cohort", "there: Others")],
    )


def parts(found: Evaluated, *, ids: bool = False) -> list[Any]:
    return list(build_evaluation(found, ids=ids, date="2026-01-31").walk())


def table(found: Evaluated, name: str) -> list[tuple[str, ...]]:
    (one,) = (part for part in parts(found) if isinstance(part, Table) and part.name == name)
    return [tuple(cell.text for cell in row) for row in one.rows]


def test_it_begins_with_the_error_the_verdict_and_the_warnings() -> None:
    found = evaluated()
    headline, verdict, warning, picture, *_ = parts(found)
    assert isinstance(headline, Headline)
    assert headline.title == "Mean absolute error of the thickness on there"
    assert "l1 on there (test) shows skill" in verdict.text
    assert (warning.tone, warning.text) == ("warning", "Looked for x.png.")
    assert isinstance(picture, Picture)


def test_errors_are_shown_by_site_and_age_and_not_by_what_is_not_known() -> None:
    rows = table(evaluated(), "parts")
    by = [row[0] for row in rows]
    assert by[:2] == ["site", "site"]
    assert set(by[2:]) == {"age band"}
    assert [row[1] for row in rows[2:]] == [f"{k} to {k + 9}" for k in range(20, 80, 10)]
    nothing = evaluated(site=None, age=None)
    assert [part.title for part in parts(nothing) if isinstance(part, Missing)][:1] == [
        "Errors by site, sex and age"
    ]


def test_the_calibration_is_that_of_the_table() -> None:
    found = evaluated()
    slope, intercept, bias = table(found, "calibration")
    assert (slope[0], slope[2]) == ("calibration slope", "1")
    assert intercept[2] == bias[2] == "0"
    (value,) = found.mae.filter(metric="bias")["value"]
    assert float(bias[1].replace("−", "-")) == pytest.approx(value, abs=0.01)


@pytest.mark.parametrize("ids", [False, True])
def test_images_are_named_only_when_that_is_asked_for(tmp_path: Path, ids: bool) -> None:
    names = write_evaluation(str(tmp_path), evaluated(), ids=ids, date="2026-01-31")
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    for page in ("summary.md", "report.html"):
        text = (tmp_path / page).read_text()
        assert ("secret" in text) == ids
        assert "/home/me/data" not in text
    again = tmp_path / "again"
    write_evaluation(str(again), evaluated(), ids=ids, date="2026-01-31")
    assert all((again / name).read_bytes() == (tmp_path / name).read_bytes() for name in names)


def test_bands_of_age_are_sorted_like_ages() -> None:
    ages = [105.2, 3.0, 9.99, 10.0, 84.0]
    bands = age_bands(pl.Series([*ages, None]))
    assert [band and band.strip() for band in bands] == [
        "100 to 109", "0 to 9", "0 to 9", "10 to 19", "80 to 89", None,
    ]  # fmt: skip
    assert [ages[k] // 10 for k in np.argsort(bands[:5].to_list(), kind="stable")] == sorted(
        math.floor(age / 10) for age in ages
    )
