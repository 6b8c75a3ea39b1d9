"""Learning curves for hyperparameters that nobody has trained: a forest fitted to recorded ones."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from sklearn.ensemble import ExtraTreesRegressor

from supremix.tuning.simulation.curves import Coordinates, Curve, RecordedCurves
from supremix_spaces import Space

PROBES = 4_000
"""Settings drawn at random, among which the least predicted error counts as the best known."""


class ForestCurves:
    """Answers a configuration with the curve that a random forest expects, and the luck of a seed.

    The forest (extremely randomised trees, one for all epochs at once, so that a curve is a mean of
    recorded curves) learns the logarithm of the errors of recorded trainings. Out of sample it
    explains only a part of them (`explained`). The rest is luck of the seed and what a few
    dozen recordings do not show: a search sees `noise` of it, as the whole residual curve of one of
    the recordings, out of sample, drawn by seed and hyperparameters.

    The nearest recording instead (`RecordedCurves`) would let the luck of single trainings stand
    for a landscape that no method can learn: hyperparameters as alike as two seeds then differ for
    ever.

    Args:
        table: Columns trial, config (JSON), epoch (from 1), error, seconds; one row an epoch.
        space: The space that the recorded hyperparameters were drawn from.
        noise: Share of the residual curves that is added, from 0 to 1.

    Attributes:
        explained: R² of the last error's logarithm, out of sample.
        best: Least true error among `PROBES` hyperparameters drawn at random and the recorded ones.
    """

    def __init__(self, table: pl.DataFrame, space: Space, noise: float) -> None:
        recorded = RecordedCurves(table, space)
        self._scale, self._noise = Coordinates(space), noise
        points = np.stack([self._scale.point(config) for config in recorded.configs])
        errors = np.log([[error for error, _ in curve] for curve in recorded.curves])
        self._seconds = float(np.median([[s for _, s in curve] for curve in recorded.curves]))
        self._forest = ExtraTreesRegressor(
            100, min_samples_leaf=3, bootstrap=True, oob_score=True, random_state=0
        ).fit(points, errors)
        self._residuals = errors - self._forest.oob_prediction_
        last = self._residuals[:, -1]
        self.explained = float(1.0 - np.mean(last**2) / np.var(errors[:, -1]))
        self._known: dict[str, np.ndarray] = {}
        self._space = space
        finals = np.exp(self._forest.predict(points)[:, -1])
        self.best = float(min(finals.min(), self._drawn(PROBES).min()))

    def true_error(self, config: Mapping[str, Any]) -> float:
        """The expected error after the last epoch."""
        return float(np.exp(self._clean(config)[-1]))

    def share(self, within: float, draws: int = 100_000) -> float:
        """Share of random hyperparameters with at most `within` times the least error."""
        return float(np.mean(self._drawn(draws) <= within * self.best))

    def _drawn(self, draws: int) -> np.ndarray:
        """True errors of hyperparameters drawn at random."""
        dice = Dice(0)
        points = [self._scale.point(self._space.suggest(dice)) for _ in range(draws)]
        return np.exp(self._forest.predict(np.stack(points))[:, -1])

    def rows(self, config: Mapping[str, Any], seed: int | None) -> Curve:
        """An expected curve with one recording's luck."""
        key = zlib.crc32(json.dumps(config, sort_keys=True).encode())
        luck = np.random.default_rng([key, seed or 0]).integers(len(self._residuals))
        curve = np.exp(self._clean(config) + self._noise * self._residuals[luck])
        return [(float(error), self._seconds) for error in curve]

    def _clean(self, config: Mapping[str, Any]) -> np.ndarray:
        key = json.dumps(config, sort_keys=True)
        if key not in self._known:
            # Each tree by itself: the checks around `predict` cost fifty times the prediction.
            point = self._scale.point(config)[None].astype(np.float32)
            trees = [tree.tree_.predict(point) for tree in self._forest.estimators_]
            self._known[key] = np.mean(trees, axis=0).reshape(-1)
        return self._known[key]


class Dice:
    """Draws hyperparameters as Optuna's random sampler does, without its bookkeeping.

    Args:
        seed: Of the draws.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number of the range."""
        share = self._random.random()
        return low * (high / low) ** share if log else low + (high - low) * share

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """An integer of the range."""
        if log:
            return min(high, int(low * ((high + 1) / low) ** self._random.random()))
        return low + step * self._random.randrange((high - low) // step + 1)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the options."""
        return self._random.choice(choices)
