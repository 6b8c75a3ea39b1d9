"""Models that look at no image, whose errors a model has to be below to have learned anything."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from supremix.training.data.trial_data import Positions, TrialData

Array = NDArray[np.float64]


def null_predictions(data: TrialData, positions: Positions) -> dict[str, Array]:
    """Predictions of models without an image, fitted to the samples that the trial is fitted to.

    Args:
        data: The samples.
        positions: (N,) indices in the store of the samples to predict.

    Returns:
        Columns (N,) in the task's unit: `null_prediction`, the median of the fitted labels, and
        `linear_prediction`, linear in the covariates; NaN where the dataset has none.
    """
    labels = data.store.targets[data.fit].astype(np.float64)
    median, linear = (np.full(len(positions), value) for value in (np.median(labels), np.nan))
    if data.card.covariates:
        inputs = data.covariate_scale.standardise(data.store.covariates).double().numpy()
        inputs = np.column_stack([np.ones(len(inputs)), inputs])
        linear = inputs[positions] @ least_absolute(inputs[data.fit], labels)
    return {"null_prediction": median, "linear_prediction": linear}


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
    # scipy's stubs do not know what the solver returns.
    solved = cast("Any", optimize.linprog)(
        -labels, A_eq=inputs.T, b_eq=np.zeros(inputs.shape[1]), bounds=(-1, 1), method="highs"
    )
    return -solved.eqlin.marginals
