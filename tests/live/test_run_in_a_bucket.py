"""Searches whose run folder is in an S3-compatible bucket, to which the way may be cut."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live_support import (
    TINY,
    Driver,
    assert_prolongable_alone,
    assert_same_tables,
    text_of,
    wait_until,
)
from s3_server import S3Server
from weak_link import Link

import supremix
from supremix.tuning.ledger.ledger import read_events

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def search(tmp_path: Path, heads: str, cache: Path) -> Iterator[Callable[..., Driver]]:
    """Starts `supremix search` on the tiny folder with a run folder anywhere."""
    drivers: list[Driver] = []

    def start(*words: str) -> Driver:
        command = ("search", *words)
        drivers.append(Driver(tmp_path / str(len(drivers)), cache=cache, command=command))
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.end()
        driver.wait_for_processes_to_end()


def asked(run: str, heads: str) -> tuple[str, ...]:
    words = ["--out", run, "--source", heads, "--method", "l1", "--trials", "4"]
    for option, value in TINY.items():
        words += [f"--{option.replace('_', '-')}", text_of(value)]
    return tuple(words)


def epochs(run: str) -> int:
    return sum(event["event"] == "epoch" for event in read_events(f"{run}/ledger"))


def wait_for_epochs(driver: Driver, run: str, number: int) -> None:
    def enough() -> bool:
        assert driver.process.poll() is None, driver.errors.read_text()
        return epochs(run) >= number

    wait_until(enough, f"{number} epochs in the ledger")


def test_a_search_in_a_bucket_lives_through_an_outage_and_kills_to_the_same_tables(
    search: Callable[..., Driver],
    heads: str,
    bucket: str,
    s3: S3Server,
    link: Link,
    tmp_path: Path,
) -> None:
    whole = search(*asked(str(tmp_path / "whole"), heads))
    assert whole.process.wait() == 0, whole.errors.read_text()
    run = f"{bucket}/runs/first"
    first = search(*asked(run, heads))
    wait_for_epochs(first, run, 2)
    link.drop_requests()
    wait_until(lambda: any("PUT" in line and ".lock" not in line for line in link.dropped), "a PUT")
    link.mend()
    wait_for_epochs(first, run, 5)
    first.signal_group(signal.SIGKILL)
    first.process.wait()
    second = search("--resume", run)
    assert second.process.wait() == 0, second.errors.read_text()
    assert_same_tables(run, tmp_path / "whole")
    found, expected = supremix.Result(run), supremix.Result(tmp_path / "whole")
    assert found.best.error == expected.best.error
    picture = str(next(Path(heads).rglob("*.png")))
    models = [supremix.load(where) for where in (run, tmp_path / "whole")]
    assert len({model.predict(picture, pixel_size=1.0) for model in models}) == 1
    assert_prolongable_alone(run)


def test_a_bucket_that_is_missing_is_refused_before_anything_starts(
    search: Callable[..., Driver], heads: str, s3: S3Server
) -> None:
    driver = search(*asked("s3://there-is-none/run", heads))
    assert driver.process.wait() == 2
    output = driver.errors.read_text()
    assert "Expected a bucket or disk of that name" in output
    assert "starting workers" not in output
