"""The one rule about when a difference is shown, and that every view keeps to it."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import polars as pl
import pytest
from structure import PACKAGES

from supremix_reports import (
    MethodRun,
    average_gain,
    compare_methods,
    comparison_rows,
    comparison_verdict,
    mae_rows,
    rank_methods,
    skill_sentences,
)
from supremix_reports.report.sections.results import gains_sentences
from supremix_reports.summaries.verdicts import verdict

PATIENTS = 60
TARGET = np.random.default_rng(0).uniform(40, 60, PATIENTS)


def predicted(
    method: str,
    error: float,
    *,
    seeds: int = 3,
    noise: int | None = None,
    dataset: str = "brains",
    null: float | None = 50.0,
    splits: tuple[str, ...] = ("val", "test"),
) -> pl.DataFrame:
    """Predictions of a method that misses by `error` years, on the average."""
    generator = np.random.default_rng(len(method) if noise is None else noise)
    rows: list[dict[str, Any]] = []
    for split in splits:
        for seed in range(seeds if split == "test" else 1):
            miss = error * generator.choice([-1.0, 1.0], PATIENTS)
            miss *= generator.uniform(0.9, 1.1, PATIENTS)
            rows += [
                {
                    "run": method, "dataset": dataset, "method": method, "trial": 0, "seed": seed,
                    "split": split, "id": f"i{n:02d}", "group": f"g{n:02d}",
                    "target": TARGET[n], "prediction": TARGET[n] + miss[n],
                    "null_prediction": null, "label_low": 18.0, "label_high": 100.0,
                }
                for n in range(PATIENTS)
            ]  # fmt: skip
    return pl.DataFrame(rows)


class Views:
    """What each view says of two methods, a worse one and a better one."""

    def __init__(self, *tables: pl.DataFrame) -> None:
        every = pl.concat(tables)
        names = every["method"].unique(maintain_order=True).to_list()
        self.mae = pl.DataFrame(mae_rows(every, unit="years"), infer_schema_length=None)
        runs = [
            MethodRun(
                dataset="brains", method=name, run=name, unit="years",
                predictions=every.filter(pl.col("method") == name),
                measures=self.mae.filter(pl.col("method") == name),
            )
            for name in names
        ]  # fmt: skip
        self.comparison = comparison_verdict(comparison_rows(runs), self.mae)
        self.gains = compare_methods(every, reference=names[0])
        self.verdicts = [verdict(row) for row in self.gains.to_dicts()]
        averages = average_gain(every, reference=names[0])
        self.report = gains_sentences(self.gains, averages, names[0])


def test_a_clear_difference_of_skilled_methods_is_shown_in_every_view() -> None:
    views = Views(predicted("l1", 3.0), predicted("rnc", 1.0))

    assert views.comparison.startswith("A winner is shown: rnc")
    assert views.verdicts == ["better"]
    assert "significantly better on 1 of 1 dataset" in views.report[0]


def test_one_seed_shows_no_winner_in_any_view() -> None:
    views = Views(predicted("l1", 3.0, seeds=1), predicted("rnc", 1.0, seeds=1))

    assert views.comparison.startswith("No winner is shown: rnc has the least test error")
    assert "no verdict against l1 (one seed)" in views.comparison
    assert "--test-seeds" in views.comparison
    assert views.verdicts == ["no verdict: one seed"]
    assert "without a verdict on 1 of 1 dataset (one seed);" in views.report[0]


def test_one_seed_shows_no_ranks_that_differ() -> None:
    tables = [
        predicted(name, error, dataset=f"d{k}", seeds=1)
        for k in range(8)
        for name, error in (("l1", 3.0), ("rnc", 1.0))
    ]
    mae = pl.DataFrame(mae_rows(pl.concat(tables), unit="years"), infer_schema_length=None)
    ranks = rank_methods(mae)

    assert ranks.methods == ("rnc", "l1")
    assert (ranks.p, ranks.cliques) == (None, ())
    assert ranks.reason is not None
    assert "one seed" in ranks.reason


def test_ranks_leave_out_a_dataset_on_which_no_method_shows_skill() -> None:
    tables = [
        predicted(name, error * (9 if k == 2 else 1), dataset=f"d{k}")
        for k in range(4)
        for name, error in (("l1", 3.0), ("rnc", 1.0))
    ]
    mae = pl.DataFrame(mae_rows(pl.concat(tables), unit="years"), infer_schema_length=None)

    assert rank_methods(mae).left_out == (("d2", "no method shows skill"),)


def test_identical_predictions_show_no_winner() -> None:
    views = Views(predicted("l1", 3.0, noise=1), predicted("rnc", 3.0, noise=1))

    assert views.comparison.startswith("No winner is shown")
    assert "no significant difference to" in views.comparison
    assert views.verdicts == ["no significant difference"]


def test_methods_without_skill_are_named_first_and_none_of_them_wins() -> None:
    views = Views(predicted("l1", 20.0), predicted("rnc", 10.0))
    sentences = views.comparison.split(". ")

    assert views.gains["p_adjusted"][0] < 0.05
    assert sentences[0].startswith("l1 on brains (test) shows no skill: its error is")
    assert "rnc on brains (test) shows no skill" in views.comparison
    assert views.comparison.index("no skill") < views.comparison.index("winner")
    assert "A winner" not in views.comparison
    assert "the skill of the better one is not shown" in views.comparison
    assert views.verdicts == ["no verdict: the skill of the better one is not shown"]
    assert "significantly" not in views.report[0]
    assert "no mean gain" in views.report[0]


def test_a_method_with_skill_wins_over_one_without() -> None:
    views = Views(predicted("l1", 20.0), predicted("rnc", 1.0))

    assert "l1 on brains (test) shows no skill" in views.comparison
    assert "A winner is shown: rnc" in views.comparison
    assert views.verdicts == ["better"]


def test_a_model_that_only_knows_the_covariates_shows_no_skill() -> None:
    sexes = pl.col("target") + pl.when(pl.col("id") < "i30").then(2.0).otherwise(-2.0)
    tables = [
        predicted(*one).with_columns(linear_prediction=sexes) for one in (("l1", 3.0), ("rnc", 2.1))
    ]
    views = Views(*tables)

    assert "rnc on brains (test) shows no skill" in views.comparison
    assert "that of a linear model of the covariates, without images, 2 (" in views.comparison
    assert "A winner" not in views.comparison
    assert views.verdicts == ["no verdict: the skill of the better one is not shown"]


def test_a_median_that_is_as_good_leaves_no_skill() -> None:
    as_good = predicted("l1", 1.0).with_columns(prediction=pl.col("null_prediction"))
    (sentence,) = skill_sentences(pl.DataFrame(mae_rows(as_good, unit="years")))

    assert "(skill 0.00, 95 % interval 0.00 to 0.00)" in sentence


def test_without_a_test_split_it_is_said_of_validation() -> None:
    table = predicted("l1", 20.0, splits=("val",))
    (sentence,) = skill_sentences(pl.DataFrame(mae_rows(table, unit="years")))

    assert sentence.startswith("l1 on brains (validation) shows no skill")


def test_predictions_that_cannot_be_are_counted_and_the_range_is_said() -> None:
    table = predicted("l1", 1.0, seeds=2)
    odd = pl.when(pl.col("id") == "i03").then(113.0).otherwise(pl.col("prediction"))
    (sentence,) = skill_sentences(
        pl.DataFrame(mae_rows(table.with_columns(prediction=odd), unit="years"))
    )

    assert sentence == (
        "l1 on brains (test) has 2 of 120 predictions beyond the possible labels, 18 to 100 years."
    )


def test_where_it_is_not_recorded_nothing_is_said_of_skill() -> None:
    views = Views(predicted("l1", 20.0, null=None), predicted("rnc", 10.0, null=None))

    assert views.comparison.startswith("A winner is shown: rnc")


# Who tests, and who says what a test shows, in all the sources.
TESTING = {"statistics/comparing/comparisons.py", "statistics/comparing/ranks.py"}
SAYING = {"summaries/verdicts.py"}
BELOW_ZERO = {"statistics/measures/skill.py", "statistics/resampling/bootstrap.py"}
"""Who compares the end of an interval with 0: the skill's, and the p value of the bootstrap."""


def sources() -> dict[str, ast.Module]:
    return {
        path.relative_to(root).as_posix(): ast.parse(path.read_text())
        for root in (PACKAGES["supremix"], PACKAGES["supremix_reports"])
        for path in root.rglob("*.py")
    }


def named(node: ast.AST) -> str:
    return ast.unparse(node).lower()


def test_one_place_tests_differences() -> None:
    tests = {"wilcoxon", "p_value", "holm", "friedmanchisquare", "studentized_range"}
    found = {
        path
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and named(node.func).split(".")[-1].strip("_") in tests
    }

    assert found <= TESTING


def test_one_place_says_whether_there_is_a_winner() -> None:
    found = {
        path
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and "winner is shown" in node.value
    }

    # The two others explain the command and the attribute.
    assert found - {"cli/views/comparison.py", "benchmark/result.py"} == SAYING


@pytest.mark.parametrize("end", ["low", "high"])
def test_nobody_else_asks_whether_an_interval_reaches_zero(end: str) -> None:
    found = {
        path
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        and any(isinstance(one, ast.Constant) and one.value == 0 for one in node.comparators)
        and f"{end}" in named(node.left).replace("_", " ").replace("[", " ").split()
    }

    # In figures it is the end of an axis.
    assert {path for path in found if not path.startswith("figures/")} <= BELOW_ZERO
