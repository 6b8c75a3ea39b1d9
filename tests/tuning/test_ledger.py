"""The ledger: what a kill can do to it, and what must be refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from small_disk import run_on_small_disk

from supremix.errors import RunFolderError
from supremix.tuning.ledger.ledger import Ledger, read_events


def test_a_torn_last_line_is_cut_off_and_the_rest_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append("trial", number=0, config={"lr": 0.1})
        ledger.append("epoch", number=0, row={"epoch": 1, "error": 2.0}, total=3)
    whole = path.read_bytes()
    for length in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:length])
        assert [event["event"] for event in read_events(path)] == ["trial"]
        with Ledger(path) as ledger:
            ledger.append("end", number=0, state="failed", reason=None)
        assert [event["event"] for event in read_events(path)] == ["trial", "end"]


def test_a_damaged_line_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"event":"trial"}\n{"eve\n{"event":"end"}\n')
    with pytest.raises(RunFolderError, match=r"line 2 of .* is damaged"):
        Ledger(path)


def test_a_missing_ledger_has_no_events(tmp_path: Path) -> None:
    assert read_events(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("error", [float("inf"), float("nan")])
def test_non_finite_numbers_survive(tmp_path: Path, error: float) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append("epoch", number=0, row={"error": error}, total=1)
    (event,) = read_events(path)
    assert repr(event["row"]["error"]) == repr(error)


def test_a_full_disk_loses_nothing_and_leaves_whole_lines(tmp_path: Path) -> None:
    script = """
import json
from supremix.tuning.ledger.ledger import Ledger, read_events
path, told, whole = disk / "ledger.jsonl", [], []
with Ledger(path, tell=told.append) as ledger:
    fill(leave=8192)
    for n in range(500):
        ledger.append("epoch" if n % 5 else "trial", n=n, text="x" * 60)
        if told:
            data = path.read_bytes()
            whole.append(data.endswith(b"\\n"))
    found = [event["n"] for event in read_events(path)]
    free()
    ledger.flush()
    ledger.append("end", n=500)
after = [event["n"] for event in read_events(path)]
print(json.dumps({"told": told, "whole": whole, "found": found, "after": after}))
"""
    seen: dict[str, Any] = json.loads(run_on_small_disk(script, tmp_path))
    begins, ends = seen["told"]
    assert "No space left on device" in begins
    assert "works again" in ends
    assert seen["whole"]
    assert all(seen["whole"])
    assert 0 < len(seen["found"]) < 500
    assert seen["found"] == list(range(len(seen["found"])))
    assert seen["after"] == list(range(501))


def test_a_disk_that_stays_full_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    script = """
from supremix.errors import RunFolderError
from supremix.tuning.ledger.ledger import Ledger, read_events
path = disk / "ledger.jsonl"
try:
    with Ledger(path, tell=lambda _: None, patience=0.5) as ledger:
        fill(leave=0)
        while True:
            ledger.append("trial", text="x" * 1000)
except RunFolderError as error:
    print(error)
print(len(read_events(path)))
"""
    told, whole = run_on_small_disk(script, tmp_path).splitlines()
    assert "has failed for" in told
    assert "space left on the disk" in told
    assert int(whole) <= 4


def test_a_partial_write_is_cut_off_before_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.jsonl"
    write, failures = os.write, [28, 5]  # no space left, input/output error

    def failing(file: int, data: Any) -> int:
        if failures and len(data) > 40:
            write(file, bytes(data)[:17])
            raise OSError(failures.pop(), "as if")
        return write(file, data)

    told: list[str] = []
    with Ledger(path, tell=told.append) as ledger:
        ledger.append("a", n=0)
        monkeypatch.setattr(os, "write", failing)
        ledger.append("trial", n=1, text="x" * 60)
        ledger.append("trial", n=2, text="x" * 60)
        ledger.flush()
        assert [event["n"] for event in read_events(path)] == [0, 1, 2]
    assert len(told) == 2


def test_a_ledger_that_refuses_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"cannot be used: FileNotFoundError"):
        Ledger(tmp_path / "nowhere" / "ledger.jsonl")


def test_a_ledger_that_is_closed_takes_no_more(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.close()
    ledger.close()
    with pytest.raises(RunFolderError, match="is closed"):
        ledger.append("trial", number=0)


def test_a_file_that_another_process_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path).close()
    path.write_bytes(b'{"event":"trial"}\n')
    ledger = Ledger(path)
    os.truncate(path, 0)
    ledger._writer._sink.close()  # as after a failure: the file is opened again
    with pytest.raises(RunFolderError, match="was cut by another process"):
        ledger.append("trial", number=1)
