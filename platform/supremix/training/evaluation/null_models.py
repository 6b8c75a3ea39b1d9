"""Models that look at no image, whose errors a model has to be below to have learned anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from supremix.training.data.trial_data import Positions, TrialData

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class NullModels:
    """Models without an image, fitted to the samples that a trial is fitted to.

    Args:
        median: Median of the fitted labels, in the task's unit.
        linear: Constant and K coefficients of the standardised covariates; empty where the dataset
            has none.
    """

    median: float
    linear: tuple[float, ...]

    @classmethod
    def fit(cls, data: TrialData) -> NullModels:
        """The models of a trial's data."""
        labels = data.store.targets[data.fit].astype(np.float64)
        linear: Array = np.zeros(0)
        if data.card.covariates:
            linear = least_absolute(_with_ones(data.covariates.numpy()[data.fit]), labels)
        return cls(median=float(np.median(labels)), linear=tuple(linear.tolist()))

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> NullModels:
        """Those that a model's description keeps, see `training_facts`."""
        return cls(median=facts["median"], linear=tuple(facts["linear"]))

    def predict(self, covariates: NDArray[Any]) -> dict[str, Array]:
        """Predictions for standardised covariates (N, K).

        Returns:
            Columns (N,) in the task's unit: `null_prediction`, the median, and
            `linear_prediction`, linear in the covariates; NaN where the dataset has none.
        """
        linear = np.full(len(covariates), np.nan)
        if self.linear:
            linear = _with_ones(covariates) @ np.array(self.linear)
        median = np.full(len(covariates), self.median)
        return {"null_prediction": median, "linear_prediction": linear}


def null_predictions(data: TrialData, positions: Positions) -> dict[str, Array]:
    """Predictions of `NullModels` of a trial's data, for samples (N,) of its store."""
    return NullModels.fit(data).predict(data.covariates.numpy()[positions])


def _with_ones(covariates: NDArray[Any]) -> Array:
    return np.column_stack([np.ones(len(covariates)), covariates.astype(np.float64)])


def least_absolute(inputs: Array, labels: Array) -> Array:
    """The coefficients with the least sum of absolute errors, as of a median regression.

    Not those of least squares: models are compared by their mean absolute error, and of a constant
    alone these are the median. Solved as its dual linear program (Koenker and Bassett 1978), which
    has a variable a sample and a constraint a coefficient.

    Args:
        inputs: (N, K), a column of ones among them.
        labels: (N,).

    Returns:
        (K,) coefficients.
    """
    from scipy import optimize  # late: it is slow to import

    # scipy's stubs do not know what the solver returns.
    solved = cast("Any", optimize.linprog)(
        -labels, A_eq=inputs.T, b_eq=np.zeros(inputs.shape[1]), bounds=(-1, 1), method="highs"
    )
    return -solved.eqlin.marginals
