"""Errors by how many training samples have such a label: many, median, few; and the balanced MAE.

Labels fall into bins of one width, [k w, (k + 1) w). A bin's density is the number of training
samples in it, and a sample's region follows from the density of its bin, in any split
(Yang et al. 2021, "Delving into Deep Imbalanced Regression").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Unpack

import numpy as np
import numpy.typing as npt

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.resampling.bootstrap import ResamplingOptions
from supremix_reports.statistics.resampling.intervals import (
    Array,
    Interval,
    mean_of_bins_interval,
    seeds_interval,
)

REGIONS: Final = ("many", "median", "few")
BALANCED: Final = "balanced_mae"
THRESHOLDS: Final = (20, 100)
"""The paper's: a bin of more than 100 training samples is "many", one of fewer than 20 "few"."""

LEAST: Final = 10
"""Training samples a bin holds on average, at least, for its density to mean something."""


@dataclass(frozen=True, slots=True)
class LabelDensity:
    """How many training samples have which label.

    Args:
        width: of a bin, in the labels' unit; 0: every distinct label is a bin of its own.
        counts: number of training samples of each bin that has any, by the bin's number (of width
            0: by the label).
        thresholds: (low, high): bins with fewer than low are "few", with more than high "many".
    """

    width: float
    counts: dict[float, int]
    thresholds: tuple[int, int]

    @classmethod
    def of(
        cls,
        training: npt.ArrayLike,
        label_bin: float,
        *,
        thresholds: tuple[int, int] | None = None,
        least: float = LEAST,
    ) -> LabelDensity:
        """Count training labels.

        Args:
            training: (N,) labels of the training samples.
            label_bin: bin of the label grid. Where the labels' range has more bins than one for
                each `least` samples, so many are joined into one: a count of 0 or 1 says nothing.
            thresholds: (low, high). None takes the paper's (20, 100) where each of its regions
                has a bin, and else the tertiles of the densities of the training samples: about a
                third of them lies in bins above the high one, a third below the low one.
            least: training samples a bin is to hold on average; 0 joins none.

        Raises:
            StatisticsError: no labels, or thresholds in the wrong order.
        """
        labels = np.asarray(training, dtype=np.float64)
        if labels.ndim != 1 or not labels.size or not np.isfinite(labels).all() or label_bin < 0:
            raise StatisticsError(
                "the density of labels needs a list of finite training labels, and a bin of 0 or "
                f"more; got shape {labels.shape}, bin {label_bin!r}."
            )
        width = _joined(labels, label_bin, least)
        bins, counts = np.unique(_bins(labels, width), return_counts=True)
        low, high = thresholds or _thresholds(counts)
        if low > high:
            raise StatisticsError(f"thresholds are (low, high), low <= high; got {(low, high)}.")
        known = dict(zip(bins.tolist(), counts.tolist(), strict=True))
        return cls(width=width, counts=known, thresholds=(low, high))

    def bins(self, labels: npt.ArrayLike) -> Array:
        """The bin of each label, (N,)."""
        return _bins(np.asarray(labels, dtype=np.float64), self.width)

    def density(self, labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Number of training samples in the bin of each label, (N,)."""
        return np.array([self.counts.get(b, 0) for b in self.bins(labels).tolist()], dtype=np.int64)

    def regions(self, labels: npt.ArrayLike) -> npt.NDArray[np.str_]:
        """The region of each label: "many", "median" or "few", (N,)."""
        density, (low, high) = self.density(labels), self.thresholds
        names = np.where(density > high, "many", np.where(density < low, "few", "median"))
        return names.astype(np.str_)

    def describe(self, unit: str) -> str:
        """The bins and thresholds in words."""
        low, high = self.thresholds
        bins = f"a bin of {self.width:g} {unit}" if self.width else "the same label"
        return f"many: more than {high} training samples in {bins}; few: fewer than {low}"


def imbalance_intervals(
    density: LabelDensity,
    target: npt.ArrayLike,
    prediction: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    seeds: npt.ArrayLike | None = None,
    folds: npt.ArrayLike | None = None,
    **options: Unpack[ResamplingOptions],
) -> dict[str, Interval]:
    """Return the MAE of each region and the balanced MAE, with intervals over groups and seeds.

    Args:
        density: of the training labels.
        target: (N,) true values; they decide region and bin.
        prediction: (N,) predicted values.
        groups: (N,) group of each.
        seeds: (N,) seed of the model that predicted each; None: one model.
        folds: (N,) fold that the model was not trained on; None without folds.
        options: `level` to cover (0.95), number of `resamples` (2000), `seed` of the drawing (0).

    Returns:
        `mae_many`, `mae_median`, `mae_few`: of the samples in the region; NaN with `n` 0 where
        there are none. `balanced_mae`: the mean over the bins of the MAE within, of the bins that
        have samples (in a resample: that have some in it).
    """
    y, owners = np.asarray(target, dtype=np.float64), np.asarray(groups)
    models = np.zeros(y.shape) if seeds is None else np.asarray(seeds)
    errors = np.abs(np.asarray(prediction, dtype=np.float64) - y)
    regions = density.regions(y)
    result: dict[str, Interval] = {}
    for name in REGIONS:
        inside = regions == name
        result[f"mae_{name}"] = (
            seeds_interval(
                errors[inside],
                owners[inside],
                models[inside],
                folds=None if folds is None else np.asarray(folds)[inside],
                **options,
            )
            if inside.any()
            else _NOTHING
        )
    bins = density.bins(y)
    result[BALANCED] = mean_of_bins_interval(
        errors, bins, owners, seeds=models, folds=folds, **options
    )
    return result


_NOTHING: Final = Interval(value=math.nan, low=math.nan, high=math.nan, n=0, groups=0)


def _joined(labels: Array, label_bin: float, least: float) -> float:
    """The least multiple of the label bin of which there are few enough."""
    if label_bin == 0 or least <= 0:
        return label_bin
    most = max(labels.size / least, 1.0)
    steps = (labels.max() - labels.min()) / label_bin
    return label_bin * max(math.ceil(steps / most), 1)


def _bins(labels: Array, width: float) -> Array:
    if width == 0:
        return labels
    steps = labels / width
    # A label on the edge of a bin, up to rounding, is on it: 1.15 is 22.999999999999996 × 0.05.
    return np.floor(steps + 2 * np.finfo(np.float64).eps * np.abs(steps))


def _thresholds(counts: npt.NDArray[np.int64]) -> tuple[int, int]:
    low, high = THRESHOLDS
    middle = (counts >= low) & (counts <= high)
    if counts.min() < low and counts.max() > high and middle.any():
        return THRESHOLDS
    # Of samples, not of bins: each sample counts with the density of its own bin.
    density = np.repeat(counts, counts)
    tertiles = np.quantile(density, [1 / 3, 2 / 3], method="inverted_cdf")
    return int(tertiles[0]), int(tertiles[1])
