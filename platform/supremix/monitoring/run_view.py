"""A run that can be looked at time and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import supremix_datasets
from supremix.monitoring.status import RunState, Status, finalists_of, running_of
from supremix.progress.stalls import epoch_limit
from supremix.runs.folder import RunFolder, read_json
from supremix.runs.grids import JOINT_OBJECTIVE, RATIO
from supremix.storage.liveness import Liveness
from supremix.tuning.ledger.counters import RunCounters, finite
from supremix.tuning.ledger.records import TrialRecord, basis_of, best_record, error_of
from supremix.tuning.ledger.tail import Rewound, Tail
from supremix_reports import BestError, read_best_error

STATES = ("running", "finished", "pruned", "stopped", "failed")
"""States of a trial, in the order in which they are shown."""


class RunView:
    """A single run.

    Args:
        folder: Folder of the run.
        clock: The time in s since 1970.
        spec: Content of the run's spec.json; None to read it.
        datasets: Names of the datasets of a run with a joint objective; else empty.

    Raises:
        RunFolderError: It is not a run's folder.
    """

    def __init__(
        self,
        folder: RunFolder,
        clock: Callable[[], float],
        spec: Mapping[str, Any] | None = None,
        datasets: Sequence[str] = (),
    ) -> None:
        self.folder, self._clock = folder, clock
        self._objective = JOINT_OBJECTIVE if datasets else ""
        spec = folder.read_spec() if spec is None else spec
        self._dataset = ", ".join(datasets) or _named(spec.get("dataset"))
        self._method = _named(spec.get("method"))
        self._limits = {k: v for k in ("trials", "time", "gpu_hours") if (v := spec.get(k))}
        self._tests = int(spec.get("test_seeds", 0)) * max(1, len(datasets))
        self._tests *= bool(spec.get("test", True))
        self._stall: float | None = spec.get("stall")
        self._tail, self._counters = Tail(folder.ledger), RunCounters()
        self._presence = Liveness(folder.path)
        self._unit: str | None = RATIO if datasets else None
        self._measured: BestError | None = None

    @property
    def unit(self) -> str:
        """Unit of the errors; empty where there is none, or it is not known."""
        if self._unit is None and self.folder.environment.is_file():
            environment = read_json(self.folder.environment)
            self._unit = str(environment.get("unit", _unit_of(self._dataset)))
        return _unit_of(self._dataset) if self._unit is None else self._unit

    def look(self, *, held: bool | None = None) -> Status:
        """The present status of the run.

        Args:
            held: Whether a driver is running in it; None to find out.
        """
        try:
            self._read()
        except Rewound:
            self._tail, self._counters = Tail(self.folder.ledger), RunCounters()
            self._read()
        return self._status(self.is_held() if held is None else held)

    @property
    def busy_seconds(self) -> float:
        """Seconds of all epochs together."""
        return self._counters.busy_seconds

    @property
    def span(self) -> tuple[float, float] | None:
        """From when until when its only driver worked, in s since 1970; None for several."""
        began, changed = self._counters.sessions, self._tail.changed()
        return (began[0], changed) if len(began) == 1 and began[0] and changed else None

    def is_held(self) -> bool:
        """Whether a driver is running in the folder."""
        return self._presence.look()

    def _read(self) -> None:
        for event in self._tail.new():
            self._counters.take(event)

    def _status(self, held: bool) -> Status:
        counters, running = self._counters, self._counters.running
        best = counters.records.get(-1 if counters.best is None else counters.best)
        best = best or best_record(counters.records.values())
        changed = self._tail.changed()
        silence = None if changed is None else max(0.0, self._clock() - changed)
        state = self._state(held, silence)
        return Status(
            run=str(self.folder.path),
            kind="search",
            state=state,
            dataset=self._dataset,
            method=self._method,
            objective=self._objective,
            unit=self.unit,
            trials={name: counters.states[name] for name in STATES if counters.states[name]},
            running=tuple(map(running_of, running)),
            best_trial=None if best is None else best.number,
            **self._best_error(best),
            best_config=None if best is None else dict(best.config),
            finalists=finalists_of(counters.records),
            worker_groups=counters.worker_groups,
            busy=min(len(running), counters.worker_groups) if state == "running" else 0,
            busy_share=counters.busy_share,
            epochs=counters.epochs,
            epochs_per_hour=counters.epochs_per_hour,
            seconds=counters.clock,
            gpu_hours=counters.gpu_hours,
            limits=self._limits,
            left=None if self._concluded() else self._left(),
            silence=silence,
            failures=tuple(counters.failures),
        )

    def _best_error(self, best: TrialRecord | None) -> dict[str, Any]:
        """The error of the best hyperparameters: of the tables, else of the ledger as it stands."""
        if best is None:
            return {}
        records = list(self._counters.records.values())
        if not self._concluded():
            self._measured = None
        else:
            new_seeds = any(record.replicate_of == best.number for record in records)
            found = self._measured or read_best_error(str(self.folder.path), new_seeds=new_seeds)
            if found is not None:
                self._measured = found
                return {"best_error": found.value, "best_basis": found.basis}
        error = finite(error_of(best, records))
        return {"best_error": error, "best_basis": basis_of(best, records)}

    def _state(self, held: bool, silence: float | None) -> RunState:
        counters = self._counters
        if self._concluded():
            return "concluded"
        if held:
            # Between the trials and the end a model is trained, of which the ledger tells nothing.
            limit = epoch_limit(counters.longest or None, self._stall)
            hangs = counters.states["running"] and (silence or 0.0) > limit
            return "stalled" if hangs else "running"
        states = counters.states
        vain = counters.searched and not states["running"] and not states["finished"]
        used_up = any(used >= self._limits[name] for name, used in self._used().items())
        return "failed" if vain and used_up else "interrupted"

    def _concluded(self) -> bool:
        """Whether all is done; a benchmark may ask for more test seeds later on."""
        return self._counters.best is not None and self._counters.tested >= self._tests

    def _used(self) -> dict[str, float]:
        counters = self._counters
        used = {
            "trials": counters.searched,
            "time": counters.clock,
            "gpu_hours": counters.gpu_hours,
        }
        return {name: value for name, value in used.items() if name in self._limits}

    def _left(self) -> float | None:
        """By each limit what it leaves at the pace so far; the least of them."""
        ended = self._counters.searched - self._counters.states["running"]
        estimates: list[float] = []
        for name, used in ({**self._used(), "trials": ended}).items():
            if name in self._limits and used > 0:
                estimates.append(self._counters.clock * max(0.0, self._limits[name] / used - 1))
        return min(estimates, default=None)


def _named(value: object) -> str:
    """The name of a dataset or method as a specification has it."""
    if isinstance(value, dict):
        return str(value.get("object", "?")).rpartition(":")[2]
    if isinstance(value, list):
        return ", ".join(map(_named, value))
    return str(value)


def _unit_of(dataset: str) -> str:
    """The unit of one of the datasets there are; empty for one's own, also in a table."""
    if dataset == "table" or dataset not in supremix_datasets.names():
        return ""
    return supremix_datasets.get(dataset).card.unit
