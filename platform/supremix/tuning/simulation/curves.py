"""Learning curves for a simulated search: recorded ones of real training, and invented ones."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from supremix.errors import SpecError
from supremix.tuning.study.warm_start import scaled
from supremix_spaces import Choice, Fixed, Float, Int, Space

Curve = Sequence[tuple[float, float]]
"""(error, seconds) of each epoch, first to last."""
Floats = NDArray[np.float64]
_ABSENT = -1.0
"""Coordinate of a parameter whose condition does not hold."""


class CurveModel(Protocol):
    """The learning curves that training would give.

    Attributes:
        best: Least `true_error` that there is.
    """

    best: float

    def rows(self, config: Mapping[str, Any], seed: int | None) -> Curve:
        """The curve of one training; the same for the same configuration and seed."""
        ...

    def true_error(self, config: Mapping[str, Any]) -> float:
        """Error after the last epoch, without the luck of a seed."""
        ...


class RecordedCurves:
    """Answers each configuration with the recorded training that is nearest to it.

    Nothing is fitted: every curve that a search sees was measured, with its noise, its jump
    between the stages and its duration, and the best known error is the best one recorded. A search
    has to find the region of the best recorded hyperparameters, not to be exact beyond the
    recording's density. Nearest means the least sum of squared differences, each
    parameter scaled to 0..1 (on a logarithmic scale where it is searched on one); another option
    of a choice counts 1, and so does a parameter that only one of the two has.

    Args:
        table: Columns trial, config (JSON), epoch (from 1), error, seconds; one row an epoch.
        space: The space that the recorded hyperparameters were drawn from.
        epochs: Length of a whole training; a shorter recording was a training that diverged and
            stands for one that never gets better than its worst error. None for the longest.

    Raises:
        SpecError: The table has no row.
    """

    def __init__(self, table: pl.DataFrame, space: Space, epochs: int | None = None) -> None:
        if table.is_empty():
            raise SpecError("recorded curves need at least one recorded trial; got an empty table.")
        self._scale = Coordinates(space)
        groups = table.sort("trial", "epoch").group_by("trial", maintain_order=True)
        recordings = [recording for _, recording in groups]
        length = epochs or max(recording.height for recording in recordings)
        self.configs = [json.loads(recording["config"][0]) for recording in recordings]
        self.curves = [_filled(recording, length) for recording in recordings]
        self._points = np.stack([self._scale.point(config) for config in self.configs])
        self.best = min(curve[-1][0] for curve in self.curves)

    def nearest(self, config: Mapping[str, Any]) -> int:
        """Index of the recording that answers `config`."""
        return int(np.argmin(self._scale.distances(self._points, self._scale.point(config))))

    def rows(self, config: Mapping[str, Any], seed: int | None) -> Curve:
        """The nearest recording; the seed changes nothing."""
        return self.curves[self.nearest(config)]

    def true_error(self, config: Mapping[str, Any]) -> float:
        """The nearest recording's last error."""
        return self.curves[self.nearest(config)][-1][0]


class SyntheticCurves:
    """Invented curves whose best configuration is known.

    The error after the last epoch is ``floor·(1 + spread·d)``: d is the mean squared distance from
    a hidden optimum, with weights that differ by parameter, plus 0.1 for the wrong option of the
    choice ``head``. Epoch t of T stands at ``final + (start - final)·g(t)``, where g falls as a
    power law t^-r from 1 at the first epoch to 0 at the last. The rate r (0.4 to 2) grows with
    ``lr``, whose best value for the end is another: fast starters are overtaken, curves cross.
    A seed moves a whole curve by `noise`/2 (relative, standard deviation) and each epoch by
    `noise`. Seconds of an epoch fall with the batch size.

    Args:
        seed: Seed of the optimum and the weights.
        dim: Number of parameters besides lr, batch_size and head; at least 0.
        epochs: Epochs of a whole training, at least 2.
        floor: The least error there is, above 0.
        spread: How much worse configurations far from it are; relative, above 0.
        noise: Relative standard deviation, at least 0.
        seconds: Seconds of an epoch at batch size 32, about; above 0.
    """

    def __init__(
        self,
        seed: int,
        *,
        dim: int = 4,
        epochs: int = 27,
        floor: float = 3.0,
        spread: float = 2.0,
        noise: float = 0.01,
        seconds: float = 60.0,
    ) -> None:
        if dim < 0 or epochs < 2 or min(floor, spread, seconds) <= 0 or noise < 0:
            raise SpecError(
                "invented curves need dim >= 0, epochs >= 2, floor, spread and seconds > 0 and "
                f"noise >= 0; got dim={dim}, epochs={epochs}, floor={floor:g}, "
                f"spread={spread:g}, seconds={seconds:g}, noise={noise:g}."
            )
        self.space = synthetic_space(dim)
        self.epochs, self.best = epochs, floor
        self._seed, self._spread, self._noise, self._seconds = seed, spread, noise, seconds
        self._scale = Coordinates(self.space)
        random = np.random.default_rng(seed)
        self._optimum = random.uniform(0.15, 0.85, len(self._scale.names))
        self._weights = random.dirichlet(np.ones(len(self._scale.names)))
        self._head = str(random.choice(["finetune", "probe"]))
        self._optimum[self._scale.names.index("head")] = 0.0  # counted apart

    def true_error(self, config: Mapping[str, Any]) -> float:
        """The curve's last error without noise."""
        point = self._scale.point(config)
        apart = np.where(point == _ABSENT, 0.0, point - self._optimum)
        apart[self._scale.names.index("head")] = 0.0
        far = float(self._weights @ apart**2) + 0.1 * (config["head"] != self._head)
        return self.best * (1.0 + self._spread * far)

    def rows(self, config: Mapping[str, Any], seed: int | None) -> Curve:
        """A noisy curve."""
        final = self.true_error(config)
        rate = 0.4 + 1.6 * float(self._scale.point(config)[self._scale.names.index("lr")])
        last = float(self.epochs) ** -rate
        falling = (np.arange(1, self.epochs + 1.0) ** -rate - last) / (1.0 - last)
        clean = final + (4.0 * self.best - final) * falling
        random = np.random.default_rng([self._seed, seed or 0, _digest(config)])
        luck = 1.0 + self._noise * (random.normal() / 2 + random.normal(size=self.epochs))
        seconds = self._seconds * (0.5 + 16.0 / config["batch_size"])
        return [(float(error), seconds) for error in clean * np.maximum(luck, 0.1)]


def synthetic_space(dim: int) -> Space:
    """The space of `SyntheticCurves`: lr, batch_size, head with its finetune_lr, `dim` more."""
    return Space(
        {
            "lr": Float(1e-4, 1e-1, log=True),
            "batch_size": Choice((16, 32, 64, 128), default=32),
            "head": Choice(("finetune", "probe")),
            "finetune_lr": Float(1e-5, 1e-2, log=True, when=("head", ("finetune",))),
            **{f"x{k}": Float(0.0, 1.0) for k in range(dim)},
        }
    )


class Coordinates:
    """Configurations of a space as points: ranges scaled to 0..1, options of choices numbered.

    Args:
        space: The space; parameters with one value are left out.
    """

    def __init__(self, space: Space) -> None:
        self.names = space.searched
        self._parameters = [space[name] for name in self.names]
        self._choice = np.array([isinstance(p, Choice) for p in self._parameters])

    def point(self, config: Mapping[str, Any]) -> Floats:
        """Coordinates (D,) of a configuration; -1 where a parameter does not exist."""
        pairs = zip(self.names, self._parameters, strict=True)
        return np.array([_coordinate(p, config[n]) if n in config else _ABSENT for n, p in pairs])

    def distances(self, points: Floats, point: Floats) -> Floats:
        """Squared distances (N,) of `points` (N, D) from `point` (D,)."""
        apart = (points - point) ** 2
        differs = points != point
        nominal = self._choice | (points == _ABSENT) | (point == _ABSENT)
        return np.where(nominal, differs, apart).sum(axis=1)


def _coordinate(parameter: Float | Int | Choice | Fixed, value: Any) -> float:
    match parameter:
        case Choice():
            return float(next(i for i, option in enumerate(parameter.options) if option == value))
        case Float() | Int():
            return scaled(parameter, value)
        case Fixed():
            return 0.0


def _filled(recording: pl.DataFrame, length: int) -> list[tuple[float, float]]:
    curve = list(recording.head(length).select("error", "seconds").iter_rows())
    worst = max(error for error, _ in curve)
    return curve + [(worst, curve[-1][1])] * (length - len(curve))


def _digest(config: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(config, sort_keys=True).encode())
