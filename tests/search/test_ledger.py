"""The ledger: what a kill can do to it, and what must be refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from supremix.errors import RunFolderError
from supremix.search.ledger import Ledger, read_events


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
