"""From what an epoch costs to what a search costs: arithmetic on measured numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import optuna

from supremix.errors import TrainingError
from supremix.planning.calibration import Calibration, Epoch
from supremix.planning.expected_halving import Course
from supremix.training import Method, Stage, make_config
from supremix.tuning.pruners.pruner import Rungs
from supremix.tuning.study.budget import HOUR, Budget
from supremix_datasets import Card
from supremix_spaces import Space

DRAWS = 100
"""Settings drawn from a space to see what a trial of it costs on average."""

UNLIKELY = 0.1
"""A tenth of the settings drawn are cheaper than the low estimate, a tenth dearer than the high."""

Limit = Literal["trials", "time", "gpu_hours"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """An estimate.

    Args:
        low: If all goes fast: every rung prunes as many as it can, settings are cheap.
        likely: What is expected.
        high: If nothing is pruned, and settings are dear.
    """

    low: float
    likely: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(
            low=self.low + other.low, likely=self.likely + other.likely, high=self.high + other.high
        )

    def times(self, factor: float) -> Range:
        """All three multiplied."""
        return Range(low=self.low * factor, likely=self.likely * factor, high=self.high * factor)


def exactly(value: float) -> Range:
    """An estimate without doubt."""
    return Range(low=value, likely=value, high=value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """What the epochs of one whole trial cost on average.

    Args:
        train: (E,) seconds of each epoch as the ledger counts them.
        around: (E,) seconds around it: building the trial, writing its checkpoint.
        cheap: What a whole trial of cheap settings costs, as a share of the average.
        dear: Likewise of dear settings.
    """

    train: tuple[float, ...]
    around: tuple[float, ...]
    cheap: float
    dear: float

    @property
    def all(self) -> tuple[float, ...]:
        """(E,) seconds for which an epoch keeps its worker group busy."""
        return tuple(map(sum, zip(self.train, self.around, strict=True)))

    def joined(self, other: Costs) -> Costs:
        """Of trials that go on with `other`, on another dataset."""
        mine, its = sum(self.train), sum(other.train)
        share = mine / (mine + its)
        return Costs(
            train=self.train + other.train,
            around=self.around + other.around,
            cheap=share * self.cheap + (1 - share) * other.cheap,
            dear=share * self.dear + (1 - share) * other.dear,
        )


def epoch_seconds(calibration: Calibration, objective: str, batch: int) -> tuple[float, float]:
    """Seconds of an ordinary epoch, and what the last of its stage takes beyond that.

    Between the batches that were measured, on a straight line over the steps an image takes part
    in (1/batch), since an epoch is a cost for each image and one for each step; beyond them as at
    the nearest. A kind of stage that was not met costs what the dearest of the others does.
    """
    found = [e for one in calibration.measured for e in one.epochs if e.objective == objective]
    if not found:
        dearest = max(calibration.default.epochs, key=lambda epoch: epoch.seconds)
        return dearest.seconds, 0.0
    points = sorted({e.batch: e for e in found}.values(), key=lambda epoch: 1 / epoch.batch)
    return _between(points, 1 / batch), max(e.more for e in points)


def _between(points: Sequence[Epoch], at: float) -> float:
    for low, high in pairwise(points):
        left, right = 1 / low.batch, 1 / high.batch
        if left <= at <= right:
            share = (at - left) / (right - left)
            return (1 - share) * low.seconds + share * high.seconds
    return points[0].seconds if at < 1 / points[0].batch else points[-1].seconds


def trial_costs(calibration: Calibration, stages: Sequence[Stage], epochs: int) -> list[float]:
    """(epochs,) seconds of each epoch of a trial with these stages; 0 after its last one."""
    costs: list[float] = []
    for stage in stages:
        seconds, more = epoch_seconds(calibration, stage.objective, stage.batch_size)
        costs += [seconds] * (stage.epochs - 1) + [seconds + more]
    return (costs + [0.0] * epochs)[:epochs]


def mean_costs(
    calibration: Calibration, method: Method, space: Space, card: Card, epochs: int
) -> Costs:
    """What a trial of a space costs on average, over settings drawn from it.

    Args:
        calibration: What was measured.
        method: Of the search; it says which stages settings lead to.
        space: Of the search.
        card: Of the dataset.
        epochs: Of a whole trial.
    """
    drawn = [
        trial_costs(calibration, stages, epochs)
        for config in (space.defaults(), *draw(space, DRAWS))
        if (stages := _stages(method, config, epochs, card)) is not None
    ]
    totals = sorted(map(sum, drawn))
    mean = sum(totals) / len(totals)
    one = calibration.default
    return Costs(
        train=tuple(sum(column) / len(drawn) for column in zip(*drawn, strict=True)),
        around=(one.setup + one.save, *[one.save] * (epochs - 1)),
        cheap=totals[int(UNLIKELY * (len(totals) - 1))] / mean,
        dear=totals[round((1 - UNLIKELY) * (len(totals) - 1))] / mean,
    )


def draw(space: Space, count: int) -> list[dict[str, Any]]:
    """Settings at random, always the same."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [dict(space.suggest(study.ask())) for _ in range(count)]


def _stages(
    method: Method, config: Mapping[str, Any], epochs: int, card: Card
) -> Sequence[Stage] | None:
    """The stages that settings lead to; None for settings that a trial would fail with."""
    try:
        return method.stages(make_config(method, config), epochs=epochs, card=card)
    except TrainingError:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """What the trials of one search come to.

    Args:
        trials: Trials that are begun.
        ends_by: The limit that is reached first.
        epochs: Of all trials together; `high` is at most so many.
        seconds: Until the last one has ended.
        busy: Seconds that worker groups train, added up over the worker groups, as the ledger
            counts them.
    """

    trials: int
    ends_by: Limit
    epochs: Range
    seconds: Range
    busy: Range


def effort(
    costs: Costs, rungs: Rungs, budget: Budget, *, worker_groups: int, gpus: float
) -> Effort:
    """What a search's trials come to, until the first limit of its budget is reached.

    Args:
        costs: Of a trial's epochs.
        rungs: Where trials are compared.
        budget: The limits.
        worker_groups: Trials at once.
        gpus: GPUs of one worker group.
    """

    def course(of: Sequence[float]) -> Course:
        # A trial is compared with those that do not run beside it, see `search.rules.Rules`.
        return Course(rungs=rungs, lead=worker_groups, costs=of)

    busy, train, count = course(costs.all), course(costs.train), course([1.0] * rungs.total)
    limits: dict[Limit, int] = {}
    if budget.trials is not None:
        limits["trials"] = budget.trials
    if budget.seconds is not None:
        limits["time"] = max(1, busy.within(budget.seconds * worker_groups))
    if budget.gpu_hours is not None:
        limits["gpu_hours"] = max(1, train.within(budget.gpu_hours * HOUR / gpus))
    ends_by = min(limits, key=lambda name: limits[name])
    trials = limits[ends_by]
    seconds = wall(_ranged(busy, costs, trials), trials, worker_groups, busy.whole)
    if budget.seconds is not None:
        seconds = _capped(seconds, budget.seconds, ends_by == "time")
    return Effort(
        trials=trials,
        ends_by=ends_by,
        epochs=_ranged(count, None, trials),
        seconds=seconds,
        busy=_ranged(train, costs, trials),
    )


def _ranged(course: Course, costs: Costs | None, trials: int) -> Range:
    """Cost of trials: with the halving at its best, as expected, and without any."""
    cheap, dear = (1.0, 1.0) if costs is None else (costs.cheap, costs.dear)
    marks = (0, *course.rungs.epochs, course.rungs.total)
    parts = [sum(course.costs[a:b]) for a, b in pairwise(marks)]
    least = sum(part / course.rungs.reduction**k for k, part in enumerate(parts))
    likely = course.total(trials)
    return Range(
        low=min(least * trials * cheap, likely),
        likely=likely,
        high=course.whole * trials * dear,
    )


def wall(busy: Range, trials: int, worker_groups: int, whole: float) -> Range:
    """Seconds until worker groups that share trials are done with all of them.

    Near the end some worker groups have nothing to do any more, for half a trial on average.

    Args:
        busy: Seconds of all trials together.
        trials: How many they are, at least 1.
        worker_groups: That work at the same time.
        whole: Seconds of a trial that is not given up; nothing ends before one.
    """

    def of(total: float) -> float:
        idle = (1 - 1 / worker_groups) * total / trials / 2
        return max(total / worker_groups + idle, min(whole, total))

    return Range(low=of(busy.low), likely=of(busy.likely), high=of(busy.high))


def _capped(seconds: Range, limit: float, reached: bool) -> Range:
    if reached:
        return exactly(limit)
    return Range(
        low=min(seconds.low, limit),
        likely=min(seconds.likely, limit),
        high=min(seconds.high, limit),
    )
