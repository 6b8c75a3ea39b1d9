"""The true error of what a search names best, against that of the defaults it began with.

For `search_quality.py --against-defaults`. A budget of 10, 20 or 40 trainings' worth of epochs
holds the search and the trainings with new seeds that follow it. The search is run once for each
seed and budget; every rule then names its best among the trials that were finished when what was
left was as much as the rule's trainings with new seeds take. Other than elsewhere in this
benchmark, the first trial has the preset's own defaults, and their luck differs by search.
Surfaces: recordings by name, and ``invented:SPREAD``, which are `SyntheticCurves` with the recorded
luck of a seed (8 %), another landscape for each seed; their hyperparameters matter the more, the
larger the spread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Any, NamedTuple

import numpy as np
from simulated_searches import model_of

from supremix.tuning.pruners.halving import SuccessiveHalving
from supremix.tuning.simulation.cluster import SimulatedCluster
from supremix.tuning.simulation.curves import Curve, CurveModel, SyntheticCurves
from supremix.tuning.simulation.memory_ledger import MemoryLedger
from supremix.tuning.simulation.simulated_study import SimulatedStudy
from supremix.tuning.simulation.simulator import Simulation
from supremix.tuning.study.budget import Budget
from supremix.tuning.study.config import StudyConfig
from supremix.tuning.study.sampler import Tpe, draw_seed, startup_trials
from supremix.tuning.study.study import NEW_SEEDS, Study
from supremix_reports.tables.ranking import TrialOutcome, best_outcome
from supremix_spaces import Space

TRAININGS = (10, 20, 40)
"""Budgets, in whole trainings' worth of epochs."""
SEEDS = 16
"""Trainings with new seeds that are at hand for each finished trial."""


class Finished(NamedTuple):
    """A finished trial: when, its number, its error, its true error, its errors with new seeds."""

    at: float
    number: int
    error: float
    true: float
    again: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule that names hyperparameters best.

    Args:
        stages: For each round of a race the finalists beyond the defaults that are left, and the
            new seeds that each of them has been trained with after it.
        defaults: Whether the defaults are trained again as well.
        clearly: Whether they give way only to what is better by more than a standard error, as
            `best_outcome` has it; else to any lower mean.
        most: New seeds, at most, while the difference to the defaults is less than 1.5 standard
            errors; 0 for as many as the last stage has.
    """

    stages: tuple[tuple[int, int], ...]
    defaults: bool = True
    clearly: bool = False
    most: int = 0

    @property
    def cost(self) -> int:
        """Trainings with new seeds, at most."""
        spent = [0, *(seeds for _, seeds in self.stages)]
        rounds = [(k + self.defaults) * (r - q) for q, (k, r) in zip(spent, self.stages)]  # noqa: B905
        return sum(rounds) + 2 * max(0, self.most - spent[-1])


RULES = {
    "the luckiest trial": Rule(stages=((1, 0),), defaults=False),
    "before: 3 finalists × 2 seeds": Rule(stages=((3, 2),), defaults=False),
    "3 × 2 and the defaults": Rule(stages=((3, 2),)),
    "2 × 3 and the defaults": Rule(stages=((2, 3),)),
    "1 × 3 and the defaults": Rule(stages=((1, 3),)),
    "3 × 2, one standard error": Rule(stages=((3, 2),), clearly=True),
    "2 × 3, one standard error": Rule(stages=((2, 3),), clearly=True),
    "1 × 2, one standard error": Rule(stages=((1, 2),), clearly=True),
    "now: 1 × 3, one standard error": Rule(stages=((1, 3),), clearly=True),
    "1 × 4, one standard error": Rule(stages=((1, 4),), clearly=True),
    "race 3 × 1, 1 × 3, one standard error": Rule(stages=((3, 1), (1, 3)), clearly=True),
    "1 × 2 to 4 until clear, one standard error": Rule(stages=((1, 2),), clearly=True, most=4),
}


class Lucky:
    """Curves whose luck differs by search as well, the defaults' not excepted."""

    def __init__(self, model: CurveModel, seed: int) -> None:
        self._model, self._seed, self.best = model, seed, model.best

    def rows(self, config: Mapping[str, Any], seed: int | None) -> Curve:
        """The curve of one training."""
        return self._model.rows(config, draw_seed(self._seed, seed or 0))

    def true_error(self, config: Mapping[str, Any]) -> float:
        """Error after the last epoch, without the luck of a seed."""
        return self._model.true_error(config)


def surface(curves: str, name: str, seed: int) -> tuple[CurveModel, Space]:
    """The curves of a search, and its space with the preset's own defaults."""
    kind, _, spread = name.partition(":")
    if kind == "invented":
        model = SyntheticCurves(seed, epochs=18, noise=0.08, spread=float(spread))
        return Lucky(model, seed), model.space
    recorded, space = model_of(curves, name)
    return Lucky(recorded, seed), space


def finished(curves: str, name: str, seed: int, trainings: int) -> list[Finished]:
    """The finished trials of a search of so many trainings' worth of epochs, in their order."""
    model, space = surface(curves, name, seed)
    total, ledger = len(model.rows(space.defaults(), 0)), MemoryLedger()
    sampler = Tpe(space, seed, startup_trials(trainings))
    config = StudyConfig(
        budget=Budget(trials=10**6), epochs=total, pruner=SuccessiveHalving(), parallel=2
    )
    study = Study(space=space, seed=seed, ledger=ledger, config=config, sampler=sampler)
    one = SimulatedStudy(lambda: study, ledger, model)
    simulation = Simulation([one], SimulatedCluster(worker_groups=2, jitter=0.1, seed=seed))
    ends: dict[int, float] = {}

    def over() -> bool:
        for number, record in study.records.items():
            if record.state == "finished":
                ends.setdefault(number, simulation.report.epochs / total)
        return simulation.report.epochs >= trainings * total

    simulation.run(over)
    found: list[Finished] = []
    for number, at in ends.items():
        trial = study.records[number].config
        seeds = [draw_seed(seed, NEW_SEEDS + k) for k in range(SEEDS)]
        again = [model.rows(trial, one_seed)[-1][0] for one_seed in seeds]
        error = study.records[number].error or math.inf
        found.append(Finished(at, number, error, model.true_error(trial), again))
    return sorted(found)


def difference(rule: Rule, trials: Sequence[Finished], trainings: int) -> float:
    """True error of what a rule names best over that of the defaults, less 1."""
    (defaults,) = (trial for trial in trials if trial.number == 0)
    there = [trial for trial in trials if trial.at <= trainings - rule.cost + 1e-9]
    left = sorted(there, key=lambda trial: (trial.error, trial.number))
    left = [trial for trial in left if trial is not defaults or not rule.defaults]
    kept, seeds = rule.stages[0]
    left = left[:kept]
    if not left:
        return 0.0
    for (_, seeds), (kept, _) in zip(rule.stages, rule.stages[1:], strict=False):
        left = sorted(left, key=lambda trial: fmean(trial.again[:seeds]))[:kept]
    seeds = rule.stages[-1][1]
    while seeds < rule.most and not _clear(left[0].again[:seeds], defaults.again[:seeds]):
        seeds += 1
    named = _named(rule, left, defaults, seeds) if seeds else left[0]
    return named.true / defaults.true - 1


def _named(rule: Rule, left: Sequence[Finished], defaults: Finished, seeds: int) -> Finished:
    """The one of the finalists that is named; the defaults are trial 0 of them."""
    finalists = [defaults, *left] if rule.defaults else [*left]
    first = 0 if rule.clearly else 1  # without a trial 0 the least mean is named
    outcomes = [
        outcome
        for number, trial in enumerate(finalists, first)
        for outcome in (
            TrialOutcome(number, "finished", trial.error),
            *(TrialOutcome(10**6, "finished", error, number) for error in trial.again[:seeds]),
        )
    ]
    best = best_outcome(outcomes)
    return finalists[0 if best is None else best.number - first]


def _clear(errors: Sequence[float], others: Sequence[float]) -> bool:
    apart = sum(variance(one) / len(one) for one in (errors, others))
    return abs(fmean(errors) - fmean(others)) > 1.5 * math.sqrt(apart)


def rows(curves: str, name: str, seeds: int) -> Iterator[tuple[str, list[list[float]]]]:
    """For each rule its differences, of each budget those of all searches."""
    searches = {
        trainings: [finished(curves, name, seed, trainings) for seed in range(seeds)]
        for trainings in TRAININGS
    }
    for label, rule in RULES.items():
        yield (
            label,
            [[difference(rule, one, n) for one in found] for n, found in searches.items()],
        )


def table(curves: str, names: Sequence[str], seeds: int) -> str:
    """The share of searches truly worse than their defaults, and the mean difference, by rule."""
    budgets = " | ".join(f"worse after {n} | difference" for n in TRAININGS)
    lines = [
        f"| surface | rule | {budgets} |",
        f"| --- | --- |{' --- | --- |' * len(TRAININGS)}",
    ]
    for name in names:
        for label, found in rows(curves, name, seeds):
            cells = " | ".join(f"{_share(values)} | {_mean(values)}" for values in found)
            lines.append(f"| {name} | {label} | {cells} |")
    return "\n".join(lines)


def _share(values: Sequence[float]) -> str:
    """The share above 0 in per cent, with its 95 % interval (Wilson 1927)."""
    n, share, z2 = len(values), float(np.mean(np.array(values) > 1e-9)), 1.96**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = 1.96 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return f"{share:.0%} ({max(0.0, middle - half):.0%} to {middle + half:.0%})"


def _mean(values: Sequence[float]) -> str:
    return f"{100 * fmean(values):+.1f} ± {196 * np.std(values, ddof=1) / len(values) ** 0.5:.1f} %"
