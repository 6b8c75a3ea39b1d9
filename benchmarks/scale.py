"""How the search scales: the real studies and ledgers on a thousand simulated worker groups.

    python benchmarks/scale.py [--trials 1000 10000 100000] [--worker-groups 1000] [--studies 6]

Six studies over spaces of eight parameters share the worker groups, each with invented curves whose
best error is known (`SyntheticCurves`); one worker group in ten takes three times as long as the
others, and an epoch's duration varies by a fifth. Each size runs in a process of its own, one after
the other, so that the peak memory is its own. Every event is written to a ledger on the disk, as in
a real search. A decision is a proposal given or an epoch observed, with all that follows from it:
ledger, verdicts, ends. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any

import numpy as np
import optuna
from curve_forest import Dice

from supremix.tuning.ledger.ledger import Ledger
from supremix.tuning.pruners.halving import SuccessiveHalving
from supremix.tuning.simulation.cluster import SimulatedCluster
from supremix.tuning.simulation.curves import SyntheticCurves
from supremix.tuning.simulation.simulated_study import SimulatedStudy
from supremix.tuning.simulation.simulator import Simulation
from supremix.tuning.study.budget import Budget
from supremix.tuning.study.config import StudyConfig
from supremix.tuning.study.scheduler import parallel_trials
from supremix.tuning.study.study import Study
from supremix_spaces import Space

EPOCHS = 9
SLOW = (3.0, *[1.0] * 9)
"""Pace of one worker group in ten, and of the others."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--worker-groups", type=int, default=1_000)
    parser.add_argument("--studies", type=int, default=6)
    parser.add_argument("--random", action="store_true", help="random configurations, no Optuna")
    parser.add_argument("--only", type=int, help="one size in this process; prints JSON")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only, options)))
        return
    rows = [apart(trials, options) for trials in options.trials]
    print(table(rows))


def apart(trials: int, options: argparse.Namespace) -> dict[str, float]:
    """Measure one size in a process of its own."""
    command = [sys.executable, __file__, "--only", str(trials)]
    command += ["--worker-groups", str(options.worker_groups), "--studies", str(options.studies)]
    command += ["--random"] if options.random else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    print(done.stdout, file=sys.stderr, end="")
    return json.loads(done.stdout)


def measure(trials: int, options: argparse.Namespace) -> dict[str, float]:
    """Run a search of `trials` trials, over all studies, on simulated worker groups."""
    worker_groups, share = options.worker_groups, trials // options.studies
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        ledgers = [Ledger(Path(folder) / f"{n}.jsonl") for n in range(options.studies)]
        studies = [study(n, ledger, share, options) for n, ledger in enumerate(ledgers)]
        before = memory()
        cluster = SimulatedCluster(worker_groups=worker_groups, paces=SLOW, jitter=0.2)
        simulation = Simulation(studies, cluster)
        begin = perf_counter()
        report = simulation.run()
        wall = perf_counter() - begin
        for ledger in ledgers:
            ledger.__exit__(None, None, None)
    asking, observing = np.array(report.asking), np.array(report.observing)
    counted = sum(r.epoch for s in studies for r in s.study.records.values())
    driver = float(asking.sum() + observing.sum()) + report.refusing
    return {
        "trials": len(asking),
        "epochs": report.epochs,
        "needless": 1.0 - counted / report.epochs,
        "wall": wall,
        "driver": driver,
        "ask_median": 1e3 * float(np.median(asking)),
        "ask_p99": 1e3 * float(np.quantile(asking, 0.99)),
        "observe_median": 1e3 * float(np.median(observing)),
        "observe_p99": 1e3 * float(np.quantile(observing, 0.99)),
        "rate": (len(asking) + len(observing)) / driver,
        "per_trial": 1e3 * driver / len(asking),
        "memory": memory(),
        "grown": memory() - before,
        "virtual_hours": report.seconds / 3600.0,
        "load": driver / report.seconds,
        "busy": report.busy,
        "waiting": report.waiting,
        "drained": report.drained,
        "gap": fmean(s.path[-1].true / s.model.best - 1.0 for s in studies),
        "reached": fmean(s.closest[-1].true / s.model.best - 1.0 for s in studies),
        "random_gap": fmean(random_gap(s.model, share) for s in studies),
    }


def study(seed: int, ledger: Ledger, trials: int, options: argparse.Namespace) -> SimulatedStudy:
    """One study with its curves and its ledger."""
    curves = SyntheticCurves(seed, epochs=EPOCHS)
    config = StudyConfig(
        budget=Budget(trials=trials),
        epochs=EPOCHS,
        pruner=SuccessiveHalving(),
        parallel=parallel_trials(options.worker_groups, options.studies),
    )
    sampler = AtRandom(curves.space, seed) if options.random else None
    make = partial(
        Study, space=curves.space, seed=seed, ledger=ledger, config=config, sampler=sampler
    )
    return SimulatedStudy(make, ledger, curves)


class AtRandom:
    """Draws hyperparameters at random, in no time."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._dice = space, Dice(seed)

    def propose(self, number: int, past: Sequence[Any]) -> dict[str, Any]:
        """The hyperparameters of a trial."""
        return self._space.suggest(self._dice)


def random_gap(model: Any, trials: int) -> float:
    """How far off the best of as many random configurations would be, each trained to the end."""
    dice = Dice(0)
    errors = [model.true_error(model.space.suggest(dice)) for _ in range(trials)]
    return min(errors) / model.best - 1.0


def memory() -> float:
    """Most memory that this process has held so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def table(rows: Sequence[dict[str, float]]) -> str:
    """The figures as a Markdown table, a column a size."""
    lines = [
        ("trials", "trials", "{:,.0f}"),
        ("epochs trained", "epochs", "{:,.0f}"),
        ("of them in vain (decision awaited)", "needless", "{:.1%}"),
        ("driver time (processor), s", "driver", "{:.0f}"),
        ("driver time a trial, ms", "per_trial", "{:.2f}"),
        ("a proposal, median, ms", "ask_median", "{:.2f}"),
        ("a proposal, 99th percentile, ms", "ask_p99", "{:.2f}"),
        ("an epoch observed, median, ms", "observe_median", "{:.3f}"),
        ("an epoch observed, 99th percentile, ms", "observe_p99", "{:.3f}"),
        ("decisions a second", "rate", "{:,.0f}"),
        ("peak memory, MiB", "memory", "{:.0f}"),
        ("of it beyond the start, MiB", "grown", "{:.0f}"),
        ("virtual time, h", "virtual_hours", "{:.1f}"),
        ("driver time over virtual time", "load", "{:.1%}"),
        ("worker groups busy", "busy", "{:.1%}"),
        ("worker groups waiting for a decision", "waiting", "{:.2%}"),
        ("worker groups free after the last proposal", "drained", "{:.1%}"),
        ("true error of the best trial, above the least possible", "gap", "{:.2%}"),
        ("of the trial that truly is the best", "reached", "{:.2%}"),
        ("of the best of as many random configurations", "random_gap", "{:.2%}"),
        ("wall time, s", "wall", "{:.0f}"),
    ]  # fmt: skip
    text = ["|" + " | ".join(["", *[""] * len(rows)]) + "|", "|" + " --- |" * (len(rows) + 1)]
    for label, name, form in lines:
        text.append("| " + " | ".join([label, *(form.format(row[name]) for row in rows)]) + " |")
    return "\n".join(text)


if __name__ == "__main__":
    main()
