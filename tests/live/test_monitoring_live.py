"""Monitoring from other processes while a driver works, is down, and works again."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from live_support import MAIN, TINY, events_of, wait_until
from receiver import Receiver

import supremix
from supremix.errors import SearchInterrupted
from supremix.monitoring.status import Status
from supremix.progress.progress import SEARCHING, Progress
from supremix.tuning.ledger.records import read_records

pytestmark = [pytest.mark.slow, pytest.mark.long]


WORDS = {"finished": "Complete", "pruned": "Pruned", "stopped": "Pruned", "failed": "Fail"}


class Monitor:
    """A command of supremix that monitors a run, and the lines that it has written so far."""

    def __init__(self, *words: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", MAIN, *words, "--interval", "0.2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        if self.process.stdout is not None:
            with self.process.stdout as lines:
                self.lines.extend(line.rstrip() for line in lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for a line that a pattern is found in."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            assert found or self.process.poll() is None, self.lines
            found.extend(m for line in list(self.lines) if (m := re.search(pattern, line)))
            return bool(found)

        wait_until(look, f"a line with {pattern}")
        return found[0]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self._reader.join()


@pytest.fixture
def monitor_run() -> Iterator[Callable[..., Monitor]]:
    """Starts a command that monitors a run; it ends with the test."""
    monitors: list[Monitor] = []

    def start(*words: str) -> Monitor:
        monitors.append(Monitor(*words))
        return monitors[-1]

    yield start
    for monitor in monitors:
        monitor.end()


def get(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return json.loads(answer.read())


def states_at(dashboard: str) -> list[str]:
    """States of the trials that a dashboard shows."""
    (study,) = get(f"{dashboard}/api/studies")["study_summaries"]
    trials = get(f"{dashboard}/api/studies/{study['study_id']}")["trials"]
    return [trial["state"] for trial in trials]


def states_in(run: Path) -> list[str]:
    """The same as the ledger has them, in Optuna's words."""
    records = read_records(events_of(run)).values()
    return [WORDS.get(record.state, "Running") for record in records]


def ended(status: Status) -> int:
    return sum(count for state, count in status.trials.items() if state != "running")


def test_a_run_is_watched_and_notified_from_its_start_over_an_interruption_to_its_end(
    tmp_path: Path,
    heads: str,
    local_ray: None,
    monitor_run: Callable[..., Monitor],
    receiver: Receiver,
) -> None:
    run, seen = tmp_path / "run", []

    def notified() -> list[str]:
        return [message["event"] for message in receiver.messages]

    def look_and_interrupt(progress: Progress) -> None:
        """Look from all sides while the search is held up; then let it go on a little."""
        if progress.message != SEARCHING or progress.done < 3:
            return
        if seen:
            raise KeyboardInterrupt
        seen.extend(
            (monitor_run("watch", str(run)), monitor_run("dashboard", str(run), "--port", "0"))
        )
        seen[0].wait_for("^running · .* epochs")
        seen.append(seen[1].wait_for(r"http://\S+")[0])
        assert states_at(seen[2]) == states_in(run)
        wait_until(lambda: notified()[-1:] == ["stalled"], "the receiver to hear of the stall")

    search = supremix.Search(
        **TINY,
        source=heads,
        method="l1",
        trials=8,
        out=run,
        webhook=receiver.url,
        stall=1.0,
        progress=look_and_interrupt,
    )
    with pytest.raises(SearchInterrupted, match=f"--resume {run}"):
        search.run()
    watch, _, dashboard = seen
    watch.wait_for("^interrupted · ")
    status = supremix.status(run)
    message = receiver.messages[-1]
    assert (message["event"], message["run"]) == ("interrupted", str(run))
    assert (message["best_error"], message["trials"]) == (status.best_error, ended(status))
    assert notified()[-3:-1] == ["stalled", "resumed"]
    wait_until(lambda: states_at(dashboard) == states_in(run), "the dashboard to catch up")
    assert watch.process.poll() is None

    result = supremix.Search.resume(run).run()
    status, message = supremix.status(run), receiver.messages[-1]
    assert message["event"] == "ended"
    assert message["trials"] == ended(status) == result.trials.height
    assert watch.process.wait(60) == 0
    assert watch.lines[-1].startswith("concluded · ")
    wait_until(lambda: states_at(dashboard) == states_in(run), "the dashboard to catch up")
