"""Measures and their intervals, with scikit-learn, scipy and plain loops as judges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from supremix_reports import StatisticsError, mae_interval, metric_interval
from supremix_reports.statistics.resampling import bootstrap
from supremix_reports.statistics.resampling import intervals as module

JUDGES: dict[str, Callable[[Any, Any], float]] = {
    "mae": mean_absolute_error,
    "rmse": root_mean_squared_error,
    "r2": r2_score,
    "pearson": lambda y, p: float(np.corrcoef(y, p)[0, 1]),
}


def expanded(level: float, groups: int) -> float:
    """The level of a plain percentile interval that is as wide (Hesterberg 2015)."""
    wide = scipy.stats.t(groups - 1).isf((1 - level) / 2) * np.sqrt(groups / (groups - 1))
    return float(1 - 2 * scipy.stats.norm.sf(wide))


@pytest.fixture
def data() -> tuple[Any, Any, Any]:
    """Return 60 targets, predictions and groups of uneven size, far from 0."""
    generator = np.random.default_rng(1)
    target = 1e4 + 50 * generator.standard_normal(60)
    prediction = target + 8 * generator.standard_normal(60)
    groups = np.array([f"g{i}" for i in generator.integers(0, 23, 60)])
    return target, prediction, groups


@pytest.mark.parametrize("metric", module.METRICS)
def test_values(metric: str, data: tuple[Any, Any, Any]) -> None:
    target, prediction, groups = data
    interval = metric_interval(metric, target, prediction, groups, resamples=10)
    assert interval.value == pytest.approx(JUDGES[metric](target, prediction), rel=1e-9)
    assert (interval.n, interval.groups) == (60, len(set(groups)))


@pytest.mark.parametrize("metric", module.METRICS)
def test_intervals_equal_a_bootstrap_with_plain_loops(
    metric: str, data: tuple[Any, Any, Any]
) -> None:
    target, prediction, groups = data
    names = np.unique(groups)
    members = [np.flatnonzero(groups == name) for name in names]
    generator = np.random.default_rng(3)
    values: list[float] = []
    for _ in range(50):
        chosen = [members[i] for i in generator.integers(0, len(names), len(names))]
        rows = np.concatenate(chosen)
        values.append(JUDGES[metric](target[rows], prediction[rows]))
    interval = metric_interval(metric, target, prediction, groups, level=0.9, resamples=50, seed=3)
    tail = (1 - expanded(0.9, len(names))) / 2
    assert (interval.low, interval.high) == pytest.approx(np.quantile(values, [tail, 1 - tail]))


def test_mae_over_groups_equals_scipy(data: tuple[Any, Any, Any]) -> None:
    target, prediction, groups = data
    errors = np.abs(prediction - target)
    names = np.unique(groups)
    sums = np.array([errors[groups == name].sum() for name in names])
    sizes = np.array([(groups == name).sum() for name in names])
    judge = scipy.stats.bootstrap(
        (sums, sizes),
        lambda s, c, axis: s.sum(axis) / c.sum(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=expanded(0.95, len(names)),
        n_resamples=500,
        rng=np.random.default_rng(5),
    ).confidence_interval
    interval = mae_interval(errors, groups, resamples=500, seed=5)
    assert (interval.low, interval.high) == pytest.approx((judge.low, judge.high), rel=1e-12)


def test_mae_of_independent_samples_equals_scipy() -> None:
    errors = np.random.default_rng(2).exponential(5.0, 40)
    judge = scipy.stats.bootstrap(
        (errors,),
        np.mean,
        method="percentile",
        confidence_level=expanded(0.95, 40),
        n_resamples=500,
        rng=np.random.default_rng(0),
    ).confidence_interval
    interval = mae_interval(errors, np.arange(40), resamples=500)
    assert (interval.low, interval.high) == pytest.approx((judge.low, judge.high), rel=1e-12)


def test_mae_interval_is_that_of_the_metric(data: tuple[Any, Any, Any]) -> None:
    target, prediction, groups = data
    assert mae_interval(prediction - target, groups, resamples=50) == metric_interval(
        "mae", target, prediction, groups, resamples=50
    )


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # 30 groups of 4 samples that share an error; without groups about half would be covered.
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 4)
    covered = 0
    for _ in range(200):
        interval = mae_interval(generator.uniform(0, 2, 30)[groups], groups, resamples=200)
        covered += interval.low <= 1.0 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_order_of_samples_does_not_matter(data: tuple[Any, Any, Any]) -> None:
    target, prediction, groups = data
    order = np.random.default_rng(0).permutation(60)
    a = mae_interval(prediction - target, groups)
    b = mae_interval((target - prediction)[order], groups[order])
    assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), rel=1e-12)


def test_drawing_in_chunks_changes_nothing(
    data: tuple[Any, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    target, prediction, groups = data
    whole = mae_interval(prediction - target, groups, resamples=101)
    monkeypatch.setattr(bootstrap, "_CHUNK", 69)
    assert mae_interval(prediction - target, groups, resamples=101) == whole


def test_one_group_has_a_value_and_no_interval() -> None:
    interval = mae_interval([1.0, -3.0], ["a", "a"])
    assert (interval.value, interval.n, interval.groups) == (2.0, 2, 1)
    assert np.isnan([interval.low, interval.high]).all()


@pytest.mark.parametrize("metric", ["r2", "pearson"])
def test_a_measure_that_does_not_exist_is_nan(metric: str) -> None:
    interval = metric_interval(metric, [0.1] * 5, [1.0, 2.0, 3.0, 4.0, 5.0], range(5))
    assert np.isnan([interval.value, interval.low, interval.high]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mae_interval([], []), "at least one finite number"),
        (lambda: mae_interval([1.0, np.nan], [0, 1]), "1 of them not finite"),
        (lambda: mae_interval([1.0, 2.0], [0]), "2 samples but groups of shape"),
        (lambda: mae_interval([1.0], [0], level=95), "0 < level < 1"),
        (lambda: mae_interval([1.0], [0], resamples=0), "resamples >= 1"),
        (lambda: metric_interval("mse", [1.0], [1.0], [0]), "'mse'. Known: mae, rmse, r2"),
        (lambda: metric_interval("mae", [1.0], [1.0, 2.0], [0]), "1 targets but 2 predictions"),
    ],
)
def test_bad_numbers_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        call()
