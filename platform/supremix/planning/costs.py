"""The costs of a trial's epochs, from those that were measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna

from supremix.errors import TrainingError
from supremix.planning.calibration import Calibration
from supremix.training import Method, Stage, make_config
from supremix.tuning.study.warm_start import transfer_config
from supremix_datasets import Card
from supremix_spaces import Space

DRAWS = 100
"""Configurations drawn from a space to see how much whole trials of it differ in cost."""

UNLIKELY = 0.1
"""A tenth of the configurations drawn are cheaper than the low estimate, a tenth dearer than the
high one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """An estimate with its range.

    Args:
        low: The least that is likely.
        likely: The expected value.
        high: The most that is likely.
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


@dataclass(frozen=True, kw_only=True)
class TrialCosts:
    """The costs of the trials of one method on one dataset.

    Args:
        calibration: The measured epochs.
        method: The method, which says to which stages a configuration leads.
        space: The space that is searched on this dataset.
        card: The dataset's card.
        epochs: Epochs of a whole trial on it.
    """

    calibration: Calibration
    method: Method
    space: Space
    card: Card
    epochs: int

    def with_epochs(self, epochs: int) -> TrialCosts:
        """The same with trials of so many epochs."""
        return dataclasses.replace(self, epochs=epochs)

    @property
    def setup(self) -> float:
        """Seconds before a trial's first epoch."""
        return self.calibration.default.setup

    @property
    def save(self) -> float:
        """Seconds after an epoch, for the checkpoint."""
        return self.calibration.default.save

    def seconds(self, config: Mapping[str, Any]) -> list[float]:
        """(epochs,) seconds of each epoch of a trial, as the ledger counts them.

        A configuration that a trial would fail with costs what the defaults do.
        """
        try:
            stages = self._stages(config)
        except TrainingError:
            stages = self._stages(self.space.defaults())
        return stage_seconds(self.calibration, stages, self.epochs)

    def _stages(self, config: Mapping[str, Any]) -> Sequence[Stage]:
        made = make_config(self.method, config)
        return self.method.stages(made, epochs=self.epochs, card=self.card)


def trial_seconds(costs: Sequence[TrialCosts], config: Mapping[str, Any]) -> list[float]:
    """Seconds of each epoch of a whole trial that goes from dataset to dataset."""
    first, *others = costs
    return first.seconds(config) + [
        seconds
        for other in others
        for seconds in other.seconds(transfer_config(config, first.space, other.space))
    ]


def whole_trial(costs: Sequence[TrialCosts]) -> Range:
    """Seconds of training of a whole trial, over configurations drawn from the space."""
    configs = (costs[0].space.defaults(), *draw(costs[0].space, DRAWS))
    totals = sorted(sum(trial_seconds(costs, config)) for config in configs)
    return Range(
        low=totals[int(UNLIKELY * (len(totals) - 1))],
        likely=sum(totals) / len(totals),
        high=totals[round((1 - UNLIKELY) * (len(totals) - 1))],
    )


def training_seconds(costs: Sequence[TrialCosts]) -> Range:
    """Seconds for which a whole trial keeps its worker group busy."""
    around = sum(one.setup + one.save * one.epochs for one in costs)
    return whole_trial(costs) + exactly(around)


def draw(space: Space, count: int) -> list[dict[str, Any]]:
    """Configurations at random, always the same."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [dict(space.suggest(study.ask())) for _ in range(count)]


def stage_seconds(calibration: Calibration, stages: Sequence[Stage], epochs: int) -> list[float]:
    """(epochs,) seconds of each epoch of a trial with these stages; 0 after its last one."""
    costs: list[float] = []
    for stage in stages:
        seconds, more = epoch_seconds(calibration, stage.objective, stage.batch_size)
        costs += [seconds] * (stage.epochs - 1) + [seconds + more]
    return (costs + [0.0] * epochs)[:epochs]


def epoch_seconds(calibration: Calibration, objective: str, batch: int) -> tuple[float, float]:
    """Seconds of an ordinary epoch, and what the last of its stage takes beyond that.

    Between the batches that were measured, on a straight line over the steps an image takes part
    in (1/batch), since an epoch is a cost for each image and one for each step; beyond them as at
    the nearest. A kind of stage that was not measured costs what the dearest of the others does.
    """
    found = [e for one in calibration.measured for e in one.epochs if e.objective == objective]
    if not found:
        dearest = max(calibration.default.epochs, key=lambda epoch: epoch.seconds)
        return dearest.seconds, 0.0
    points = sorted({e.batch: e for e in found}.values(), key=lambda epoch: 1 / epoch.batch)
    steps = [1 / epoch.batch for epoch in points]
    seconds = float(np.interp(1 / batch, steps, [epoch.seconds for epoch in points]))
    return seconds, max(epoch.more for epoch in points)
