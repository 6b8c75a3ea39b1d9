"""MAE, RMSE, R² and Pearson's r in the unit of the task.

Predictions of all workers are gathered before anything is computed from them, so that a metric is
never an average of averages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

HIGHER_IS_BETTER = {"mae": False, "rmse": False, "r2": True, "pearson": True}
METRICS = tuple(HIGHER_IS_BETTER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """The four metrics; NaN where one is not defined (no sample, or no spread)."""

    mae: float
    rmse: float
    r2: float
    pearson: float


def regression_metrics(predictions: Tensor, targets: Tensor) -> Metrics:
    """The four metrics of predictions (N,) against targets (N,), computed in float64.

    They equal scikit-learn's `mean_absolute_error`, the root of `mean_squared_error`, `r2_score`
    and scipy's `pearsonr`; with N = 0 all are NaN.
    """
    if len(targets) == 0:
        return Metrics(mae=math.nan, rmse=math.nan, r2=math.nan, pearson=math.nan)
    p, t = predictions.double(), targets.double()
    error, dp, dt = p - t, p - p.mean(), t - t.mean()
    squared, pp, tt = ((x * x).sum() for x in (error, dp, dt))
    return Metrics(
        mae=float(error.abs().mean()),
        rmse=float((squared / len(t)).sqrt()),
        r2=float(1 - squared / tt) if tt > 0 else math.nan,
        pearson=float((dp * dt).sum() / (pp * tt).sqrt()) if pp * tt > 0 else math.nan,
    )
