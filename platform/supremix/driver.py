"""One search from its specification to its last file."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from filelock import FileLock, Timeout

import supremix_datasets
from supremix.cluster import (
    Crew,
    GangPlan,
    Order,
    Outcome,
    cluster_nodes,
    plan_gangs,
    ray_map,
    ray_runtime,
)
from supremix.errors import RunFolderError, SearchFailedError, SearchInterrupted
from supremix.progress import Listener, Progress, study_progress
from supremix.runs import RunFolder, describe_environment, write_json
from supremix.search.interrupts import interrupts
from supremix.search.ledger import FINAL, SESSION, Ledger
from supremix.search.pruning import Halving
from supremix.search.record import TrialRecord, best_record, trial_key
from supremix.search.study import Study
from supremix.search.tuning import Bench, run_study
from supremix.spec import SearchSpec
from supremix.tables import write_run_tables
from supremix.training import Task, preflight
from supremix_datasets import Store
from supremix_spaces import Space

FINAL_KEY = "final"
"""Key and checkpoint name of the last training, on training and validation data."""


@dataclass(frozen=True, kw_only=True)
class _Setting:
    """What a search has found before its first trial."""

    spec: SearchSpec
    run: RunFolder
    store: Store
    plan: GangPlan
    task: Task
    space: Space
    listen: Listener


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
            _locked(run),
            Ledger(run.ledger) as ledger,
            ray_runtime(spec.address),
            interrupts.listening(),
        ):
            setting = _prepare(spec, run, listen)
            ledger.append(SESSION, gangs=setting.plan.gangs, workers=setting.plan.workers)
            try:
                _search(setting, ledger)
            except KeyboardInterrupt:
                _write_tables(setting, ledger)
                raise
    except KeyboardInterrupt as error:
        raise SearchInterrupted(str(run.path)) from error


def prepare_store(spec: SearchSpec, listen: Listener) -> Store:
    """Decode the dataset into its store, in Ray tasks; at once when that was done before."""

    def tell(done: int, total: int) -> None:
        listen(Progress(message="preparing images", done=done, total=total))

    return supremix_datasets.prepare(
        spec.dataset,
        spec.resolve_source(),
        cache=spec.cache,
        shared=spec.stores,
        mapper=ray_map,
        progress=tell,
        shape=spec.shape,
        phantoms=spec.phantoms,
    )


@contextmanager
def _locked(run: RunFolder) -> Generator[None]:
    # The lock goes with the process that holds it, also when that is killed.
    lock = FileLock(run.path / ".lock", timeout=0)
    try:
        with lock:
            yield
    except Timeout as error:
        raise RunFolderError(
            f"another process is working on {run.path}. Wait for it, or stop it first."
        ) from error


def _prepare(spec: SearchSpec, run: RunFolder, listen: Listener) -> _Setting:
    nodes = cluster_nodes()
    plan = plan_gangs(
        nodes,
        workers=spec.workers,
        gangs=spec.gangs,
        cpus=spec.cpus_per_worker,
        gpus=spec.gpus_per_worker,
    )
    store = prepare_store(spec, listen)
    splits = supremix_datasets.assign(store.index, seed=spec.split_seed, fractions=spec.fractions)
    train_size = int((splits == "train").sum())
    card = store.card
    space = spec.resolve_space(window=card.window, label_bin=card.label_bin, train_size=train_size)
    task = Task(
        store=store.path if spec.stores is None else f"{spec.stores.rstrip('/')}/{store.name}",
        cache=spec.cache,
        method=spec.method,
        encoder=spec.encoder_spec(),
        epochs=spec.epochs,
        seed=spec.seed,
        split_seed=spec.split_seed,
        fractions=spec.fractions,
        precision=spec.precision,
        threads=plan.threads,
        flips=True,
    )
    preflight(task, space.defaults(), workers=plan.workers)
    _describe(run, plan, store, splits)
    return _Setting(
        spec=spec, run=run, store=store, plan=plan, task=task, space=space, listen=listen
    )


def _describe(run: RunFolder, plan: GangPlan, store: Store, splits: Any) -> None:
    if run.environment.exists():
        return  # a resumed run keeps what it began with
    counts = {name: int((splits == name).sum()) for name in ("train", "val", "test")}
    content = describe_environment(
        cluster_nodes(),
        plan=dataclasses.asdict(plan),
        store=store.key,
        images=counts,
        set_aside=len(store.quarantine),
    )
    write_json(run.environment, content)


def _search(setting: _Setting, ledger: Ledger) -> None:
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
    bench = Bench(task=setting.task, checkpoints=str(run.checkpoints))
    unit = setting.store.card.unit
    kept = _Keeper(setting, study)
    setting.listen(Progress(message="starting workers", unit=unit))
    with (
        tempfile.TemporaryDirectory(prefix="supremix-") as scratch,
        Crew(setting.plan, scratch) as crew,
    ):
        run_study(study, crew, bench, kept, scratch)
        _conclude(setting, ledger, study, crew, bench)
    run.sweep(set())
    setting.listen(dataclasses.replace(study_progress(study, spec.budget(), unit), message="done"))


class _Keeper:
    """Watches the trials: tells the listener, and deletes checkpoints no longer needed."""

    def __init__(self, setting: _Setting, study: Study) -> None:
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


def _conclude(setting: _Setting, ledger: Ledger, study: Study, crew: Crew, bench: Bench) -> None:
    """Predict with the best trial, retrain its settings and judge them once; write it all down."""
    if not any(event["event"] == FINAL for event in ledger.events):
        best = best_record(study.records.values())
        if best is None:
            _write_tables(setting, ledger)
            raise SearchFailedError(_why_none(study, setting.run))
        judged = _judge(setting, crew, bench, best)
        ledger.append(FINAL, trial=best.number, predictions=judged, clock=study.clock.now())
    _write_tables(setting, ledger)


def _write_tables(setting: _Setting, ledger: Ledger) -> None:
    write_run_tables(setting.run, setting.spec, setting.store, setting.space, ledger.events)


def _judge(setting: _Setting, crew: Crew, bench: Bench, best: TrialRecord) -> list[dict[str, Any]]:
    spec, unit = setting.spec, setting.store.card.unit
    model = str(setting.run.model)
    setting.listen(Progress(message=f"validating trial {best.number}", unit=unit))
    export = None if spec.judge else model
    order = bench.order(best.number, best.config, best.epoch, predict=("val",), export=export)
    rows = _succeed(crew.execute(order)).predictions
    if spec.judge:
        rows += _retrain(setting, crew, best, model)
    return rows


def _retrain(setting: _Setting, crew: Crew, best: TrialRecord, model: str) -> list[dict[str, Any]]:
    # Validation has done its work; its images are too many to leave out of the final model.
    task = dataclasses.replace(setting.task, fit_on=("train", "val"), judge_on=None)
    checkpoint = str(setting.run.checkpoints / f"{FINAL_KEY}.pt")
    total, epoch, outcome = 1, 0, Outcome()
    while epoch < total:
        epoch += 1
        last = outcome.total == epoch
        order = Order(
            key=FINAL_KEY,
            task=task,
            config=best.config,
            checkpoint=checkpoint,
            epoch=epoch,
            predict=("test",) if last else (),
            export=model if last else None,
        )
        outcome = _succeed(crew.execute(order))
        total = outcome.total
        message = f"retraining trial {best.number} on training and validation data"
        setting.listen(
            Progress(message=message, done=epoch, total=total, unit=setting.store.card.unit)
        )
    return outcome.predictions


def _succeed(outcome: Outcome) -> Outcome:
    if outcome.failure is not None:
        raise SearchFailedError(
            f"the best settings could not be used again: {outcome.failure}. Their trial's numbers "
            "are in trials.parquet; resume the run to try once more."
        )
    return outcome


def _why_none(study: Study, run: RunFolder) -> str:
    records = list(study.records.values())
    failed = [record for record in records if record.state == "failed"]
    if failed and len(failed) == len(records):
        return (
            f"all {len(records)} trials failed; the last one: {failed[-1].reason}. The reasons of "
            f"all are in {run.path}/trials.parquet."
        )
    return (
        f"no trial was finished within the budget ({len(records)} begun, {len(failed)} failed). "
        "Give more time, or fewer epochs a trial."
    )
