"""Calibration: the line of the label on the prediction, and the bias, against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression

from supremix_reports import CALIBRATION, StatisticsError, calibration_intervals, calibration_rows
from supremix_reports.statistics.measures.agreement import slope_interval
from supremix_reports.tables.schema import column_names

GENERATOR = np.random.default_rng(4)


def test_the_line_is_that_of_least_squares() -> None:
    prediction = GENERATOR.uniform(40, 60, 50)
    target = 0.7 * prediction + 12 + GENERATOR.standard_normal(50)
    found = calibration_intervals(target, prediction, np.arange(50) // 2)
    line = LinearRegression().fit(prediction[:, None], target)
    assert tuple(found) == tuple(CALIBRATION)
    assert found["calibration_slope"].value == pytest.approx(line.coef_[0])
    assert found["calibration_intercept"].value == pytest.approx(line.intercept_)
    assert found["bias"].value == pytest.approx((prediction - target).mean())
    slope = slope_interval(target, prediction, np.arange(50) // 2)
    assert found["calibration_slope"].numbers == pytest.approx(slope.numbers)
    assert all(one.low < one.value < one.high and one.groups == 25 for one in found.values())


def test_calibrated_predictions_have_slope_1_and_intercept_0_in_their_intervals() -> None:
    covered = dict.fromkeys(CALIBRATION, 0)
    ideal = {"calibration_slope": 1, "calibration_intercept": 0, "bias": 0}
    for _ in range(100):
        prediction = GENERATOR.normal(100, 5, 60)
        target = prediction + GENERATOR.normal(0, 3, 60)
        found = calibration_intervals(target, prediction, np.arange(60), resamples=400)
        for name, one in found.items():
            covered[name] += one.low <= ideal[name] <= one.high
    assert min(covered.values()) >= 88


def test_equal_predictions_have_a_bias_and_no_line() -> None:
    found = calibration_intervals([1.0, 2, 3, 4], [2.0] * 4, list("abcd"))
    assert found["bias"].value == pytest.approx(-0.5)
    assert math.isnan(found["calibration_slope"].value)
    assert math.isnan(found["calibration_intercept"].value)


def test_too_few_are_refused() -> None:
    with pytest.raises(StatisticsError, match="at least 3"):
        calibration_intervals([1.0, 2], [1.0, 2], ["a", "b"])


def test_the_rows_fit_the_table() -> None:
    predictions = pl.DataFrame(
        {
            "dataset": "there", "method": "l1", "split": "test", "seed": 0,
            "id": list("abcd"), "group": list("aabb"),
            "target": [1.0, 2, 3, 4], "prediction": [1.5, 2, 2.5, 4],
        }
    )  # fmt: skip
    rows = calibration_rows(predictions, unit="mm")
    assert [row["metric"] for row in rows] == list(CALIBRATION)
    assert all(set(row) == set(column_names("mae")) for row in rows)
    assert {row["groups"] for row in rows} == {2}
