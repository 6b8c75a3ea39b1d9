"""Convergence of a training: what its last quarter still gave, and what another doubling would."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeGuard

import numpy as np
import polars as pl

from supremix_reports.statistics.learning_curves.power_law import Forecast, power_law_forecast
from supremix_reports.statistics.resampling.bootstrap import none_for_nan
from supremix_reports.statistics.resampling.seeds import Array
from supremix_reports.tables import schema
from supremix_reports.tables.tables import read_config

Verdict = Literal["flattened", "still falling", "cannot be said"]
FLATTENED: Final = "flattened"
FALLING: Final = "still falling"
UNKNOWN: Final = "cannot be said"

FLAT: Final = 0.05
"""Share of the error; another doubling that gives less than this gives nothing worth its time."""

FEWEST: Final = 20
"""Evaluated epochs of a stage; from fewer nothing is extrapolated."""

ANYTIME: Final = ("constant", "inverse-sqrt", "schedule-free")
"""Schedules under which the error after an epoch does not depend on how many are to come: those of
`supremix.training.steps.schedule`."""

STABLE_DECAY: Final = "warmup-stable-decay"
"""The default schedule: anytime but for the last `DECAY` of a stage, in which the rate falls."""

DECAY: Final = 0.2

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Convergence:
    """Whether the validation error of a training has flattened, in its last trained stage.

    Args:
        verdict: "flattened": twice the length takes less than 5 % off the error, by the upper end
            of the interval. "still falling": it takes at least 5 % off, and the interval lies above
            0. Else "cannot be said".
        reason: Why it cannot be said; None where there is a verdict.
        fall: How much the error fell over the last quarter of the stage, in the task's unit; below
            0 where it rose, NaN for fewer than three epochs.
        forecast: What twice the length of the stage would give; None where it is not known.
        stage: Name of the stage, of several that trained something; None for a single one.
        trainings: Number of trainings whose errors are averaged.
        planned: Whether the learning rate followed the length from the start, so that the training
            cannot be prolonged.
    """

    verdict: Verdict
    reason: str | None = None
    fall: float = math.nan
    forecast: Forecast | None = None
    stage: str | None = None
    trainings: int = 1
    planned: bool = False

    def columns(self) -> dict[str, Any]:
        """The columns of the table `trials` that hold it."""
        known = self.forecast
        gain = (None,) * 3 if known is None else (known.gain, known.low, known.high)
        names = (schema.DOUBLING, schema.DOUBLING_LOW, schema.DOUBLING_HIGH)
        return {
            schema.FALL: none_for_nan(self.fall),
            **dict(zip(names, gain, strict=True)),
            schema.CONVERGENCE: self.verdict,
            schema.CONVERGENCE_NOTE: self.reason,
        }


def convergence(trainings: Sequence[Rows], config: Mapping[str, Any]) -> Convergence:
    """Diagnose finished trainings with the same hyperparameters, of several their mean error.

    Args:
        trainings: Of each training its rows of the table `curves`, in the order of the epochs.
        config: The hyperparameters; `schedule` is that of the learning rate.

    Returns:
        The diagnosis. Where the learning rate falls, the error does so at any length: so under
        "warmup-stable-decay" it is that of the epochs before the decay, and under "one-cycle" only
        the fall over the last quarter is known.
    """
    stages = [_trained_stages(rows) for rows in trainings]
    if not all(stages):
        return Convergence(verdict=UNKNOWN, reason="no epoch trained anything")
    curves = [evaluated_errors(own[-1]) for own in stages]
    shared = sorted(set[int].intersection(*map(set, curves)))
    schedule = config.get("schedule", STABLE_DECAY)
    if schedule == STABLE_DECAY and shared:
        shared = [epoch for epoch in shared if epoch <= (1 - DECAY) * shared[-1]]
    epochs = np.array(shared, np.float64)
    errors = np.array([[curve[epoch] for epoch in shared] for curve in curves]).mean(axis=0)
    reason = _unfit(len(shared), schedule)
    forecast = None if reason else power_law_forecast(epochs, errors)
    verdict = UNKNOWN if forecast is None else forecast_verdict(forecast)
    if forecast is not None and verdict == UNKNOWN:
        reason = "the error moves too much over the epochs"
    return Convergence(
        verdict=verdict,
        reason=reason,
        fall=last_quarter_fall(epochs, errors),
        forecast=forecast,
        stage=stages[0][-1][0][schema.STAGE] if len(stages[0]) > 1 else None,
        trainings=len(trainings),
    )


def best_convergence(trials: pl.DataFrame, curves: pl.DataFrame, number: int) -> Convergence | None:
    """Diagnose the trainings of the best hyperparameters: those with new seeds, if there are any.

    Args:
        trials: Rows of the table `trials` of one run.
        curves: Rows of its table `curves`.
        number: Number of the trial that had them.

    Returns:
        The diagnosis; None where none of these trainings was finished, or where they went over
        several datasets, whose errors make no curve.

    Raises:
        TableError: The hyperparameters cannot be read.
    """
    finished = trials.filter(pl.col(schema.STATE) == schema.FINISHED)
    own = finished.filter(pl.col(schema.REPLICATE_OF) == number)
    if own.is_empty():
        own = finished.filter(pl.col(schema.TRIAL) == number)
    rows = curves.filter(pl.col(schema.TRIAL).is_in(own[schema.TRIAL].to_list()))
    if rows.is_empty() or rows[schema.DATASET].n_unique() > 1:
        return None
    parts = rows.sort(schema.TRIAL, schema.EPOCH).partition_by(schema.TRIAL)
    config = read_config(number, str(own[schema.CONFIG][0]))
    found = convergence([part.to_dicts() for part in parts], config)
    planned = config.get("schedule") == "one-cycle"
    return dataclasses.replace(found, planned=planned)


def last_quarter_fall(epochs: Array, errors: Array) -> float:
    """Return how much the error fell over the last quarter of a training.

    Args:
        epochs: (n,) length of the training at each evaluation, ascending.
        errors: (n,) errors.

    Returns:
        The median error of the eighth that ends where the last quarter begins, minus that of the
        last eighth; NaN where one of them has no evaluation.
    """
    share = epochs / max(epochs, default=1)
    before, last = errors[(share > 5 / 8) & (share <= 3 / 4)], errors[share > 7 / 8]
    return float(np.median(before) - np.median(last)) if before.size else math.nan


def _unfit(evaluated: int, schedule: object) -> str | None:
    """Why a curve cannot be extrapolated; None where it can."""
    if evaluated < FEWEST:
        return f"fewer than {FEWEST} epochs were evaluated"
    if schedule not in (*ANYTIME, STABLE_DECAY):
        return f"under the schedule {schedule} the error falls with the learning rate"
    return None


def forecast_verdict(forecast: Forecast) -> Verdict:
    """Return the verdict on a training, from what twice its length would give."""
    least = FLAT * forecast.error
    if forecast.high < least:
        return FLATTENED
    return FALLING if min(forecast.low, forecast.gain - least) > 0 else UNKNOWN


def _trained_stages(rows: Rows) -> list[Rows]:
    """The rows of each stage that trained something: an epoch that did has a training loss."""
    trained = [row for row in rows if _is_number(row.get(schema.LOSS))]
    return [list(own) for _, own in itertools.groupby(trained, key=lambda row: row[schema.STAGE])]


def evaluated_errors(stage: Rows) -> dict[int, float]:
    """Return the error after each evaluated epoch of a stage.

    Args:
        stage: Its rows of the table `curves`. An epoch that was not evaluated has no error, or that
            of the epoch before.

    Returns:
        The errors, by the number of the epoch in the stage, from 1.
    """
    found: dict[int, float] = {}
    last: float | None = None
    for row in stage:
        error = row.get(schema.ERROR)
        if _is_number(error) and error != last:
            found[row[schema.EPOCH] - stage[0][schema.EPOCH] + 1] = last = error
    return found


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
