"""Two drivers at one run folder."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from weak_link import Link

from supremix.errors import RunFolderError
from supremix.storage.locks import locked
from supremix.storage.paths import to_path
from supremix.tuning.ledger.ledger import Ledger, read_events

QUICK = {"refresh": 0.15, "stale": 1.5}
HOLD = """
import json, sys
from supremix.storage.locks import locked
with locked(sys.argv[1], **json.loads(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(address: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, address, json.dumps(QUICK)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def wait_for_loss(lock: object, take: Callable[[], None]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        take()
        lock.check()  # type: ignore[attr-defined]
        time.sleep(0.02)


@pytest.mark.parametrize("remote", [False, True])
def test_a_second_driver_is_refused_and_the_next_one_not(
    remote: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = f"{request.getfixturevalue('bucket')}/run" if remote else str(tmp_path)
    with (
        holder(folder) as other,
        pytest.raises(RunFolderError, match=r"another process .*is working on") as caught,
        locked(folder, **QUICK),
    ):
        pass
    assert (f"pid {other.pid}" in str(caught.value)) == remote
    with locked(folder, **QUICK) as lock:
        lock.check()


def test_the_folder_of_a_killed_driver_is_taken_over(bucket: str) -> None:
    with holder(f"{bucket}/run") as other:
        other.kill()
        other.wait()
        began = time.monotonic()
        with locked(f"{bucket}/run", **QUICK) as lock:
            assert time.monotonic() - began >= QUICK["stale"]
            lock.check()


def test_who_was_taken_over_can_no_longer_append(bucket: str) -> None:
    address = f"{bucket}/run"
    with (
        locked(address, **QUICK) as lock,
        Ledger(f"{address}/ledger", guard=lock.check) as ledger,
    ):
        ledger.append("trial", number=0)
        content = {"uuid": "another", "host": "elsewhere", "pid": 7, "beat": 1}

        def take() -> None:
            to_path(f"{address}/.lock").write_text(json.dumps(content))

        with pytest.raises(RunFolderError, match=r"pid 7 on elsewhere\) has taken over"):
            # Again and again: the holder may be between its look at the lock and its sign of life.
            wait_for_loss(lock, take)
        with pytest.raises(RunFolderError, match="has taken over"):
            ledger.append("trial", number=1)
    assert [event["number"] for event in read_events(f"{address}/ledger")] == [0]
    assert json.loads(to_path(f"{address}/.lock").read_text())["uuid"] == "another"


def test_a_holder_lives_through_an_outage(bucket: str, link: Link) -> None:
    with locked(f"{bucket}/run", **QUICK) as lock:
        link.cut()
        before = time.monotonic()
        while time.monotonic() - before < 1:
            lock.check()
            time.sleep(0.05)
        link.mend()
        with pytest.raises(RunFolderError, match="is working on"), locked(f"{bucket}/run", **QUICK):
            pass
        lock.check()


def test_a_folder_that_cannot_be_written_to_is_told(bucket: str, link: Link) -> None:
    link.cut()
    with (
        pytest.raises(RunFolderError, match=r"cannot be used.*AWS_ENDPOINT_URL"),
        locked(f"{bucket}/run", **QUICK),
    ):
        pass


def test_a_local_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(RunFolderError, match="cannot be used"), locked(file / "run"):
        pass
