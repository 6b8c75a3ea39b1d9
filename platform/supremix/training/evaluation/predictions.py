"""Predictions next to the truth, as columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from supremix.training.data.trial_data import Positions, TrialData
from supremix.training.evaluation.null_models import null_predictions
from supremix_datasets.stores.store import as_read


def prediction_columns(
    data: TrialData, positions: Positions, predictions: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Columns of the table ``predictions`` about samples, each (N,).

    id, group, target, prediction, site, sex, those of `null_predictions`, and label_low and
    label_high, the range of labels that the card has as possible.

    Sex is what the data call it: the word of the covariate `sex`, or its number where the dataset
    declares no words; None where it is not known, or no covariate.

    Args:
        data: The samples.
        positions: (N,) indices in the store.
        predictions: (N,) in the task's unit.
    """
    index = data.store.index[positions.tolist()]
    columns: dict[str, Any] = {name: index[name].to_list() for name in ("id", "group", "site")}
    sex = as_read("sex")
    columns["sex"] = index[sex].to_list() if sex in index.columns else [None] * len(index)
    words = {name: np.array(values, dtype=object) for name, values in columns.items()}
    possible = zip(("label_low", "label_high"), data.card.label_range, strict=True)
    return {
        **words,
        "target": data.store.targets[positions],
        "prediction": predictions,
        **null_predictions(data, positions),
        **{name: np.full(len(positions), end) for name, end in possible},
    }
