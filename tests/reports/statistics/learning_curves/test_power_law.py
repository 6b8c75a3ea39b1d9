"""The forecast of a longer training on curves with a known law: coverage, laws, outliers."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from supremix_reports import power_law_forecast
from supremix_reports.statistics.resampling.seeds import Array

CURVES = 100
LAWS = {"steep": (1.0, 3.0, 1.5), "usual": (1.0, 3.0, 0.7), "slow": (0.0, 4.0, 0.3)}
FLAT = (1.0, 0.0, 1.0)


def lengths(epochs: int) -> Array:
    return np.arange(1.0, epochs + 1)


def law(of: tuple[float, float, float], v: Array | float) -> Array:
    a, b, c = of
    return np.asarray(a + b * v**-c)


def noise(seed: int, epochs: int, deviation: float, alike: float, outliers: float = 0.0) -> Array:
    """Relative noise, neighbours correlated by `alike`; a share are outliers, 10 to 80 % up."""
    generator = np.random.default_rng(seed)
    fresh, found = generator.standard_normal(epochs), np.empty(epochs)
    found[0] = fresh[0]
    for k in range(1, epochs):
        found[k] = alike * found[k - 1] + np.sqrt(1 - alike**2) * fresh[k]
    high = generator.random(epochs) < outliers
    return (1 + deviation * found) * np.where(high, generator.uniform(1.1, 1.8, epochs), 1.0)


@pytest.mark.parametrize(
    ("deviation", "alike", "outliers"), [(0.02, 0.0, 0.0), (0.03, 0.8, 0.0), (0.05, 0.5, 0.05)]
)
@pytest.mark.parametrize("name", [*LAWS, "flat"])
@pytest.mark.parametrize("epochs", [60, 200])
def test_the_interval_covers_what_twice_the_length_gives(
    epochs: int, name: str, deviation: float, alike: float, outliers: float
) -> None:
    of, v = LAWS.get(name, FLAT), lengths(epochs)
    gain = float(law(of, epochs) - law(of, 2 * epochs))
    found = [
        power_law_forecast(v, law(of, v) * noise(seed, epochs, deviation, alike, outliers))
        for seed in range(CURVES)
    ]
    covered = np.mean([one.low <= gain <= one.high for one in found])
    bias = np.median([one.gain - gain for one in found]) / law(of, epochs)

    assert covered >= 0.9
    assert abs(bias) < 0.04


def test_over_all_curves_that_keep_to_the_law_the_coverage_is_above_the_level() -> None:
    covered: list[bool] = []
    for seed in range(600):
        generator = np.random.default_rng([1, seed])
        epochs = int(generator.choice([40, 80, 160, 320]))
        of = (1.0, float(generator.uniform(0, 4)), float(generator.uniform(0.2, 2)))
        alike, v = float(generator.uniform(0, 0.8)), lengths(epochs)
        deviation = float(generator.uniform(0.01, 0.05))
        one = power_law_forecast(v, law(of, v) * noise(seed, epochs, deviation, alike))
        covered.append(one.low <= law(of, epochs) - law(of, 2 * epochs) <= one.high)

    assert np.mean(covered) > 0.95


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("times", [1.5, 2.0, 4.0])
def test_without_noise_it_is_the_law(name: str, times: float) -> None:
    of, v = LAWS[name], lengths(200)
    one = power_law_forecast(v, law(of, v), times=times)
    gain = float(law(of, 200) - law(of, 200 * times))

    assert one.error == pytest.approx(float(law(of, 200)), rel=5e-3)
    assert one.gain == pytest.approx(gain, abs=5e-3 * one.error)
    assert one.low < gain < one.high


def test_the_units_of_error_and_length_do_not_matter() -> None:
    v = lengths(100)
    errors = law(LAWS["usual"], v) * noise(0, 100, 0.03, 0.5)
    years = power_law_forecast(v, errors)

    months = power_law_forecast(v, 12 * errors)
    images = power_law_forecast(640 * v, errors)
    assert astuple(months) == pytest.approx([12 * x for x in astuple(years)])
    assert astuple(images) == pytest.approx(astuple(years))


def test_a_rising_error_gives_a_loss() -> None:
    v = lengths(200)
    one = power_law_forecast(v, (3 - v**-0.5) * noise(0, 200, 0.01, 0.0))

    assert one.high < 0


def test_a_few_outliers_move_it_by_less_than_its_interval() -> None:
    v, outliers = lengths(200), np.ones(200)
    errors = law(LAWS["usual"], v) * noise(0, 200, 0.02, 0.0)
    outliers[[50, 120, 121, 199]] = 3.0
    plain, moved = power_law_forecast(v, errors), power_law_forecast(v, errors * outliers)

    assert plain.low < moved.gain < plain.high


def test_the_higher_level_has_the_wider_interval_around_the_same_value() -> None:
    v = lengths(100)
    errors = law(LAWS["usual"], v) * noise(0, 100, 0.03, 0.5)
    half, most = (power_law_forecast(v, errors, level=level) for level in (0.5, 0.99))

    assert half.gain == most.gain
    assert most.low < half.low < half.gain < half.high < most.high
