"""What models without an image predict: the training median, and the best line of covariates."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from supremix.training import Task, TrialRun
from supremix.training.evaluation.null_models import least_absolute, null_predictions

GENERATOR = np.random.default_rng(5)


def absolute(inputs: np.ndarray, labels: np.ndarray, coefficients: np.ndarray) -> float:
    return float(np.abs(labels - inputs @ coefficients).sum())


@pytest.mark.parametrize("splits", [("train",), ("train", "val")])
def test_the_null_model_is_the_median_of_what_the_model_was_fitted_to(
    task: Task, splits: tuple[str, ...]
) -> None:
    data = TrialRun(dataclasses.replace(task, train_splits=splits, eval_split=None), {}).data
    columns = null_predictions(data, data.positions("test"))
    labels = data.store.targets[data.positions(*splits)]

    assert set(columns["null_prediction"]) == {np.median(labels)}


def test_of_a_share_of_the_labels_only_those_count(task: Task) -> None:
    data = TrialRun(dataclasses.replace(task, label_fraction=0.3), {}).data
    (median,) = set(null_predictions(data, data.positions("val"))["null_prediction"])

    assert median == np.median(data.store.targets[data.fit])
    assert len(data.fit) < len(data.positions("train"))


def test_on_its_training_data_the_linear_model_is_no_worse_than_the_median(task: Task) -> None:
    data = TrialRun(task, {}).data
    columns = null_predictions(data, data.fit)
    null, linear = (
        np.abs(columns[f"{name}_prediction"] - data.store.targets[data.fit]).mean()
        for name in ("null", "linear")
    )

    assert linear <= null + 1e-9


def test_a_line_of_least_absolute_errors_is_the_best_through_any_two_points() -> None:
    x, y = GENERATOR.standard_normal(15), GENERATOR.standard_normal(15)
    inputs = np.column_stack([np.ones(15), x])
    pairs = itertools.combinations(range(15), 2)
    best = min(
        absolute(inputs, y, np.linalg.solve(inputs[list(two)], y[list(two)])) for two in pairs
    )

    assert absolute(inputs, y, least_absolute(inputs, y)) == pytest.approx(best)


@pytest.mark.parametrize("number", [9, 10])
def test_of_a_constant_alone_it_is_a_median(number: int) -> None:
    labels = GENERATOR.standard_normal(number)
    (found,) = least_absolute(np.ones((number, 1)), labels)

    assert np.abs(labels - found).sum() == pytest.approx(
        np.abs(labels - np.median(labels)).sum(), rel=1e-9
    )


def test_covariates_that_say_the_same_twice_or_nothing_do_no_harm() -> None:
    x, y = GENERATOR.standard_normal(20), GENERATOR.standard_normal(20)
    once = np.column_stack([np.ones(20), x])
    again = np.column_stack([once, 2 * x, np.zeros(20)])

    assert absolute(again, y, least_absolute(again, y)) == pytest.approx(
        absolute(once, y, least_absolute(once, y))
    )


def test_without_covariates_there_is_no_linear_model(task: Task) -> None:
    data = TrialRun(task, {}).data
    data.store.card = dataclasses.replace(data.card, covariates=())
    columns = null_predictions(data, data.fit)

    assert np.isnan(columns["linear_prediction"]).all()
    assert np.isfinite(columns["null_prediction"]).all()
