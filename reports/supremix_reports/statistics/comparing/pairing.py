"""What a method predicted, sample by sample and seed by seed, and two methods on the same samples.

A difference of two methods is a function of sums over the same samples, so patients are drawn once
for both: what makes a patient hard for both does not widen the interval. The seeds of the two are
different models; their spreads add up. Folds of the two have the same training data: they are
paired.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

import numpy as np
import numpy.typing as npt
import polars as pl

from supremix_reports.statistics.measures.skill import null_errors, shows_skill, skill_interval
from supremix_reports.statistics.resampling.bootstrap import ResamplingOptions
from supremix_reports.statistics.resampling.seeds import (
    Array,
    Measure,
    Spread,
    Sums,
    seeds_spread,
    sums_of,
)
from supremix_reports.tables import schema
from supremix_reports.tables.frames import folds_of

SAME = [schema.ID, schema.GROUP, schema.TARGET]


@dataclass(frozen=True, slots=True)
class MethodPredictions:
    """The errors of a method on the samples of a split.

    Args:
        samples: id, group and target of N samples, sorted by id.
        errors: (S, N) absolute errors, a row a seed.
        constant: whether a seed predicted the same for all of several samples.
        null: (S, N) absolute errors of the better null model; None where not recorded.
        folds: (S, N) fold that each prediction is out of; None without folds.
    """

    samples: pl.DataFrame
    errors: Array
    constant: bool
    null: Array | None = None
    folds: npt.NDArray[np.int64] | None = None

    @property
    def models(self) -> int:
        """Number of models: one a seed, of a cross-validation one a seed and fold."""
        return len(self.errors) * (1 if self.folds is None else len(np.unique(self.folds)))

    @classmethod
    def of(cls, predictions: pl.DataFrame) -> MethodPredictions | str:
        """Arrange the predictions of one method on one split; or say why that cannot be done."""
        if predictions.is_empty():
            return "no predictions"
        finite = pl.all_horizontal(pl.col(schema.TARGET, schema.PREDICTION).is_finite())
        table = predictions.filter(finite.fill_null(value=False)).sort(schema.SEED, schema.ID)
        lacking = predictions.height - table.height
        if lacking:
            return f"{lacking} of {predictions.height} predictions are no finite numbers"
        return cls._arranged(table)

    @classmethod
    def _arranged(cls, table: pl.DataFrame) -> MethodPredictions | str:
        if table.select(schema.SEED, schema.ID).is_duplicated().any():
            return "several predictions of a sample by one seed"
        parts = table.partition_by(schema.SEED, maintain_order=True)
        samples = parts[0].select(SAME)
        if not all(part.select(SAME).equals(samples) for part in parts):
            return "its seeds have other samples"
        target = samples[schema.TARGET].to_numpy()
        predicted = np.stack([part[schema.PREDICTION].to_numpy() for part in parts])
        constant = samples.height > 1 and bool((np.ptp(predicted, axis=1) == 0).any())
        folds = folds_of(table)
        # The table is in the order of seeds and samples.
        null = [one.reshape(predicted.shape) for one in null_errors(table).values()]
        return cls(
            samples,
            np.abs(predicted - target),
            constant,
            null[0] if null else None,
            None if folds is None else folds.reshape(predicted.shape),
        )

    def lacks_skill(self, **options: Unpack[ResamplingOptions]) -> bool:
        """Whether its skill is known, and not shown to be above 0."""
        if self.null is None:
            return False
        seeds, count = self.errors.shape
        groups = np.tile(self.samples[schema.GROUP].to_numpy(), seeds)
        models = np.repeat(np.arange(seeds), count)
        folds = None if self.folds is None else self.folds.ravel()
        own = skill_interval(
            self.errors.ravel(), self.null.ravel(), groups, models, folds=folds, **options
        )
        return not shows_skill(own.low)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two methods on the same samples.

    Args:
        method: (S, N) absolute errors of the method.
        reference: (R, N) those of the reference, samples in the same order.
        groups: (N,) group of each sample.
        folds: (S, N) fold of each prediction of the method, and (R, N) of the reference; None
            where one of them has no folds.
    """

    method: Array
    reference: Array
    groups: npt.NDArray[np.object_]
    folds: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None

    @property
    def sums(self) -> Array:
        """Per group (G, 3): samples, errors of the method and of the reference, seeds' means."""
        return self._sums(self.method.mean(0)[None], self.reference.mean(0)[None]).values[0]

    def spread(self, measure: Measure) -> Spread:
        """What the seeds of both methods add to the variance of a measure of `sums`."""
        folds, others = self.folds or (None, None)
        if folds is not None and others is not None and np.array_equal(folds, others):
            return seeds_spread(self._sums(self.method, self.reference, folds), measure)
        method = self._sums(self.method, self.reference.mean(0)[None], folds)
        reference = self._sums(self.method.mean(0)[None], self.reference, others)
        return Spread.joined([seeds_spread(method, measure), seeds_spread(reference, measure)])

    def differences(self) -> Array:
        """Mean error of the method minus that of the reference, of each group (G,)."""
        sums = self.sums
        return (sums[:, 1] - sums[:, 2]) / sums[:, 0]

    def _sums(
        self, method: Array, reference: Array, folds: npt.NDArray[np.int64] | None = None
    ) -> Sums:
        a, b = np.broadcast_arrays(method, reference)
        moments = np.stack([np.ones_like(a), a, b], axis=-1).reshape(-1, 3)
        seeds = np.repeat(np.arange(len(a)), a.shape[1])
        own = None if folds is None else folds.ravel()
        return sums_of(moments, np.tile(self.groups, len(a)), seeds, own)


def difference(sums: Array) -> Array:
    """Of sums (..., 3): the method's error minus the reference's."""
    return (sums[..., 1] - sums[..., 2]) / sums[..., 0]


def gain(sums: Array) -> Array:
    """Of sums (..., 3): the gain in percent of the reference's error; NaN where that is 0."""
    reference = sums[..., 2]
    known = reference > 0
    return np.where(
        known, 100 * (reference - sums[..., 1]) / np.where(known, reference, 1.0), np.nan
    )
