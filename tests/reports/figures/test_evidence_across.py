"""Searches over several datasets and methods beside each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from supremix_reports.figures.plot import NotShown, Plot
from supremix_reports.figures.search.across import across_plots, importance_rows, relative_errors
from supremix_reports.figures.search.across_budget import budget_gaps, method_gaps
from supremix_reports.figures.search.across_sensitivity import across_sensitivity_plot
from supremix_reports.figures.search.curves import best_so_far
from supremix_reports.figures.search.importance import importances
from supremix_reports.figures.search.trials import search_trials

CELLS = [("one", "l1"), ("one", "supremix"), ("two", "l1"), ("two", "supremix")]


@pytest.fixture
def trials(search: Any) -> pl.DataFrame:
    return pl.concat(
        search(*cell, n=16, seed=k, scale=1 + 9 * (cell[0] == "two"))[0]
        for k, cell in enumerate(CELLS)
    )


def test_two_datasets_and_methods_show_everything_and_twice_the_same(trials: pl.DataFrame) -> None:
    one, other = across_plots(trials), across_plots(trials.reverse())
    assert [plot.name for plot in one] == [
        "across-errors", "across-budget", "across-l1-importance", "across-l1-sensitivity",
        "across-supremix-importance", "across-supremix-sensitivity",
    ]  # fmt: skip
    for first, second in zip(one, other, strict=True):
        assert isinstance(first, Plot)
        assert isinstance(second, Plot)
        assert first.svg() == second.svg()
        assert first.data.equals(second.data)
        assert first.caption
        assert first.alt


def test_errors_are_over_the_least_of_their_dataset(trials: pl.DataFrame) -> None:
    rows = relative_errors(trials)
    own = trials.filter(pl.col("state") == "finished", pl.col("replicate_of").is_null())
    least = dict(own.group_by("dataset").agg(pl.col("error").min()).iter_rows())
    assert rows.height == own.height
    for row in rows.to_dicts():
        assert row["relative_error"] == pytest.approx(row["error"] / least[row["dataset"]])
    assert rows.group_by("dataset").agg(pl.col("relative_error").min())[
        "relative_error"
    ].to_list() == [1.0, 1.0]


def test_a_unit_of_another_size_changes_no_ratio(trials: pl.DataFrame) -> None:
    longer = trials.with_columns(
        error=pl.when(pl.col("dataset") == "two").then(pl.col("error") * 25.4).otherwise("error")
    )
    for one, other in (
        (relative_errors(trials)["relative_error"], relative_errors(longer)["relative_error"]),
        (budget_gaps(trials)["gap"], budget_gaps(longer)["gap"]),
    ):
        np.testing.assert_allclose(one, other)


def test_gaps_are_those_of_a_plain_walk_through_the_budget(trials: pl.DataFrame) -> None:
    gaps = budget_gaps(trials)
    least = {
        dataset: part.filter(pl.col("state") == "finished", pl.col("replicate_of").is_null())[
            "error"
        ].min()
        for (dataset,), part in trials.group_by("dataset")
    }
    for (dataset, method), part in trials.group_by("dataset", "method"):
        rows = best_so_far(search_trials(part, None)).to_dicts()
        own = gaps.filter(pl.col("dataset") == dataset, pl.col("method") == method)
        for share, gap in own.select("share", "gap").iter_rows():
            spent = share * rows[-1]["spent_epochs"]
            best = [r["best_error"] for r in rows if r["spent_epochs"] <= spent + 1e-9][-1]
            assert gap == pytest.approx(best / least[dataset])


def test_a_line_of_a_method_is_the_mean_over_its_datasets(
    trials: pl.DataFrame, search: Any
) -> None:
    third = search("three", "l1", n=16, seed=9)[0]
    gaps = budget_gaps(pl.concat([trials, third]))
    lines = method_gaps(gaps)
    for row in lines.to_dicts():
        at = gaps.filter(pl.col("method") == row["method"], pl.col("share") == row["share"])["gap"]
        assert row["searches"] == len(at) == {"l1": 3, "supremix": 2}[row["method"]]
        numbers = (row["gap"], row["low"], row["high"])
        assert numbers == pytest.approx((at.mean(), at.min(), at.max()))
    assert lines.filter(pl.col("share") == 1.0)["low"].min() == 1.0


def test_the_map_holds_the_importances_of_each_dataset(trials: pl.DataFrame) -> None:
    own = trials.filter(pl.col("method") == "l1")
    parts = {d: search_trials(own.filter(pl.col("dataset") == d), None) for d in ("one", "two")}
    rows = importance_rows(parts)
    for dataset, of in parts.items():
        expected = {
            r["parameter"]: r["importance"] for r in importances(of) if r["evaluator"] == "fANOVA"
        }
        found = rows.filter(pl.col("dataset") == dataset)
        assert dict(found.select("parameter", "importance").iter_rows()) == expected


def test_relative_errors_along_a_parameter_are_medians_of_bins(trials: pl.DataFrame) -> None:
    plot = across_sensitivity_plot(trials.filter(pl.col("method") == "l1"))
    rows = plot.data.filter(pl.col("parameter") == "batch_size")
    own = relative_errors(trials.filter(pl.col("method") == "l1")).join(
        trials.select("run", "trial", "config"), on=["run", "trial"]
    )
    typical = own.with_columns(
        pl.col("error") / pl.col("error").median().over("dataset"),
        value=pl.col("config").str.json_path_match("$.batch_size"),
    )
    expected = dict(typical.group_by("value").agg(pl.col("error").median()).iter_rows())
    assert dict(rows.select("value", "relative_error").iter_rows()) == pytest.approx(expected)
    assert rows["trials"].sum() == own.height
    assert rows["low"].null_count() == rows.height, "two datasets are too few to draw from"


def test_what_needs_two_of_them_says_so(trials: pl.DataFrame) -> None:
    found = {p.name: p for p in across_plots(trials.filter(pl.col("run") == "one/l1"))}
    assert all(isinstance(plot, NotShown) for plot in found.values())
    assert "there is one" in found["across-errors"].reason
    assert "l1 has 1" in found["across-l1-importance"].reason
    assert "Two datasets with three finished trials" in found["across-l1-sensitivity"].reason


def test_datasets_that_cannot_be_shown_are_named(trials: pl.DataFrame, search: Any) -> None:
    failed = search("three", "l1", n=4)[0].with_columns(state=pl.lit("failed"))
    own = pl.concat([trials.filter(pl.col("method") == "l1"), failed])
    for plot in across_plots(own):
        assert isinstance(plot, Plot)
        assert ": three." in plot.caption


def test_settings_that_cannot_be_read_hide_only_their_method(trials: pl.DataFrame) -> None:
    broken = pl.when(pl.col("method") == "l1").then(pl.lit("{")).otherwise("config")
    found = {p.name: p for p in across_plots(trials.with_columns(config=broken))}
    assert "not JSON" in found["across-l1-importance"].reason
    assert isinstance(found["across-supremix-importance"], Plot)
    assert isinstance(found["across-errors"], Plot)
