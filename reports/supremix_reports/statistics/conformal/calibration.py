"""Predictions on patients that no network was trained on, which calibrate a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.resampling.seeds import Array
from supremix_reports.tables import schema

FORMAT: Final = 2

PredictedBy = Literal["model", "folds", "trials"]
"""The networks that predicted the calibration patients. model: the very networks that the model is.
folds: in a cross-validation those of the patient's fold, which the model has among others. trials:
networks with the same hyperparameters, before the final training, which had these patients too."""

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
    """Predictions of N images by K networks that were not trained on their patients.

    Args:
        patients: (N,) number of the patient of each, from 0.
        target: (N,) true values, in the unit.
        predictions: (N, K) predicted values, in the unit, a column a network.
        scale: Of the training labels.
        predicted_by: The networks, see `PredictedBy`.

    Raises:
        StatisticsError: Lengths that differ, no rows, or values that are not finite.
    """

    patients: npt.NDArray[np.intp]
    target: Array
    predictions: Array
    scale: LabelScale
    predicted_by: PredictedBy

    def __post_init__(self) -> None:
        shapes = [column.shape for column in (self.patients, self.target, self.predictions)]
        count, finite = len(self.patients), (self.target, self.predictions)
        known = shapes[:2] == [(count,)] * 2 and all(np.isfinite(one).all() for one in finite)
        whole = self.predictions.ndim == 2 and self.predictions.size and shapes[2][0] == count
        if not (known and whole):
            raise StatisticsError(
                "A calibration needs rows with a patient, a finite label and as many finite "
                f"predictions each; found columns of shapes {shapes}."
            )

    @property
    def count(self) -> int:
        """Number of patients."""
        return len(np.unique(self.patients))

    @property
    def exact(self) -> bool:
        """Whether the predictions are of the very networks that the model is."""
        return self.predicted_by == "model"

    @property
    def prediction(self) -> Array:
        """(N,) means over the networks."""
        return self.predictions.mean(axis=1)

    @property
    def spread(self) -> Array | None:
        """(N,) standard deviations over the networks; None with one."""
        return self.predictions.std(axis=1, ddof=1) if self.predictions.shape[1] > 1 else None

    @classmethod
    def of(
        cls, predictions: pl.DataFrame, scale: LabelScale, predicted_by: PredictedBy
    ) -> Calibration:
        """Return that of predictions of one method on one dataset.

        Args:
            predictions: Rows of the table `predictions` on patients that their networks were not
                trained on, as many for each image.
            scale: Of the training labels.
            predicted_by: The networks.

        Raises:
            StatisticsError: Images are predicted by different numbers of networks.
        """
        images = per_image(predictions)
        if images[PREDICTIONS].list.len().n_unique() > 1:
            raise StatisticsError("a calibration needs as many predictions of each image")
        return cls(
            patients=np.unique(images[schema.GROUP].to_numpy(), return_inverse=True)[1],
            target=images[schema.TARGET].to_numpy(),
            predictions=np.array(images[PREDICTIONS].to_list(), np.float64),
            scale=scale,
            predicted_by=predicted_by,
        )

    def of_one(self) -> Calibration:
        """That of a model of one network, the first of them or one that was trained later.

        With another network than those that predicted, the errors of all of them count alike.
        """
        if self.exact:
            return replace(self, predictions=self.predictions[:, :1])
        networks = self.predictions.shape[1]
        return replace(
            self,
            patients=np.repeat(self.patients, networks),
            target=np.repeat(self.target, networks),
            predictions=self.predictions.reshape(-1, 1),
        )

    def of_mean(self, count: int) -> Calibration:
        """That of the mean of `count` networks: of as many, or of fewer where there are fewer.

        Raises:
            StatisticsError: The networks are those that predicted, but not as many.
        """
        networks = self.predictions.shape[1]
        if self.exact and networks != count:
            raise StatisticsError(
                f"the calibration is of {networks} networks, and the model has {count}"
            )
        return replace(self, predictions=self.predictions[:, :count])

    def to_dict(self) -> dict[str, Any]:
        """As plain values, without a patient's name."""
        columns = ("patients", "target", "predictions")
        rows = {name: getattr(self, name).tolist() for name in columns}
        words = {"format": FORMAT, "predicted_by": self.predicted_by}
        return {**words, "scale": asdict(self.scale), **rows}

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
            scale = content["scale"]
            return cls(
                patients=np.asarray(content["patients"], np.intp),
                target=np.asarray(content["target"], np.float64),
                predictions=np.asarray(content["predictions"], np.float64),
                scale=LabelScale(edges=tuple(scale["edges"]), floor=scale["floor"]),
                predicted_by=content["predicted_by"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StatisticsError(f"the calibration is damaged: {error!r}") from error


PREDICTIONS: Final = "predictions"
SPREAD: Final = "spread"
SEED_SPREAD: Final = "seed_spread"
"""Column of the spread that normalised intervals are in proportion to: over networks that were
trained on the same patients."""


def per_image(predictions: pl.DataFrame) -> pl.DataFrame:
    """Return a row an image of predictions by several networks.

    Args:
        predictions: Rows of the table `predictions`.

    Returns:
        The columns id, group, target, predictions (a list), prediction (their mean) and seed_spread
        (their standard deviation; null with one), in the order of the images.
    """
    listed = pl.col(PREDICTIONS).list
    return (
        predictions.group_by(schema.ID, maintain_order=True)
        .agg(
            pl.col(schema.GROUP, schema.TARGET).first(),
            pl.col(schema.PREDICTION).alias(PREDICTIONS),
        )
        .with_columns(listed.mean().alias(schema.PREDICTION), listed.std(ddof=1).alias(SEED_SPREAD))
    )


def weights(patients: npt.NDArray[Any]) -> Array:
    """Weights of rows, (N,): each patient has 1 in all, whatever the number of its images."""
    _, owner, counts = np.unique(patients, return_inverse=True, return_counts=True)
    return 1.0 / counts[owner]
