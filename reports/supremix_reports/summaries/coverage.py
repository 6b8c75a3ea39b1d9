"""Coverage of prediction intervals in words: for summaries, reports and warnings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from supremix_reports.statistics.conformal.coverage import SHOWN_LEVEL
from supremix_reports.tables import schema

EXACT_NOTE: Final = {
    True: "The model calibrated itself on patients that it was not trained on.",
    False: "Calibrated by networks with the same hyperparameters that were trained without these "
    "patients; the model was trained on them as well, so the level is approximate.",
}
"""What the intervals are worth, by the column `exact`."""

FOLDS_NOTE: Final = (
    "The patients of each fold have the intervals that the predictions out of fold of all others "
    "calibrate. Those are of networks that were trained on this fold as well, so the level is "
    "approximate."
)
"""What the intervals of a cross-validation are worth."""

NARROW: Final = (
    "They are too narrow here, by more than chance: these patients, or the networks, are unlike "
    "those of the calibration. Do not rely on them."
)


def coverage_sentence(intervals: pl.DataFrame) -> str:
    """Return how well the split intervals of level 0.9 cover, and which intervals are too narrow.

    Args:
        intervals: Rows of the table `intervals` of one run.
    """
    rows = intervals.filter(
        (pl.col(schema.INTERVAL) == "split") & (pl.col(schema.LEVEL) == SHOWN_LEVEL)
    )
    words = [interval_words(row) for row in rows.iter_rows(named=True)]
    return " ".join([*words, *coverage_warnings(intervals)])


def interval_words(row: Mapping[str, Any]) -> str:
    """Return a row of the table `intervals` as a sentence: coverage and width, or why none."""
    title = f"{row[schema.LEVEL]:.4g} prediction intervals"
    if (row[schema.INTERVAL], row[schema.REGION]) != ("split", "all"):
        title += f" ({row[schema.INTERVAL]}, region {row[schema.REGION]})"
    if row[schema.COVERAGE] is None:
        return f"{title}: {row[schema.NOTE]}."
    ends = f"{row[schema.COVERAGE_LOW]:.1%} to {row[schema.COVERAGE_HIGH]:.1%}"
    return (
        f"{title}: {row[schema.COVERAGE]:.1%} (95% interval {ends}) of {row[schema.GROUPS]} "
        f"{row[schema.SPLIT]} patients lie in theirs, which are {row[schema.WIDTH]:.4g} "
        f"{row[schema.UNIT]} wide on average; calibrated on {row[schema.CALIBRATION_GROUPS]} "
        f"patients{' of the other folds' if row.get(schema.FOLDS) else ''}."
    )


def worth(row: Mapping[str, Any]) -> str:
    """Return what the intervals of a row of the table `intervals` are worth."""
    return FOLDS_NOTE if row.get(schema.FOLDS) else EXACT_NOTE[row[schema.EXACT]]


def coverage_warnings(intervals: pl.DataFrame) -> list[str]:
    """Return the words for each row whose coverage is below its level by more than chance."""
    return [
        f"{interval_words(row)} {NARROW}"
        for row in intervals.iter_rows(named=True)
        if row[schema.COVERAGE] is not None and row[schema.COVERAGE_HIGH] < row[schema.LEVEL]
    ]
