"""The error along one parameter: against plain loops, and against what made the errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from optuna.distributions import FloatDistribution
from sklearn.inspection import partial_dependence

from supremix_reports.errors import PlotError
from supremix_reports.figures.search import marginals as evidence_marginals
from supremix_reports.figures.search.marginals import RATIO, binned, marginals_of, with_ratio
from supremix_reports.figures.search.sensitivity import sensitivity_plot
from supremix_reports.figures.search.trials import (
    Searched,
    SearchedParameter,
    SearchTrials,
    search_trials,
)
from supremix_reports.statistics.resampling.intervals import median_interval


def searched(search: Any, space: Any) -> Searched:
    trials, curves = search(n=12)
    return Searched(search_trials(trials, space), curves, "words", "years")


@pytest.fixture
def large(search: Any, space: Any) -> SearchTrials:
    return search_trials(search(n=60)[0], space)


def test_a_forest_finds_the_valley_that_made_the_errors(large: SearchTrials) -> None:
    (one,) = marginals_of(large, ["temperature"])
    assert one.how == "forest"
    least = one.parameter.value(float(one.at[one.middle.argmin()]))
    assert 0.15 < least < 0.4
    assert one.middle[0] > one.middle.min() + 0.5
    assert ((one.low <= one.middle) & (one.middle <= one.high)).all()


def test_along_a_parameter_without_effect_the_error_is_flat(large: SearchTrials) -> None:
    with_effect, without = marginals_of(large, ["temperature", "depth"])
    assert np.ptp(without.middle) < 0.2 * np.ptp(with_effect.middle)


def test_the_average_of_the_forest_is_the_partial_dependence_of_scikit_learn(
    large: SearchTrials, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []
    grown = evidence_marginals._grown
    monkeypatch.setattr(
        evidence_marginals,
        "_grown",
        lambda table, errors: kept.append((grown(table, errors), table)) or kept[-1][0],
    )
    (one,) = marginals_of(large, ["temperature"])
    ((forest, table),) = kept
    judge = partial_dependence(
        forest, table, [2], custom_values={2: one.at}, method="brute", kind="average"
    )
    np.testing.assert_allclose(one.middle, judge["average"][0])


def test_bins_are_medians_of_about_equally_many_trials() -> None:
    g = np.random.default_rng(1)
    positions, errors = g.uniform(size=17), g.normal(size=17)
    one = binned(SearchedParameter("x", FloatDistribution(0, 1)), positions, errors)
    order = sorted(range(17), key=lambda i: positions[i])
    parts = [order[:5], order[5:9], order[9:13], order[13:]]
    assert one.trials.tolist() == [5, 4, 4, 4]
    assert one.middle.tolist() == [float(np.median(errors[part])) for part in parts]
    assert one.at.tolist() == [float(np.median(positions[part])) for part in parts]


def test_the_interval_of_a_bin_is_that_of_the_median_of_its_trials() -> None:
    errors = np.random.default_rng(2).normal(size=40)
    one = binned(SearchedParameter("x", FloatDistribution(0, 1)), np.linspace(0, 1, 40), errors)
    medians = [median_interval(part, range(8)) for part in np.array_split(errors, 5)]
    assert one.middle.tolist() == [np.median(part) for part in np.array_split(errors, 5)]
    assert list(zip(one.low, one.high, strict=True)) == [(m.low, m.high) for m in medians]


def test_a_bin_of_two_trials_has_no_interval(search: Any, space: Any) -> None:
    of = search_trials(search(n=10)[0], space)
    (one,) = marginals_of(of, ["depth"])
    assert one.how == "binned"
    errors = np.array([3.0, 1.0])
    both = binned(SearchedParameter("x", FloatDistribution(0, 1)), np.array([0.0, 1.0]), errors)
    assert both.middle.tolist() == [3, 1]
    assert np.isnan(both.low).all()


def test_the_mixup_ratio_is_the_mean_share_of_the_anchor(large: SearchTrials) -> None:
    of = with_ratio(large)
    for config in of.configs:
        beta = np.random.default_rng(0).beta(config["alpha"], config["beta"], 20000)
        assert config[RATIO] == pytest.approx(beta.mean(), abs=0.02)
    assert with_ratio(of).configs == of.configs


def test_a_panel_a_parameter_and_the_words_say_how(search: Any, space: Any) -> None:
    small = sensitivity_plot(searched(search, space))
    panels = ["alpha", "beta", RATIO, "temperature", "batch_size"]
    assert small.data["parameter"].unique(maintain_order=True).to_list() == panels
    assert "medians of bins of trials" in small.caption
    assert "random forest" not in small.caption
    assert small.data.filter(pl.col("parameter") == "batch_size")["value"].to_list() == ["16", "32"]


def test_one_parameter_alone_fills_one_panel(search: Any, space: Any) -> None:
    one = sensitivity_plot(searched(search, {"temperature": space["temperature"]}))
    assert one.data["parameter"].unique().to_list() == ["temperature"]


def test_a_method_without_such_parameters_says_so(search: Any, space: Any) -> None:
    with pytest.raises(PlotError, match="none was searched"):
        sensitivity_plot(searched(search, {"depth": space["depth"]}))
