"""Evidence about a model: its numbers against NumPy and scikit-learn, and whom it names."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score

from supremix_reports import mae_rows, seeds_interval
from supremix_reports.figures.model.model import FIGURES, model_plots, worst_cases
from supremix_reports.figures.model.regions import label_edges, label_rows, part_rows, regions
from supremix_reports.figures.model.samples import samples
from supremix_reports.figures.plot import NotShown, Plot, number
from supremix_reports.statistics.resampling.intervals import mean_interval

WORDS = {"dataset": "made", "method": "supremix", "unit": "years", "target": "age"}


def plots(predictions: pl.DataFrame, **options: Any) -> dict[str, Any]:
    found = model_plots(predictions, **WORDS, **options)
    return {plot.name.removeprefix("made-supremix-"): plot for plot in found}


def test_several_seeds_show_everything_and_twice_the_same(predicted: Any) -> None:
    table = predicted(seeds=3, images=2)
    sexes = pl.Series("sex", ["F", "F", "M", "M"] * (table.height // 4))
    table = table.with_columns(sexes)
    one, other = plots(table), plots(table.sample(fraction=1, shuffle=True, seed=1))
    assert list(one) == [figure.key for figure in FIGURES]
    for first, second in zip(one.values(), other.values(), strict=True):
        assert isinstance(first, Plot)
        assert first.svg() == second.svg()
        assert (first.caption, first.alt) == (second.caption, second.alt)
        assert first.data.equals(second.data)


def test_no_sample_and_no_patient_is_named_unless_asked_for(predicted: Any) -> None:
    table = predicted(seeds=2, images=2)
    for plot in plots(table).values():
        if isinstance(plot, Plot):
            words = plot.svg() + plot.caption + plot.alt + plot.data.write_csv()
            assert "image-" not in words
            assert "patient-" not in words
    named = plots(table, ids=True)["predicted"]
    worst = worst_cases(table, 5, ids=True)["id"].to_list()
    assert all(name in named.svg() for name in worst)
    assert {"id", "group"} <= set(named.data.columns)


def test_a_dot_is_the_mean_over_seeds_between_the_lowest_and_the_highest(predicted: Any) -> None:
    table = predicted(seeds=3)
    data = plots(table, ids=True)["predicted"].data
    assert data.height == 60
    for row in data.to_dicts():
        own = table.filter(pl.col("id") == row["id"])
        values = own["prediction"].to_numpy()
        assert row["prediction"] == pytest.approx(values.mean())
        assert (row["lowest"], row["highest"]) == (values.min(), values.max())
        assert row["absolute_error"] == pytest.approx(np.abs(values - row["target"]).mean())
        assert row["seeds"] == 3


def test_the_numbers_are_those_of_single_models(predicted: Any) -> None:
    table = predicted(seeds=3)
    caption = plots(table)["predicted"].caption
    own = [part.select("target", "prediction").to_numpy().T for _, part in table.group_by("seed")]
    assert f"MAE {number(np.mean([mean_absolute_error(*one) for one in own]))} (" in caption
    assert f"R² {number(np.mean([r2_score(*one) for one in own]))} (" in caption
    assert f"r {number(np.mean([np.corrcoef(*one)[0, 1] for one in own]))} (" in caption
    assert "means over the seeds of each model's own" in caption


def test_an_error_has_the_interval_that_the_tables_have(predicted: Any) -> None:
    table = apart(predicted(seeds=3)).with_columns(run=pl.lit("r"))
    parameters = {"level": 0.9, "resamples": 300, "seed": 5}
    (mae,) = (row for row in mae_rows(table, unit="years", **parameters) if row["metric"] == "mae")
    caption = plots(table, **parameters)["predicted"].caption
    words = f"MAE {number(mae['value'])} ({number(mae['low'])} to {number(mae['high'])})"
    assert words in caption
    assert "90 % intervals over patients and seeds" in caption
    one = plots(table.filter(seed=0), **parameters)["predicted"].caption
    assert "90 % intervals over patients: " in one


def test_the_errors_of_regions_and_sites_are_over_seeds_and_their_bias_is_not(
    predicted: Any,
) -> None:
    table = apart(predicted(seeds=3))
    of = samples(table, "test")
    (site, *_), _ = part_rows(of, "site")
    rows = table.filter(pl.col("site") == site["site"])
    judge = seeds_interval(rows["prediction"] - rows["target"], rows["group"], rows["seed"])
    assert (site["mae_low"], site["mae_high"]) == pytest.approx((judge.low, judge.high))
    plain = mean_interval(rows["prediction"] - rows["target"], rows["group"])
    assert (site["bias_low"], site["bias_high"]) == pytest.approx((plain.low, plain.high))
    edges = label_edges(of.each["target"].to_numpy())
    (region, *_) = label_rows(of)
    rows = table.filter(pl.col("target") < edges[1])
    judge = seeds_interval(rows["prediction"] - rows["target"], rows["group"], rows["seed"])
    assert (region["mae_low"], region["mae_high"]) == pytest.approx((judge.low, judge.high))
    shown = plots(table)
    for name in ("agreement", "bias", "site"):
        assert "for these models; not over seeds" in shown[name].caption
        assert "not over seeds" not in plots(predicted(images=2))[name].caption
    assert "limits are of the predictions of all models" in shown["agreement"].caption


def apart(predictions: pl.DataFrame) -> pl.DataFrame:
    """Seeds that differ: each later one is wrong by more."""
    return predictions.with_columns(prediction=pl.col("prediction") + 4 * pl.col("seed"))


def test_bland_altman_draws_the_formula(predicted: Any) -> None:
    table = predicted()
    plot = plots(table)["agreement"]
    error = (table["prediction"] - table["target"]).to_numpy()
    limits = [error.mean() + k * 1.96 * error.std(ddof=1) for k in (0, -1, 1)]
    assert all(f" {number(limit)} (" in plot.caption for limit in limits)
    assert "by the formula of Bland and Altman 1999" in plot.caption
    middle = np.sort((table["prediction"] + table["target"]).to_numpy() / 2)
    np.testing.assert_allclose(np.sort(plot.data["mean"].to_numpy()), middle)
    assert "bootstrap over patients" in plots(predicted(images=2))["agreement"].caption


def test_label_regions_hold_every_sample_once_and_about_equally_many(predicted: Any) -> None:
    of = samples(predicted(seeds=2), "test")
    target = of.each["target"].to_numpy()
    edges = label_edges(target)
    counts = np.bincount(regions(target, edges))
    assert counts.tolist() == [10] * 6
    rows = label_rows(of)
    assert sum(row["n"] for row in rows) == 60
    for row in rows:
        below = float(np.nextafter(row["to"], row["to"] + (row["to"] == edges[-1]) - 0.5))
        inside = pl.col("target").is_between(row["from"], below)
        error = of.rows.filter(inside)["error"].to_numpy()
        assert row["mae"] == pytest.approx(np.abs(error).mean())
        assert row["bias"] == pytest.approx(error.mean())
        assert row["mae_low"] < row["mae"] < row["mae_high"]


@pytest.mark.parametrize(
    ("targets", "counts"),
    [
        (np.zeros(100), []),
        (np.arange(15.0), []),
        (np.repeat([1.0, 2.0, 3.0], 20), [20, 20, 20]),
        (np.r_[np.zeros(50), np.arange(1.0, 51)], [50, 16, 17, 17]),
    ],
)
def test_regions_of_labels_with_ties_are_never_empty(targets: Any, counts: list[int]) -> None:
    edges = label_edges(targets)
    assert (np.diff(edges) > 0).all()
    found = np.bincount(regions(targets, edges)).tolist() if len(edges) > 2 else []
    assert found == counts


def test_the_slope_shows_how_far_predictions_are_drawn_to_the_mean(predicted: Any) -> None:
    table = predicted(n=200)
    data = plots(table)["bias"].data
    error = table["prediction"] - table["target"]
    assert data["slope"][0] == pytest.approx(stats.linregress(table["target"], error).slope)
    assert data["slope_low"][0] < -1 / 3 < data["slope_high"][0]
    assert data["bias"][0] > 0 > data["bias"][-1]
    flat = plots(table.with_columns(prediction=pl.lit(50.0)))["bias"]
    assert flat.data["slope"][0] == pytest.approx(-1)
    assert "All predictions are equal." in flat.caption


def test_a_calibrated_model_has_the_slope_that_the_caption_expects(predicted: Any) -> None:
    g = np.random.default_rng(0)
    prediction = g.normal(50, 8, 4000)
    table = predicted(n=4000).with_columns(
        prediction=pl.Series(prediction), target=pl.Series(prediction + g.normal(0, 6, 4000))
    )
    slope = plots(table)["bias"].data["slope"][0]
    assert slope == pytest.approx(64 / (64 + 36) - 1, abs=0.02)


def test_sites_have_their_own_errors_and_the_smallest_of_many_stand_together(
    predicted: Any,
) -> None:
    table = predicted(n=90)
    rows, joined = part_rows(samples(table, "test"), "site")
    assert (joined, [row["site"] for row in rows]) == (0, ["Leeds", "Porto", "Turku"])
    for row in rows:
        own = table.filter(pl.col("site") == row["site"])
        assert row["mae"] == pytest.approx(mean_absolute_error(own["target"], own["prediction"]))
        assert row["n"] == 30
    many = table.with_columns(site=pl.Series([f"s{min(i // 3, 24):02d}" for i in range(90)]))
    rows, joined = part_rows(samples(many, "test"), "site")
    assert joined == 6
    assert (rows[-1]["site"], rows[-1]["n"]) == ("6 others", 18)
    assert sum(row["n"] for row in rows) == 90


def test_samples_without_a_site_are_a_part_of_their_own(predicted: Any) -> None:
    table = predicted().with_columns(site=pl.when(pl.col("site") != "Porto").then("site"))
    assert plots(table)["site"].data["site"].to_list() == ["Leeds", "Turku", "not known"]


def test_a_name_is_shown_as_it_is_written(predicted: Any) -> None:
    site = pl.when(pl.col("site") == "Porto").then(pl.lit("$_{<&$")).otherwise("site")
    plot = plots(predicted().with_columns(site=site))["site"]
    assert "$_{&lt;&amp;$ (20)" in plot.svg()
    assert plot.png()
    assert plot.pdf()


def test_missing_predictions_are_counted_not_dropped_in_silence(predicted: Any) -> None:
    holes = pl.when(pl.col("id") > "image-0003").then("prediction")
    table = predicted().with_columns(prediction=holes)
    table[0, "target"] = float("nan")
    for name, plot in plots(table).items():
        if name != "sex":
            assert "4 predictions left out: missing or not finite" in plot.caption


def test_a_sample_that_lacks_a_seed_is_told_of(predicted: Any) -> None:
    table = predicted(seeds=2).head(119)
    assert "some samples lack the prediction of a seed" in plots(table)["predicted"].caption


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        (
            {"prediction": None},
            {"predicted": r"0 on the test split (60 missing", "sex": "At least"},
        ),
        ({"prediction": float("nan")}, {"agreement": "60 missing or not finite"}),
        ({"split": "val"}, {"predicted": "0 on the test split."}),
        ({"target": 5.0}, {"regions": "apart in their true values", "bias": "label regions"}),
        ({"group": "one"}, {"agreement": "need two patients"}),
        ({"site": "Leeds"}, {"site": "All samples are of one site."}),
        ({"site": None}, {"site": "No site is recorded."}),
        ({}, {"sex": "No sex is recorded."}),
    ],
)
def test_what_cannot_be_shown_says_why(
    predicted: Any, change: dict[str, Any], reasons: dict[str, str]
) -> None:
    table = predicted()
    columns = [pl.lit(v, dtype=table.schema[name]).alias(name) for name, v in change.items()]
    found = plots(table.with_columns(columns))
    assert len(found) == len(FIGURES)
    for name, reason in reasons.items():
        assert isinstance(found[name], NotShown)
        assert reason in found[name].reason


def test_the_worst_cases_are_those_of_a_plain_sort(predicted: Any) -> None:
    table = predicted(seeds=2)
    found = worst_cases(table, 4, ids=True)
    errors = {
        name: float(np.mean([abs(p - t) for p, t in part.select("prediction", "target").rows()]))
        for (name,), part in table.group_by("id")
    }
    assert found["id"].to_list() == sorted(errors, key=lambda name: -errors[name])[:4]
    assert found["case"].to_list() == [f"case {k}" for k in range(1, 5)]
    assert found["absolute_error"].is_sorted(descending=True)


def test_worst_cases_name_nobody_unless_asked_and_every_dataset_has_its_own(predicted: Any) -> None:
    both = pl.concat([predicted(), predicted(seed=1).with_columns(dataset=pl.lit("other"))])
    found = worst_cases(both, 3)
    assert not {"id", "group"} & set(found.columns)
    assert found["dataset"].to_list() == ["made"] * 3 + ["other"] * 3
    assert "image-" not in found.write_csv()
    assert "patient-" not in found.write_csv()
    assert worst_cases(both.head(0)).is_empty()
    assert worst_cases(both, 3, split="val").is_empty()
