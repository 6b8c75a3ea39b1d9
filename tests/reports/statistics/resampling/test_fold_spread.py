"""Intervals of pooled predictions: folds share training data, and their models differ."""

from __future__ import annotations

import numpy as np
import pytest

from supremix_reports.statistics.resampling.intervals import metric_interval, seeds_interval
from supremix_reports.statistics.resampling.seeds import folds_spread, seeds_spread, sums_of


def pooled(
    seed: int, *, models: float = 0.0, patients: int = 100, folds: int = 5, repeats: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Errors, patients, repeats and folds, where the models of folds differ by so much."""
    rng = np.random.default_rng(seed)
    hard = rng.exponential(size=patients)
    parts = []
    for repeat in range(repeats):
        fold = rng.permutation(np.arange(patients) % folds)
        error = 5 + hard + rng.normal(0, models, folds)[fold]
        parts.append((error, np.arange(patients), np.full(patients, repeat), fold))
    return tuple(np.concatenate(one) for one in zip(*parts, strict=True))  # type: ignore[return-value]


def test_the_spread_is_that_of_the_formula() -> None:
    error, patient, _, fold = pooled(0, models=1.0)
    means = [error[fold == k].mean() for k in range(5)]
    within = np.mean([error[fold == k].var(ddof=1) / 20 for k in range(5)])
    expected = (np.var(means, ddof=1) - within / 2) * (1 / 5 + 1 / 4)

    sums = sums_of(np.stack([np.ones_like(error), error], axis=1), patient, None, fold)
    found = seeds_spread(sums, lambda sums: sums[..., 1] / sums[..., 0])

    assert found.excess == pytest.approx(expected)
    assert found.freedom == 4


def test_repeats_are_averaged_and_shrink_what_models_add_but_for_the_shared_data() -> None:
    def excess(repeats: int) -> float:
        error, patient, seed, fold = pooled(1, models=2.0, repeats=repeats)
        sums = sums_of(np.stack([np.ones_like(error), error], axis=1), patient, seed, fold)
        assert sums.folds is not None
        spread = folds_spread(sums, sums.folds, lambda sums: sums[..., 1] / sums[..., 0])
        assert spread.freedom == repeats * 4
        return spread.excess

    # Nadeau and Bengio: 1 / J + n_test / n_train; the second part stays however many repeats.
    assert np.mean([excess(20)]) == pytest.approx(4 * (1 / 100 + 1 / 4), rel=0.3)


def test_folds_whose_models_differ_have_a_wider_interval_than_patients_alone() -> None:
    for models, wider in ((0.0, False), (1.0, True)):
        error, patient, seed, fold = pooled(2, models=models)
        alone = seeds_interval(error, patient, seed)
        joined = seeds_interval(error, patient, seed, folds=fold)
        assert joined.value == alone.value
        assert (joined.high - joined.low > 3 * (alone.high - alone.low)) is wider


def test_any_measure_has_the_spread_of_its_pseudo_values() -> None:
    rng = np.random.default_rng(3)
    target, fold = rng.normal(size=200), np.arange(200) % 5
    prediction = target + rng.normal(0, np.asarray([0.2, 0.2, 0.2, 2.0, 2.0])[fold])
    for metric in ("mae", "rmse", "r2", "pearson"):
        alone = metric_interval(metric, target, prediction, np.arange(200))
        joined = metric_interval(metric, target, prediction, np.arange(200), folds=fold)
        assert joined.low < alone.low < alone.value < alone.high < joined.high


def test_folds_of_one_patient_each_add_nothing() -> None:
    error, patient, seed, _ = pooled(4)
    assert seeds_interval(error, patient, seed, folds=patient) == seeds_interval(
        error, patient, seed
    )


@pytest.mark.parametrize("models", [0.0, 0.25, 1.0])
def test_the_interval_covers_the_expected_error_of_such_models(models: float) -> None:
    """The training of a fold is as good or bad by chance, correlated as shared data make it."""
    folds, patients, studies = 5, 60, 150
    share, covered = 1 / folds, 0
    fold = np.arange(patients) % folds
    for study in range(studies):
        rng = np.random.default_rng([7, study])
        luck = np.sqrt(share) * rng.normal() + np.sqrt(1 - share) * rng.normal(size=folds)
        error = 10 + rng.normal(size=patients) + models * luck[fold]
        names = np.arange(patients)
        found = seeds_interval(error, names, 0 * names, folds=fold, resamples=200)
        covered += found.low <= 10 <= found.high
    assert 100 * covered / studies >= 91


def test_a_cross_validation_of_real_models_covers_their_error() -> None:
    """Five nearest neighbours, in five folds: the error of these models on new patients."""
    covered = 0
    for study in range(100):
        rng = np.random.default_rng([11, study])
        x, new = rng.normal(size=80), rng.normal(size=1000)
        y, truth = (2 * v + rng.normal(size=v.size) for v in (x, new))
        fold = rng.permutation(80) % 5
        error, true = np.empty(80), []
        for k in range(5):
            own = fold != k
            error[~own] = _neighbours(x[own], y[own], x[~own]) - y[~own]
            true.append(np.abs(_neighbours(x[own], y[own], new) - truth).mean())
        names = np.arange(80)
        found = seeds_interval(error, names, 0 * names, folds=fold, resamples=200)
        covered += found.low <= np.mean(true) <= found.high
    assert 100 * covered / 100 >= 91


def _neighbours(x: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
    nearest = np.argsort(np.abs(x[None] - asked[:, None]), axis=1)[:, :5]
    return y[nearest].mean(axis=1)
