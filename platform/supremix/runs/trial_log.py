"""The logs of trials, in words, in the run folder: ``logs/00012.log``.

Made from the ledger's events as they come, so it needs nobody to remember to write it.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from upath import UPath

from supremix.storage.paths import Address, is_local, read_bytes, to_path, write_bytes
from supremix.storage.retry import explanation, failures
from supremix.tuning.ledger.ledger import END, EPOCH, TRIAL, Event
from supremix.tuning.ledger.records import trial_key

LOGS = "logs"


def log_file(folder: Address, number: int) -> UPath:
    """The path of the log of a run's trial."""
    return to_path(folder) / LOGS / f"{trial_key(number)}.log"


class TrialLogs:
    """Writes the logs of a run's trials.

    On a disk a line is there at once. In a bucket, where nothing can be appended to, the lines
    wait until their trial has ended, or `close`, and a thread stores them. A storage that fails
    costs lines of a log and not the search.

    Args:
        folder: Folder of the run.
        tell: Called with a sentence when lines could not be written, the first time.
        clock: The time in s since 1970.
    """

    def __init__(
        self, folder: Address, tell: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._folder, self._tell, self._clock = to_path(folder), tell, clock
        self._waiting: dict[int, list[str]] = {}
        self._storing = ThreadPoolExecutor(1, thread_name_prefix="trial-logs")
        self._failed = False

    def take(self, event: Event) -> None:
        """Write a line for an event that was just added to the ledger; others are passed over."""
        kind = event["event"]
        if kind == TRIAL:
            self._write(event["number"], _begin_text(event))
        elif kind == EPOCH:
            self._write(event["number"], _epoch_text(event["row"], event["total"]))
        elif kind == END:
            self._write(event["number"], _end_text(event))
            self._flush(event["number"])

    def note(self, number: int, text: str) -> None:
        """Write what a worker had to say: warnings, a traceback."""
        if text.strip():
            self._write(number, *(f"| {line}" for line in text.rstrip().splitlines()))

    def close(self) -> None:
        """Write what waits, of trials that were interrupted; nothing can be written afterwards."""
        for number in list(self._waiting):
            self._flush(number)
        self._storing.shutdown()

    def _write(self, number: int, *lines: str) -> None:
        stamp = datetime.fromtimestamp(self._clock()).astimezone().isoformat(timespec="seconds")
        self._waiting.setdefault(number, []).extend(f"{stamp} {line}\n" for line in lines)
        if is_local(self._folder):
            self._flush(number)

    def _flush(self, number: int) -> None:
        text = "".join(self._waiting.pop(number, []))
        path = log_file(self._folder, number)
        if text and is_local(path):
            self._store(path, text)
        elif text:
            self._storing.submit(self._store, path, text)

    def _store(self, path: UPath, text: str) -> None:
        try:
            _append(path, text)
        except failures() as error:
            if not self._failed:
                self._failed = True
                self._tell(f"logs of trials are missing lines: {explanation(str(path), error)}")


def _append(path: UPath, text: str) -> None:
    if not is_local(path):
        before = b""  # what an earlier session wrote
        with contextlib.suppress(FileNotFoundError):
            before = read_bytes(path)
        write_bytes(path, before + text.encode())
        return
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def _epoch_text(row: Mapping[str, Any], total: int) -> str:
    """An epoch in a line."""
    names = ("error", "loss", "lr", "seconds")
    values = " ".join(f"{n} {_number(row[n])}" for n in names if row.get(n) is not None)
    on = f" on {row['dataset']}" if row.get("dataset") else ""
    return f"{row.get('stage', 'epoch')} {row['epoch']}/{total}{on} {values}"


def _begin_text(event: Event) -> str:
    replicate_of = event.get("replicate_of")
    values = " ".join(f"{name}={_number(value)}" for name, value in event["config"].items())
    what = (
        "trial"
        if replicate_of is None
        else f"confirms trial {replicate_of} with seed {event['seed']}:"
    )
    return f"{what} {event['number']} {values}"


def _end_text(event: Event) -> str:
    counted = "" if event.get("epoch") is None else f" with {event['epoch']} epochs that count"
    reason = "" if event["reason"] is None else f": {event['reason']}"
    return f"{event['state']}{counted}{reason}"


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.5g}" if math.isfinite(value) else str(value)
