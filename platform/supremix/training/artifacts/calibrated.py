"""Prediction intervals and bias correction of a trained model's predictions, on request."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from supremix._errors import ModelInputError
from supremix_reports.statistics.conformal.bias_correction import BiasLine
from supremix_reports.statistics.conformal.calibration import SEED_SPREAD, Calibration
from supremix_reports.statistics.conformal.choices import BiasCorrection, IntervalMethod
from supremix_reports.statistics.conformal.intervals import (
    StatisticsError,
    check_interval,
    prediction_intervals,
)

LOWER, UPPER, NOTE = "lower", "upper", "interval_note"
CORRECTED = "corrected_prediction"


@dataclass(frozen=True, kw_only=True)
class Calibrating:
    """What is asked of a model's calibration.

    Args:
        interval: Probability that the interval of an image covers; None for no intervals.
        interval_method: split, normalised or mondrian, see docs/predict.md.
        correct_bias: cole or beheshti; None for no correction.
    """

    interval: float | None = None
    interval_method: IntervalMethod = "split"
    correct_bias: BiasCorrection | None = None

    def check(self, calibration: Calibration | None, *, labels: bool) -> None:
        """Check, before any image is predicted, that it can be had.

        Args:
            calibration: Of the model, if it has one.
            labels: Whether the true labels are known.

        Raises:
            ModelInputError: It cannot; the text says why and what to do.
        """
        if self.interval is None and self.correct_bias is None:
            return
        if calibration is None:
            raise ModelInputError(
                "the model has no calibration (calibration.json next to model.json), which "
                "intervals and bias correction need: it is written at the end of a search. Search "
                "again, or leave out --interval and --correct-bias"
            )
        try:
            if self.interval is not None:
                check_interval(calibration, self.interval, self.interval_method)
            if self.correct_bias is not None:
                _line(calibration).check(self.correct_bias)
        except StatisticsError as error:
            raise ModelInputError(str(error)) from error
        if self.correct_bias == "beheshti" and not labels:
            raise ModelInputError(
                "beheshti subtracts a line of the true label, which is not known here: take cole, "
                "or measure the model on labelled images with supremix evaluate"
            )

    def columns(
        self,
        calibration: Calibration | None,
        predicted: pl.DataFrame,
        target: ArrayLike | None = None,
    ) -> list[pl.Series]:
        """Return what is asked, as columns; null for an image without a prediction.

        Args:
            calibration: Of the model, as it was checked.
            predicted: Columns prediction and, for normalised intervals, seed_spread.
            target: True labels, where they are known.
        """
        if calibration is None:
            return []
        found: list[pl.Series] = []
        known = predicted["prediction"].is_not_null()
        prediction = predicted["prediction"].cast(pl.Float64).to_numpy()
        if self.interval is not None:
            ends = prediction_intervals(
                calibration,
                prediction,
                level=self.interval,
                method=self.interval_method,
                spread=predicted[SEED_SPREAD],
            )
            for name, values in ((LOWER, ends.lower), (UPPER, ends.upper)):
                found.append(pl.Series(name, values).fill_nan(None))
            if self.interval_method == "mondrian":
                notes = [n if there else None for n, there in zip(ends.notes, known, strict=True)]
                found.append(pl.Series(NOTE, notes, dtype=pl.String))
        if self.correct_bias is not None:
            labels = None if target is None else np.asarray(target, np.float64)
            values = _line(calibration).corrected(prediction, self.correct_bias, labels)
            found.append(pl.Series(CORRECTED, values).fill_nan(None))
        return found


def _line(calibration: Calibration) -> BiasLine:
    return BiasLine.fit(calibration.target, calibration.prediction, calibration.patients)
