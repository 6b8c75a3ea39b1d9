"""`supremix status` and `supremix watch`: read from the folder alone, whatever the driver does."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from run_folders import append, end, epoch, final, session, trial, write_index, write_run

import supremix
from supremix import cli
from supremix.errors import RunFolderError
from supremix.monitoring.inspect import open_view, read_trial
from supremix.runs.folder import RunFolder
from supremix.runs.trial_log import TrialLogs
from supremix.storage.locks import locked

UNDER_WAY = [
    session(2),
    trial(0),
    trial(1),
    epoch(0, 1, 9.0, 5.0),
    epoch(1, 1, 8.0, 5.0),
    epoch(0, 2, 4.5, 10.0),
    end(0, "finished", 2, 10.0),
    epoch(1, 2, float("nan"), 10.0),
    trial(2, 10.0),
    end(2, "failed", 0, 11.0, "out of memory"),
]
DONE = [*UNDER_WAY, end(1, "pruned", 2, 12.0, "behind"), final(0, 50.0)]


def said(capsys: pytest.CaptureFixture[str], *words: str, code: str = "0") -> str:
    with pytest.raises(SystemExit, match=code):
        cli.main(words)
    heard = capsys.readouterr()
    return heard.out if code == "0" else heard.err


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "150")


def test_a_run_without_a_driver_is_interrupted(tmp_path: Path) -> None:
    found = supremix.status(write_run(tmp_path / "run", *UNDER_WAY).path)
    assert (found.state, found.busy, found.over) == ("interrupted", 0, False)
    assert found.trials == {"running": 1, "finished": 1, "failed": 1}
    assert (found.best_trial, found.best_error, found.unit) == (0, 4.5, "mm")
    assert found.failures == ((2, "out of memory"),)


def test_a_run_whose_lock_is_held_is_running(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *UNDER_WAY)
    with locked(run.path):
        found = supremix.status(run.path)
    assert (found.state, found.busy, found.worker_groups) == ("running", 1, 2)
    (trial_,) = found.running
    assert (trial_.number, trial_.epoch, trial_.total, trial_.error) == (1, 2, 4, None)


def test_looking_does_not_keep_a_driver_out_nor_end_its_lock(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *UNDER_WAY)
    for _ in range(3):
        supremix.status(run.path)
        with locked(run.path):
            assert supremix.status(run.path).state == "running"
            with pytest.raises(RunFolderError, match="another process"), locked(run.path):
                pass


def test_a_held_run_whose_trial_makes_no_epochs_stalls(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *UNDER_WAY)
    written = Path(run.ledger).stat().st_mtime
    with locked(run.path):
        assert open_view(run.path, clock=lambda: written + 599).look().state == "running"
        found = open_view(run.path, clock=lambda: written + 601).look()
    assert (found.state, found.silence) == ("stalled", pytest.approx(601.0))


def test_a_stall_is_what_the_search_was_asked_to_call_one(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *UNDER_WAY, stall=30.0)
    written = Path(run.ledger).stat().st_mtime
    with locked(run.path):
        assert open_view(run.path, clock=lambda: written + 29).look().state == "running"
        assert open_view(run.path, clock=lambda: written + 31).look().state == "stalled"


def test_a_concluded_run_stays_concluded(tmp_path: Path) -> None:
    found = supremix.status(write_run(tmp_path / "run", *DONE).path)
    assert (found.state, found.over, found.left, found.seconds) == ("concluded", True, None, 12.0)


def test_a_run_that_used_its_budget_without_a_result_has_failed(tmp_path: Path) -> None:
    events = [session(), trial(0), end(0, "failed", 0, 1.0, "no memory")]
    assert supremix.status(write_run(tmp_path / "a", *events, trials=1).path).state == "failed"
    assert supremix.status(write_run(tmp_path / "b", *events, trials=2).path).state == "interrupted"


def test_what_is_left_follows_from_the_scarcest_budget(tmp_path: Path) -> None:
    events = [session(1, gpus=1.0), trial(0), epoch(0, 1, 5.0, 100.0, seconds=90.0)]
    events.append(end(0, "finished", 1, 100.0))
    run = write_run(tmp_path / "run", *events, trials=10, time=400.0, gpu_hours=0.05)
    found = supremix.status(run.path)
    assert found.gpu_hours == pytest.approx(0.025)
    assert found.left == pytest.approx(100.0)  # half of the GPU hours in 100 s
    assert found.limits == {"trials": 10, "time": 400.0, "gpu_hours": 0.05}


def test_finalists_are_ranked_by_their_mean_with_new_seeds(tmp_path: Path) -> None:
    again = [
        trial(number, 20.0, replicate_of=replicate_of, seed=number)
        for number, replicate_of in ((2, 0), (3, 1), (4, 1))
    ]
    run = write_run(
        tmp_path / "run",
        session(),
        *(
            event
            for n in (0, 1)
            for event in (trial(n), epoch(n, 1, 4.0 + n), end(n, "finished", 1))
        ),
        *again,
        epoch(2, 1, 7.0),
        end(2, "finished", 1),
        epoch(3, 1, 5.0),
        end(3, "finished", 1),
    )
    found = supremix.status(run.path)
    assert [(f.trial, f.error, f.mean, len(f.confirming)) for f in found.finalists] == [
        (1, 5.0, 5.0, 2),
        (0, 4.0, 7.0, 1),
    ]
    assert found.best_trial == 1


def test_a_watch_sees_what_is_added_and_begins_again_where_events_were_lost(
    tmp_path: Path,
) -> None:
    run = write_run(tmp_path / "run", *UNDER_WAY)
    watched = open_view(run.path)
    assert watched.look().epochs == 4
    append(run, epoch(1, 3, 7.0, 12.0))
    assert watched.look().epochs == 5
    Path(run.ledger).write_bytes(Path(run.ledger).read_bytes()[:-1].rpartition(b"\n")[0] + b"\n")
    assert watched.look().epochs == 4


def test_a_comparison_is_told_run_by_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "both"
    write_run(folder / "l1", *DONE)
    write_run(folder / "rnc", *UNDER_WAY, method="rnc")
    write_index(folder, "comparison.json", methods=["l1", "rnc"])
    with locked(folder), locked(folder / "l1"), locked(folder / "rnc"):
        found = supremix.status(folder)
        text = said(capsys, "status", str(folder))
    assert (found.kind, found.state, found.method) == ("comparison", "running", "l1, rnc")
    assert [part.state for part in found.parts] == ["concluded", "running"]
    assert found.seconds == pytest.approx(12.0 + 11.0)  # one after the other
    assert "running trials of rnc" in text
    assert supremix.status(folder).state == "interrupted"


def test_several_datasets_share_their_gangs(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for name in ("hc18", "ixi"):
        run = write_run(folder / name, *UNDER_WAY, dataset=name)
        os.utime(run.ledger, (1_000_040.0, 1_000_040.0))  # 40 s after the driver began
    write_index(folder, "multi_dataset.json", datasets=["hc18", "ixi"], objective="per-dataset")
    with locked(folder):
        found = open_view(folder, clock=lambda: 1_000_045.0).look()
    assert (found.kind, found.objective, found.unit) == ("multi_dataset", "per-dataset", "")
    assert (found.seconds, found.busy, found.limits) == (40.0, 2, {"trials": 8})
    assert found.busy_share == pytest.approx(2 * 20 / (2 * 40))
    assert found.epochs_per_hour == pytest.approx(8 / 40 * 3600)


def test_how_long_overlapping_searches_of_several_drivers_took_is_not_made_up(
    tmp_path: Path,
) -> None:
    for name in ("hc18", "ixi"):
        append(write_run(tmp_path / name, *UNDER_WAY, dataset=name), session(2))
    write_index(tmp_path, "multi_dataset.json", datasets=["hc18", "ixi"], objective="per-dataset")
    found = supremix.status(tmp_path)
    assert (found.busy_share, found.epochs_per_hour, found.epochs) == (None, None, 8)


def test_one_study_on_several_datasets_is_one_run(tmp_path: Path) -> None:
    event = epoch(0, 1, 0.9, 5.0)
    event["row"]["dataset"] = "ixi"
    for name in ("hc18", "ixi"):
        write_run(tmp_path / name, dataset=name)
    write_index(tmp_path, "multi_dataset.json", datasets=["hc18", "ixi"], objective="joint")
    append(RunFolder(tmp_path), session(), trial(0), event)
    found = supremix.status(tmp_path)
    assert (found.dataset, found.unit) == ("hc18, ixi", "× the median's error")
    assert (found.objective, found.limits) == ("joint", {"trials": 4})
    assert found.running[0].dataset == "ixi"


def test_before_the_first_trial_there_is_nothing_to_tell_but_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run")
    assert "none yet, 4 to come" in said(capsys, "status", str(run.path))


def test_a_person_sees_what_matters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", *UNDER_WAY, time=60.0)
    with locked(run.path):
        text = said(capsys, "status", str(run.path))
    for words in (
        "3 of 4: 1 running, 1 finished, 1 failed",
        "4.5 mm (least error of a single training on validation, optimistically biased; trial 0)",
        "1 of 2 busy",
        "0:11 of 1:00",
        "trial 2: out of memory",
        "lr=0.01",
    ):
        assert words in text


def test_a_script_gets_json_without_numbers_that_json_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", *UNDER_WAY)
    told = json.loads(
        said(capsys, "status", str(run.path), "--json"),
        parse_constant=pytest.fail,
    )
    assert (told["state"], told["over"], told["running"][0]["error"]) == (
        "interrupted",
        False,
        None,
    )
    curve = json.loads(said(capsys, "status", str(run.path), "--trial", "1", "--json"))
    assert curve["errors"] == [8.0, None]


def test_a_trial_is_shown_with_settings_curve_and_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", *DONE)
    logs = TrialLogs(run.path, pytest.fail)
    for event in DONE:
        logs.take(event)
    logs.note(1, "UserWarning: the loss is large")
    logs.close()
    text = said(capsys, "status", str(run.path), "--trial", "1")
    for words in ("pruned", "behind", "▁×", "first 8.000", "lr", "regress 1/4", "| UserWarning"):
        assert words in text
    assert read_trial(run.path, 0).errors == (9.0, 4.5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "--trial", "9"), "has no trial 9; there are 3 so far"),
        (("both", "--trial", "0"), "holds several runs (l1)"),
        (("nothing",), "nothing has no spec.json"),
    ],
)
def test_what_cannot_be_shown_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    write_run(tmp_path / "run", *UNDER_WAY)
    write_run(tmp_path / "both" / "l1", *UNDER_WAY)
    write_index(tmp_path / "both", "comparison.json", methods=["l1"])
    name, *rest = words
    assert message in said(capsys, "status", str(tmp_path / name), *rest, code="2")


def test_a_watch_ends_with_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", *UNDER_WAY)

    def finish() -> None:
        deadline = time.monotonic() + 60
        while "interrupted" not in "".join(told) and time.monotonic() < deadline:
            told.append(capsys.readouterr().out)
            time.sleep(0.01)
        append(run, *DONE[len(UNDER_WAY) :])

    told: list[str] = []
    thread = threading.Thread(target=finish)
    thread.start()
    with pytest.raises(SystemExit, match="0"):
        cli.main(["watch", str(run.path), "--interval", "0.1"])
    thread.join()
    told.append(capsys.readouterr().out)
    lines = "".join(told).splitlines()
    assert lines[0].startswith("interrupted · 3 of 4: 1 running")
    assert lines[-1].startswith("concluded")


def test_a_watch_left_by_ctrl_c_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", *UNDER_WAY)

    def interrupted(_: float) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    assert "interrupted" in said(capsys, "watch", str(run.path))


def test_a_long_ledger_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", session(), trial(0))
    line = json.dumps(epoch(0, 1, 3.0, 5.0)).encode() + b"\n"
    with Path(run.ledger).open("ab") as file:
        file.write(line * 50_000)
    watched = open_view(run.path)
    assert watched.look().epochs == 50_000
    read: list[str] = []
    monkeypatch.setattr(json, "loads", read.append)
    watched.look()
    assert read == []


def test_a_run_in_a_bucket_is_seen_at_work_and_let_go(bucket: str) -> None:
    run = write_run(f"{bucket}/runs/one", *UNDER_WAY)
    watched = open_view(run.path)
    with locked(run.path, refresh=0.2, stale=1.0):
        found = watched.look()
        assert (found.state, found.epochs, found.best_error) == ("running", 4, 4.5)
        append(run, epoch(1, 3, 7.0, 12.0))
        assert watched.look().epochs == 5
    assert watched.look().state == "interrupted"
    assert found.silence is not None
