"""Prediction intervals: the law of coverage, patients as units, regions, and too few patients."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from calibrations import SCALE, calibration, frame

from supremix_reports import Calibration, LabelScale, StatisticsError, prediction_intervals
from supremix_reports.statistics.conformal.calibration import REGIONS
from supremix_reports.statistics.conformal.intervals import (
    INTERVAL_METHODS,
    IntervalMethod,
    conformal_quantile,
    patients_needed,
)

DRAWS = 6000


def brute_force(scores: Any, level: float) -> float:
    """The ceil(level (n + 1))-th smallest of n scores, counted one by one."""
    rank = next(k for k in range(1, len(scores) + 2) if k >= level * (len(scores) + 1) - 1e-12)
    return sorted(scores)[rank - 1] if rank <= len(scores) else math.inf


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("count", [1, 4, 9, 10, 19, 20, 50])
def test_the_quantile_is_that_of_counting(level: float, count: int) -> None:
    scores = np.random.default_rng(count).exponential(size=count)
    found = conformal_quantile(scores, np.arange(count), level)
    assert found == brute_force(scores.tolist(), level)
    assert math.isinf(found) == (count < patients_needed(level))


@pytest.mark.parametrize("count", [9, 19, 40])
def test_coverage_keeps_the_law(count: int) -> None:
    """1 - alpha <= coverage <= 1 - alpha + 1 / (n + 1), over calibrations and new patients."""
    rng, level = np.random.default_rng(count), 0.9
    covered = np.empty(DRAWS)
    for k in range(DRAWS):
        truth, skew = rng.normal(50, 10, count + 1), rng.exponential(3, count + 1)
        given = calibration(truth[:-1], (truth + skew)[:-1])
        found = prediction_intervals(given, [(truth + skew)[-1]], level=level)
        covered[k] = found.lower[0] <= truth[-1] <= found.upper[0]
    chance = 4 * math.sqrt(0.09 / DRAWS)
    assert level - chance <= covered.mean() <= level + 1 / (count + 1) + chance
    exact = math.ceil(level * (count + 1) - 1e-9) / (count + 1)
    assert covered.mean() == pytest.approx(exact, abs=chance)


def test_a_patient_with_many_images_does_not_break_the_law() -> None:
    """A third of the patients have twenty images and large errors of their own."""
    rng, level, count, inside, naive = np.random.default_rng(5), 0.9, 30, 0.0, 0.0
    for _ in range(2000):
        many = rng.random(count + 1) < 1 / 3
        sizes = np.where(many, 20, 1)
        own = rng.normal(0, np.where(many, 1.0, 8.0))
        owners = np.repeat(np.arange(count + 1), sizes)
        errors = own[owners] + rng.normal(0, 0.3, len(owners))
        new = owners == count
        q = conformal_quantile(np.abs(errors[~new]), owners[~new], level)
        each_image = conformal_quantile(np.abs(errors[~new]), np.arange((~new).sum()), level)
        inside += (np.abs(errors[new]) <= q).mean()
        naive += (np.abs(errors[new]) <= each_image).mean()
    assert 0.9 - 0.02 <= inside / 2000 <= 0.9 + 2 / (count + 1) + 0.02
    assert naive / 2000 < 0.75


def test_images_of_one_patient_share_its_weight() -> None:
    rng = np.random.default_rng(1)
    scores, owners = rng.exponential(size=25), np.arange(25)
    once = conformal_quantile(scores, owners, 0.9)
    assert conformal_quantile(np.repeat(scores, 4), np.repeat(owners, 4), 0.9) == once
    uneven = np.repeat(owners, owners + 1)
    assert conformal_quantile(scores[uneven], uneven, 0.9) == once


def test_normalised_intervals_keep_the_law_and_follow_the_spread() -> None:
    rng, count, hits = np.random.default_rng(2), 29, np.empty(DRAWS)
    for k in range(DRAWS):
        spread = rng.uniform(0.1, 5, count + 1)
        truth = rng.normal(50, 10, count + 1)
        guess = truth + spread * rng.normal(size=count + 1)
        given = calibration(truth[:-1], guess[:-1], spread=spread[:-1])
        found = prediction_intervals(
            given, guess[-1:], level=0.9, method="normalised", spread=spread[-1:]
        )
        hits[k] = found.lower[0] <= truth[-1] <= found.upper[0]
    assert hits.mean() == pytest.approx(27 / 30, abs=4 * math.sqrt(0.09 / DRAWS))
    fixed = calibration(truth, guess, spread=spread)
    two = prediction_intervals(
        fixed, [50, 50], level=0.9, method="normalised", spread=np.array([0.5, 1.5])
    )
    assert np.ptp([two.lower, two.upper], axis=0)[1] == pytest.approx(
        2 * np.ptp([two.lower, two.upper], axis=0)[0]
    )


def test_mondrian_intervals_cover_in_each_region_where_split_ones_do_not() -> None:
    rng = np.random.default_rng(3)
    hits: dict[str, list[bool]] = {region: [] for region in REGIONS}
    plain: dict[str, list[bool]] = {region: [] for region in REGIONS}
    for _ in range(1500):
        guess = rng.uniform(20, 80, 121)
        truth = guess + rng.normal(size=121) * np.array([0.5, 2, 8])[SCALE.regions(guess)]
        given = calibration(truth[:-1], guess[:-1])
        for method, found in (("mondrian", hits), ("split", plain)):
            one = prediction_intervals(given, guess[-1:], level=0.8, method=method)  # type: ignore[arg-type]
            region = REGIONS[int(SCALE.regions(guess[-1:])[0])]
            found[region].append(bool(one.lower[0] <= truth[-1] <= one.upper[0]))
    for region in REGIONS:
        assert 0.8 - 0.08 <= np.mean(hits[region]) <= 0.8 + 1 / 20 + 0.08
    assert np.mean(plain["high"]) < 0.6


def test_regions_are_those_of_the_prediction_never_of_the_label() -> None:
    guess = np.repeat([30.0, 50.0, 70.0], 10)
    given = calibration(guess[::-1] + np.arange(30), guess)
    moved = calibration(guess + (guess[::-1] + np.arange(30) - guess) * -1, guess)
    for one in (given, moved):
        found = prediction_intervals(one, [30, 70], level=0.8, method="mondrian")
        errors = np.abs(one.target - one.prediction)
        assert found.upper[0] - 30 == brute_force(errors[:10].tolist(), 0.8)
        assert found.upper[1] - 70 == brute_force(errors[20:].tolist(), 0.8)


def test_too_few_patients_are_refused_and_a_region_without_them_has_no_interval() -> None:
    guess = np.r_[np.full(8, 30.0), np.full(12, 50.0)]
    given = calibration(guess + 1, guess)
    with pytest.raises(StatisticsError, match=r"needs 99 .* has 20.*Ask for 0.952 at most"):
        prediction_intervals(given, [50], level=0.99)
    found = prediction_intervals(given, [30, 50], level=0.9, method="mondrian")
    assert np.isnan([found.lower[0], found.upper[0]]).all()
    assert "8 calibration patients" in str(found.notes[0])
    assert "needs 9" in str(found.notes[0])
    assert (found.notes[1], found.lower[1], found.upper[1]) == (None, 49, 51)


@pytest.mark.parametrize("level", [0.0, 1.0, 90.0, -0.1])
def test_a_level_is_a_probability(level: float) -> None:
    with pytest.raises(StatisticsError, match=f"above 0 and below 1; found {level:g}"):
        prediction_intervals(calibration(range(50), range(50)), [1], level=level)


def test_normalised_intervals_need_the_networks_that_were_calibrated() -> None:
    one = calibration(range(50), range(50))
    with pytest.raises(StatisticsError, match=r"is one: predict with --ensemble.*--test-seeds 2"):
        prediction_intervals(one, [1], level=0.9, method="normalised")
    several = calibration(range(50), range(50), spread=np.ones(50))
    again = dataclasses.replace(several, predicted_by="trials")
    with pytest.raises(StatisticsError, match=r"trained again.*another --interval-method"):
        prediction_intervals(again, [1], level=0.9, method="normalised", spread=[1])


@pytest.mark.parametrize("method", INTERVAL_METHODS)
@pytest.mark.parametrize("count", [20, 200])
def test_a_higher_level_is_never_narrower(method: IntervalMethod, count: int) -> None:
    rng = np.random.default_rng(count)
    truth, spread = rng.uniform(20, 80, count), rng.uniform(0, 3, count)
    given = calibration(truth, truth + rng.normal(size=count), spread=spread)
    width = [
        found.upper - found.lower
        for level in (0.5, 0.6, 0.8)
        for found in [prediction_intervals(given, truth, level=level, method=method, spread=spread)]
    ]
    for narrow, wide in itertools.pairwise(width):
        assert (np.isnan(wide) | (narrow <= wide)).all()


def test_a_calibration_is_read_as_it_was_kept_and_names_no_patient() -> None:
    made = Calibration.of(frame(3, 12, 2).filter(pl.col("split") == "val"), SCALE, "trials")
    content = made.to_dict()
    again = Calibration.from_dict(content)
    assert again.to_dict() == content
    assert (made.count, made.predictions.shape) == (12, (24, 3))
    assert "val0" not in str(content)
    with pytest.raises(StatisticsError, match="expected a calibration of format 2, found 1"):
        Calibration.from_dict(content | {"format": 1})
    with pytest.raises(StatisticsError, match="damaged"):
        Calibration.from_dict({k: v for k, v in content.items() if k != "target"})
    for name in ("target", "predictions"):
        with pytest.raises(StatisticsError, match="columns of shapes"):
            Calibration.from_dict(content | {name: [1.0]})


def test_images_with_other_numbers_of_predictions_are_refused() -> None:
    with pytest.raises(StatisticsError, match="as many predictions of each image"):
        Calibration.of(frame(2, 12)[1:], SCALE, "trials")


def test_one_network_is_calibrated_by_itself_or_by_all_that_predicted() -> None:
    rows = frame(3, 12).filter(pl.col("split") == "val")
    own, others = (Calibration.of(rows, SCALE, by).of_one() for by in ("model", "trials"))
    assert own.prediction.tolist() == rows.filter(pl.col("seed") == 0)["prediction"].to_list()
    assert (own.exact, others.exact, own.spread, others.spread) == (True, False, None, None)
    assert sorted(others.prediction) == sorted(rows["prediction"])
    assert np.bincount(others.patients).tolist() == [3] * 12


def test_a_mean_is_calibrated_by_means_of_as_many_networks_or_fewer() -> None:
    rows = frame(3, 12).filter(pl.col("split") == "val")
    kept = Calibration.of(rows, SCALE, "trials")
    images = rows.group_by("id", maintain_order=True).agg(pl.col("prediction"))["prediction"]
    for count in (2, 3, 5):
        found = kept.of_mean(count)
        firsts = [one[:count].to_numpy() for one in images]
        assert found.prediction == pytest.approx([one.mean() for one in firsts])
        assert found.spread == pytest.approx([one.std(ddof=1) for one in firsts])
    own = Calibration.of(rows, SCALE, "model")
    assert own.of_mean(3).exact
    with pytest.raises(StatisticsError, match="of 3 networks, and the model has 2"):
        own.of_mean(2)


def test_the_scale_is_that_of_the_training_labels() -> None:
    labels = np.arange(301.0)
    scale = LabelScale.of(labels)
    assert scale.edges == (100.0, 200.0)
    assert scale.floor == pytest.approx(0.1 * labels.std())
    assert scale.regions([50, 100, 150, 250]).tolist() == [0, 1, 1, 2]
