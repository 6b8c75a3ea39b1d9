"""One search from its specification to its last file."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Generator
from contextlib import contextmanager

from supremix.cluster import Crew, GangPlan, ray_runtime
from supremix.conclusion import FINAL_KEY, conclude, write_tables
from supremix.errors import SearchInterrupted
from supremix.progress import DONE, Listener, Progress, study_progress
from supremix.runs import RunFolder
from supremix.search.interrupts import interrupts
from supremix.search.ledger import SESSION, Ledger
from supremix.search.pruning import Halving
from supremix.search.record import best_record, trial_key
from supremix.search.study import Study
from supremix.search.tuning import Bench, run_study
from supremix.setting import Setting, find_ground, locked, prepare_setting
from supremix.spec import SearchSpec


def run_search(spec: SearchSpec, run: RunFolder, listen: Listener) -> None:
    """Run or go on with a search; everything it finds is in the run folder afterwards.

    Args:
        spec: What to search.
        run: Its folder, created.
        listen: Told of every step.

    Raises:
        USER_ERRORS: Something is wrong with the request; nothing was trained.
        SearchFailedError: Every trial failed, or none was finished within the budget.
        SearchInterrupted: Ctrl-C or SIGTERM; the search can be resumed.
    """
    try:
        with (
            locked(run.path),
            Ledger(run.ledger) as ledger,
            ray_runtime(spec.address),
            interrupts.listening(),
        ):
            setting = prepare_setting(spec, run, find_ground(spec, listen), listen)
            with session(setting, ledger), started_crew(setting.plan, listen) as crew:
                search(setting, ledger, crew)
    except KeyboardInterrupt as error:
        raise SearchInterrupted(str(run.path)) from error


@contextmanager
def started_crew(plan: GangPlan, listen: Listener) -> Generator[Crew]:
    """Gangs that work until the end of the block, with a folder for what Ray writes of them."""
    listen(Progress(message="starting workers"))
    with (
        tempfile.TemporaryDirectory(prefix="supremix-") as scratch,
        Crew(plan, scratch) as crew,
    ):
        yield crew


@contextmanager
def session(setting: Setting, ledger: Ledger) -> Generator[None]:
    """Note that work on a search begins; the tables are written also when it is interrupted."""
    ledger.append(SESSION, gangs=setting.plan.gangs, workers=setting.plan.workers)
    try:
        yield
    except KeyboardInterrupt:
        write_tables(setting, ledger)
        raise


def search(setting: Setting, ledger: Ledger, crew: Crew) -> None:
    """Run the trials that the ledger lacks on a crew, and conclude the search.

    Raises:
        SearchFailedError: Every trial failed, or none was finished within the budget.
    """
    spec, run = setting.spec, setting.run
    study = Study(
        space=setting.space,
        seed=spec.seed,
        ledger=ledger,
        journal=run.journal,
        name=run.name,
        budget=spec.budget(),
        halving=Halving(spec.pruning(), spec.epochs) if spec.prune else None,
        parallel=setting.plan.gangs,
    )
    run.sweep(_needed(study) | {FINAL_KEY})
    bench = Bench(run=run.name, task=setting.task, checkpoints=str(run.checkpoints))
    unit = setting.store.card.unit
    run_study(study, crew, bench, _Keeper(setting, study), f"{crew.storage}/{run.path.name}")
    conclude(setting, ledger, study, crew, bench)
    run.sweep(set())
    setting.listen(dataclasses.replace(study_progress(study, spec.budget(), unit), message=DONE))


class _Keeper:
    """Watches the trials: tells the listener, and deletes checkpoints no longer needed."""

    def __init__(self, setting: Setting, study: Study) -> None:
        self._setting, self._study = setting, study
        self._swept = -1

    def __call__(self, study: Study) -> None:
        progress = study_progress(study, self._setting.spec.budget(), self._setting.store.card.unit)
        self._setting.listen(progress)
        if progress.done != self._swept:
            self._swept = progress.done
            self._setting.run.sweep(_needed(study))


def _needed(study: Study) -> set[str]:
    """Keys of the trials whose checkpoint may still be asked for."""
    best = best_record(study.records.values())
    return {
        trial_key(record.number)
        for record in study.records.values()
        if record.state == "running" or record is best
    }
