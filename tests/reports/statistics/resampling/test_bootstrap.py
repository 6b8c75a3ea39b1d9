"""Intervals over patients and seeds, with plain loops and scipy as judges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from supremix_reports import (
    StatisticsError,
    mae_interval,
    mean_of_bins_interval,
    metric_interval,
    seeds_interval,
)
from supremix_reports.statistics.resampling.bootstrap import ends, p_value
from supremix_reports.statistics.resampling.seeds import NO_SPREAD, Spread, Sums, seeds_spread

SEEDS, PATIENTS = 4, 25


@pytest.fixture
def errors() -> Any:
    """Absolute errors (S, N): a patient's share, a seed's, and noise."""
    generator = np.random.default_rng(1)
    shared = generator.exponential(5, PATIENTS) + generator.exponential(2, (SEEDS, PATIENTS))
    return shared * np.array([[1.0], [1.3], [0.8], [1.1]])


def anova(errors: Any) -> float:
    """Variance of the mean by the seeds, from the textbook's sums of squares, in plain loops."""
    seeds, patients = errors.shape
    grand = errors.mean()
    between = within = 0.0
    for s in range(seeds):
        between += patients * (errors[s].mean() - grand) ** 2 / (seeds - 1)
        for g in range(patients):
            rest = errors[s, g] - errors[s].mean() - errors[:, g].mean() + grand
            within += rest**2 / ((seeds - 1) * (patients - 1))
    return float(between - within) / (seeds * patients)


def mean(sums: Any) -> Any:
    return sums[..., 1] / sums[..., 0]


def sums(errors: Any) -> Sums:
    counts = np.ones(errors.shape)
    return Sums(np.stack([counts, errors], axis=-1), counts.astype(np.int64))


def quantiles(values: Any, level: float, size: int) -> Any:
    """Ends of the expanded percentile interval (Hesterberg 2015)."""
    wide = scipy.stats.t(size - 1).isf((1 - level) / 2) * math.sqrt(size / (size - 1))
    tail = scipy.stats.norm.sf(wide)
    return np.quantile(values, [tail, 1 - tail])


def test_the_seeds_share_is_that_of_a_two_way_analysis_of_variance(errors: Any) -> None:
    spread = seeds_spread(sums(errors), mean)
    assert spread.excess == pytest.approx(anova(errors))
    assert spread.freedom == SEEDS - 1


def test_the_interval_equals_one_made_with_plain_loops(errors: Any) -> None:
    generator = np.random.default_rng(7)
    means = []
    for _ in range(200):
        chosen = generator.integers(0, PATIENTS, PATIENTS)
        means.append(np.mean([errors[s][g] for s in range(SEEDS) for g in chosen]))
    low, high = quantiles(means, 0.9, PATIENTS)
    value = errors.mean()
    half = scipy.stats.t(SEEDS - 1).isf(0.05) * math.sqrt(anova(errors))
    found = seeds_interval(errors, np.arange(PATIENTS), level=0.9, resamples=200, seed=7)
    assert found.value == pytest.approx(value)
    assert found.low == pytest.approx(value - math.sqrt((value - low) ** 2 + half**2))
    assert found.high == pytest.approx(value + math.sqrt((high - value) ** 2 + half**2))
    assert (found.n, found.groups) == (SEEDS * PATIENTS, PATIENTS)


def test_a_row_a_seed_and_one_list_are_the_same(errors: Any) -> None:
    groups = np.arange(PATIENTS) // 2
    order = np.random.default_rng(0).permutation(errors.size)
    seeds = np.repeat([7, 1, 3, 5], PATIENTS)
    a = seeds_interval(errors, groups)
    b = seeds_interval(errors.ravel()[order], np.tile(groups, SEEDS)[order], seeds[order])
    assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), rel=1e-12)
    assert b.groups == 13


def test_one_seed_leaves_the_interval_over_patients(errors: Any) -> None:
    groups = np.arange(PATIENTS) // 3
    assert seeds_interval(errors[:1], groups) == mae_interval(errors[0], groups)


def test_seeds_that_are_alike_but_for_chance_add_nothing(errors: Any) -> None:
    same = np.stack([np.roll(errors[0], k) for k in range(SEEDS)])
    assert seeds_spread(sums(same), mean).error == 0
    found = seeds_interval(same, np.arange(PATIENTS))
    plain = mae_interval(same.ravel(), np.tile(np.arange(PATIENTS), SEEDS))
    assert (found.value, found.low, found.high) == pytest.approx(
        (plain.value, plain.low, plain.high), rel=1e-12
    )


def test_of_seeds_with_other_samples_the_whole_variance_is_kept(errors: Any) -> None:
    seeds, groups = np.repeat(np.arange(SEEDS), PATIENTS), np.tile(np.arange(PATIENTS), SEEDS)
    kept = slice(1, None)
    crossed = seeds_interval(errors.ravel(), groups, seeds)
    found = seeds_interval(errors.ravel()[kept], groups[kept], seeds[kept])
    own = [errors[0, 1:].mean(), *errors[1:].mean(axis=1)]
    assert found.value == pytest.approx(np.mean(own), rel=1e-12)
    assert found.high - found.low > crossed.high - crossed.low


@pytest.mark.parametrize("metric", ["rmse", "r2", "pearson"])
def test_of_other_measures_the_seeds_share_is_by_jackknife(metric: str) -> None:
    generator = np.random.default_rng(5)
    target = np.tile(generator.uniform(0, 40, 30), 3)
    seeds, groups = np.repeat(np.arange(3), 30), np.tile(np.arange(30) // 2, 3)
    prediction = target + np.repeat([3.0, 4.0, 6.0], 30) * generator.normal(size=90)
    own, pseudo = [], np.empty((3, 15))
    low, high = quantiles(means_of(metric, target, prediction, groups, seeds), 0.95, 15)
    for s in range(3):
        rows = np.flatnonzero(seeds == s)
        own.append(value_of(metric, target[rows], prediction[rows]))
        for g in range(15):
            rest = rows[groups[rows] != g]
            pseudo[s, g] = 15 * own[s] - 14 * value_of(metric, target[rest], prediction[rest])
    cells = pseudo - pseudo.mean(0) - pseudo.mean(1, keepdims=True) + pseudo.mean()
    variance = (np.var(own, ddof=1) - (cells**2).sum() / (2 * 14) / 15) / 3
    assert variance > 0
    half = scipy.stats.t(2).isf(0.025) * math.sqrt(variance)
    settings: Any = {"seeds": seeds, "resamples": 200, "seed": 7}
    found = metric_interval(metric, target, prediction, groups, **settings)
    value = float(np.mean(own))
    low, high = value - math.hypot(value - low, half), value + math.hypot(high - value, half)
    least, most = {"rmse": (0, math.inf), "r2": (-math.inf, 1), "pearson": (-1, 1)}[metric]
    assert found.value == pytest.approx(value)
    assert (found.low, found.high) == pytest.approx((max(low, least), min(high, most)))


def means_of(metric: str, target: Any, prediction: Any, groups: Any, seeds: Any) -> list[float]:
    """Of resamples of the groups, the same for all seeds: the mean of the seeds' measures."""
    generator, size = np.random.default_rng(7), len(np.unique(groups))
    means: list[float] = []
    for _ in range(200):
        chosen = generator.integers(0, size, size)
        own: list[float] = []
        for s in np.unique(seeds):
            rows = [np.flatnonzero((seeds == s) & (groups == g)) for g in chosen]
            index = np.concatenate(rows)
            own.append(value_of(metric, target[index], prediction[index]))
        means.append(float(np.mean(own)))
    return means


def value_of(metric: str, y: Any, p: Any) -> float:
    if metric == "pearson":
        return float(scipy.stats.pearsonr(y, p).statistic)
    square = ((y - p) ** 2).mean()
    return math.sqrt(square) if metric == "rmse" else 1 - square / y.var()


def test_seeds_that_are_good_in_their_own_units_keep_their_correlation() -> None:
    target = np.arange(12.0)
    bent = target + np.tile([0.5, -0.5], 6)
    prediction = np.concatenate([bent, 100 + bent, 40 - 0.1 * bent])
    seeds, groups = np.repeat([0, 1, 2], 12), np.tile(np.arange(12), 3)
    found = metric_interval("pearson", np.tile(target, 3), prediction, groups, seeds=seeds)
    r = scipy.stats.pearsonr(target, bent).statistic
    assert found.value == pytest.approx((r + r - r) / 3)
    assert found.low <= found.value <= found.high
    alike = metric_interval(
        "pearson", np.tile(target, 2), prediction[:24], groups[:24], seeds=seeds[:24]
    )
    one = metric_interval("pearson", target, bent, np.arange(12))
    assert (alike.value, alike.low, alike.high) == pytest.approx((one.value, one.low, one.high))


def test_a_draw_without_samples_of_a_seed_is_left_out() -> None:
    errors, groups, seeds = [1.0, 2.0, 3.0, 5.0], [0, 1, 2, 0], [0, 0, 0, 1]
    found = seeds_interval(errors, groups, seeds)
    assert found.value == (2.0 + 5.0) / 2
    assert np.isfinite([found.low, found.high]).all()


def test_a_measure_that_a_seed_does_not_have_is_not_defined() -> None:
    target = np.tile(np.arange(8.0), 2)
    prediction = np.concatenate([target[:8] + np.array([1, -1] * 4), np.full(8, 3.0)])
    seeds, groups = np.repeat([0, 1], 8), np.tile(np.arange(8), 2)
    found = metric_interval("pearson", target, prediction, groups, seeds=seeds)
    assert np.isnan([found.value, found.low, found.high]).all()


def test_the_balanced_error_over_seeds_in_one_bin_is_the_plain_one(errors: Any) -> None:
    groups, seeds = np.tile(np.arange(PATIENTS), SEEDS), np.repeat(np.arange(SEEDS), PATIENTS)
    one = mean_of_bins_interval(errors.ravel(), np.zeros(errors.size), groups, seeds=seeds)
    plain = seeds_interval(errors, np.arange(PATIENTS))
    assert (one.value, one.low, one.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_an_error_is_never_below_zero() -> None:
    wild = np.array([[1.0], [9.0]]) * np.linspace(0.9, 1.1, 10)
    found = seeds_interval(wild, np.arange(10))
    assert found.low == 0
    assert found.high > 20


def test_degrees_of_freedom_are_welchs() -> None:
    generator = np.random.default_rng(3)
    a, b = generator.normal(0, 1, 3), generator.normal(0, 4, 6)
    judge = scipy.stats.ttest_ind(a, b, equal_var=False)
    parts = [Spread(float(x.var(ddof=1)) / x.size, x.size - 1) for x in (a, b)]
    joined = Spread.joined(parts)
    assert joined.freedom == pytest.approx(judge.df)
    assert joined.error == pytest.approx(abs((a.mean() - b.mean()) / judge.statistic))
    half = joined.scaled(0.5)
    assert (half.error, half.freedom) == pytest.approx((joined.error / 2, joined.freedom))


@pytest.mark.parametrize("spread", [NO_SPREAD, Spread(0.04, 2)])
@pytest.mark.parametrize("value", [0.6, -0.7])
def test_the_p_value_is_where_the_interval_reaches_zero(spread: Spread, value: float) -> None:
    draws = value + np.random.default_rng(0).normal(0, 0.3, 999)
    p = p_value(value, draws, 40, spread)
    for level, reaches in ((1 - p * 0.98, True), (1 - p * 1.02, False)):
        low, high = ends(value, draws, 40, spread, level)
        assert (low <= 0 <= high) == reaches


def test_the_p_value_is_no_less_than_the_resamples_can_tell() -> None:
    draws = 5 + np.random.default_rng(0).normal(0, 0.1, 999)
    assert p_value(5.0, draws, 40, NO_SPREAD) == 2 / 1000
    assert p_value(0.0, draws - 5, 40, NO_SPREAD) == pytest.approx(1.0, abs=0.2)
    assert math.isnan(p_value(5.0, draws, 1, NO_SPREAD))


def test_shapes_that_do_not_fit_are_refused(errors: Any) -> None:
    with pytest.raises(StatisticsError, match=r"a row a seed.*got errors of shape \(25,\)"):
        seeds_interval(errors[0], np.arange(PATIENTS))
    with pytest.raises(StatisticsError, match=r"groups of \(3,\)"):
        seeds_interval(errors, np.arange(3))
    with pytest.raises(StatisticsError, match=r"25 samples but seeds of shape \(2,\)"):
        seeds_interval(errors[0], np.arange(PATIENTS), [0, 1])
    with pytest.raises(StatisticsError, match="1 of them not finite"):
        seeds_interval([[1.0, math.nan]], [0, 1])
