"""The ledger in an S3-compatible bucket: outages, kills, late requests, many objects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from upath import UPath
from weak_link import Link

from supremix.errors import RunFolderError
from supremix.storage.paths import to_path
from supremix.tuning.ledger import bucket_sink as ledger_segments
from supremix.tuning.ledger.ledger import Ledger, read_events

CHILD = """
import sys
from supremix.tuning.ledger.ledger import Ledger
with Ledger(sys.argv[1]) as ledger:
    n = len(ledger.events)
    while True:
        ledger.append("epoch" if n % 3 else "trial", n=n)
        n += 1
        if n % 10 == 0:
            ledger.flush()
            print(n, flush=True)
"""


def numbers(address: str) -> list[int]:
    return [event["n"] for event in read_events(address)]


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def objects(address: str) -> list[str]:
    folder = to_path(address)
    return sorted(path.rsplit("/", 1)[-1] for path in folder.fs.ls(folder.path, detail=False))


def test_events_come_back_in_their_order(bucket: str) -> None:
    address = f"{bucket}/run/ledger"
    with Ledger(address) as ledger:
        for n in range(30):
            ledger.append("epoch" if n % 3 else "trial", n=n)
            if n % 7 == 0:
                ledger.flush()
                assert numbers(address) == list(range(n + 1))
    assert numbers(address) == list(range(30))


def test_a_decision_is_there_soon_without_a_flush(bucket: str) -> None:
    address = f"{bucket}/run/ledger"
    with Ledger(address) as ledger:
        ledger.append("trial", n=0)
        wait_until(lambda: numbers(address) == [0])
        ledger.append("epoch", n=1)
        wait_until(lambda: numbers(address) == [0, 1])


def test_opening_makes_one_object_of_many(bucket: str) -> None:
    address = f"{bucket}/run/ledger"
    with Ledger(address) as ledger:
        for n in range(5):
            ledger.append("trial", n=n)
            ledger.flush()
    assert len(objects(address)) == 6
    with Ledger(address) as ledger:
        assert [event["n"] for event in ledger.events] == list(range(5))
        assert objects(address) == ["000002-000000000-000000005.jsonl"]


def test_small_objects_are_merged_on_the_way(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_segments, "SMALL", 4)
    address = f"{bucket}/run/ledger"
    with Ledger(address) as ledger:
        for n in range(11):
            ledger.append("trial", n=n)
            ledger.flush()
            assert numbers(address) == list(range(n + 1))
    assert len(objects(address)) == 1 + 2 + 3  # the first one, two merged ones, the rest


def test_an_outage_loses_nothing_and_is_told_once(bucket: str, link: Link) -> None:
    address, told = f"{bucket}/run/ledger", list[str]()
    with Ledger(address, tell=told.append) as ledger:
        for n in range(10):
            ledger.append("trial", n=n)
        ledger.flush()
        link.cut()
        for n in range(10, 40):
            ledger.append("epoch" if n % 4 else "trial", n=n)
        wait_until(lambda: len(told) == 1)
        assert [event["n"] for event in ledger.events] == list(range(40))
        link.mend()
        ledger.flush()
        ledger.append("trial", n=40)
    assert numbers(address) == list(range(41))
    begins, ends = told
    assert "fails for now" in begins
    assert "works again" in ends


def test_a_request_whose_answer_is_lost_counts_once(bucket: str, link: Link) -> None:
    address = f"{bucket}/run/ledger"
    with Ledger(address, tell=lambda _: None) as ledger:
        for n in range(6):
            link.lose_answers(2)
            ledger.append("trial", n=n)
            ledger.append("epoch", n=n)
            ledger.flush()
    assert link.swallowed > 6
    assert numbers(address) == [n for n in range(6) for _ in range(2)]


def test_requests_that_never_arrive_are_sent_again(bucket: str, link: Link) -> None:
    address = f"{bucket}/run/ledger"
    with Ledger(address, tell=lambda _: None) as ledger:
        link.drop_requests()
        ledger.append("trial", n=0)
        ledger.append("epoch", n=1)
        wait_until(lambda: any(line.startswith("PUT") for line in link.dropped))
        link.mend()
    assert numbers(address) == [0, 1]


def test_too_long_an_outage_is_an_error_that_says_what_to_do(bucket: str, link: Link) -> None:
    ledger = Ledger(f"{bucket}/run/ledger", tell=lambda _: None, patience=0.3)
    ledger.append("trial", n=0)
    ledger.flush()
    link.cut()
    ledger.append("trial", n=1)
    with pytest.raises(RunFolderError, match=r"has failed for .* bring the storage back"):
        ledger.flush()
    with pytest.raises(RunFolderError, match="has failed for"):
        ledger.append("trial", n=2)
    link.mend()
    with pytest.raises(RunFolderError, match="has failed for"):
        ledger.close()
    assert numbers(f"{bucket}/run/ledger") == [0]


def test_a_search_that_ends_by_an_error_does_not_wait_for_an_outage(
    bucket: str, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supremix.tuning.ledger.ledger.CLOSE_PATIENCE", 0.2)
    told: list[str] = []

    def search() -> None:
        with Ledger(f"{bucket}/run/ledger", tell=told.append) as ledger:
            link.cut()
            ledger.append("trial", n=0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search()
    assert "the last 1 events" in told[-1]
    link.mend()
    assert numbers(f"{bucket}/run/ledger") == []


def test_a_refusal_is_not_tried_again(bucket: str) -> None:
    ledger = Ledger(f"{bucket}/run/ledger")
    to_path(bucket).fs.rm(bucket, recursive=True)
    ledger.append("trial", n=0)
    with pytest.raises(RunFolderError, match="bucket or disk of that name"):
        ledger.flush()


@pytest.mark.parametrize("address", ["s3://there-is-no-such-bucket/run/ledger"])
def test_a_bucket_that_is_missing_is_told_at_once_and_not_made(s3: object, address: str) -> None:
    with pytest.raises(RunFolderError, match="Expected a bucket or disk of that name: make it"):
        Ledger(address)
    assert not UPath("s3://there-is-no-such-bucket").exists()


def test_what_a_killed_driver_flushed_is_there_once(bucket: str) -> None:
    address = f"{bucket}/run/ledger"
    for _ in range(2):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, address], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        flushed = [int(child.stdout.readline()) for _ in range(3)][-1]
        child.kill()
        child.wait()
        child.stdout.close()
        found = numbers(address)
        assert len(found) >= flushed
        assert found == list(range(len(found)))


def test_a_late_request_of_a_dead_driver_changes_nothing(bucket: str) -> None:
    address = f"{bucket}/run/ledger"
    with Ledger(address) as ledger:
        ledger.append("trial", n=0)
    with Ledger(address) as ledger:
        ledger.append("trial", n=1)
        ledger.flush()
        late = json.dumps({"event": "trial", "n": "late"}).encode() + b"\n"
        to_path(f"{address}/000001-000000001-000000001.jsonl").write_bytes(late)
        assert numbers(address) == [0, 1]
    with Ledger(address) as ledger:
        assert len(objects(address)) == 1
    assert numbers(address) == [0, 1]


def test_a_missing_object_is_told(bucket: str) -> None:
    address = f"{bucket}/run/ledger"
    with Ledger(address) as ledger:
        for n in range(3):
            ledger.append("trial", n=n)
            ledger.flush()
    to_path(f"{address}/000001-000000001-000000001.jsonl").unlink()
    with pytest.raises(RunFolderError, match="expected lines from number 1 on"):
        read_events(address)


def test_an_object_with_too_few_lines_is_told(bucket: str) -> None:
    address = f"{bucket}/run/ledger"
    with Ledger(address) as ledger:
        ledger.append("trial", n=0)
    to_path(f"{address}/000001-000000000-000000001.jsonl").write_bytes(b'{"event":"tr')
    with pytest.raises(RunFolderError, match="expected 1 lines, found 1"):
        read_events(address)


def test_a_run_from_a_disk_goes_on_in_a_bucket_and_back(bucket: str, tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.append("trial", n=0)
    there = to_path(f"{bucket}/run")
    (there / "ledger.jsonl").write_bytes((tmp_path / "ledger.jsonl").read_bytes())
    with Ledger(f"{bucket}/run/ledger") as ledger:
        ledger.append("trial", n=1)
    assert numbers(f"{bucket}/run/ledger") == [0, 1]
    back = tmp_path / "back" / "ledger"
    there.fs.get(f"{there.path}/ledger", str(back), recursive=True)
    with Ledger(back) as ledger:
        ledger.append("trial", n=2)
    assert numbers(str(back)) == [0, 1, 2]


def test_a_reader_beside_a_writer_sees_a_growing_beginning(bucket: str) -> None:
    address = f"{bucket}/run/ledger"
    environment = {**os.environ}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, address],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert child.stdout is not None
    try:
        child.stdout.readline()
        seen = 0
        for _ in range(10):
            found = numbers(address)
            assert found == list(range(len(found)))
            assert len(found) >= seen
            seen = len(found)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert seen > 0
