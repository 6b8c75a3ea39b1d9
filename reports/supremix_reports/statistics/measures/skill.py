"""What a model is worth against models that look at no image, and predictions that cannot be.

The null models are the median of the labels that the model was trained on and, where the dataset
has covariates, a linear model of these. The skill of a model is 1 − e / e₀, with e its mean
absolute error and e₀ the least one of a null model, on the same samples: 1 without any error, 0 for
a model that has learned nothing from images, below 0 for a worse one.
"""

from __future__ import annotations

import math
from typing import Final, Unpack

import numpy as np
import numpy.typing as npt
import polars as pl

from supremix_reports.statistics.resampling.bootstrap import (
    Interval,
    ResamplingOptions,
    interval,
    vector,
)
from supremix_reports.statistics.resampling.intervals import mean_interval
from supremix_reports.statistics.resampling.seeds import Array, sums_of
from supremix_reports.tables import schema
from supremix_reports.tables.frames import folds_of

MEASURES: Final = (
    schema.NULL_MAE, schema.LINEAR_MAE, schema.SKILL, schema.BEYOND_RANGE,
)  # fmt: skip
"""Metrics of the table `mae` that `skill_intervals` gives."""

_NULL_MODELS: Final = {
    schema.NULL_MAE: schema.NULL_PREDICTION,
    schema.LINEAR_MAE: schema.LINEAR_PREDICTION,
}


def skill_interval(
    errors: npt.ArrayLike,
    null_errors: npt.ArrayLike,
    groups: npt.ArrayLike,
    seeds: npt.ArrayLike | None = None,
    *,
    folds: npt.ArrayLike | None = None,
    **options: Unpack[ResamplingOptions],
) -> Interval:
    """Return the skill of a model with its paired bootstrap interval over groups and seeds.

    Args:
        errors: (N,) differences of prediction and target; their sign does not matter.
        null_errors: (N,) those of a null model, of the same samples.
        groups: (N,) group of each sample; these are drawn, once for both.
        seeds: (N,) seed of the model that made each error; None: one model.
        folds: (N,) fold that the model was not trained on; None without folds.
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0).

    Returns:
        The mean over seeds of each one's skill, at most 1; NaN where the null model has no error.

    Raises:
        StatisticsError: when there are no errors, one is not finite, or the lengths differ.
    """
    own = np.abs(vector(errors, "errors"))
    null = np.abs(vector(null_errors, "null_errors"))
    moments = np.stack([np.ones_like(own), own, null], axis=1)
    sums = sums_of(moments, groups, seeds, folds)
    return interval(sums, _skill, bounds=(-math.inf, 1.0), **options)


def skill_intervals(
    predictions: pl.DataFrame, **options: Unpack[ResamplingOptions]
) -> dict[str, Interval]:
    """Return the errors of the null models, the skill, and the number of impossible predictions.

    Args:
        predictions: rows of the table `predictions` of one dataset, method and split.
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0).

    Returns:
        Those of `MEASURES` that follow from what the predictions record, by name.
    """
    null = null_errors(predictions)
    if not null:
        return {}
    errors = (predictions[schema.PREDICTION] - predictions[schema.TARGET]).to_numpy()
    owners = predictions[schema.GROUP].to_numpy(), predictions[schema.SEED].to_numpy()
    folds = folds_of(predictions)
    found = {
        name: mean_interval(own, *owners, folds=folds, bounds=(0.0, math.inf), **options)
        for name, own in null.items()
    }
    least = next(iter(null.values()))
    found[schema.SKILL] = skill_interval(errors, least, *owners, folds=folds, **options)
    if _recorded(predictions, schema.LABEL_LOW) and _recorded(predictions, schema.LABEL_HIGH):
        inside = pl.col(schema.PREDICTION).is_between(schema.LABEL_LOW, schema.LABEL_HIGH)
        found[schema.BEYOND_RANGE] = Interval(
            value=float(predictions.filter(~inside).height),
            low=math.nan,
            high=math.nan,
            n=predictions.height,
            groups=found[schema.SKILL].groups,
        )
    return {name: found[name] for name in MEASURES if name in found}


def null_errors(predictions: pl.DataFrame) -> dict[str, Array]:
    """Return the absolute errors (N,) of the null models that predictions record, the least first.

    Args:
        predictions: rows of the table `predictions` of one dataset, method and split.

    Returns:
        By metric of the table `mae`: `null_mae` and, where there are covariates, `linear_mae`.
    """
    found = {
        metric: (predictions[column] - predictions[schema.TARGET]).abs().to_numpy()
        for metric, column in _NULL_MODELS.items()
        if _recorded(predictions, column)
    }
    return dict(sorted(found.items(), key=lambda item: float(item[1].mean())))


def shows_skill(low: float | None) -> bool:
    """Whether a skill whose interval begins at `low` is shown to be above 0."""
    return low is not None and low > 0


def _recorded(predictions: pl.DataFrame, column: str) -> bool:
    """Whether the predictions have a value of the column in every row."""
    return column in predictions.columns and not predictions[column].has_nulls()


def _skill(sums: Array) -> Array:
    """Of sums (..., 3) of 1, the model's and the null model's errors: the skill."""
    null = sums[..., 2]
    return np.where(null > 0, 1 - sums[..., 1] / np.where(null > 0, null, 1.0), np.nan)
