"""Limits of agreement, slopes and means: against the formulas, SciPy and plain resampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from supremix_reports import NotShown, Plot, embedding_rows
from supremix_reports.errors import StatisticsError
from supremix_reports.figures.model.embedding import embedding_plot
from supremix_reports.statistics.measures.agreement import (
    limits_of_agreement,
    slope_interval,
)
from supremix_reports.statistics.resampling.intervals import mean_interval


@pytest.fixture
def clustered() -> tuple[Any, Any, Any]:
    """Errors, targets and 30 groups of one to four samples."""
    g = np.random.default_rng(4)
    groups = np.repeat([f"g{i}" for i in range(30)], g.integers(1, 5, 30))
    shift = dict(zip(np.unique(groups), g.normal(0, 2, 30), strict=True))
    target = g.uniform(0, 10, len(groups))
    return np.array([shift[name] for name in groups]) + g.normal(size=len(groups)), target, groups


def resampled(groups: Any, measure: Callable[[Any], float], count: int = 3000) -> Any:
    """The percentile interval of a bootstrap over groups, in plain loops."""
    g, names = np.random.default_rng(77), np.unique(groups)
    members = {name: np.flatnonzero(groups == name) for name in names}
    drawn = [
        measure(np.concatenate([members[name] for name in g.choice(names, len(names))]))
        for _ in range(count)
    ]
    return np.quantile(drawn, [0.025, 0.975])


def test_limits_are_those_of_the_formula() -> None:
    errors = np.random.default_rng(0).normal(1, 3, 85)
    found = limits_of_agreement(errors, np.arange(85))
    s = math.sqrt(sum((e - errors.mean()) ** 2 for e in errors) / 84)
    t = stats.t.ppf(0.975, 84)
    wide = t * math.sqrt(s**2 / 85 + 1.96**2 * s**2 / (2 * 84))
    assert found.by_formula
    for one, value, half in (
        (found.bias, errors.mean(), t * s / math.sqrt(85)),
        (found.lower, errors.mean() - 1.96 * s, wide),
        (found.upper, errors.mean() + 1.96 * s, wide),
    ):
        assert one.value == pytest.approx(value)
        assert (one.low, one.high) == pytest.approx((value - half, value + half))
    assert (found.bias.low, found.bias.high) == pytest.approx(
        stats.ttest_1samp(errors, 0).confidence_interval()
    )


def test_limits_hold_95_percent_of_normal_errors() -> None:
    g = np.random.default_rng(5)
    found = limits_of_agreement(g.normal(2, 4, 20000), np.arange(20000))
    new = g.normal(2, 4, 20000)
    inside = ((found.lower.value < new) & (new < found.upper.value)).mean()
    assert inside == pytest.approx(0.95, abs=0.005)


def test_with_several_samples_a_group_the_intervals_are_drawn(clustered: Any) -> None:
    errors, _, groups = clustered
    found = limits_of_agreement(errors, groups)
    assert not found.by_formula
    assert found.bias.groups == 30
    for one, sign in ((found.bias, 0), (found.lower, -1), (found.upper, 1)):

        def limit(index: Any, sign: int = sign) -> float:
            return errors[index].mean() + sign * 1.96 * errors[index].std(ddof=1)

        assert one.value == pytest.approx(limit(np.arange(len(errors))))
        width = one.high - one.low
        np.testing.assert_allclose([one.low, one.high], resampled(groups, limit), atol=0.1 * width)


def test_a_slope_is_that_of_scipy_and_its_interval_that_of_plain_drawing(clustered: Any) -> None:
    errors, target, groups = clustered
    found = slope_interval(errors - 0.4 * target, target, groups)
    judge = stats.linregress(target, errors - 0.4 * target)
    assert found.value == pytest.approx(judge.slope)

    def slope(index: Any) -> float:
        return stats.linregress(target[index], (errors - 0.4 * target)[index]).slope

    expected = resampled(groups, slope, count=1000)
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.03)


def test_a_slope_does_not_depend_on_where_the_labels_begin(clustered: Any) -> None:
    errors, target, groups = clustered
    near, far = (slope_interval(errors, target + shift, groups) for shift in (0, 1e6))
    assert (far.value, far.low, far.high) == pytest.approx((near.value, near.low, near.high))


def test_a_mean_keeps_its_sign_and_its_interval_is_that_of_plain_drawing(clustered: Any) -> None:
    errors, _, groups = clustered
    found = mean_interval(-errors, groups)
    assert found.value == pytest.approx(-errors.mean())
    expected = resampled(groups, lambda index: float(-errors[index].mean()))
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.08)


def test_one_group_gives_a_value_without_an_interval() -> None:
    for found in (
        mean_interval([1.0, 2.0, 4.0], ["a"] * 3),
        slope_interval([1.0, 2.0, 4.0], [0.0, 1.0, 2.0], ["a"] * 3),
    ):
        assert math.isfinite(found.value)
        assert math.isnan(found.low)
        assert math.isnan(found.high)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: limits_of_agreement([1.0, 2.0], ["a", "b"]), "Expected at least 3 finite numbers"),
        (lambda: limits_of_agreement([1.0, math.nan, 2.0], list("abc")), "1 not finite"),
        (lambda: limits_of_agreement([1.0, 3.0, 2.0], list("ab")), r"groups of shape \(2,\)"),
        (lambda: slope_interval([1.0, 3.0, 2.0], [5.0] * 3, list("abc")), "two distinct x"),
        (lambda: mean_interval([], []), "at least one finite number"),
    ],
)
def test_what_has_no_value_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        call()


def test_the_embedding_is_drawn_from_its_table_and_an_empty_one_is_told() -> None:
    source = {"run": "r", "dataset": "d", "method": "m", "trial": 0, "split": "val", "unit": "mm"}
    features = np.random.default_rng(1).normal(size=(20, 4))
    table = pl.DataFrame(embedding_rows(features, features[:, 0], **source))
    plot = embedding_plot("embedding", table, "m on d", "age")
    assert isinstance(plot, Plot)
    assert plot.data.equals(table.select("first", "second", "target"))
    assert "20 samples of the split val" in plot.caption
    none = embedding_plot("embedding", table.clear(), "m on d", "age")
    assert isinstance(none, NotShown)
