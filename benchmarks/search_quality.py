"""How many epochs a search spends until its best trial is within 1 % of the best known error.

    python benchmarks/search_quality.py [DATASET…] [--curves benchmarks/curves] [--seeds 20]
                                        [--worker-groups 2 8] [--within 1] [--transfer] [--tune]
                                        [--jobs 2]

The searches run on simulated worker groups over recorded learning curves of real training (made by
`record_curves.py`): a proposed configuration is answered by a forest fitted to the
recordings, with the luck of a seed as recorded, see `ForestCurves`. The best known error is the
least that the forest expects. Counted is every epoch that any worker group has trained, until a
trial has finished whose expected error is within 1 % of it. Rivals run in the same
simulator: hyperparameters at random trained to the end, TPE trained to the end, and asynchronous
successive halving (Ray's own scheduler, fed by arrival) with hyperparameters at random. What random
ones trained to the end take is also computed, from the share of all that are good enough.

--transfer: a search on one dataset after searches on the others, with and without what those found;
also how good the best hyperparameters are after 4 to 32 trainings' worth of epochs.
--tune: how the design constants of the search move the figure.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from multiprocessing import get_context
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


RIVALS = {
    "random, no pruning": Variant(sampler="random", pruning="none"),
    "TPE, no pruning": Variant(pruning="none"),
    "ASHA, random": Variant(sampler="random", pruning="asha"),
    "ours": Variant(),
}

TRANSFER = {"ours, alone": Variant(), "ours, after the others": Variant(warm_start=True)}


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


def median(values: Sequence[float]) -> tuple[float, float, float]:
    """Median and its 95 % interval (bootstrap over seeds); infinity where most were censored."""
    sample = np.random.default_rng(0).choice(values, (4000, len(values)))
    middles = np.sort(np.quantile(sample, 0.5, axis=1, method="lower"))
    low, high = middles[int(0.025 * len(middles))], middles[int(0.975 * len(middles))]
    return float(np.quantile(values, 0.5, method="lower")), float(low), float(high)


def compare(
    names: Sequence[str], ways: Mapping[str, Variant], worker_groups: Iterable[int], options: Any
) -> list[dict[str, Any]]:
    """Every way to search on every dataset; a row each."""
    cells = [(name, count, label) for name in names for count in worker_groups for label in ways]
    others = sorted(path.stem for path in options.curves.glob("*.parquet"))
    tasks = [
        Task(
            curves=str(options.curves),
            name=name,
            variant=ways[label],
            seed=seed,
            worker_groups=count,
            others=tuple(other for other in others if other != name),
            within=1 + options.within / 100,
        )
        for name, count, label in cells
        for seed in range(options.seeds)
    ]
    # Not forked: polars' threads do not live through that, and reading a table waits for ever.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(run, tasks))
    rows: list[dict[str, Any]] = []
    for index, (name, count, label) in enumerate(cells):
        outcomes = results[index * options.seeds : (index + 1) * options.seeds]
        values = [outcome.epochs for outcome in outcomes]
        middle, low, high = median(values)
        rows.append(
            {
                "dataset": name, "groups": count, "search": label, "median": middle, "low": low,
                "high": high, "missed": int(np.isinf(values).sum()), "epochs": values,
                "gaps": [outcome.gaps for outcome in outcomes],
            }
        )  # fmt: skip
    return rows


def markdown(rows: Sequence[dict[str, Any]], reference: str) -> str:
    """The rows as a table, each beside the reference on the same dataset and worker groups."""
    base = {(r["dataset"], r["groups"]): r["median"] for r in rows if r["search"] == reference}
    lines = [
        "| dataset | groups | search | epochs, median | 95 % interval | of first's | not found |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        share = row["median"] / base.get((row["dataset"], row["groups"]), np.nan)
        beside = f"{share:.2f}" if np.isfinite(share) and share > 0 else ""
        lines.append(
            f"| {row['dataset']} | {row['groups']} | {row['search']} | {row['median']:.0f} | "
            f"{row['low']:.0f} to {row['high']:.0f} | {beside} | {row['missed'] or ''} |"
        )
    return "\n".join(lines)


def milestones(rows: Sequence[dict[str, Any]], reference: str) -> str:
    """How good the best trial is on the way, and the difference to the reference's, by seed."""
    base = {(r["dataset"], r["groups"]): r["gaps"] for r in rows if r["search"] == reference}
    lines = [
        f"| dataset | worker groups | search | {' | '.join(f'after {n}' for n in MILESTONES)} |",
        f"| --- | --- | --- | {' | '.join('---' for _ in MILESTONES)} |",
    ]
    for row in rows:
        gaps = np.array(row["gaps"])
        apart = gaps - np.array(base[row["dataset"], row["groups"]])
        cells: list[str] = []
        for own, beside in zip(gaps.T, apart.T, strict=True):
            known = beside[np.isfinite(beside)]
            error = 1.96 * known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.nan
            text = f"{np.nanmean(own):.1%}"
            cells.append(text if row["search"] == reference else
                         f"{text} ({100 * known.mean():+.1f} ± {100 * error:.1f})")  # fmt: skip
        lines.append(
            f"| {row['dataset']} | {row['groups']} | {row['search']} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def chance(names: Sequence[str], options: Any) -> str:
    """What random trials trained to the end take, from how many of them are good enough."""
    lines = []
    for name in names:
        model, space = model_of(str(options.curves), name)
        if not isinstance(model, ForestCurves):
            continue
        share, total = model.share(1 + options.within / 100), len(model.rows(space.defaults(), 0))
        # The median of the first success among independent draws.
        median = total * np.log(0.5) / np.log1p(-share) if share else np.inf
        lines.append(
            f"{name}: hyperparameters explain {model.explained:.0%} of the last error; {share:.3%} "
            f"of all are within {options.within:g} %, so random ones take {median:.0f} epochs "
            "(median)"
        )
    return "\n".join(lines)


def fifth(count: int) -> int:
    """The best fifth of the trials are TPE's good ones."""
    return max(1, count // 5)


def root(count: int) -> int:
    """The square root of their number, halved."""
    return max(1, int(np.sqrt(count) / 2))


def variants() -> dict[str, Variant]:
    """Ours, with one constant changed at a time."""
    ours = Variant()
    found = {"ours": ours, "random, no pruning": RIVALS["random, no pruning"]}
    found |= {f"reduction {r:g}": replace(ours, reduction=r) for r in (2.0, 4.0, 6.0)}
    found |= {f"grace {g}": replace(ours, grace=g) for g in (1, 4, 6, 9, 12)}
    found |= {f"slack {s:g}": replace(ours, slack=s) for s in (0.0, 0.5, 2.5)}
    found |= {f"lead {n}": replace(ours, lead=n) for n in (2, 4, 8)}
    found |= {f"startup {n}": replace(ours, startup=n) for n in (4, 20, 30)}
    found |= {
        f"history {c}": replace(ours, caps=c) for c in ((16, 32, 8), (64, 128, 16), (999, 999, 16))
    }
    ways: dict[str, dict[str, Any]] = {
        "multivariate": {"multivariate": True, "group": True},
        "no liar": {"constant_liar": False},
        "candidates 100": {"n_ei_candidates": 100},
        "gamma 0.2": {"gamma": fifth},
        "gamma sqrt": {"gamma": root},
    }
    found |= {f"lead {n}, grace 9": replace(ours, lead=n, grace=9) for n in (2, 8)}
    found["multivariate, no pruning"] = replace(ours, pruning="none", tpe=ways["multivariate"])
    return found | RIVALS | {name: replace(ours, tpe=way) for name, way in ways.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--curves", type=Path, default=Path(__file__).parent / "curves")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--worker-groups", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--within", type=float, default=1.0, help="per cent above the best error")
    parser.add_argument("--transfer", action="store_true")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--only", nargs="+", help="labels of --tune to try")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON file for the figures of every seed")
    options = parser.parse_args()
    names = options.names or sorted(path.stem for path in options.curves.glob("*.parquet"))
    ways = TRANSFER if options.transfer else variants() if options.tune else RIVALS
    if options.only:
        ways = {label: way for label, way in ways.items() if label in options.only}
    print(chance(names, options), flush=True)
    rows = compare(names, ways, options.worker_groups, options)
    print(markdown(rows, next(iter(TRANSFER if options.transfer else RIVALS))))
    if options.transfer:
        print("\nabove the least error, after so many trainings' worth of epochs (means)\n")
        print(milestones(rows, next(iter(TRANSFER))))
    if options.out:
        options.out.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
