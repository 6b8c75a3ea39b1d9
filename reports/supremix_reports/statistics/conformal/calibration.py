"""Predictions on patients that no network was trained on, which calibrate a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.resampling.seeds import Array
from supremix_reports.tables import schema

FORMAT: Final = 1
REGIONS: Final = ("low", "middle", "high")
"""Label regions: the thirds of the training labels."""

_FLOOR: Final = 0.1
"""Share of the training labels' standard deviation that is added to a spread, which may be 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScale:
    """What intervals need to know of the training labels; it does not depend on other patients.

    Args:
        edges: The two labels between the regions of `REGIONS`.
        floor: Added to the spread of networks, in the unit.
    """

    edges: tuple[float, float]
    floor: float

    @classmethod
    def of(cls, labels: npt.ArrayLike) -> LabelScale:
        """That of training labels, (N,)."""
        values = np.asarray(labels, dtype=np.float64)
        low, high = np.quantile(values, [1 / 3, 2 / 3])
        return cls(edges=(float(low), float(high)), floor=_FLOOR * float(values.std()))

    def regions(self, predictions: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """The index in `REGIONS` of each prediction, (N,)."""
        return np.searchsorted(self.edges, np.asarray(predictions, np.float64), side="right")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """Predictions of N images by networks that were not trained on their patients.

    Args:
        patients: (N,) number of the patient of each, from 0.
        target: (N,) true values, in the unit.
        prediction: (N,) predicted values, in the unit.
        spread: (N,) standard deviation of what the networks predict for the image; None where
            there is one network.
        scale: Of the training labels.
        exact: Whether the predictions are of the very network that the model is; else they are of
            networks with its hyperparameters, trained on fewer patients.

    Raises:
        StatisticsError: Lengths that differ, no rows, or values that are not finite.
    """

    patients: npt.NDArray[np.intp]
    target: Array
    prediction: Array
    spread: Array | None
    scale: LabelScale
    exact: bool

    def __post_init__(self) -> None:
        columns = [self.target, self.prediction, *([] if self.spread is None else [self.spread])]
        shapes = {column.shape for column in (self.patients, *columns)}
        finite = all(np.isfinite(column).all() for column in columns)
        if shapes != {(len(self.patients),)} or not len(self.patients) or not finite:
            raise StatisticsError(
                "A calibration needs rows with a patient, a finite label and a finite prediction "
                f"each; found columns of shapes {sorted(shapes)}."
            )

    @property
    def count(self) -> int:
        """Number of patients."""
        return len(np.unique(self.patients))

    @classmethod
    def of(cls, predictions: pl.DataFrame, scale: LabelScale, *, exact: bool) -> Calibration:
        """Return that of predictions of one method on one dataset.

        Args:
            predictions: Rows of the table `predictions` on patients that their networks were not
                trained on. With `exact` those of the first seed calibrate.
            scale: Of the training labels.
            exact: Whether the model is the network of the first seed.
        """
        kept = with_spread(predictions)
        if exact:
            kept = kept.filter(pl.col(schema.SEED) == kept[schema.SEED][0])
        spread = kept[SPREAD]
        return cls(
            patients=np.unique(kept[schema.GROUP].to_numpy(), return_inverse=True)[1],
            target=kept[schema.TARGET].to_numpy(),
            prediction=kept[schema.PREDICTION].to_numpy(),
            spread=None if spread.null_count() else spread.to_numpy(),
            scale=scale,
            exact=exact,
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values, without a patient's name."""
        columns = ("patients", "target", "prediction", "spread")
        found = {name: getattr(self, name) for name in columns}
        rows = {name: None if v is None else v.tolist() for name, v in found.items()}
        return {"format": FORMAT, "scale": asdict(self.scale), "exact": self.exact, **rows}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Calibration:
        """That of plain values.

        Raises:
            StatisticsError: They are of another version, or none that `to_dict` gave.
        """
        if content.get("format") != FORMAT:
            raise StatisticsError(
                f"expected a calibration of format {FORMAT}, found {content.get('format')!r}"
            )
        try:
            spread, scale = content["spread"], content["scale"]
            return cls(
                patients=np.asarray(content["patients"], np.intp),
                target=np.asarray(content["target"], np.float64),
                prediction=np.asarray(content["prediction"], np.float64),
                spread=None if spread is None else np.asarray(spread, np.float64),
                scale=LabelScale(edges=tuple(scale["edges"]), floor=scale["floor"]),
                exact=bool(content["exact"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StatisticsError(f"the calibration is damaged: {error!r}") from error


SPREAD: Final = "spread"


def with_spread(predictions: pl.DataFrame) -> pl.DataFrame:
    """Return predictions with the standard deviation over seeds for each image, as `spread`.

    It is null for an image that has not a prediction of at least two seeds.
    """
    return predictions.with_columns(
        pl.col(schema.PREDICTION).std(ddof=1).over(schema.ID).alias(SPREAD)
    )


def weights(patients: npt.NDArray[Any]) -> Array:
    """Weights of rows, (N,): each patient has 1 in all, whatever the number of its images."""
    _, owner, counts = np.unique(patients, return_inverse=True, return_counts=True)
    return 1.0 / counts[owner]
