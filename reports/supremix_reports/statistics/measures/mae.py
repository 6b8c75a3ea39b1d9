"""The rows of the table of mean absolute errors."""

from __future__ import annotations

from typing import Unpack

import polars as pl

from supremix_reports.statistics.measures.agreement import calibration_intervals
from supremix_reports.statistics.measures.imbalance import (
    REGIONS,
    LabelDensity,
    imbalance_intervals,
)
from supremix_reports.statistics.measures.skill import skill_intervals
from supremix_reports.statistics.resampling.bootstrap import (
    Interval,
    ResamplingOptions,
    none_for_nan,
)
from supremix_reports.statistics.resampling.intervals import METRICS, metric_interval
from supremix_reports.tables import schema
from supremix_reports.tables.frames import folds_of


def mae_rows(
    predictions: pl.DataFrame,
    *,
    unit: str,
    density: LabelDensity | None = None,
    **options: Unpack[ResamplingOptions],
) -> list[dict[str, object]]:
    """Return the rows of the table `mae` that follow from predictions.

    Args:
        predictions: rows of the table `predictions`; the seeds and folds of a dataset, method and
            split are taken together, and the intervals are over groups, seeds and folds.
        unit: unit of the target.
        density: of the training labels, for the errors by region and the balanced one; None for
            none of them.
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0).

    Returns:
        A row a dataset, method, split and metric; those of `skill_intervals` where the predictions
        record what models without an image predict. `low` and `high` are null with one group only;
        `value` too where the measure does not exist for one of the seeds, and where no sample is
        in a region.
    """
    keys = [schema.DATASET, schema.METHOD, schema.SPLIT]
    rows: list[dict[str, object]] = []
    for key, part in predictions.group_by(keys, maintain_order=True):
        columns = [
            part[name].to_numpy() for name in (schema.TARGET, schema.PREDICTION, schema.GROUP)
        ]
        models = {"seeds": part[schema.SEED].to_numpy(), "folds": folds_of(part)}
        intervals = {
            metric: metric_interval(metric, *columns, **models, **options) for metric in METRICS
        }
        intervals |= skill_intervals(part, **options)
        if density is not None:
            intervals |= imbalance_intervals(density, *columns, **models, **options)
        own = dict(zip(keys, key, strict=True))
        rows += [
            own | _row(part, interval, metric, unit, _inside(part, metric, density))
            for metric, interval in intervals.items()
        ]
    return rows


def calibration_rows(
    predictions: pl.DataFrame, *, unit: str, **options: Unpack[ResamplingOptions]
) -> list[dict[str, object]]:
    """Return the rows of the table `mae` that say how models are calibrated.

    Args:
        predictions: rows of the table `predictions` of one dataset, method and split; its seeds are
            taken together.
        unit: unit of the target.
        options: As for `mae_rows`.
    """
    columns = (predictions[n].to_numpy() for n in (schema.TARGET, schema.PREDICTION, schema.GROUP))
    seeds = predictions[schema.SEED].to_numpy()
    own = {name: predictions[name][0] for name in (schema.DATASET, schema.METHOD, schema.SPLIT)}
    return [
        own | _row(predictions, interval, metric, unit, predictions)
        for metric, interval in calibration_intervals(*columns, seeds=seeds, **options).items()
    ]


def _row(
    part: pl.DataFrame, interval: Interval, metric: str, unit: str, inside: pl.DataFrame
) -> dict[str, object]:
    return {
        schema.METRIC: metric,
        schema.VALUE: none_for_nan(interval.value),
        schema.LOW: none_for_nan(interval.low),
        schema.HIGH: none_for_nan(interval.high),
        schema.N: inside[schema.ID].n_unique(),
        schema.GROUPS: interval.groups,
        schema.SEEDS: part[schema.SEED].n_unique(),
        schema.UNIT: unit,
        schema.RUN: _only(part, schema.RUN),
        schema.LABEL_LOW: _only(part, schema.LABEL_LOW),
        schema.LABEL_HIGH: _only(part, schema.LABEL_HIGH),
        schema.FOLDS: None if folds_of(part) is None else part[schema.FOLD].n_unique(),
    }


def _only(part: pl.DataFrame, column: str) -> object:
    """The one value of a column; None where it has several, or is not there."""
    values = part[column].unique() if column in part.columns else pl.Series(dtype=pl.String)
    return values.item() if len(values) == 1 else None


def _inside(part: pl.DataFrame, metric: str, density: LabelDensity | None) -> pl.DataFrame:
    """Return the predictions that a metric looks at: all, or those of a region."""
    region = metric.removeprefix("mae_")
    if density is None or region not in REGIONS:
        return part
    return part.filter(pl.Series(density.regions(part[schema.TARGET].to_numpy()) == region))
