"""Methods against a reference, with plain loops and scipy as judges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.stats

from supremix_reports import (
    StatisticsError,
    average_gain,
    compare_methods,
    read_table,
    write_table,
)
from supremix_reports.statistics.comparing.comparisons import holm
from supremix_reports.tables import schema

IMAGES, PATIENTS = 60, 24


def predictions(
    methods: dict[str, float], *, dataset: str = "d", seeds: Sequence[int] = (0, 1, 2)
) -> pl.DataFrame:
    """Of methods whose errors are as large as said, on the same images of the dataset."""
    generator = np.random.default_rng(sum(map(ord, dataset)))
    target, shared = generator.uniform(0, 50, IMAGES), generator.normal(0, 3, IMAGES)
    owners = generator.integers(0, PATIENTS, IMAGES)
    rows = [
        {
            "run": "r", "dataset": dataset, "method": method, "trial": 0, "seed": seed,
            "split": "test", "id": f"i{i}", "group": f"p{owners[i]}", "target": target[i],
            "prediction": target[i] + size * factor * (shared[i] + generator.normal(0, 1)),
        }
        for method, size in methods.items()
        for seed in seeds
        for factor in [math.exp(0.03 * generator.normal())]
        for i in range(IMAGES)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def errors_of(table: pl.DataFrame, method: str) -> Any:
    part = table.filter(pl.col("method") == method).sort("seed", "id")
    errors = (part["prediction"] - part["target"]).abs().to_numpy()
    return errors.reshape(part["seed"].n_unique(), -1)


def seeds_variance(errors: Any, owners: Any) -> float:
    """Variance of the mean by seeds, from pseudo-values by leaving patients out."""
    seeds, names = len(errors), np.unique(owners)
    own = errors.mean(axis=1)
    pseudo = np.array(
        [
            [len(names) * m - (len(names) - 1) * row[owners != name].mean() for name in names]
            for m, row in zip(own, errors, strict=True)
        ]
    )
    rest = pseudo - pseudo.mean(0) - pseudo.mean(1, keepdims=True) + pseudo.mean()
    interaction = (rest**2).sum() / ((seeds - 1) * (len(names) - 1)) / len(names)
    return float(own.var(ddof=1) - interaction) / seeds


def test_difference_interval_and_gain_equal_plain_loops() -> None:
    table = predictions({"a": 0.8, "b": 1.0})
    row = compare_methods(table, reference="b", resamples=200, seed=5, level=0.9).to_dicts()[0]
    a, b = errors_of(table, "a"), errors_of(table, "b")
    owners = table.filter(pl.col("method") == "a", pl.col("seed") == 0).sort("id")["group"]
    names = np.unique(owners.to_numpy())
    members = [np.flatnonzero(owners.to_numpy() == name) for name in names]
    generator, values = np.random.default_rng(5), []
    for _ in range(200):
        chosen = generator.integers(0, len(names), len(names))
        rows = np.concatenate([members[i] for i in chosen])
        values.append(float(a[:, rows].mean() - b[:, rows].mean()))
    size = len(names)
    tail = scipy.stats.norm.sf(scipy.stats.t(size - 1).isf(0.05) * math.sqrt(size / (size - 1)))
    low, high = np.quantile(values, [tail, 1 - tail])
    parts = [seeds_variance(errors, owners.to_numpy()) for errors in (a, b)]
    above = [max(part, 0.0) for part in parts]
    assert sum(parts) > 0
    freedom = sum(above) ** 2 / sum(part**2 / 2 for part in above)
    half = scipy.stats.t(freedom).isf(0.05) * math.sqrt(sum(parts))
    difference = a.mean() - b.mean()
    assert row["difference"] == pytest.approx(difference)
    assert row["difference_low"] == pytest.approx(difference - math.hypot(difference - low, half))
    assert row["difference_high"] == pytest.approx(difference + math.hypot(high - difference, half))
    assert row["gain"] == pytest.approx(100 * (b.mean() - a.mean()) / b.mean())
    assert row["gain_low"] < row["gain"] < row["gain_high"]
    assert (row["seeds"], row["groups"], row["n"]) == (3, size, IMAGES)


def test_p_is_wilcoxons_over_patients() -> None:
    table = predictions({"a": 0.9, "b": 1.0})
    row = compare_methods(table, reference="b", resamples=100).to_dicts()[0]
    per_patient = (
        table.with_columns((pl.col("prediction") - pl.col("target")).abs().alias("e"))
        .group_by("group", "method")
        .agg(pl.col("e").mean())
        .pivot("method", index="group", values="e")
    )
    judge = scipy.stats.wilcoxon(per_patient["a"].to_numpy(), per_patient["b"].to_numpy())
    assert row["p"] == pytest.approx(judge.pvalue)


def test_the_larger_of_both_p_values_is_corrected_for_all_comparisons() -> None:
    table = pl.concat(
        predictions({"a": 0.5, "b": 0.97, "c": 1.0, "m": 1.3}, dataset=name) for name in ("x", "y")
    )
    found = compare_methods(table, reference="c", resamples=999)
    joint = np.maximum(found["p"].to_numpy(), found["p_bootstrap"].to_numpy())
    assert found["p_adjusted"].to_list() == pytest.approx(holm(joint.tolist()))
    assert found["significant"].to_list() == [p <= 0.05 for p in found["p_adjusted"]]
    assert set(found["significant"]) == {True, False}
    plain = compare_methods(table, reference="c", resamples=999, correction="none")
    assert plain["p_adjusted"].to_list() == pytest.approx(joint.tolist())


def test_holms_correction_is_the_closed_test_of_bonferronis() -> None:
    # The largest, over all sets of hypotheses that a hypothesis is in, of Bonferroni's p value.
    p = np.random.default_rng(0).uniform(0, 0.3, 7) ** 2
    for k, corrected in enumerate(holm(p.tolist())):
        sets = [[i for i in range(7) if code >> i & 1] for code in range(1, 2**7) if code >> k & 1]
        judge = max(min(1.0, len(chosen) * p[chosen].min()) for chosen in sets)
        assert corrected == pytest.approx(judge)
    assert holm([]) == []


def test_the_interval_excludes_zero_where_the_bootstraps_p_is_below() -> None:
    table = pl.concat(
        predictions({"a": 0.9, "b": 0.95, "c": 1.0, "m": 1.1}, dataset=name) for name in "uvwxyz"
    )
    found = compare_methods(table, reference="c", resamples=999)
    apart = (pl.col("difference_low") > 0) | (pl.col("difference_high") < 0)
    assert found.select(apart).to_series().to_list() == [p < 0.05 for p in found["p_bootstrap"]]


def one(table: pl.DataFrame, **settings: Any) -> dict[str, Any]:
    rows = compare_methods(table, reference="b", resamples=100, **settings).to_dicts()
    assert len(rows) == 1
    return rows[0]


VERDICT = ("p", "p_bootstrap", "p_adjusted", "significant")
A, B, SEED = pl.col("method") == "a", pl.col("method") == "b", pl.col("seed")
FIRST = (pl.col("id") == "i0") & (SEED == 0)


def put(table: pl.DataFrame, where: pl.Expr, value: float | None, name: str) -> pl.DataFrame:
    return table.with_columns(pl.when(where).then(value).otherwise(pl.col(name)).alias(name))


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda t: t.filter(B | (SEED == 0)), "one seed"),
        (lambda t: t.filter(SEED == 1), "one seed"),
        (lambda t: put(t, A, 7.0, "prediction"), "all predictions equal"),
        (lambda t: put(t, B & (SEED == 2), 7.0, "prediction"), "reference: all predictions equal"),
        (lambda t: t.with_columns(group=pl.lit("p")), "one patient"),
    ],
)
def test_without_a_verdict_the_numbers_stand_and_the_note_says_why(change: Any, note: str) -> None:
    row = one(change(predictions({"a": 0.5, "b": 1.0})))
    assert row["note"] == note
    assert [row[name] for name in VERDICT] == [None] * 4
    assert row["difference"] is not None
    assert (row["difference_low"] is None) == (note == "one patient")


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda t: t.filter(B | (pl.col("id") != "i3")), "other samples than the reference"),
        (lambda t: put(t, A & (pl.col("id") == "i3"), 9.0, "target"), "other samples than the"),
        (lambda t: put(t, FIRST & A, math.nan, "prediction"), "1 of 180 predictions are no finite"),
        (lambda t: put(t, FIRST & B, None, "prediction"), "reference: 1 of 180 predictions are no"),
        (lambda t: pl.concat([t, t.filter(FIRST, A)]), "several predictions of a sample by one"),
        (lambda t: t.filter(~(FIRST & A)), "its seeds have other samples"),
    ],
)
def test_what_cannot_be_compared_is_not_and_the_note_says_why(change: Any, note: str) -> None:
    row = one(change(predictions({"a": 0.5, "b": 1.0})))
    assert note in row["note"]
    known = {"dataset", "method", "reference", "note"}
    assert {name for name, value in row.items() if value is not None} == known


def test_every_method_has_a_row_in_every_dataset() -> None:
    table = pl.concat([
        predictions({"a": 0.5, "b": 1.0}, dataset="x"), predictions({"c": 0.5}, dataset="y")
    ])  # fmt: skip
    found = compare_methods(table, reference="b", resamples=50, units={"x": "mm"})
    assert found.select("dataset", "method", "unit", "note").rows() == [
        ("x", "a", "mm", None),
        ("x", "c", "mm", "no predictions"),
        ("y", "a", None, "no predictions"),
        ("y", "c", None, "reference: no predictions"),
    ]


def test_equal_methods_differ_by_nothing() -> None:
    table = predictions({"a": 1.0})
    both = pl.concat([table, table.with_columns(pl.lit("b").alias("method"))])
    row = one(both)
    assert (row["difference"], row["p"], row["significant"]) == (0.0, 1.0, False)


def test_the_table_is_that_of_the_schema_and_can_be_stored(tmp_path: Path) -> None:
    found = compare_methods(predictions({"a": 0.5, "b": 1.0}), reference="b", resamples=50)
    assert tuple(found.columns) == schema.column_names("gains")
    write_table(str(tmp_path), "gains", found.to_dicts())
    assert read_table(str(tmp_path), "gains").equals(found)


def test_the_order_of_rows_does_not_matter() -> None:
    table = predictions({"a": 0.9, "b": 1.0, "c": 1.1})
    mixed = table.sample(fraction=1, shuffle=True, seed=3)
    settings: dict[str, Any] = {"reference": "b", "resamples": 200}
    assert compare_methods(table, **settings).equals(compare_methods(mixed, **settings))
    assert average_gain(table, **settings).equals(average_gain(mixed, **settings))


def test_what_cannot_be_asked_is_refused() -> None:
    table = predictions({"a": 0.5, "b": 1.0})
    with pytest.raises(StatisticsError, match=r"'z' is not among the methods .*: a, b\."):
        compare_methods(table, reference="z")
    with pytest.raises(StatisticsError, match=r"no predictions of the split 'val'.* Splits: test"):
        average_gain(table, reference="b", split="val")
    with pytest.raises(StatisticsError, match="holm, none; got 'fdr'"):
        compare_methods(table, reference="b", correction="fdr")
    with pytest.raises(StatisticsError, match="0 < level < 1"):
        compare_methods(table, reference="b", level=95)


class TestAverageGain:
    def test_it_is_the_mean_of_the_gains(self) -> None:
        table = pl.concat(
            predictions({"a": 0.7, "b": 1.0, "c": 1.2}, dataset=name) for name in ("x", "y", "z")
        )
        gains = compare_methods(table, reference="b", resamples=50)
        found = average_gain(table, reference="b", resamples=50)
        assert found["method"].to_list() == ["a", "c"]
        for row in found.iter_rows(named=True):
            judge = gains.filter(pl.col("method") == row["method"])["gain"].mean()
            assert row["gain"] == pytest.approx(judge)
            assert row["gain_low"] < row["gain"] < row["gain_high"]
            assert (row["datasets"], row["seeds"], row["note"]) == (3, 3, None)

    def test_its_interval_over_patients_equals_plain_loops(self) -> None:
        tables = [predictions({"a": 0.7, "b": 1.0}, dataset=n, seeds=[0]) for n in ("x", "y")]
        found = average_gain(pl.concat(tables), reference="b", resamples=200, seed=3).to_dicts()[0]
        drawn = np.zeros(200)
        sizes = []
        for k, table in enumerate(tables):
            a, b = errors_of(table, "a")[0], errors_of(table, "b")[0]
            owners = table.filter(pl.col("method") == "a").sort("id")["group"].to_numpy()
            names = np.unique(owners)
            generator = np.random.default_rng((3, k))
            for r in range(200):
                chosen = names[generator.integers(0, len(names), len(names))]
                rows = np.concatenate([np.flatnonzero(owners == name) for name in chosen])
                drawn[r] += 50 * (b[rows].sum() - a[rows].sum()) / b[rows].sum()
            sizes.append(len(names))
        size = min(sizes)
        tail = scipy.stats.norm.sf(
            scipy.stats.t(size - 1).isf(0.025) * math.sqrt(size / (size - 1))
        )
        judge = np.quantile(drawn, [tail, 1 - tail])
        assert (found["gain_low"], found["gain_high"]) == pytest.approx(judge)
        assert found["note"] == "one seed"

    def test_a_dataset_that_it_lacks_is_named(self) -> None:
        table = pl.concat([
            predictions({"a": 0.7, "b": 1.0}, dataset="x"), predictions({"b": 1.0}, dataset="y")
        ])  # fmt: skip
        row = average_gain(table, reference="b", resamples=50).to_dicts()[0]
        assert (row["datasets"], row["note"]) == (1, "without y: no predictions")

    def test_a_reference_without_errors_leaves_nothing_to_gain(self) -> None:
        row = average_gain(predictions({"a": 1.0, "b": 0.0}), reference="b").to_dicts()[0]
        assert (row["datasets"], row["gain"]) == (0, None)
        assert row["note"] == "without d: the reference makes no errors"
        assert one(predictions({"a": 1.0, "b": 0.0}))["gain"] is None
