"""Correction of regression dilution: predictions that are drawn towards the mean of the labels.

Both ways use the least-squares line of the prediction on the true label, on patients that the
networks were not trained on. Neither adds information about a patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.conformal.calibration import weights
from supremix_reports.statistics.conformal.choices import BIAS_CORRECTIONS, BiasCorrection
from supremix_reports.statistics.measures.agreement import slope_interval
from supremix_reports.statistics.resampling.intervals import metric_interval
from supremix_reports.statistics.resampling.seeds import Array
from supremix_reports.tables import schema

_LEAST_PATIENTS: Final = 10
_LEAST_SLOPE: Final = 0.2

TRAP: Final = (
    "The correction by beheshti takes the true label of each image. Its error is optimistically "
    "biased and its correlation with the label follows from the label itself: predictions that "
    "know nothing are made nearly perfect by it (Butler et al. 2021). Quote the uncorrected error."
)
"""What must be said wherever an error after this correction is shown."""


@dataclass(frozen=True, slots=True)
class BiasLine:
    """The line prediction = slope · truth + intercept on calibration patients.

    Args:
        slope: 1 without regression dilution, 0 for predictions that do not follow the label.
        intercept: In the unit.
    """

    slope: float
    intercept: float

    @classmethod
    def fit(
        cls, target: npt.ArrayLike, prediction: npt.ArrayLike, patients: npt.ArrayLike
    ) -> BiasLine:
        """Return the least-squares line, in which each patient has the same weight.

        Args:
            target: (N,) true labels of calibration patients, in the unit.
            prediction: (N,) of networks that were not trained on them.
            patients: (N,) the patient of each.

        Raises:
            StatisticsError: Fewer than ten patients, or labels that are all equal.
        """
        y, p = np.asarray(target, np.float64), np.asarray(prediction, np.float64)
        count, w = len(np.unique(patients)), weights(np.asarray(patients))
        if count < _LEAST_PATIENTS or np.ptp(y) == 0:
            raise StatisticsError(
                f"a bias correction needs {_LEAST_PATIENTS} calibration patients at least, with "
                f"labels that differ; found {count}"
            )
        centre, middle = np.average(y, weights=w), np.average(p, weights=w)
        slope = float(np.sum(w * (y - centre) * (p - middle)) / np.sum(w * (y - centre) ** 2))
        return cls(slope, float(middle - slope * centre))

    def check(self, method: BiasCorrection) -> None:
        """Check that a correction can be had.

        Raises:
            StatisticsError: No such method, or a line that cannot be inverted.
        """
        if method not in BIAS_CORRECTIONS:
            raise StatisticsError(
                f"bias corrections are {', '.join(BIAS_CORRECTIONS)}; found {method!r}"
            )
        if method == "cole" and self.slope < _LEAST_SLOPE:
            raise StatisticsError(
                "the predictions hardly follow the label on calibration patients (slope "
                f"{self.slope:.2g}), so the line cannot be inverted: expected a slope of "
                f"{_LEAST_SLOPE} at least. Train longer, or leave the bias uncorrected"
            )

    def corrected(
        self,
        prediction: npt.ArrayLike,
        method: BiasCorrection,
        target: npt.ArrayLike | None = None,
    ) -> Array:
        """Return corrected predictions.

        Args:
            prediction: (N,), in the unit.
            method: One of `BIAS_CORRECTIONS`.
            target: (N,) true labels, which beheshti needs.

        Raises:
            StatisticsError: As of `check`, or beheshti without true labels.
        """
        self.check(method)
        p = np.asarray(prediction, np.float64)
        if method == "cole":
            return (p - self.intercept) / self.slope
        if target is None:
            raise StatisticsError("beheshti subtracts a line of the true label: give the labels")
        y = np.asarray(target, np.float64)
        return p - ((self.slope - 1) * y + self.intercept)


def correction_table(
    predictions: pl.DataFrame, corrected: npt.ArrayLike, method: BiasCorrection
) -> pl.DataFrame:
    """Return errors without and with a correction, on patients that it was not fitted to.

    Args:
        predictions: Rows of the table `predictions` of one split.
        corrected: (N,) corrected predictions of the same rows.
        method: Name of the correction.

    Returns:
        Rows "none" and the method's name, with the columns correction, mae and its ends mae_low and
        mae_high, rmse, pearson, and bias_slope: the slope of prediction minus truth along the
        truth, with its ends; intervals over patients.
    """
    y, groups = (predictions[n].to_numpy() for n in (schema.TARGET, schema.GROUP))
    rows: list[dict[str, object]] = []
    for name, values in (("none", predictions[schema.PREDICTION].to_numpy()), (method, corrected)):
        p = np.asarray(values, np.float64)
        measures = {
            metric: metric_interval(metric, y, p, groups) for metric in ("mae", "rmse", "pearson")
        }
        measures["bias_slope"] = slope_interval(p - y, y, groups)
        row: dict[str, object] = {"correction": name}
        for measure, found in measures.items():
            row |= found.row(measure)
        rows.append(row)
    return pl.DataFrame(rows)
