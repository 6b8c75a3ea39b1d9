"""How a cohort differs from the data that a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from supremix.training.evaluation.out_of_distribution import PERCENTILES
from supremix_datasets import Card

SHIFT: dict[str, Any] = {
    "quantity": pl.String,
    "training": pl.Float64,
    "cohort": pl.Float64,
    "difference": pl.Float64,
    "outside": pl.Float64,
    "expected": pl.Float64,
}
"""Columns of the table of shifts: means of the two, their difference in standard deviations of the
training, the share of the cohort outside of it, and the share that is expected there."""

LIMIT = 0.05
"""Share of a cohort outside of the training data above which there is a warning."""
_CHANCE = 0.01
"""Probability below which a number of images outside is more than chance."""


def shift_table(predicted: pl.DataFrame, facts: Mapping[str, Any], card: Card) -> pl.DataFrame:
    """Compare a cohort with the training data.

    Args:
        predicted: The columns of `predict_items`, of images with a prediction, and their `target`.
        facts: The facts of the training, see `training_facts`.
        card: The model's card.

    Returns:
        A row each for the label, the covariates (as the model sees them), seven percentiles of the
        intensities, and for the distances of intensities and features. Columns `SHIFT`.
    """
    labels, target = facts["labels"], predicted["target"].to_numpy()
    low, *_, high = labels["percentiles"]
    outside = float(np.mean((target < low) | (target > high)))
    rows = [_row(card.target, labels["mean"], labels["sd"], target) | {"outside": outside}]
    covariates = np.array(predicted["covariates"].to_list()).reshape(len(target), -1)
    rows += [
        {"quantity": one.name, "difference": float(values.mean())}
        for one, values in zip(card.covariates, covariates.T, strict=True)
    ]
    profiles = np.array(predicted["intensities"].to_list())
    for percentile, mean, sd, values in zip(
        PERCENTILES, *facts["intensities"].values(), profiles.T, strict=True
    ):
        rows.append(_row(f"intensity, percentile {percentile}", mean, sd, values))
    held_out = facts["held_out"]
    for name in ("intensity", "feature") if held_out else ():
        far = float(np.mean(predicted[f"{name}_distance"].to_numpy() > 1))
        words = "intensities" if name == "intensity" else "features"
        rows.append(
            {"quantity": f"images by {words}", "outside": far, "expected": held_out["share_above"]}
        )
    return pl.DataFrame(rows, schema=SHIFT)


def _row(name: str, mean: float, sd: float, values: NDArray[Any]) -> dict[str, Any]:
    found = float(values.mean())
    difference = (found - mean) / sd if sd > 0 else None
    return {"quantity": name, "training": mean, "cohort": found, "difference": difference}


def shift_warnings(
    shift: pl.DataFrame, predicted: pl.DataFrame, facts: Mapping[str, Any], card: Card
) -> list[str]:
    """Say where a cohort lies outside of the training data; the arguments are as above."""
    count, (low, *_, high) = predicted.height, facts["labels"]["percentiles"]
    known = {row["quantity"]: row for row in shift.iter_rows(named=True)}
    warnings: list[str] = []
    if known[card.target]["outside"] > LIMIT:
        warnings.append(
            f"{known[card.target]['outside']:.0%} of the labels lie outside those of the training "
            f"({low:.4g} to {high:.4g} {card.unit}): there the model extrapolates."
        )
    for words in ("features", "intensities"):
        row = known.get(f"images by {words}")
        if row is None or row["outside"] <= LIMIT:
            continue
        far, expected = round(row["outside"] * count), row["expected"]
        if stats.binom.sf(far - 1, count, expected) < _CHANCE:
            warnings.append(
                f"By their {words}, {far} of {count} images are unlike the training images (of "
                f"images like those {expected:.1%} would be): the cohort lies outside of the "
                "training data."
            )
    trained = int(predicted["in_training"].sum())
    if trained:
        warnings.append(
            f"The model was trained on {trained} of the {count} images, or on others with the same "
            "pixels: the errors are optimistically biased."
        )
    return warnings
