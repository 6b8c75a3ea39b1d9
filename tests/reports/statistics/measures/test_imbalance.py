"""Errors by label density, with plain loops as the judge."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.stats

from supremix_reports import (
    LabelDensity,
    StatisticsError,
    imbalance_intervals,
    mae_interval,
    mae_rows,
    mean_of_bins_interval,
    read_table,
    summary_markdown,
    write_table,
)


@pytest.fixture
def skewed() -> Any:
    """Training labels of which there are fewer the higher they are."""
    return np.floor(np.random.default_rng(0).exponential(8, 2000)) + 0.5


@pytest.fixture
def data() -> tuple[Any, Any, Any]:
    g = np.random.default_rng(1)
    target = g.uniform(0, 40, 90)
    return target, target + g.normal(0, 3, 90), np.array([f"p{k}" for k in g.integers(0, 40, 90)])


def test_the_density_is_a_count_of_training_samples(skewed: Any) -> None:
    density = LabelDensity.of(skewed, 1.0, least=0)
    for label in (0.0, 3.99, 17.2, 900.0):
        assert density.density([label])[0] == int(
            ((skewed >= label // 1) & (skewed < label // 1 + 1)).sum()
        )


def test_regions_are_the_papers_where_all_three_exist(skewed: Any) -> None:
    density = LabelDensity.of(skewed, 1.0)
    assert (density.width, density.thresholds) == (1.0, (20, 100))
    counts = density.density(skewed)
    regions = density.regions(skewed)
    assert set(counts[regions == "many"] > 100) == {True}
    assert set(counts[regions == "few"] < 20) == {True}
    assert set((counts[regions == "median"] >= 20) & (counts[regions == "median"] <= 100)) == {True}
    assert density.regions([900.0]).tolist() == ["few"]


def test_of_small_sets_the_thresholds_are_the_tertiles_of_samples(skewed: Any) -> None:
    few = skewed[:150]
    density = LabelDensity.of(few, 1.0)
    low, high = density.thresholds
    counts = np.sort(density.density(few))
    assert (low, high) == (counts[49], counts[99])
    for name in ("many", "few"):
        assert (density.regions(few) == name).mean() <= 1 / 3


def test_where_all_labels_are_as_frequent_all_are_median() -> None:
    density = LabelDensity.of(np.repeat(np.arange(10.0), 5), 1.0, least=0)
    assert set(density.regions(np.arange(10.0)).tolist()) == {"median"}


def test_thresholds_can_be_given(skewed: Any) -> None:
    density = LabelDensity.of(skewed, 1.0, thresholds=(5, 30))
    assert density.thresholds == (5, 30)
    assert density.describe("years") == (
        "many: more than 30 training samples in a bin of 1 years; few: fewer than 5"
    )
    with pytest.raises(StatisticsError, match=r"low <= high; got \(9, 3\)"):
        LabelDensity.of(skewed, 1.0, thresholds=(9, 3))


@pytest.mark.parametrize(
    ("samples", "width"), [(10_000, 0.5), (1000, 0.5), (500, 1.0), (100, 5.0), (5, 50.0)]
)
def test_bins_are_joined_until_each_has_enough_samples(samples: int, width: float) -> None:
    labels = np.linspace(0, 49.9, samples)
    assert LabelDensity.of(labels, 0.5).width == width


def test_without_a_bin_only_equal_labels_are_the_same() -> None:
    density = LabelDensity.of([1.0, 1.0, 1.5], 0)
    assert density.density([1.0, 1.5, 1.2]).tolist() == [2, 1, 0]


def test_a_label_on_an_edge_is_in_the_bin_above_it() -> None:
    assert 1.15 / 0.05 < 23
    assert LabelDensity.of([1.15, 1.16], 0.05, least=0).density([1.15]).tolist() == [2]


@pytest.mark.parametrize("labels", [[], [math.nan], [[1.0]]])
def test_training_labels_have_to_be_numbers(labels: Any) -> None:
    with pytest.raises(StatisticsError, match="list of finite training labels"):
        LabelDensity.of(labels, 1.0)


def test_a_regions_error_is_that_of_its_samples(skewed: Any, data: tuple[Any, Any, Any]) -> None:
    target, prediction, groups = data
    density = LabelDensity.of(skewed, 1.0)
    found = imbalance_intervals(density, target, prediction, groups, resamples=50)
    for name in ("many", "median", "few"):
        inside = density.regions(target) == name
        errors = (prediction - target)[inside]
        assert found[f"mae_{name}"] == mae_interval(errors, groups[inside], resamples=50)
    assert sum(found[f"mae_{name}"].n for name in ("many", "median", "few")) == 90


def test_a_region_without_samples_has_no_error(skewed: Any) -> None:
    density = LabelDensity.of(skewed, 1.0)
    found = imbalance_intervals(density, [0.5, 0.7], [1.0, 1.0], ["a", "b"], resamples=9)
    assert found["mae_many"].n == 2
    assert (found["mae_few"].n, found["mae_few"].groups) == (0, 0)
    assert math.isnan(found["mae_few"].value)


def balanced(errors: Any, bins: Any) -> float:
    return float(np.mean([np.abs(errors[bins == b]).mean() for b in np.unique(bins)]))


@pytest.mark.parametrize("width", [2.0, 20.0])
def test_the_balanced_error_equals_a_bootstrap_with_plain_loops(
    data: tuple[Any, Any, Any], width: float
) -> None:
    target, prediction, groups = data
    errors, bins = prediction - target, target // width
    names = np.unique(groups)
    members = [np.flatnonzero(groups == name) for name in names]
    generator = np.random.default_rng(3)
    values = []
    for _ in range(60):
        rows = np.concatenate([members[i] for i in generator.integers(0, len(names), len(names))])
        values.append(balanced(errors[rows], bins[rows]))
    found = mean_of_bins_interval(errors, bins, groups, level=0.9, resamples=60, seed=3)
    assert found.value == pytest.approx(balanced(errors, bins))
    size = len(names)
    tail = scipy.stats.norm.sf(scipy.stats.t(size - 1).isf(0.05) * np.sqrt(size / (size - 1)))
    assert (found.low, found.high) == pytest.approx(np.quantile(values, [tail, 1 - tail]))
    assert (found.n, found.groups) == (90, len(names))


def test_in_one_bin_the_balanced_error_is_the_plain_one(data: tuple[Any, Any, Any]) -> None:
    target, prediction, groups = data
    errors = prediction - target
    one = mean_of_bins_interval(errors, np.zeros(90), groups, resamples=30)
    plain = mae_interval(errors, groups, resamples=30)
    assert (one.value, one.low, one.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_bins_and_errors_have_to_be_as_many() -> None:
    with pytest.raises(StatisticsError, match="3 errors but bins of shape"):
        mean_of_bins_interval([1, 2, 3], [1, 2], ["a", "b", "c"])


def rows_of(data: tuple[Any, Any, Any], seed: int) -> list[dict[str, Any]]:
    common = {
        "run": "r", "dataset": "d", "method": "l1", "trial": 0, "seed": seed, "split": "test"
    }  # fmt: skip
    return [
        {**common, "id": str(k), "group": g, "target": t, "prediction": p + seed}
        for k, (t, p, g) in enumerate(zip(*data, strict=True))
    ]


def test_the_table_has_rows_for_them_and_the_summary_shows_them(
    data: tuple[Any, Any, Any], skewed: Any, tmp_path: Path
) -> None:
    predictions = pl.DataFrame(rows_of(data, 0) + rows_of(data, 1))
    density = LabelDensity.of(skewed, 1.0)
    rows = mae_rows(predictions, unit="mm", density=density, resamples=40)
    write_table(str(tmp_path), "mae", rows)
    table = read_table(str(tmp_path), "mae")
    assert table["metric"].to_list() == [
        "mae", "rmse", "r2", "pearson", "mae_many", "mae_median", "mae_few", "balanced_mae"
    ]  # fmt: skip
    counts = dict(zip(table["metric"], table["n"], strict=True))
    assert (counts["mae"], counts["balanced_mae"]) == (90, 90)
    assert counts["mae_many"] == (density.regions(data[0]) == "many").sum()
    assert set(table["seeds"]) == {2}
    text = summary_markdown({"label_regions": density.describe("mm")}, TRIALS, mae=table)
    section = text.partition("## Errors by label density")[2].partition("\n## ")[0]
    shown = [line.split(" | ")[1] for line in section.splitlines() if line.startswith("| test")]
    assert shown == ["mae_many", "mae_median", "mae_few", "balanced_mae"]
    assert "many: more than 100 training samples in a bin of 1 mm; few: fewer than 20." in section


def test_without_regions_the_summary_has_no_section(data: tuple[Any, Any, Any]) -> None:
    plain = pl.DataFrame(mae_rows(pl.DataFrame(rows_of(data, 0)), unit="mm", resamples=5))
    assert "label density" not in summary_markdown({}, TRIALS, mae=plain)


TRIALS = pl.DataFrame(
    [
        {
            "run": "r", "dataset": "d", "method": "l1", "trial": 0, "state": "finished",
            "error": 1.0, "r2": 0.5, "epochs": 2, "seconds": 1.0, "reason": None,
            "replicate_of": None, "steps": 8, "images_seen": 64, "convergence": None,
            "config": "{}", "unit": "mm",
        }
    ]
)  # fmt: skip


def test_the_summary_shows_the_measures_of_the_best_trial() -> None:
    common = {"run": "r", "split": "val"}
    measures = pl.DataFrame(
        [
            {**common, "trial": t, "epoch": e, "stage": s, "measure": m, "value": v}
            for t, e, s, m, v in [
                (0, 1, "pretrain", "ordinality", 0.5), (0, 1, "pretrain", "site_accuracy", None),
                (0, 2, "regress", "ordinality", 0.75), (0, 2, "regress", "site_accuracy", None),
                (1, 2, "regress", "ordinality", 0.9),
            ]
        ]
    )  # fmt: skip
    text = summary_markdown({}, TRIALS, measures=measures)
    assert "| measure | epoch 1 (pretrain) | epoch 2 (regress) |" in text
    assert "| ordinality | 0.5 | 0.75 |\n| site_accuracy | – | – |" in text
