"""The skill against plain loops and its laws, and what follows from the table of predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from supremix_reports import StatisticsError, mae_rows, skill_interval

GROUPS = np.repeat(np.arange(20), 2)
GENERATOR = np.random.default_rng(2)
NULL = 8 * GENERATOR.standard_normal(40)
OWN = NULL + 2 * GENERATOR.standard_normal(40)


def table(predictions: Any = None, **columns: Any) -> pl.DataFrame:
    target = np.arange(40.0)
    own = target + 1 if predictions is None else predictions
    known = {
        "dataset": "d", "method": "m", "split": "test", "seed": 0,
        "id": [f"i{n:02d}" for n in range(40)], "group": GROUPS.astype(str), "target": target,
        "prediction": own, "null_prediction": 20.0, "linear_prediction": target + 2,
        "label_low": 0.0, "label_high": 40.0,
    }  # fmt: skip
    return pl.DataFrame(known | columns)


def measures(predictions: pl.DataFrame) -> dict[str, dict[str, Any]]:
    rows = mae_rows(predictions, unit="mm", resamples=100)
    return {str(row["metric"]): row for row in rows}


def test_it_equals_a_paired_bootstrap_with_plain_loops() -> None:
    generator, values = np.random.default_rng(3), list[float]()
    for _ in range(200):
        rows = np.concatenate([np.flatnonzero(g == GROUPS) for g in generator.integers(0, 20, 20)])
        values.append(1 - np.abs(OWN[rows]).mean() / np.abs(NULL[rows]).mean())
    found = skill_interval(OWN, NULL, GROUPS, resamples=200, seed=3)
    tail = stats.norm.sf(stats.t(19).isf(0.025) * np.sqrt(20 / 19))

    assert found.value == pytest.approx(1 - np.abs(OWN).mean() / np.abs(NULL).mean())
    assert (found.low, found.high) == pytest.approx(np.quantile(values, [tail, 1 - tail]))


def test_without_errors_it_is_one_and_of_the_null_model_itself_zero() -> None:
    assert skill_interval(np.zeros(40), NULL, GROUPS).numbers == (1, 1, 1)
    assert skill_interval(-NULL, NULL, GROUPS).numbers == (0, 0, 0)


def test_the_unit_does_not_matter() -> None:
    months = skill_interval(12 * OWN, 12 * NULL, GROUPS).numbers

    assert months == pytest.approx(skill_interval(OWN, NULL, GROUPS).numbers)


def test_of_seeds_it_is_the_mean_of_each_and_less_sure() -> None:
    both = np.concatenate([OWN, 3 * OWN])
    known = (np.tile(NULL, 2), np.tile(GROUPS, 2), np.repeat([0, 1], 40))
    one, other = (skill_interval(errors, NULL, GROUPS) for errors in (OWN, 3 * OWN))
    found = skill_interval(both, *known)

    assert found.value == pytest.approx((one.value + other.value) / 2)
    assert found.high - found.low > one.high - one.low


def test_against_no_error_there_is_no_skill_to_speak_of() -> None:
    assert np.isnan(skill_interval(OWN, np.zeros(40), GROUPS).value)


def test_numbers_that_do_not_pair_are_refused() -> None:
    with pytest.raises(StatisticsError, match="40 samples but groups of shape"):
        skill_interval(OWN, NULL, GROUPS[:-1])


def test_the_table_of_errors_has_the_null_models_of_the_same_samples() -> None:
    found = measures(table())
    null = np.abs(20 - np.arange(40)).mean()

    assert found["null_mae"]["value"] == pytest.approx(null)
    assert found["linear_mae"]["value"] == pytest.approx(2)
    assert found["skill"]["value"] == pytest.approx(1 - 1 / 2)  # the linear model is the better one
    assert found["skill"]["n"] == 40


def test_the_skill_is_against_the_better_null_model_whichever_that_is() -> None:
    null = np.abs(20 - np.arange(40)).mean()
    worse = measures(table(linear_prediction=-100.0))
    none = measures(table(linear_prediction=None))

    assert worse["skill"]["value"] == none["skill"]["value"] == pytest.approx(1 - 1 / null)
    assert "linear_mae" not in none


def test_a_skill_below_one_has_an_interval_around_it() -> None:
    found = measures(table(np.arange(40) + np.repeat([1.0, 2.0], 20)))
    assert found["skill"]["low"] < found["skill"]["value"] < found["skill"]["high"] < 1


def test_predictions_beyond_the_possible_labels_are_counted() -> None:
    own = np.arange(40.0)
    own[:3] = [-0.5, 40.0, 113.0]
    row = measures(table(own))["beyond_range"]

    assert (row["value"], row["label_low"], row["label_high"]) == (2, 0, 40)
    assert measures(table(label_low=None)).keys().isdisjoint({"beyond_range"})


def test_what_is_not_recorded_is_not_made_up() -> None:
    bare = table(null_prediction=None, linear_prediction=None)
    assert measures(bare).keys() == {"mae", "rmse", "r2", "pearson"}


def test_a_model_as_good_as_the_null_model_seldom_shows_skill() -> None:
    generator = np.random.default_rng(7)
    lows = [
        skill_interval(*generator.standard_normal((2, 60)), np.arange(60), resamples=500).low
        for _ in range(600)
    ]

    # One end of an interval of 95 %: 2.5 % of the studies, 15 of 600, with its standard error of 4.
    assert 5 <= sum(low > 0 for low in lows) <= 30
