from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from supremix.training.evaluation.metrics import regression_metrics


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_they_are_scikit_learns_and_scipys(offset: float) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=57) * 9 + offset
    guess = truth + rng.normal(size=57) * 4
    ours = regression_metrics(torch.from_numpy(guess), torch.from_numpy(truth))
    assert ours.mae == pytest.approx(mean_absolute_error(truth, guess), rel=1e-12)
    assert ours.rmse == pytest.approx(root_mean_squared_error(truth, guess), rel=1e-12)
    assert ours.r2 == pytest.approx(r2_score(truth, guess), rel=1e-9)
    assert ours.pearson == pytest.approx(pearsonr(truth, guess).statistic, rel=1e-9)


def test_a_constant_guess_has_no_correlation() -> None:
    ours = regression_metrics(torch.full((3,), 2.0), torch.tensor([1.0, 2.0, 3.0]))
    assert ours.r2 == 0
    assert math.isnan(ours.pearson)


def test_nothing_gives_nan() -> None:
    ours = regression_metrics(torch.zeros(0), torch.zeros(0))
    assert all(math.isnan(v) for v in (ours.mae, ours.rmse, ours.r2, ours.pearson))
