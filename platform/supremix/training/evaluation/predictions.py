"""Predictions next to the truth, as columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from supremix.training.data.trial_data import Positions, TrialData


def prediction_columns(
    data: TrialData, positions: Positions, predictions: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """id, group, target, prediction, site and sex of samples, each (N,).

    Args:
        data: The samples.
        positions: (N,) indices in the store.
        predictions: (N,) in the task's unit.
    """
    index = data.store.index[positions.tolist()]
    columns: dict[str, Any] = {name: index[name].to_list() for name in ("id", "group", "site")}
    words = {n: np.array(v, dtype=object) for n, v in (columns | {"sex": sexes(index)}).items()}
    return {**words, "target": data.store.targets[positions], "prediction": predictions}


def sexes(index: pl.DataFrame) -> list[str | None]:
    """``(N,)`` female or male, None where it is not known, from the covariates of a store's index.

    Datasets call the covariate sex or male; it is 1 for male, 0 for female and 0.5 for not known.
    """
    name = next((name for name in ("sex", "male") if name in index.columns), None)
    if name is None:
        return [None] * len(index)
    return [{0.0: "female", 1.0: "male"}.get(value) for value in index[name].to_list()]
