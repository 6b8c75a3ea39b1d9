"""The status of a run, as `supremix.status` gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from supremix._display import Displayed
from supremix.runs.grids import GridName
from supremix.tuning.ledger.counters import finite
from supremix.tuning.ledger.records import TrialRecord
from supremix_reports.tables.ranking import replicate_means

RunState = Literal["running", "stalled", "interrupted", "concluded", "failed"]
"""A driver is running; it is, but trials finish no epochs; none is, though there is work left; all
is done; the search has no result."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningTrial:
    """A trial under way.

    Args:
        number: Number of the trial.
        replicate_of: The trial whose hyperparameters it trains with a new seed, or None.
        epoch: Epochs done.
        total: Epochs of the whole trial, None before the first.
        error: Error after the last epoch, None before the first and where it is no finite number.
        stage: Stage of the last epoch, empty before the first.
        dataset: Dataset of the last epoch, where a trial is trained on several; else empty.
    """

    number: int
    replicate_of: int | None
    epoch: int
    total: int | None
    error: float | None
    stage: str
    dataset: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Finalist:
    """A trial whose hyperparameters are among the best, retrained with new seeds.

    Args:
        trial: The trial of the search that has these hyperparameters.
        error: Its error in the search.
        confirming: Numbers of the trials that retrain them.
        errors: Errors of those of them that are finished.
        mean: Mean of `errors`; None before the first.
    """

    trial: int
    error: float | None
    confirming: tuple[int, ...]
    errors: tuple[float, ...]
    mean: float | None


@dataclass(frozen=True, kw_only=True, repr=False)
class Status(Displayed):
    """The status of a run: its progress, its best trial, its use of the cluster.

    Args:
        run: Path of its folder.
        kind: ``"search"``, ``"comparison"`` (of methods), ``"multi_dataset"`` (a search on
            several datasets), ``"benchmark"`` or ``"folds"`` (a cross-validation).
        state: See `RunState`.
        dataset: Name of the dataset or datasets.
        method: Name of the method or methods.
        objective: Objective of a search on several datasets, ``"per-dataset"`` or ``"joint"``;
            else empty.
        unit: Unit of the errors; empty where there is no single one.
        trials: Number of trials by state: running, finished, pruned, stopped, failed.
        running: The trials under way.
        best_trial: The trial with the best hyperparameters, None while none is finished.
        best_error: Error of these hyperparameters: on test once the run is concluded; of a
            cross-validation, once all folds are tested, that of the patients out of fold.
        best_basis: What `best_error` was measured on, in words.
        best_config: Its hyperparameters.
        finalists: The trials that are retrained with new seeds, best first; empty before that.
        worker_groups: Worker groups of the last driver.
        busy: Worker groups that have a trial now.
        busy_share: Share of the worker groups' time so far that went into epochs, 0 to 1.
        epochs: Epochs done, of all trials.
        epochs_per_hour: Epochs an hour of all worker groups together, over the whole run.
        seconds: Search time used.
        gpu_hours: Hours that GPUs trained, added up over all GPUs.
        limits: The budget: ``trials``, ``time`` in s and ``gpu_hours``, where there is a limit.
        left: Estimate of the seconds that the search will still take; None without one.
        silence: Seconds since the last event; None before the first.
        failures: Numbers of the last failed trials, and why they failed.
        parts: The runs of a comparison, of several datasets, of a benchmark, or of folds.
    """

    run: str
    kind: Literal["search"] | GridName
    state: RunState
    dataset: str
    method: str
    objective: str = ""
    unit: str = ""
    trials: Mapping[str, int] = field(default_factory=dict[str, int])
    running: tuple[RunningTrial, ...] = ()
    best_trial: int | None = None
    best_error: float | None = None
    best_basis: str = ""
    best_config: Mapping[str, Any] | None = None
    finalists: tuple[Finalist, ...] = ()
    worker_groups: int = 0
    busy: int = 0
    busy_share: float | None = None
    epochs: int = 0
    epochs_per_hour: float | None = None
    seconds: float = 0.0
    gpu_hours: float = 0.0
    limits: Mapping[str, float] = field(default_factory=dict[str, float])
    left: float | None = None
    silence: float | None = None
    failures: tuple[tuple[int, str], ...] = ()
    parts: tuple[Status, ...] = ()

    def facts(self) -> dict[str, str]:
        """The state of the run, its trials by state, and the best error so far."""
        best = "" if self.best_error is None else f"{self.best_error:.4g} {self.unit}"
        return {
            "run": self.run,
            "state": self.state,
            "dataset": self.dataset,
            "method": self.method,
            "trials": ", ".join(f"{count} {state}" for state, count in self.trials.items()),
            "best": f"{best} {self.best_basis}".strip() or "none yet",
        }

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("concluded", "failed")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialStatus:
    """One trial, read from its run's folder.

    Args:
        run: Path of the run's folder.
        number: Number of the trial.
        state: running, finished, pruned, stopped or failed.
        reason: Why it ended, None where there is nothing to say.
        config: Its hyperparameters.
        replicate_of: The trial whose hyperparameters it retrains, None for one of the search.
        seed: Its own seed, None for the run's.
        errors: Error after each epoch that counts.
        total: Epochs of the whole trial, None before the first.
        unit: Unit of the errors; empty where it is not known.
        log: Its log, empty where there is none.
    """

    run: str
    number: int
    state: str
    reason: str | None
    config: Mapping[str, Any]
    replicate_of: int | None
    seed: int | None
    errors: tuple[float, ...]
    total: int | None
    unit: str
    log: str


def running_of(record: TrialRecord) -> RunningTrial:
    """The running trial of a record."""
    last: dict[str, Any] = record.rows[-1] if record.rows else {}
    return RunningTrial(
        number=record.number,
        replicate_of=record.replicate_of,
        epoch=record.epoch,
        total=record.total,
        error=finite(last.get("error")),
        stage=str(last.get("stage", "")),
        dataset=str(last.get("dataset", "")),
    )


def finalists_of(records: Mapping[int, TrialRecord]) -> tuple[Finalist, ...]:
    """The trials that are retrained with new seeds, those with the least error first."""
    again: dict[int, list[TrialRecord]] = {}
    for record in records.values():
        if record.replicate_of is not None:
            again.setdefault(record.replicate_of, []).append(record)
    means = replicate_means(record.outcome for own in again.values() for record in own)
    found = [
        Finalist(
            trial=number,
            error=finite(records[number].error),
            confirming=tuple(record.number for record in own),
            errors=tuple(r.error for r in own if r.state == "finished" and r.error is not None),
            mean=finite(means.get(number)),
        )
        for number, own in again.items()
    ]
    return tuple(sorted(found, key=lambda f: (f.mean is None, f.mean or f.error or 0.0, f.trial)))
