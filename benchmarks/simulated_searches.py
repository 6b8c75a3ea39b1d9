"""Simulated searches on recorded and invented learning curves, for `search_quality.py`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import polars as pl
from curve_forest import ForestCurves
from optuna.samplers import TPESampler
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from supremix.search.earlier_runs import EarlierSearch, earlier_search, warm_start_from
from supremix.tuning.ledger.ledger import END
from supremix.tuning.ledger.records import TrialRecord
from supremix.tuning.pruners.halving import SuccessiveHalving
from supremix.tuning.pruners.none import NoPruning
from supremix.tuning.pruners.pruner import first_rung
from supremix.tuning.simulation.cluster import SimulatedCluster
from supremix.tuning.simulation.curves import SyntheticCurves
from supremix.tuning.simulation.memory_ledger import MemoryLedger
from supremix.tuning.simulation.simulated_study import SimulatedStudy
from supremix.tuning.simulation.simulator import Simulation
from supremix.tuning.study import history
from supremix.tuning.study.budget import Budget, Clock
from supremix.tuning.study.config import Proposal, StudyConfig
from supremix.tuning.study.sampler import Tpe, Uniform, draw_seed
from supremix.tuning.study.study import Study
from supremix.tuning.study.warm_start import WarmStart
from supremix_datasets import get
from supremix_spaces import Choice, Space, space_for

NOISE = 0.8
"""Share of the recorded residuals that a search sees: what repeated trainings of the
same hyperparameters differ by (8 % of the error, for bone age) over what recordings differ by from
the forest (10 %)."""
SCHOOL = 30
"""Whole trainings' worth of epochs of each earlier search, with --transfer."""
CAP = 1500
"""Whole trainings' worth of epochs after which a search is given up: random draws need as many as
one over the share of the hyperparameters that are good enough, some hundreds."""

MILESTONES = (4, 8, 16, 32)
"""Whole trainings' worth of epochs after which --transfer says how good the best trial is."""

CAPS = (history.BEST, history.LATEST, history.PENDING)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A way to search; the defaults are ours."""

    sampler: str = "tpe"
    pruning: str = "ours"
    grace: int | None = None
    reduction: float = 3.0
    slack: float | None = None
    lead: int | None = None
    startup: int = 10
    tpe: Mapping[str, Any] = field(default_factory=dict)
    caps: tuple[int, int, int] | None = None
    warm_start: bool = False


@dataclass(frozen=True, kw_only=True)
class Task:
    """One simulated search."""

    curves: str
    name: str
    variant: Variant
    seed: int
    worker_groups: int
    others: tuple[str, ...] = ()
    within: float = 1.01


class PlainAsha:
    """Ray's ASHA, told of every epoch as it arrives, with hyperparameters drawn at random."""

    def __init__(
        self, space: Space, seed: int, ledger: MemoryLedger, halving: SuccessiveHalving, total: int
    ):
        self.clock, self.records, self.searched = Clock(), dict[int, TrialRecord](), False
        self._draw, self._ledger = Uniform(space, seed), ledger
        self._space = space
        self._asha = ASHAScheduler(
            time_attr="epoch",
            metric="error",
            mode="min",
            max_t=total,
            grace_period=first_rung(halving.grace, total),
            reduction_factor=halving.reduction,
        )

    def ask(self) -> Proposal:
        """The next trial."""
        number = len(self.records)
        config = self._draw.propose(number, []) if number else self._space.defaults()
        self.records[number] = TrialRecord(number=number, config=config)
        self._asha.on_trial_add(None, SimpleNamespace(trial_id=str(number)))
        return Proposal(number=number, config=config)

    def observe(self, number: int, row: Mapping[str, Any], total: int) -> bool:
        """Take an epoch's row; says whether the trial is to stop."""
        record = self.records[number]
        record.rows.append({**row, "score": row["error"]})
        trial = SimpleNamespace(trial_id=str(number))
        result = {"epoch": row["epoch"], "error": row["error"]}
        stop = self._asha.on_trial_result(None, trial, result) == TrialScheduler.STOP
        if stop or record.epoch >= total:
            record.state = "finished" if record.epoch >= total else "pruned"
            self._ledger.append(END, number=number, state=record.state)
        return stop or record.epoch >= total


class TunedTpe(Tpe):
    """The platform's sampler with other options of Optuna's."""

    def __init__(self, space: Space, seed: int, startup: int, options: Mapping[str, Any]) -> None:
        super().__init__(space, seed, startup)
        self._options = options

    def _sampler(self, number: int) -> TPESampler:
        given = {"multivariate": False, "constant_liar": True, **self._options}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seed = draw_seed(self._seed, number)
            return TPESampler(seed=seed, n_startup_trials=self._startup, **given)


@cache
def model_of(curves: str, name: str) -> tuple[Any, Space]:
    """Curves of a dataset and the space they were drawn from."""
    kind, _, number = name.partition(":")
    if kind == "synthetic":
        model = SyntheticCurves(int(number or 0), epochs=18)
        return model, model.space
    table = pl.read_parquet(Path(curves) / f"{name}.parquet")
    space = space_of(name, table)
    return ForestCurves(table, space, NOISE), space


def elsewhere(space: Space, seed: int) -> Space:
    """The space with its first point drawn at random.

    Every search here begins with the defaults, which were chosen well: with them the best
    hyperparameters would be found by the first trial of all.
    """
    point = Uniform(space, 10_000 + seed).propose(0, [])
    given = {n: replace(space[n], default=v) for n, v in point.items() if n in space.searched}
    return Space({**space.parameters, **given})


def space_of(name: str, table: pl.DataFrame) -> Space:
    """The preset that was recorded, with the batch sizes that were offered there."""
    card = get(name).card
    space = space_for(
        "supremix",
        window=card.window,
        label_bin=card.label_bin,
        label_scale=card.label_scale,
        train_size=10_000,
    )
    configs = [json.loads(text) for text in table["config"].unique()]
    sizes = sorted({config["batch_size"] for config in configs})
    first = json.loads(table.filter(pl.col("trial") == 0)["config"][0])["batch_size"]
    return Space({**space.parameters, "batch_size": Choice(tuple(sizes), default=first)})


def study_of(task: Task, space: Space, total: int, ledger: MemoryLedger) -> Any:
    """The study of a task, or the plain ASHA in its place."""
    way, seed = task.variant, task.seed
    halving = SuccessiveHalving(grace=way.grace, reduction=way.reduction)
    if way.pruning == "asha":
        return PlainAsha(space, seed, ledger, halving, total)
    if way.sampler == "random":
        sampler: Any = Uniform(space, seed)
    else:
        sampler = TunedTpe(space, seed, way.startup, way.tpe)
    config = StudyConfig(
        budget=Budget(trials=10**6),
        epochs=total,
        pruner=NoPruning() if way.pruning == "none" else halving,
        parallel=task.worker_groups,
    )
    given = {k: v for k in ("slack", "lead") if (v := getattr(way, k)) is not None}
    return Study(
        space=space,
        seed=seed,
        ledger=ledger,
        config=replace(config, **given),
        sampler=sampler,
        warm_start=warm_start(task, space) if way.warm_start else None,
    )


def warm_start(task: Task, space: Space) -> WarmStart:
    """What searches of `SCHOOL` trainings' worth of epochs on the other datasets have to teach."""
    earlier: list[EarlierSearch] = []
    for other in task.others:
        before = replace(task, name=other, variant=replace(task.variant, warm_start=False))
        study = search(before, lambda _, spent: spent >= SCHOOL).study
        found = earlier_search(other, get(other).card, study.space, study.records.values())
        earlier += [] if found is None else [found]
    return warm_start_from(get(task.name).card, space, earlier)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came of a simulated search.

    Args:
        epochs: Spent until the goal; infinity if it was not reached.
        gaps: How far above the least error the true error of the best trial was after each of
            `MILESTONES`; not a number before the first trial was finished.
    """

    epochs: float
    gaps: tuple[float, ...]


def run(task: Task) -> Found:
    """Search until the goal, and at least to the last milestone."""
    model, space = model_of(task.curves, task.name)

    def found(one: SimulatedStudy) -> bool:
        return bool(one.closest) and one.closest[-1].true <= task.within * model.best

    one = search(task, lambda one, spent: spent >= CAP or (found(one) and spent >= MILESTONES[-1]))
    reached = (best.epochs for best in one.closest if best.true <= task.within * model.best)
    total = len(model.rows(space.defaults(), 0))
    steps = [
        [best.true for best in one.path if best.epochs <= milestone * total]
        for milestone in MILESTONES
    ]
    return Found(
        epochs=float(next(reached, np.inf)),
        gaps=tuple(true[-1] / model.best - 1 if true else np.nan for true in steps),
    )


def search(task: Task, until: Callable[[SimulatedStudy, float], bool]) -> SimulatedStudy:
    """Simulate a task until a condition on its study and the whole trainings' worth of epochs."""
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    model, space = model_of(task.curves, task.name)
    space = elsewhere(space, task.seed)
    total = len(model.rows(space.defaults(), 0))
    ledger = MemoryLedger()
    one = SimulatedStudy(lambda: study_of(task, space, total, ledger), ledger, model)
    cluster = SimulatedCluster(worker_groups=task.worker_groups, jitter=0.1, seed=task.seed)
    simulation = Simulation([one], cluster)
    history.BEST, history.LATEST, history.PENDING = task.variant.caps or CAPS
    simulation.run(lambda: until(one, simulation.report.epochs / total))
    return one
