"""The state of a run, read from its folder alone: also while its driver works, or is down."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from supremix.errors import RunFolderError
from supremix.monitoring.group_view import GroupView
from supremix.monitoring.run_view import RunView
from supremix.monitoring.status import Status, TrialStatus
from supremix.runs.folder import RunFolder, read_json
from supremix.runs.grids import JOINT_OBJECTIVE, GridName, grid_kind
from supremix.runs.trial_log import log_file
from supremix.storage.paths import Address, read_bytes
from supremix.tuning.ledger.ledger import TRIAL
from supremix.tuning.ledger.records import TrialRecord, apply_event
from supremix.tuning.ledger.tail import Tail

TAKEN = ("number", "state", "reason", "config", "replicate_of", "seed", "total")
"""Fields of a trial's record that its status has as they are."""


def status(run: Address) -> Status:
    """Look at a run once.

    Args:
        run: Its folder, at any address: of a search, of a comparison of methods, of a search on
            several datasets, of a benchmark, or of a cross-validation.

    Returns:
        How far it is.

    Raises:
        RunFolderError: It is no run's folder, or a ledger in it is damaged.
    """
    return open_view(run).look()


def open_view(run: Address, clock: Callable[[], float] = time.time) -> RunView | GroupView:
    """A view of a run whose `look` gives its present status, each time reading what is new.

    Args:
        run: As for `status`.
        clock: The time in s since 1970.

    Raises:
        RunFolderError: It is no run's folder.
    """
    folder = RunFolder(run)
    index = _index(folder)
    if index is None:
        return RunView(folder, clock)
    parts = [RunFolder(folder.path / name) for name in index.names]
    if index.single:
        return RunView(folder, clock, spec=parts[0].read_spec(), datasets=index.names)
    return GroupView(folder, [RunView(p, clock) for p in parts], index.kind, index.objective)


def runs_in(run: Address) -> list[RunFolder]:
    """The runs of a folder: itself, or those of a comparison, of datasets, a benchmark or folds.

    Raises:
        RunFolderError: It is no run's folder.
    """
    folder = RunFolder(run)
    index = _index(folder)
    if index is None:
        folder.read_spec()
    if index is None or index.single:
        return [folder]
    return [RunFolder(folder.path / name) for name in index.names]


def read_trial(run: Address, number: int) -> TrialStatus:
    """Read everything about one trial.

    Args:
        run: Folder of a single run.
        number: Number of the trial.

    Raises:
        RunFolderError: It is not a single run's folder, or has no such trial.
    """
    folder, view = RunFolder(run), open_view(run)
    if isinstance(view, GroupView):
        raise RunFolderError(
            f"{folder.path} holds several runs ({', '.join(view.names)}), each with trials of "
            "its own. Name the folder of one of them."
        )
    records: dict[int, TrialRecord] = {}
    count = 0
    for event in Tail(folder.ledger).new():
        count += event["event"] == TRIAL
        if event.get("number") == number:
            apply_event(records, event)
    if number not in records:
        raise RunFolderError(
            f"{folder.path} has no trial {number}; there are {count} so far, from 0 on."
        )
    record, log = records[number], log_file(folder.path, number)
    return TrialStatus(
        run=str(folder.path),
        **{name: getattr(record, name) for name in TAKEN},
        errors=tuple(row["error"] for row in record.rows),
        unit=view.unit,
        log=read_bytes(log).decode(errors="replace") if log.is_file() else "",
    )


class _Index(NamedTuple):
    """What a folder holds several of."""

    kind: GridName
    names: list[str]
    objective: str

    @property
    def single(self) -> bool:
        """Whether one study is made on all of them, whose ledger lies in the folder itself."""
        return self.objective == JOINT_OBJECTIVE


def _index(folder: RunFolder) -> _Index | None:
    kind = grid_kind(folder.path)
    if kind is None:
        return None
    content = read_json(folder.path / kind.index)
    return _Index(kind.name, kind.run_names(content), content.get("objective", ""))
