"""Prediction intervals by split conformal prediction, with patients as the exchangeable units.

The interval of an image is its prediction, plus and minus a quantile of the absolute errors on
calibration patients (Papadopoulos et al. 2002; Lei et al. 2018): if a patient is exchangeable with
these n, and the networks were trained on none of them, it covers an image of the patient with
probability 1 - alpha at least, and at most 1 - alpha + 1 / (n + 1) where each has one image.

Images of one patient are not exchangeable with those of others. So each patient has the same
weight, shared by its images (and by the networks that predicted these): then an image drawn from a
new patient is covered with probability 1 - alpha at least (Lee, Barber and Willett 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.conformal.calibration import REGIONS, Calibration, weights
from supremix_reports.statistics.conformal.choices import INTERVAL_METHODS, IntervalMethod
from supremix_reports.statistics.resampling.seeds import Array

_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Intervals:
    """Prediction intervals of N images.

    Args:
        lower: (N,) lower ends; NaN where too few calibration patients are in the image's region.
        upper: (N,) upper ends, likewise.
        notes: Why there is no interval, by image; None where there is one.
    """

    lower: Array
    upper: Array
    notes: list[str | None]


def patients_needed(level: float) -> int:
    """The least number of calibration patients for intervals of a level."""
    return int(np.ceil(level / (1 - level) - _ROUNDING))


def conformal_quantile(scores: npt.ArrayLike, patients: npt.ArrayLike, level: float) -> float:
    """Return the score that the one of a new patient is at most, with probability `level`.

    With one score for each of n patients it is the ceil(level (n + 1))-th smallest.

    Args:
        scores: (N,) finite.
        patients: (N,) the patient of each; a patient's weight of 1 is shared by its scores.
        level: Probability, above 0 and below 1.

    Returns:
        The score; infinity for fewer than `patients_needed` patients.
    """
    s, owners = np.asarray(scores, np.float64), np.asarray(patients)
    order = np.argsort(s, kind="stable")
    reached = np.cumsum(weights(owners)[order])
    needed = level * (len(np.unique(owners)) + 1)
    index = int(np.searchsorted(reached, needed - _ROUNDING * needed))
    return float(s[order[index]]) if index < len(s) else float("inf")


def check_interval(calibration: Calibration, level: float, method: IntervalMethod) -> None:
    """Check that intervals can be had, so that it is known before any image is predicted.

    Raises:
        StatisticsError: A level that is no probability, no such method, too few calibration
            patients, or no spread of several networks to normalise by, those that calibrated.
    """
    if not 0 < level < 1:
        raise StatisticsError(
            f"an interval covers with a probability above 0 and below 1; found {level:g}"
        )
    if method not in INTERVAL_METHODS:
        raise StatisticsError(f"intervals are {', '.join(INTERVAL_METHODS)}; found {method!r}")
    needed, count = patients_needed(level), calibration.count
    if count < needed:
        raise StatisticsError(
            f"an interval of {level:g} needs {needed} calibration patients at least, and the model "
            f"has {count}: with these it would be infinite. Ask for "
            f"{math.floor(1000 * count / (count + 1)) / 1000:g} at most, or search with more "
            "validation patients"
        )
    if method == "normalised":
        _check_spread(calibration)


def _check_spread(calibration: Calibration) -> None:
    """Check that the spread that intervals are scaled by is that of the calibration's networks."""
    instead = (
        "take another --interval-method, or search with --folds and --test-seeds 2 or more, or "
        "with --no-test and --confirm-seeds 2 or more"
    )
    if calibration.predicted_by == "trials":
        raise StatisticsError(
            "normalised intervals are in proportion to the spread of the networks that were "
            "calibrated, and this model was trained again, on the calibration patients as well: "
            "the spread of its networks may be smaller, and the intervals too narrow. So "
            f"{instead}"
        )
    if calibration.spread is None:
        raise StatisticsError(
            "normalised intervals are in proportion to the spread of several networks, and this "
            f"model is one: predict with --ensemble; where there are no others, {instead}"
        )


def prediction_intervals(
    calibration: Calibration,
    prediction: npt.ArrayLike,
    *,
    level: float,
    method: IntervalMethod = "split",
    spread: npt.ArrayLike | None = None,
) -> Intervals:
    """Return the prediction intervals of images.

    Args:
        calibration: Predictions on patients that the networks were not trained on.
        prediction: (N,) predictions, in the unit.
        level: Probability that an interval covers, above 0 and below 1.
        method: One of `INTERVAL_METHODS`.
        spread: (N,) of the networks on each image, as many as calibrated; needed for normalised
            intervals alone.

    Raises:
        StatisticsError: As of `check_interval`.
    """
    check_interval(calibration, level, method)
    p, errors = np.asarray(prediction, np.float64), calibration.target - calibration.prediction
    scores, owners = np.abs(errors), calibration.patients
    notes: list[str | None] = [None] * len(p)
    if method == "split":
        half = np.full(len(p), conformal_quantile(scores, owners, level))
    elif method == "normalised":
        if spread is None or calibration.spread is None:
            raise StatisticsError("normalised intervals need the spread of the networks")
        floor = calibration.scale.floor
        factor = conformal_quantile(scores / (calibration.spread + floor), owners, level)
        half = factor * (np.asarray(spread, np.float64) + floor)
    else:
        half, notes = _by_region(calibration, p, scores, level)
    return Intervals(p - half, p + half, notes)


def _by_region(
    calibration: Calibration, prediction: Array, scores: Array, level: float
) -> tuple[Array, list[str | None]]:
    """Half widths, from calibration rows whose prediction is in the same region."""
    known, own = (
        calibration.scale.regions(values) for values in (calibration.prediction, prediction)
    )
    half, notes = np.full(len(prediction), np.nan), np.full(len(prediction), None, dtype=object)
    for number, name in enumerate(REGIONS):
        rows, there = known == number, own == number
        count, needed = len(np.unique(calibration.patients[rows])), patients_needed(level)
        if count >= needed:
            half[there] = conformal_quantile(scores[rows], calibration.patients[rows], level)
        else:
            notes[there] = (
                f"{count} calibration patients have a prediction in the region {name}; an interval "
                f"of {level:g} needs {needed}"
            )
    return half, notes.tolist()
