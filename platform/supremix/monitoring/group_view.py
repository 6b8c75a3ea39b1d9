"""Several runs in one folder that can be looked at time and again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from supremix.monitoring.run_view import STATES, RunView
from supremix.monitoring.status import RunState, Status
from supremix.runs.folder import RunFolder
from supremix.runs.grids import GridName
from supremix.storage.liveness import Liveness
from supremix_reports import read_best_error

TOGETHER = 60.0
"""Seconds between the beginnings of searches that one driver begins."""


class GroupView:
    """The runs of a comparison, of a search on several datasets, of a benchmark, or of folds.

    Args:
        folder: Folder that holds them.
        parts: Views of them, at least one.
        kind: Which of them it is.
        objective: Objective of a search on several datasets, else empty.
    """

    def __init__(
        self,
        folder: RunFolder,
        parts: Sequence[RunView],
        kind: GridName,
        objective: str,
    ) -> None:
        self._folder, self._parts = folder, parts
        self._kind: GridName = kind
        self._objective = objective
        self._presence = Liveness(folder.path)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the runs in the folder."""
        folder = str(self._folder.path)
        return tuple(str(p.folder.path).removeprefix(folder).strip("/") for p in self._parts)

    def look(self) -> Status:
        """The status of each run, and of all of them together."""
        # At the same time: at a remote address each may have to wait for a sign of life.
        with ThreadPoolExecutor() as pool:
            all_held, *own = pool.map(
                lambda look: look(), (self._presence.look, *(p.is_held for p in self._parts))
            )
        parts = tuple(
            part.look(held=all_held or held) for part, held in zip(self._parts, own, strict=True)
        )
        worker_groups = max(part.worker_groups for part in parts)
        silences = [part.silence for part in parts if part.silence is not None]
        units = {part.unit for part in parts}
        seconds, epochs = self._seconds(parts), sum(part.epochs for part in parts)
        busy = sum(part.busy_seconds for part in self._parts)
        return Status(
            run=str(self._folder.path),
            kind=self._kind,
            state=_state_of(parts, held=all_held),
            dataset=_joined(part.dataset for part in parts),
            method=_joined(part.method for part in parts),
            objective=self._objective,
            unit=units.pop() if len(units) == 1 else "",
            trials={
                name: number
                for name in STATES
                if (number := sum(part.trials.get(name, 0) for part in parts))
            },
            worker_groups=worker_groups,
            busy=min(worker_groups, sum(part.busy for part in parts)),
            busy_share=min(1.0, busy / (worker_groups * seconds))
            if worker_groups and seconds
            else None,
            epochs=epochs,
            epochs_per_hour=epochs / seconds * 3600 if seconds else None,
            seconds=seconds or max(part.seconds for part in parts),
            limits=_limits(parts),
            gpu_hours=sum(part.gpu_hours for part in parts),
            left=self._left(parts),
            silence=min(silences, default=None),
            parts=parts,
            **self._pooled(),
        )

    def _seconds(self, parts: Sequence[Status]) -> float | None:
        """Time that all of them took; None where that is not known."""
        # Compared methods are searched one after the other. Others overlap, so that only the time
        # since the one driver began is known, and of several drivers none.
        if self._kind == "comparison":
            return self._in_turn(part.seconds for part in parts)
        spans = [part.span for part in self._parts]
        known = [span for span in spans if span is not None]
        began = [begin for begin, _ in known]
        # One driver begins them all at once; what was added later began with another.
        if len(known) < len(spans) or max(began) - min(began) > TOGETHER:
            return None
        return max(end for _, end in known) - min(begin for begin, _ in known)

    def _left(self, parts: Sequence[Status]) -> float | None:
        alive = [part for part in parts if not part.over]
        if not alive or any(part.left is None for part in alive):
            return None  # there is no estimate for a part that has not begun
        estimates = [0.0 if part.over else part.left or 0.0 for part in parts]
        return self._in_turn(estimates) if self._kind == "comparison" else max(estimates)

    def _in_turn(self, seconds: Iterable[float]) -> float:
        """The time of methods one after the other, each with all its folds at the same time."""
        longest: dict[str, float] = {}
        for name, own in zip(self.names, seconds, strict=True):
            method = name.partition("/")[0]
            longest[method] = max(own, longest.get(method, 0.0))
        return sum(longest.values())

    def _pooled(self) -> dict[str, Any]:
        """The error out of fold of a cross-validation whose folds are all tested."""
        error = None
        if self._kind == "folds":
            error = read_best_error(str(self._folder.path), new_seeds=False)
        return {} if error is None else {"best_error": error.value, "best_basis": error.basis}


def _limits(parts: Sequence[Status]) -> dict[str, float]:
    """How many trials there may be in all; the other limits hold for each."""
    each = [part.limits.get("trials") for part in parts]
    known = [number for number in each if number is not None]
    return {"trials": sum(known)} if len(known) == len(each) else {}


def _state_of(parts: Sequence[Status], *, held: bool) -> RunState:
    states = {part.state for part in parts}
    if states == {"failed"}:
        return "failed"
    if all(part.over for part in parts):
        return "concluded"
    if "stalled" in states:
        return "stalled"
    return "running" if held or "running" in states else "interrupted"


def _joined(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
