"""The estimate of a search: the real study on a simulated cluster, a few times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, mode
from typing import Any, Literal

from supremix.planning.costs import Range
from supremix.planning.planned_trials import PlannedTrials
from supremix.tuning.ledger.ledger import END, EPOCH, TRIAL, Event
from supremix.tuning.simulation.cluster import SimulatedCluster
from supremix.tuning.simulation.memory_ledger import MemoryLedger
from supremix.tuning.simulation.simulated_study import SimulatedStudy
from supremix.tuning.simulation.simulator import Simulation
from supremix.tuning.study.budget import HOUR, TIME_IS_UP
from supremix.tuning.study.config import StudyConfig
from supremix.tuning.study.study import Study
from supremix_spaces import Space

SEEDS = 3
"""Simulated searches for what is expected; two more are for the least and the most."""

GAIN, MOST_GAIN = 1 / 40, 1 / 10
"""How fast searches improve, as a rule and at most, see `PlannedTrials`: by the first, the epochs
are those of TPE on `SyntheticCurves`, under each stopping rule."""

EPOCHS = 10_000
"""Epochs of a simulated search, about; a longer one goes on as its second half did."""

Limit = Literal["trials", "time", "gpu_hours"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchEstimate:
    """The estimated time and work of one search's trials.

    Args:
        trials: Trials that will be done.
        ends_by: The limit that is reached first.
        epochs: Epochs of all these trials together.
        seconds: Seconds until the last of them has ended.
        busy: Seconds that worker groups train them, added up over the worker groups, as the ledger
            counts them.
        replicates: Trainings of the best configurations with new seeds.
        replicate_seconds: Seconds that these take beyond `seconds`.
        replicate_busy: Seconds that worker groups train them, likewise added up.
    """

    trials: int
    ends_by: Limit
    epochs: Range
    seconds: Range
    busy: Range
    replicates: int
    replicate_seconds: Range
    replicate_busy: Range


def estimate(
    space: Space,
    config: StudyConfig,
    seconds: Callable[[Mapping[str, Any]], Sequence[float]],
    cluster: SimulatedCluster,
    *,
    cheap: float = 1.0,
    dear: float = 1.0,
) -> SearchEstimate:
    """Run a study on a simulated cluster, a few times, with configurations drawn at random.

    Args:
        space: The space that is searched.
        config: The study's configuration.
        seconds: Seconds of each epoch of a trial with a configuration.
        cluster: The worker groups.
        cheap: Seconds of a trial with cheap configurations, as a share of the average.
        dear: Likewise with dear configurations.

    Returns:
        The mean over `SEEDS` searches as what is likely; as low and high the least and the most of
        these, of one that never improves and whose configurations are cheap, and of one that
        improves fast and whose configurations are dear.
    """
    scenarios = [*[(1.0, GAIN)] * SEEDS, (cheap, 0.0), (dear, MOST_GAIN)]
    found = [
        _simulate(
            config, PlannedTrials(space, seconds, seed, gain), replace(cluster, paces=(pace,))
        )
        for seed, (pace, gain) in enumerate(scenarios)
    ]
    ends: list[Limit] = [one.ends_by for one in found[:SEEDS]]

    ranges: dict[str, Range] = {}
    for name in ("epochs", "seconds", "busy", "replicate_seconds", "replicate_busy"):
        values = [getattr(one, name) for one in found]
        ranges[name] = Range(low=min(values), likely=fmean(values[:SEEDS]), high=max(values))
    return SearchEstimate(
        trials=max(1, round(fmean(one.trials for one in found[:SEEDS]))),
        ends_by=mode(ends),
        replicates=round(fmean(one.replicates for one in found[:SEEDS])),
        **ranges,
    )


@dataclass(kw_only=True, slots=True)
class _Totals:
    """What stands in a ledger."""

    trials: float = 0.0
    epochs: float = 0.0
    busy: float = 0.0
    seconds: float = 0.0
    replicates: float = 0.0
    replicate_busy: float = 0.0
    replicate_seconds: float = 0.0
    ends_by: Limit = "trials"

    @classmethod
    def of(cls, events: Sequence[Event]) -> _Totals:
        found, replicates = cls(), set[int]()
        for event in events:
            if event["event"] == TRIAL and event.get("replicate_of") is not None:
                replicates.add(event["number"])
            elif event["event"] == EPOCH and event["number"] in replicates:
                found.replicate_busy += event["row"]["seconds"]
            elif event["event"] == EPOCH:
                found.epochs += 1
                found.busy += event["row"]["seconds"]
            elif event["event"] == END and event["number"] in replicates:
                found.replicate_seconds = event["clock"] - found.seconds
            elif event["event"] == END:
                found.seconds = event["clock"]
                found.trials += event["state"] != "stopped"
        found.replicates = len(replicates)
        return found


def _simulate(config: StudyConfig, trials: PlannedTrials, cluster: SimulatedCluster) -> _Totals:
    ledger = MemoryLedger()
    study = Study(space=trials.space, seed=0, ledger=ledger, config=config, sampler=trials)
    simulation = Simulation([SimulatedStudy(lambda: study, ledger, trials)], cluster)
    total = config.epochs * config.datasets
    most = max(EPOCHS, 4 * cluster.worker_groups * total)
    half: list[int] = []  # events of the first half

    def is_long_enough() -> bool:
        if not half and simulation.report.epochs >= most // 2:
            half.append(len(ledger.events))
        return simulation.report.epochs >= most

    simulation.run(is_long_enough)
    found = _Totals.of(ledger.events)
    if study.ended:
        found.ends_by = _ends_by(study)
        return found
    return _extrapolated(_Totals.of(ledger.events[: half[0]]), found, config, cluster)


def _ends_by(study: Study) -> Limit:
    limit = study.config.budget.trials
    stopped = [r.reason for r in study.records.values() if r.state == "stopped"]
    searched = sum(record.replicate_of is None for record in study.records.values())
    if limit is not None and searched >= limit and not stopped:
        return "trials"
    spent = study.config.budget.spent(study.clock.now(), study.gpu_seconds)
    return "time" if (stopped or [spent])[0] == TIME_IS_UP else "gpu_hours"


def _extrapolated(
    half: _Totals, found: _Totals, config: StudyConfig, cluster: SimulatedCluster
) -> _Totals:
    """A search that is longer than what was simulated, going on as its second half did."""
    budget = config.budget
    limits: dict[Limit, tuple[str, float | None]] = {
        "trials": ("trials", budget.trials),
        "time": ("seconds", budget.seconds),
        "gpu_hours": ("busy", budget.gpu_hours and budget.gpu_hours * HOUR / config.gpus),
    }
    left: dict[Limit, float] = {}
    for name, (field, limit) in limits.items():
        if limit is not None:
            rate = getattr(found, field) - getattr(half, field)
            left[name] = max(0.0, limit - getattr(found, field)) / rate
    ends_by = min(left, key=lambda name: left[name])
    totals = _Totals(ends_by=ends_by)
    for field in ("trials", "epochs", "busy", "seconds"):
        before, now = getattr(half, field), getattr(found, field)
        setattr(totals, field, now + left[ends_by] * (now - before))
    totals.replicates = config.finalists * config.replicates
    trial = found.busy / found.epochs * config.epochs * config.datasets
    rounds = -(-totals.replicates // cluster.worker_groups)
    totals.replicate_busy, totals.replicate_seconds = totals.replicates * trial, rounds * trial
    return totals
