"""The ridge probe: a linear readout of frozen features, solved in closed form.

Its ridge strength is picked by generalised cross-validation (Golub, Heath and Wahba 1979), which
needs one eigendecomposition for the whole grid: with U, s from the centred, scaled features X,
the residual of strength a is r = y - U f (U'y), f = s²/(s² + a), and

    GCV(a) = n |r|² / (n - 1 - Σ f)²

where the 1 stands for the intercept.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from supremix._errors import NonFiniteLossError, TrainingError

_GRID = tuple(10.0**exponent for exponent in (-6, -5, -4, -3, -2.5, -2, -1.5, -1, -0.5, 0, 1, 2))


@dataclass(frozen=True, kw_only=True, slots=True)
class Ridge:
    """A solution: prediction = features @ weight + bias.

    Attributes:
        weight: (F,) float64, bias: () float64, for features as they are (not standardised).
        alpha: the strength picked, of the penalty alpha * |w|² on standardised features.
    """

    weight: Tensor
    bias: Tensor
    alpha: float

    def predict(self, features: Tensor) -> Tensor:
        """(N, F) -> (N,) float64."""
        return features.double() @ self.weight + self.bias


def fit_ridge(features: Tensor, targets: Tensor, *, grid: tuple[float, ...] | None = None) -> Ridge:
    """Solve the ridge regression with intercept, its strength by generalised cross-validation.

    Args:
        features: (N, F), any float type; computed in float64. N >= 2. Columns are standardised
            inside, constant ones are ignored.
        targets: (N,).
        grid: strengths to try; by default 1e-6 to 100 times N, since a penalty on standardised
            features weighs against N ones on their diagonal.

    Raises:
        TrainingError: fewer than two samples.
        NonFiniteLossError: features that are not finite.
    """
    if len(features) < 2:
        raise TrainingError(f"a ridge probe needs at least 2 samples, found {len(features)}")
    if not bool(torch.isfinite(features).all()):
        raise NonFiniteLossError(
            "the features of the encoder are not finite: the training diverged; lower the "
            "learning rate"
        )
    x, centre, scale = _standardise(features.double())
    y = targets.double()
    alphas = x.new_tensor(grid or tuple(len(x) * share for share in _GRID))
    values, vectors = _spectrum(x)
    scores = vectors.T @ (y - y.mean())
    best = int(_gcv(values, scores, y, alphas).argmin())
    # w = V diag(s/(s²+a)) U'y, and V s = X'U, so V itself is never formed.
    solved = scores / (values + alphas[best])
    weight = (x.T @ (vectors @ solved)) / scale
    return Ridge(weight=weight, bias=y.mean() - centre @ weight, alpha=float(alphas[best]))


def _standardise(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    centre = x.mean(0)
    scale = x.std(0, correction=0)
    # A constant column, up to rounding, carries nothing; dividing by its spread would.
    dead = scale <= 1e-9 * (1 + centre.abs())
    scale = torch.where(dead, torch.ones_like(scale), scale)
    return torch.where(dead, torch.zeros_like(x), (x - centre) / scale), centre, scale


def _spectrum(x: Tensor) -> tuple[Tensor, Tensor]:
    """Squared singular values s² (R,) and left singular vectors U (N, R), rank R.

    By the eigenvectors of the smaller Gram matrix, which costs min(N, F)² max(N, F).
    """
    n, f = x.shape
    if n <= f:
        values, vectors = torch.linalg.eigh(x @ x.T)
    else:
        values, right = torch.linalg.eigh(x.T @ x)
        vectors = (x @ right) / values.clamp_min(1e-300).sqrt()
    # Directions below rounding are noise, and dividing by them above made garbage of them.
    kept = values > values[-1] * max(n, f) * torch.finfo(x.dtype).eps
    return values[kept], vectors[:, kept]


def _gcv(values: Tensor, scores: Tensor, y: Tensor, alphas: Tensor) -> Tensor:
    """The score of every strength, (A,)."""
    n = len(y)
    shrink = values / (values + alphas[:, None])
    outside = ((y - y.mean()) ** 2).sum() - (scores**2).sum()
    residual = outside.clamp_min(0) + (((1 - shrink) * scores) ** 2).sum(1)
    # With N <= F+1 and a tiny strength the fit is exact and the ratio is 0/0: never the choice.
    freedom = n - 1 - shrink.sum(1)
    gcv = n * residual / freedom.clamp_min(1e-12) ** 2
    return torch.where(freedom > 1e-6 * n, gcv, torch.full_like(gcv, float("inf")))
