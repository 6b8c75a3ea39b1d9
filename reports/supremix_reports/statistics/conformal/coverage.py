"""Coverage and width of prediction intervals on patients that neither trained nor calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from scipy import stats

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.conformal.calibration import (
    REGIONS,
    SEED_SPREAD,
    Calibration,
    LabelScale,
    per_image,
    weights,
)
from supremix_reports.statistics.conformal.intervals import (
    INTERVAL_METHODS,
    IntervalMethod,
    prediction_intervals,
)
from supremix_reports.statistics.resampling.bootstrap import LEVEL
from supremix_reports.statistics.resampling.seeds import Array
from supremix_reports.tables import schema

LEVELS: Final = (0.8, 0.9, 0.95)
"""Levels of the intervals whose coverage a search measures."""

SHOWN_LEVEL: Final = 0.9
"""Level of the intervals whose coverage is said in a sentence."""

_ALL: Final = "all"


def interval_rows(
    calibration: Calibration,
    tested: pl.DataFrame,
    *,
    unit: str,
    levels: Sequence[float] = LEVELS,
    methods: Sequence[IntervalMethod] = ("split", "mondrian"),
) -> list[dict[str, Any]]:
    """Return the rows of the table `intervals` for patients that did not calibrate.

    Args:
        calibration: Of the model.
        tested: Rows of the table `predictions`; for normalised intervals with the column
            `seed_spread` of the networks that calibrated.
        unit: Unit of the label.
        levels: Probabilities that the intervals are to cover with.
        methods: Of `INTERVAL_METHODS`.

    Returns:
        A row for each kind and level, and of mondrian intervals for each region, without the
        columns that say where the rows come from.
    """
    return _rows([(calibration, tested)], unit, levels, methods)


def fold_interval_rows(
    predictions: pl.DataFrame, *, unit: str, levels: Sequence[float] = LEVELS
) -> list[dict[str, Any]]:
    """Return the rows of the table `intervals` for all patients of a cross-validation.

    Each fold's patients have intervals that the predictions out of fold of all others calibrate.
    An image's prediction is the mean over the seeds and repeats that predicted it out of fold, as
    many as predict it in each fold of the ensemble; folds are those of the first repeat.

    Args:
        predictions: The pooled table `predictions`.
        unit: Unit of the label.
        levels: Probabilities that the intervals are to cover with.
    """
    first = predictions.filter(pl.col(schema.REPEAT) == pl.col(schema.REPEAT).min())
    parts: list[tuple[Calibration, pl.DataFrame]] = []
    for (_,), fold in first.group_by(schema.FOLD, maintain_order=True):
        own = predictions[schema.ID].is_in(fold[schema.ID].implode())
        known = predictions.filter(~own)
        scale = LabelScale.of(per_image(known)[schema.TARGET])
        calibration = Calibration.of(known, scale, "folds")
        parts.append((calibration, per_image(predictions.filter(own))))
    several = INTERVAL_METHODS if parts[0][0].spread is not None else ("split", "mondrian")
    rows = _rows(parts, unit, levels, several)
    return [row | {schema.FOLDS: len(parts)} for row in rows]


def _rows(
    parts: Sequence[tuple[Calibration, pl.DataFrame]],
    unit: str,
    levels: Sequence[float],
    methods: Sequence[IntervalMethod],
) -> list[dict[str, Any]]:
    """The rows of patients that did not calibrate, each part with a calibration of its own."""
    return [
        {
            schema.INTERVAL: method,
            schema.LEVEL: level,
            schema.CALIBRATION_GROUPS: min(calibration.count for calibration, _ in parts),
            schema.EXACT: parts[0][0].exact,
            schema.UNIT: unit,
            **row,
        }
        for method in methods
        for level in levels
        for row in _measured(parts, level, method)
    ]


def _measured(
    parts: Sequence[tuple[Calibration, pl.DataFrame]], level: float, method: IntervalMethod
) -> list[dict[str, Any]]:
    tested = pl.concat([table for _, table in parts])
    try:
        found = [
            prediction_intervals(
                calibration,
                table[schema.PREDICTION],
                level=level,
                method=method,
                spread=table[SEED_SPREAD] if SEED_SPREAD in table.columns else None,
            )
            for calibration, table in parts
        ]
    except StatisticsError as error:
        return [_row(tested, None, None, str(error))]
    if tested.is_empty():
        return [_row(tested, None, None, "there are no test patients to measure the coverage on")]
    lower, upper = (np.concatenate([getattr(one, n) for one in found]) for n in ("lower", "upper"))
    target = tested[schema.TARGET].to_numpy()
    covered = ((lower <= target) & (target <= upper)).astype(np.float64)
    if method != "mondrian":
        return [_row(tested, covered, upper - lower, None)]
    own = np.concatenate([one.scale.regions(table[schema.PREDICTION]) for one, table in parts])
    reasons = [note for one in found for note in one.notes]
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(REGIONS):
        there = own == number
        notes = [note for note, inside in zip(reasons, there, strict=True) if inside and note]
        part = tested.filter(pl.Series(there))
        measured = (
            (covered[there], (upper - lower)[there]) if len(part) and not notes else (None, None)
        )
        none = "no test image has its prediction there" if part.is_empty() else None
        rows.append(_row(part, *measured, notes[0] if notes else none, name))
    return rows


def _row(
    tested: pl.DataFrame,
    covered: Array | None,
    width: Array | None,
    note: str | None,
    region: str = _ALL,
) -> dict[str, Any]:
    """A row: patients count alike, whatever the number of their images."""
    groups = tested[schema.GROUP].n_unique()
    row: dict[str, Any] = {
        schema.REGION: region,
        schema.N: tested[schema.ID].n_unique(),
        schema.GROUPS: groups,
        schema.NOTE: note,
    }
    if covered is None or width is None:
        return row
    own = weights(tested[schema.GROUP].to_numpy())
    value = float(np.average(covered, weights=own))
    low, high = wilson_interval(value, groups)
    return row | {
        schema.COVERAGE: value,
        schema.COVERAGE_LOW: low,
        schema.COVERAGE_HIGH: high,
        schema.WIDTH: float(np.average(width, weights=own)),
    }


def wilson_interval(share: float, count: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of a share of `count` independent patients (Wilson 1927)."""
    z = float(stats.norm.ppf((1 + level) / 2))
    centre, below = share + z**2 / (2 * count), 1 + z**2 / count
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, float(centre - half) / below), min(1.0, float(centre + half) / below)
