"""Methods beside each other: paired differences against plain loops and scipy, the verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.stats

from supremix_reports import (
    MethodRun,
    ReportError,
    StatisticsError,
    comparison_rows,
    comparison_verdict,
    config_text,
    mae_interval,
    mae_rows,
    paired_difference,
    read_table,
    write_comparison,
    write_table,
)


@pytest.fixture
def pairs() -> tuple[Any, Any, Any]:
    """Return 60 errors of each of two methods on hard and easy samples, and uneven groups."""
    generator = np.random.default_rng(1)
    hard = 8 * generator.standard_normal(60)
    groups = np.array([f"g{i}" for i in generator.integers(0, 23, 60)])
    return hard + generator.standard_normal(60), hard + generator.standard_normal(60), groups


class TestPairedDifference:
    def test_it_is_the_difference_of_the_two_errors(self, pairs: tuple[Any, Any, Any]) -> None:
        a, b, groups = pairs
        interval = paired_difference(a, b, groups, resamples=10)
        assert interval.value == pytest.approx(np.abs(a).mean() - np.abs(b).mean())
        assert (interval.n, interval.groups) == (60, len(set(groups)))

    def test_it_equals_a_bootstrap_with_plain_loops(self, pairs: tuple[Any, Any, Any]) -> None:
        a, b, groups = pairs
        names = np.unique(groups)
        members = [np.flatnonzero(groups == name) for name in names]
        generator = np.random.default_rng(3)
        values: list[float] = []
        for _ in range(50):
            chosen = [members[i] for i in generator.integers(0, len(names), len(names))]
            rows = np.concatenate(chosen)
            values.append(float(np.abs(a[rows]).mean() - np.abs(b[rows]).mean()))
        interval = paired_difference(a, b, groups, level=0.9, resamples=50, seed=3)
        size = len(names)
        tail = scipy.stats.norm.sf(scipy.stats.t(size - 1).isf(0.05) * np.sqrt(size / (size - 1)))
        assert (interval.low, interval.high) == pytest.approx(np.quantile(values, [tail, 1 - tail]))

    def test_it_equals_scipy(self, pairs: tuple[Any, Any, Any]) -> None:
        a, b, _ = pairs
        wide = scipy.stats.t(59).isf(0.025) * np.sqrt(60 / 59)
        judge = scipy.stats.bootstrap(
            (np.abs(a), np.abs(b)),
            lambda x, y, axis: x.mean(axis) - y.mean(axis),
            paired=True,
            vectorized=True,
            method="percentile",
            confidence_level=1 - 2 * scipy.stats.norm.sf(wide),
            n_resamples=500,
            rng=np.random.default_rng(0),
        ).confidence_interval
        interval = paired_difference(a, b, np.arange(60), resamples=500)
        assert (interval.low, interval.high) == pytest.approx((judge.low, judge.high), rel=1e-12)

    def test_the_other_way_round_it_changes_its_sign(self, pairs: tuple[Any, Any, Any]) -> None:
        a, b, groups = pairs
        one, other = paired_difference(a, b, groups), paired_difference(b, a, groups)
        assert (one.value, one.low, one.high) == pytest.approx(
            (-other.value, -other.high, -other.low)
        )

    def test_against_no_error_it_is_the_interval_of_the_error(
        self, pairs: tuple[Any, Any, Any]
    ) -> None:
        a, _, groups = pairs
        assert paired_difference(a, np.zeros(60), groups) == mae_interval(a, groups)

    def test_equal_errors_leave_no_difference(self, pairs: tuple[Any, Any, Any]) -> None:
        a, _, groups = pairs
        interval = paired_difference(a, -a, groups)
        assert (interval.value, interval.low, interval.high) == (0, 0, 0)

    def test_pairing_makes_it_narrower_than_the_two_apart(
        self, pairs: tuple[Any, Any, Any]
    ) -> None:
        a, b, groups = pairs
        paired, apart = paired_difference(a, b, groups), mae_interval(a, groups)
        assert paired.high - paired.low < 0.5 * (apart.high - apart.low)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: paired_difference([1.0, 2.0], [1.0], [0, 1]), "2 errors of one but 1"),
            (lambda: paired_difference([1.0], [np.nan], [0]), "1 of them not finite"),
            (lambda: paired_difference([1.0], [1.0], [0, 1]), "1 samples but groups of shape"),
        ],
    )
    def test_bad_numbers_are_refused(self, call: Callable[[], object], message: str) -> None:
        with pytest.raises(StatisticsError, match=message):
            call()


GROUPS = [f"g{i // 2}" for i in range(40)]


def trial_rows(method: str, states: dict[str, int]) -> list[dict[str, Any]]:
    ends = [state for state, number in states.items() for _ in range(number)]
    return [
        {
            "run": method,
            "dataset": "hc18",
            "method": method,
            "trial": number,
            "state": state,
            "error": None if state == "failed" else 9.0 - number,
            "epochs": 4,
            "images_seen": 1200,
            "seconds": 30.0,
            "seed": 7,
            "config": config_text({"lr": 0.1}),
            "unit": "mm",
        }
        for number, state in enumerate(ends)
    ]


def prediction_rows(
    method: str, split: str, errors: Any, seeds: tuple[int, ...]
) -> list[dict[str, Any]]:
    return [
        {
            "run": method,
            "dataset": "hc18",
            "method": method,
            "trial": 1,
            "seed": seed,
            "split": split,
            "id": f"i{i:03d}",
            "group": f"g{i // 2}",
            "target": float(i),
            "prediction": i + float(error),
            "null_prediction": 20.0,
            "label_low": 0.0,
            "label_high": 40.0,
        }
        for seed in seeds
        for i, error in enumerate(errors)
    ]


def errors_of(shift: float, seed: int) -> Any:
    return shift + np.random.default_rng(seed).uniform(0, 1, 40)


def write_run(
    folder: Path,
    method: str,
    test: Any,
    val: Any = (1.0, 2.0, 3.0, 4.0),
    seeds: tuple[int, ...] = (7, 8),
) -> None:
    name = str(folder / method)
    write_table(name, "trials", trial_rows(method, {"finished": 2, "pruned": 3, "failed": 1}))
    rows = prediction_rows(method, "val", val, (7,)) + prediction_rows(method, "test", test, seeds)
    write_table(name, "predictions", rows)
    write_table(name, "mae", mae_rows(read_table(name, "predictions"), unit="mm"))


def read_run(folder: Path, method: str, reason: str | None = None) -> MethodRun:
    return MethodRun.read(
        str(folder), dataset="hc18", method=method, run=method, unit="mm", reason=reason
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A comparison whose methods are clearly apart; one failed, one is still to come."""
    write_run(tmp_path, "l1", errors_of(3.0, 0))
    write_run(tmp_path, "rnc", errors_of(1.0, 1))
    write_table(str(tmp_path / "sick"), "trials", trial_rows("sick", {"failed": 2}))
    return tmp_path


def all_of(folder: Path) -> list[MethodRun]:
    runs = [read_run(folder, name) for name in ("l1", "rnc", "later")]
    return [*runs, read_run(folder, "sick", "all 2 trials failed")]


def verdict_of(runs: list[MethodRun]) -> str:
    measures = [run.measures for run in runs if run.measures is not None]
    mae = pl.concat(measures) if measures else pl.DataFrame()
    return comparison_verdict(comparison_rows(runs), mae)


def test_a_row_says_what_a_method_came_to_and_what_it_took(folder: Path) -> None:
    rows = {row["method"]: row for row in comparison_rows(all_of(folder))}
    judge = mae_interval(errors_of(3.0, 0), GROUPS)
    l1 = rows["l1"]
    assert (l1["test"], l1["test_low"], l1["test_high"]) == pytest.approx(
        (judge.value, judge.low, judge.high)
    )
    assert (l1["val"], l1["n"], l1["groups"], l1["trial"]) == (2.5, 40, 20, 1)
    assert [l1[k] for k in ("finished", "pruned", "stopped", "failed")] == [2, 3, 0, 1]
    assert (l1["epochs"], l1["seconds"], l1["seed"]) == (24, 180.0, 7)
    assert (l1["images_seen"], l1["training_seconds"]) == (1200, 30.0)


def test_differences_are_to_the_least_error_on_the_same_samples(folder: Path) -> None:
    rows = {row["method"]: row for row in comparison_rows(all_of(folder))}
    judge = paired_difference(errors_of(3.0, 0), errors_of(1.0, 1), GROUPS, resamples=10_000)
    found = [rows["l1"][f"difference{end}"] for end in ("", "_low", "_high")]
    assert found == pytest.approx([judge.value, judge.low, judge.high])
    assert [rows["rnc"][f"difference{end}"] for end in ("", "_low", "_high")] == [0.0, None, None]


def test_rows_are_ordered_by_test_error_whatever_the_order_of_the_methods(folder: Path) -> None:
    runs = all_of(folder)
    rows = comparison_rows(runs)
    assert [row["method"] for row in rows[:2]] == ["rnc", "l1"]
    assert comparison_rows(runs[::-1])[:2] == rows[:2]


def test_methods_without_a_result_are_shown_with_the_reason(folder: Path) -> None:
    rows = {row["method"]: row for row in comparison_rows(all_of(folder))}
    assert rows["later"]["reason"] == "not searched yet"
    assert rows["sick"]["reason"] == "all 2 trials failed"
    assert (rows["sick"]["failed"], rows["sick"]["test"], rows["later"]["failed"]) == (2, None, 0)


def test_what_failed_is_told_also_where_there_is_a_part_of_a_result(folder: Path) -> None:
    run = read_run(folder, "rnc", "the second seed could not be trained")
    assert run.predictions is not None
    assert run.reason == "the second seed could not be trained"
    assert read_run(folder, "rnc", None).reason is None


def test_order_of_the_samples_does_not_matter(folder: Path, tmp_path: Path) -> None:
    runs = all_of(folder)[:2]
    known: Any = runs[0].predictions
    runs[0] = MethodRun(
        dataset="hc18", method="l1", run="l1", unit="mm", trials=runs[0].trials,
        predictions=known.reverse(), measures=runs[0].measures,
    )  # fmt: skip
    assert comparison_rows(runs) == comparison_rows(all_of(folder)[:2])


def test_methods_tested_on_different_samples_are_not_compared(folder: Path) -> None:
    write_run(folder, "short", errors_of(1.0, 1)[:-1])
    runs = [read_run(folder, name) for name in ("l1", "short")]
    with pytest.raises(ReportError, match=r"l1 and short were tested on different samples \(40"):
        comparison_rows(runs)


def test_a_clear_winner_is_named_with_what_it_rests_on(folder: Path) -> None:
    verdict = verdict_of(all_of(folder))
    assert "A winner is shown: rnc has the least test error" in verdict
    assert "significantly better than l1" in verdict
    assert "this split" in verdict


def test_a_difference_that_is_not_significant_shows_no_winner(folder: Path) -> None:
    write_run(folder, "twin", errors_of(1.0, 2))
    runs = [read_run(folder, name) for name in ("l1", "rnc", "twin")]
    verdict = verdict_of(runs)
    best, second = (row["method"] for row in comparison_rows(runs)[:2])
    assert f"No winner is shown: {best} has the least test error" in verdict
    assert f"but no significant difference to {second}." in verdict
    assert "significantly better than l1" in verdict


def test_one_group_shows_no_winner(folder: Path) -> None:
    runs = [
        MethodRun(
            dataset="hc18", method=run.method, run=run.run, unit="mm", trials=run.trials,
            predictions=known.with_columns(group=pl.lit("only")),
        )
        for run in all_of(folder)[:2]
        if (known := run.predictions) is not None
    ]  # fmt: skip
    assert comparison_rows(runs)[1]["difference_low"] is None
    assert "No winner is shown" in verdict_of(runs)


def test_without_two_test_errors_there_is_nothing_to_compare(folder: Path) -> None:
    runs = [read_run(folder, name) for name in ("rnc", "later")]
    assert "fewer than two methods" in verdict_of(runs)


def test_the_comparison_is_written_as_tables_and_a_page(folder: Path) -> None:
    table = write_comparison(str(folder), all_of(folder), {"dataset": "hc18", "epochs": 4})
    assert table["method"].to_list() == ["rnc", "l1", "later", "sick"]
    mae = read_table(str(folder), "mae").filter(pl.col("metric") == "mae")
    tests = dict(mae.filter(pl.col("split") == "test").select("method", "value").iter_rows())
    compared = dict(table.drop_nulls("test").select("method", "test").iter_rows())
    assert tests == pytest.approx(compared)
    page = (folder / "comparison.md").read_text()
    for part in ("# rnc, l1, later, sick on hc18", "A winner is shown", "| sick | all 2 trials"):
        assert part in page
    assert "| training median | 10 (" in page
    assert "| epochs | 4 |" in page
    assert "| 1,200 | 30 s |" in page


def test_a_comparison_of_which_nothing_is_done_can_be_written(tmp_path: Path) -> None:
    table = write_comparison(str(tmp_path), [read_run(tmp_path, "later")], {})
    assert table["reason"].to_list() == ["not searched yet"]
    assert read_table(str(tmp_path), "mae").is_empty()


def test_methods_whose_best_training_has_not_flattened_are_named_last(folder: Path) -> None:
    flat = [2.0 + 0.001 * (k % 3) for k in range(60)]
    slow = [2.0 + 10 * (k + 1) ** -0.5 for k in range(60)]
    for method, errors in (("l1", flat), ("rnc", slow)):
        rows = [
            {
                "run": method, "dataset": "hc18", "method": method, "trial": 1, "epoch": k + 1,
                "stage": "regress", "error": error, "loss": 0.5, "seconds": 1.0,
            }
            for k, error in enumerate(errors)
        ]  # fmt: skip
        write_table(str(folder / method), "curves", rows)
    rows = {row["method"]: row for row in comparison_rows(all_of(folder))}

    assert {name: row["convergence"] for name, row in rows.items()} == {
        "l1": "flattened", "rnc": "still falling", "later": None, "sick": None,
    }  # fmt: skip
    assert verdict_of(all_of(folder)).endswith(
        " Not shown to have flattened: rnc (still falling). Longer training may change the order."
    )
