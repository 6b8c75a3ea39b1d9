from __future__ import annotations

import math
import uuid
from pathlib import Path

import pytest
from run_folders import end, epoch, session, trial
from upath import UPath

from supremix.runs.trial_log import TrialLogs, log_file
from supremix.storage.paths import to_path

EVENTS = [
    session(),
    trial(12),
    trial(13, replicate_of=12, seed=99),
    epoch(12, 1, 9.123456),
    epoch(13, 1, math.inf),
    end(12, "pruned", 1, reason="behind other trials"),
]


@pytest.fixture(params=["disk", "elsewhere"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    return to_path(tmp_path if request.param == "disk" else f"memory://{uuid.uuid4().hex}/run")


def written(folder: UPath, number: int) -> list[str]:
    """Lines without their times."""
    return [line.split(" ", 1)[1] for line in log_file(folder, number).read_text().splitlines()]


def test_a_trial_has_a_log_of_its_own_with_a_line_an_epoch(folder: UPath) -> None:
    logs = TrialLogs(folder, pytest.fail)
    for event in EVENTS:
        logs.take(event)
    logs.close()
    assert log_file(folder, 12).name == "00012.log"
    assert written(folder, 12) == [
        "trial 12 lr=0.01 batch_size=16 weight_decay=2 schedule=constant",
        "regress 1/4 error 9.1235 loss 0.5 lr 0.01 seconds 5",
        "pruned with 1 epochs that count: behind other trials",
    ]
    assert written(folder, 13)[0].startswith("confirms trial 12 with seed 99: 13 lr=0.01")
    assert "error inf" in written(folder, 13)[1]


def test_what_a_worker_said_stands_between_its_epochs(folder: UPath) -> None:
    logs = TrialLogs(folder, pytest.fail)
    for event in EVENTS[:3]:
        logs.take(event)
    logs.note(12, "Traceback:\n  it broke\n")
    logs.note(12, "")
    logs.take(epoch(12, 1, 3.0))
    logs.close()
    assert written(folder, 12)[1:3] == ["| Traceback:", "|   it broke"]


def test_a_resumed_session_goes_on_in_the_same_log(folder: UPath) -> None:
    for events in (EVENTS[:4], EVENTS[4:]):
        logs = TrialLogs(folder, pytest.fail)
        for event in events:
            logs.take(event)
        logs.close()
    assert len(written(folder, 12)) == 3


def test_lines_are_on_the_disk_at_once(tmp_path: Path) -> None:
    logs = TrialLogs(tmp_path, pytest.fail)
    logs.take(trial(0))
    logs.take(epoch(0, 1, 2.0))
    assert len(written(to_path(tmp_path), 0)) == 2


def test_a_log_that_cannot_be_written_is_told_once_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    told: list[str] = []
    logs = TrialLogs(tmp_path, told.append)
    for event in EVENTS:
        logs.take(event)
    logs.close()
    (message,) = told
    assert "logs of trials are missing lines" in message
