"""Looking at a ledger that is being written: nothing missed, nothing twice, little read."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from run_folders import end, epoch, final, session, trial

from supremix.errors import RunFolderError
from supremix.tuning.ledger.counters import RunCounters
from supremix.tuning.ledger.ledger import Event
from supremix.tuning.ledger.tail import Rewound, Tail


def lines(*events: Event) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def counters_of(*events: Event) -> RunCounters:
    counters = RunCounters()
    for event in events:
        counters.take(event)
    return counters


def test_however_the_writing_is_cut_into_pieces_each_event_comes_once(tmp_path: Path) -> None:
    events = [session(), trial(0), epoch(0, 1, 2.0), end(0, "failed", 1)]
    whole, path = lines(*events), tmp_path / "ledger.jsonl"
    for cuts in itertools.combinations(range(0, len(whole), 37), 2):
        path.unlink(missing_ok=True)
        tail, found = Tail(path), []
        for start, stop in itertools.pairwise((0, *cuts, len(whole))):
            with path.open("ab") as file:
                file.write(whole[start:stop])
            found += list(tail.new())
        assert found == events


def test_a_look_reads_nothing_that_an_earlier_one_has_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(lines(session(), trial(0)))
    tail = Tail(path)
    assert len(list(tail.new())) == 2
    # What was read may be made unreadable: it is not looked at any more.
    path.write_bytes(b"x" * path.stat().st_size + lines(epoch(0, 1, 2.0)))
    assert [event["event"] for event in tail.new()] == ["epoch"]
    assert list(tail.new()) == []


def test_a_torn_line_that_a_resumed_driver_replaces_is_read_as_replaced(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    before = lines(session())
    path.write_bytes(before + b'{"event":"tri')
    tail = Tail(path)
    assert list(tail.new()) == [session()]
    path.write_bytes(before + lines(session(3)))
    assert list(tail.new()) == [session(3)]


def test_a_ledger_that_lost_events_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(lines(session(), trial(0)))
    tail = Tail(path)
    list(tail.new())
    path.write_bytes(lines(session()))
    with pytest.raises(Rewound, match=r"ledger.jsonl has lost events"):
        list(tail.new())


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(lines(session()) + b"{nonsense\n" + lines(trial(0)))
    with pytest.raises(RunFolderError, match=rf"byte {len(lines(session()))} of .* is damaged"):
        list(Tail(path).new())


def test_a_missing_ledger_has_no_events_and_no_age(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "ledger.jsonl")
    assert (list(tail.new()), tail.changed()) == ([], None)


def test_gangs_are_busy_for_the_share_of_their_time_that_epochs_took() -> None:
    counters = counters_of(
        session(2), trial(0), trial(1),
        epoch(0, 1, 2.0, clock=10.0, seconds=10.0), epoch(1, 1, 2.0, clock=20.0, seconds=20.0),
    )  # fmt: skip
    assert counters.busy_share == pytest.approx(30 / 40)
    assert counters.epochs_per_hour == pytest.approx(2 / 20 * 3600)


def test_a_session_with_other_gangs_counts_with_those() -> None:
    counters = counters_of(
        session(2), trial(0), epoch(0, 1, 2.0, clock=10.0, seconds=10.0),
        session(1), epoch(0, 2, 2.0, clock=20.0, seconds=10.0),
    )  # fmt: skip
    assert counters.busy_share == pytest.approx(20 / 30)
    assert counters.worker_groups == 1


def test_gpu_hours_are_those_of_epochs() -> None:
    first = session(2, gpus=0.5)
    counters = counters_of(
        {**first, "workers": 4}, trial(0), epoch(0, 1, 2.0, clock=9.0, seconds=1800.0)
    )
    assert counters.gpu_hours == pytest.approx(1.0)


def test_time_after_the_search_is_no_search_time() -> None:
    counters = counters_of(
        session(1), trial(0), epoch(0, 1, 2.0, 10.0), end(0, "finished", 1, 10.0), final(0, 500.0)
    )
    assert counters.clock == 10.0
    assert counters.best == 0


def test_a_trial_that_ends_twice_counts_once() -> None:
    counters = counters_of(session(1), trial(0), end(0, "failed", 0), end(0, "pruned", 0))
    assert {k: v for k, v in counters.states.items() if v} == {"failed": 1}


def test_of_an_ended_trial_the_error_that_counts_is_kept() -> None:
    rows: list[dict[str, Any]] = [epoch(0, n, 10.0 - n) for n in range(1, 8)]
    counters = counters_of(session(1), trial(0), *rows, end(0, "pruned", 3))
    assert counters.records[0].error == 7.0
    assert len(counters.records[0].rows) == 1
    assert counters.epochs == 7  # trained all the same
