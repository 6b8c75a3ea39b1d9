from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from supremix._errors import NonFiniteLossError, TrainingError
from supremix.training.evaluation.probe import fit_ridge


@pytest.mark.parametrize(("samples", "features"), [(80, 12), (30, 29), (25, 60)])
@pytest.mark.parametrize("noise", [0.1, 3.0])
def test_it_is_scikit_learns_ridge_with_generalised_cross_validation(
    samples: int, features: int, noise: float
) -> None:
    rng = np.random.default_rng(samples)
    x = rng.normal(size=(samples, features)) * rng.uniform(0.1, 10, features) + 3
    y = x @ rng.normal(size=features) + noise * rng.normal(size=samples) + 7
    grid = (0.1, 1.0, 10.0, 100.0, 1000.0)
    ours = fit_ridge(torch.from_numpy(x), torch.from_numpy(y), grid=grid)
    scaler = StandardScaler().fit(x)
    # scikit-learn's score is the leave-one-out error; hand it our strength and compare the fit.
    reference = RidgeCV(alphas=[ours.alpha]).fit(scaler.transform(x), y)
    np.testing.assert_allclose(
        ours.predict(torch.from_numpy(x)).numpy(), reference.predict(scaler.transform(x)), rtol=1e-8
    )
    assert ours.alpha == pytest.approx(gcv_choice(scaler.transform(x), y, grid))


def gcv_choice(x: np.ndarray, y: np.ndarray, grid: tuple[float, ...]) -> float:
    """By the definition: the hat matrix of every strength, with an intercept."""
    n = len(y)

    def score(alpha: float) -> float:
        centred = x - x.mean(0)
        inner = centred.T @ centred + alpha * np.eye(x.shape[1])
        hat = centred @ np.linalg.solve(inner, centred.T) + 1 / n
        return n * float(((y - hat @ y) ** 2).sum()) / (n - np.trace(hat)) ** 2

    return min(grid, key=score)


def test_the_picked_strength_is_near_what_leave_one_out_picks() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 40))
    y = x[:, 0] + 2 * rng.normal(size=60)
    grid = tuple(np.logspace(-2, 4, 13).tolist())
    ours = fit_ridge(torch.from_numpy(x), torch.from_numpy(y), grid=grid)
    reference = RidgeCV(alphas=list(grid)).fit(StandardScaler().fit_transform(x), y)
    assert abs(np.log10(ours.alpha / reference.alpha_)) <= 0.51


def test_constant_and_repeated_columns_do_no_harm() -> None:
    rng = np.random.default_rng(1)
    column = rng.normal(size=(50, 1))
    x = torch.from_numpy(np.hstack([column, column, np.full((50, 1), 4.2)]))
    y = 3 * x[:, 0] - 1
    np.testing.assert_allclose(fit_ridge(x, y).predict(x).numpy(), y.numpy(), atol=1e-4)


def test_features_without_any_spread_predict_the_mean() -> None:
    y = torch.tensor([1.0, 2.0, 6.0])
    assert fit_ridge(torch.ones(3, 2), y).predict(torch.ones(1, 2)).tolist() == [3.0]


def test_more_features_than_samples_are_not_interpolated() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(20, 200)), rng.normal(size=20)
    fitted = fit_ridge(torch.from_numpy(x), torch.from_numpy(y))
    assert fitted.predict(torch.from_numpy(x)).std() < 0.9 * y.std()


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(TrainingError, match="at least 2 samples, found 1"):
        fit_ridge(torch.ones(1, 2), torch.ones(1))
    with pytest.raises(NonFiniteLossError, match="not finite"):
        fit_ridge(torch.full((3, 2), torch.nan), torch.ones(3))
