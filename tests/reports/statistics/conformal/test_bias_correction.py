"""Correction of regression dilution: the line, its inverse, and the trap of the true label."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from supremix_reports import BiasLine, StatisticsError


def diluted(count: int, slope: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(20, 80, count)
    return truth, 50 + slope * (truth - 50) + rng.normal(0, 3, count)


def test_the_line_is_that_of_least_squares() -> None:
    truth, guess = diluted(60, 0.6)
    line, expected = BiasLine.fit(truth, guess, range(len(truth))), stats.linregress(truth, guess)
    assert (line.slope, line.intercept) == pytest.approx((expected.slope, expected.intercept))
    uneven = np.repeat(np.arange(60), np.arange(60) + 1)
    again = BiasLine.fit(truth[uneven], guess[uneven], uneven)
    assert again.slope == pytest.approx(line.slope)


def test_both_corrections_take_the_bias_away_where_they_were_fitted() -> None:
    truth, guess = diluted(300, 0.5)
    line = BiasLine.fit(truth, guess, range(len(truth)))
    gap = stats.linregress(truth, guess - truth)
    by_hand = guess - (gap.slope * truth + gap.intercept)
    np.testing.assert_allclose(line.corrected(guess, "beheshti", truth), by_hand)
    np.testing.assert_allclose(line.corrected(guess, "cole"), (guess - line.intercept) / line.slope)
    for method in ("cole", "beheshti"):
        again = stats.linregress(truth, line.corrected(guess, method, truth) - truth)  # type: ignore[arg-type]
        assert again.slope == pytest.approx(0, abs=1e-9)
        assert again.intercept == pytest.approx(0, abs=1e-9)


def test_on_new_patients_the_bias_is_gone_and_coles_error_is_not_smaller() -> None:
    line = BiasLine.fit(*diluted(400, 0.5), range(400))
    truth, guess = diluted(400, 0.5, seed=1)
    error = line.corrected(guess, "cole") - truth
    assert abs(stats.linregress(truth, error).slope) < 0.05
    assert abs(stats.linregress(truth, guess - truth).slope) > 0.4
    # With little noise the bias is most of the error; with much, inverting makes it larger.
    noisy = np.random.default_rng(2).normal(0, 12, 400)
    line = BiasLine.fit(truth, guess + noisy, range(400))
    assert (
        np.abs(line.corrected(guess + noisy, "cole") - truth).mean()
        > np.abs(guess + noisy - truth).mean()
    )


def test_the_trap_predictions_that_know_nothing_look_perfect_when_given_the_label() -> None:
    """Butler et al. 2021: after this correction noise alone correlates with the label."""
    rng = np.random.default_rng(3)
    truth = rng.uniform(20, 80, 500)
    noise = rng.normal(50, 3, 500)
    line = BiasLine.fit(truth[:250], noise[:250], range(250))
    fixed = line.corrected(noise[250:], "beheshti", truth[250:])
    assert abs(np.corrcoef(noise[250:], truth[250:])[0, 1]) < 0.2
    assert np.corrcoef(fixed, truth[250:])[0, 1] > 0.97
    with pytest.raises(StatisticsError, match="hardly follow the label"):
        line.corrected(noise, "cole")


def test_a_correction_needs_patients_labels_and_a_name() -> None:
    truth, guess = diluted(60, 0.6)
    line = BiasLine.fit(truth, guess, range(len(truth)))
    with pytest.raises(StatisticsError, match=r"10 calibration patients .* found 9"):
        BiasLine.fit(truth[:9], guess[:9], range(9))
    with pytest.raises(StatisticsError, match="labels that differ"):
        BiasLine.fit(np.ones(20), guess[:20], range(20))
    with pytest.raises(StatisticsError, match="give the labels"):
        line.corrected(guess, "beheshti")
    with pytest.raises(StatisticsError, match="cole, beheshti; found 'linear'"):
        line.corrected(guess, "linear")  # type: ignore[arg-type]
