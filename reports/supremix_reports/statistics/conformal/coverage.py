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
    SPREAD,
    Calibration,
    weights,
    with_spread,
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
    methods: Sequence[IntervalMethod] = INTERVAL_METHODS,
) -> list[dict[str, Any]]:
    """Return the rows of the table `intervals` for patients that did not calibrate.

    Args:
        calibration: Of the model.
        tested: Rows of the table `predictions`; with a column `spread` this is that of the images.
        unit: Unit of the label.
        levels: Probabilities that the intervals are to cover with.
        methods: Of `INTERVAL_METHODS`.

    Returns:
        A row for each kind and level, and of mondrian intervals for each region, without the
        columns that say where the rows come from.
    """
    if SPREAD not in tested.columns:
        tested = with_spread(tested)
    return [
        {
            schema.INTERVAL: method,
            schema.LEVEL: level,
            schema.CALIBRATION_GROUPS: calibration.count,
            schema.EXACT: calibration.exact,
            schema.UNIT: unit,
            **row,
        }
        for method in methods
        for level in levels
        for row in _measured(calibration, tested, level, method)
    ]


def _measured(
    calibration: Calibration, tested: pl.DataFrame, level: float, method: IntervalMethod
) -> list[dict[str, Any]]:
    spread = tested[SPREAD]
    if method == "normalised" and spread.null_count():
        note = "the spread needs several networks on test as well (--test-seeds 2 or more)"
        return [_row(tested, None, None, note)]
    target, prediction = (tested[n].to_numpy() for n in (schema.TARGET, schema.PREDICTION))
    try:
        found = prediction_intervals(
            calibration, prediction, level=level, method=method, spread=spread.to_numpy()
        )
    except StatisticsError as error:
        return [_row(tested, None, None, str(error))]
    covered = ((found.lower <= target) & (target <= found.upper)).astype(np.float64)
    width = found.upper - found.lower
    if tested.is_empty():
        return [_row(tested, None, None, "there are no test patients to measure the coverage on")]
    if method != "mondrian":
        return [_row(tested, covered, width, None)]
    own = calibration.scale.regions(prediction)
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(REGIONS):
        there = own == number
        notes = [note for note, inside in zip(found.notes, there, strict=True) if inside and note]
        part = tested.filter(pl.Series(there))
        measured = (covered[there], width[there]) if len(part) and not notes else (None, None)
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
