"""How often the intervals contain the truth, by simulation with the truth known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from supremix_reports import mae_interval, seeds_interval
from supremix_reports.statistics.comparing.pairing import Pair, difference
from supremix_reports.statistics.resampling.bootstrap import drawn, ends

RESAMPLES = 500
TRUTH = {"half-normal": math.sqrt(2 / math.pi), "exponential": 1.0}
"""The mean absolute error over all patients and seeds."""


def hardness(shape: str, times: int, patients: int, generator: Any) -> Any:
    """What all seeds and methods meet in a patient, (times, 1, patients)."""
    size = (times, 1, patients)
    return (
        generator.normal(size=size) if shape == "half-normal" else generator.exponential(size=size)
    )


def errors_of(shape: str, hard: Any, seeds: int, spread: float, generator: Any) -> Any:
    """Absolute errors (times, seeds, patients) of a method in as many studies.

    Most of an error is the patient's, the rest is how a seed meets a patient; `spread` is the
    standard deviation of the seeds' errors over their mean.
    """
    times, _, patients = hard.shape
    size = (times, seeds, patients)
    if shape == "half-normal":
        errors = abs(math.sqrt(0.7) * hard + math.sqrt(0.3) * generator.normal(size=size))
    else:
        errors = 0.7 * hard + 0.3 * generator.exponential(size=size)
    # Log-normal factors of mean 1: a seed is better or worse on all patients.
    return errors * np.exp(spread * generator.normal(size=(times, seeds, 1)) - spread**2 / 2)


def drawn_often(patients: int) -> Any:
    """How often each patient is in each resample that the package draws, (R, patients)."""
    index = np.random.default_rng(0).integers(0, patients, (RESAMPLES, patients))
    return np.stack([np.bincount(row, minlength=patients) for row in index]) / patients


def excess(errors: Any) -> Any:
    """Of each study the variance by seeds, less what patients explain (times,)."""
    _, seeds, patients = errors.shape
    own, shared = errors.mean(axis=2, keepdims=True), errors.mean(axis=1, keepdims=True)
    rest = errors - own - shared + own.mean(axis=1, keepdims=True)
    square = (rest**2).sum(axis=(1, 2)) / ((seeds - 1) * (patients - 1))
    return (own[..., 0].var(axis=1, ddof=1) - square / patients) / seeds


def joined(shared: Any, variance: Any, freedom: Any) -> tuple[Any, Any]:
    """The 95 % intervals of the mean of shared (times, patients) errors, over seeds too."""
    value, patients = shared.mean(axis=1), shared.shape[1]
    wide = scipy.stats.t(patients - 1).isf(0.025) * math.sqrt(patients / (patients - 1))
    tail = scipy.stats.norm.sf(wide)
    low, high = np.quantile(shared @ drawn_often(patients).T, [tail, 1 - tail], axis=1)
    half = scipy.stats.t(freedom).isf(0.025) * np.sqrt(np.maximum(variance, 0))
    return value - np.hypot(value - low, half), value + np.hypot(high - value, half)


def intervals(errors: Any) -> tuple[Any, Any]:
    """What `seeds_interval` gives, of many studies (times, seeds, patients) at once."""
    seeds = errors.shape[1]
    variance = excess(errors) if seeds > 1 else np.zeros(len(errors))
    return joined(errors.mean(axis=1), variance, max(seeds - 1, 1))


def difference_intervals(a: Any, b: Any) -> tuple[Any, Any]:
    """What `compare_methods` gives of the difference, of many studies at once."""
    parts = np.stack([excess(a), excess(b)])
    above = np.maximum(parts, 1e-12)
    freedom = (a.shape[1] - 1) * above.sum(axis=0) ** 2 / (above**2).sum(axis=0)
    return joined(a.mean(axis=1) - b.mean(axis=1), parts.sum(axis=0), freedom)


def generator_of(patients: int, seeds: int, spread: float) -> Any:
    return np.random.default_rng([patients, seeds, round(100 * spread)])


def coverage(shape: str, patients: int, seeds: int, spread: float, times: int) -> float:
    generator = generator_of(patients, seeds, spread)
    hard = hardness(shape, times, patients, generator)
    low, high = intervals(errors_of(shape, hard, seeds, spread, generator))
    return float(((low <= TRUTH[shape]) & (TRUTH[shape] <= high)).mean())


def coverage_of_differences(
    shape: str, patients: int, seeds: int, spread: float, times: int
) -> float:
    """Of two methods that are alike, each with seeds of its own, on the same patients."""
    generator = generator_of(patients, seeds, spread)
    hard = hardness(shape, times, patients, generator)
    a, b = (errors_of(shape, hard, seeds, spread, generator) for _ in range(2))
    low, high = difference_intervals(a, b)
    return float(((low <= 0) & (high >= 0)).mean())


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_simulations_intervals_are_those_of_the_package(seeds: int) -> None:
    generator, groups = np.random.default_rng(0), np.arange(40)
    hard = hardness("exponential", 20, 40, generator)
    errors = errors_of("exponential", hard, seeds, 0.1, generator)
    for study, low, high in zip(errors, *intervals(errors), strict=True):
        found = seeds_interval(study, groups, resamples=RESAMPLES)
        assert (found.low, found.high) == pytest.approx((low, high))


def test_the_simulations_differences_are_those_of_the_package() -> None:
    generator, groups = np.random.default_rng(0), np.arange(40)
    hard = hardness("half-normal", 20, 40, generator)
    a, b = (errors_of("half-normal", hard, 3, 0.1, generator) for _ in range(2))
    for one, other, low, high in zip(a, b, *difference_intervals(a, b), strict=True):
        pair = Pair(one, other, groups)
        draws = difference(drawn(pair.sums, RESAMPLES, 0))
        found = ends(one.mean() - other.mean(), draws, 40, pair.spread(difference), 0.95)
        assert found == pytest.approx((low, high))


# With 4000 studies a coverage is known to a third of a point. Of few patients it is nearest the
# limits, so that more are drawn.
TIMES, OF_FEW = 4000, 10_000
SPREADS = [(seeds, spread) for seeds in (3, 5) for spread in (0.0, 0.03, 0.1)]


@pytest.mark.parametrize(("seeds", "spread"), [(1, 0.0), *SPREADS])
@pytest.mark.parametrize("patients", [30, 100, 300])
@pytest.mark.parametrize("shape", TRUTH)
def test_95_of_100_intervals_contain_the_error_of_new_patients_and_seeds(
    shape: str, patients: int, seeds: int, spread: float
) -> None:
    times = OF_FEW if patients == 30 else TIMES
    assert 0.93 <= coverage(shape, patients, seeds, spread, times) <= 0.97


@pytest.mark.parametrize(("seeds", "spread"), SPREADS)
@pytest.mark.parametrize("patients", [30, 100, 300])
@pytest.mark.parametrize("shape", TRUTH)
def test_95_of_100_intervals_of_a_difference_contain_it(
    shape: str, patients: int, seeds: int, spread: float
) -> None:
    assert 0.93 <= coverage_of_differences(shape, patients, seeds, spread, TIMES) <= 0.97


def verdicts(shape: str, patients: int, seeds: int, spread: float, times: int) -> tuple[Any, Any]:
    """Of two methods that are alike: where Wilcoxon's test tells them apart, and where both do."""
    generator = generator_of(patients, seeds, spread)
    hard = hardness(shape, times, patients, generator)
    a, b = (errors_of(shape, hard, seeds, spread, generator) for _ in range(2))
    wilcoxon = scipy.stats.wilcoxon((a - b).mean(axis=1), axis=1).pvalue <= 0.05
    low, high = difference_intervals(a, b)
    return wilcoxon, wilcoxon & ((low > 0) | (high < 0))


@pytest.mark.parametrize("spread", [0.0, 0.03, 0.1])
def test_of_methods_that_are_alike_no_more_than_5_of_100_are_told_apart(spread: float) -> None:
    _, both = verdicts("half-normal", 100, 3, spread, 2000)
    assert both.mean() <= 0.05 + 0.01


def test_wilcoxons_test_alone_takes_seeds_for_methods() -> None:
    wilcoxon, _ = verdicts("half-normal", 100, 3, 0.1, 2000)
    assert wilcoxon.mean() > 0.2


def test_95_of_100_intervals_hold_with_patients_of_one_to_four_images() -> None:
    generator, found, times = np.random.default_rng(4), 0, 2000
    for _ in range(times):
        groups = np.repeat(np.arange(40), generator.integers(1, 5, 40))
        shared = generator.exponential(size=40)[groups]
        errors = 0.7 * shared + 0.3 * generator.exponential(size=len(groups))
        interval = mae_interval(errors, groups, resamples=400)
        found += interval.low <= 1 <= interval.high
    assert 0.93 <= found / times <= 0.97


def test_a_bootstrap_that_knows_no_seeds_would_fail_here() -> None:
    generator = np.random.default_rng(0)
    hard = hardness("half-normal", TIMES, 100, generator)
    errors = errors_of("half-normal", hard, 3, 0.1, generator)
    low, high = joined(errors.mean(axis=1), np.zeros(TIMES), 1)
    truth = TRUTH["half-normal"]
    assert ((low <= truth) & (truth <= high)).mean() < 0.9
