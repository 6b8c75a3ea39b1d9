"""`supremix dashboard`: the real optuna-dashboard on a run that goes on."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend, JournalStorage
from run_folders import append, end, epoch, session, trial, write_index, write_run

from supremix import cli
from supremix.errors import RunFolderError, SpecError
from supremix.monitoring.dashboard import Dashboard

EVENTS = [session(), trial(0), epoch(0, 1, 9.0, 5.0), end(0, "finished", 1, 5.0), trial(1, 5.0)]


@contextmanager
def served(run: Any, **more: Any) -> Iterator[Dashboard]:
    with Dashboard(run, port=0, interval=0.1, **more) as dashboard:
        thread = threading.Thread(target=dashboard.serve)
        thread.start()
        try:
            yield dashboard
        finally:
            dashboard.stop()
            thread.join()


def get(dashboard: Dashboard, path: str) -> Any:
    with urllib.request.urlopen(f"{dashboard.address}{path}", timeout=30) as answer:
        return json.loads(answer.read())


def states(dashboard: Dashboard, study: int) -> list[str]:
    return [trial["state"] for trial in get(dashboard, f"/api/studies/{study}")["trials"]]


def study_ids(dashboard: Dashboard) -> dict[str, int]:
    studies = get(dashboard, "/api/studies")["study_summaries"]
    return {study["study_name"]: study["study_id"] for study in studies}


def test_a_run_is_shown_and_followed(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *EVENTS)
    with served(run.path) as dashboard:
        number = study_ids(dashboard)["run"]
        assert states(dashboard, number) == ["Complete", "Running"]
        append(run, epoch(1, 1, 8.0, 9.0), end(1, "pruned", 1, 9.0), trial(2, 9.0))
        deadline = time.monotonic() + 60
        while states(dashboard, number) != ["Complete", "Pruned", "Running"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_every_run_of_a_folder_is_a_study_once_it_has_begun(tmp_path: Path) -> None:
    for name in ("hc18", "ixi"):
        write_run(tmp_path / "many" / name, *EVENTS, dataset=name)
    later = write_run(tmp_path / "many" / "openbhb", dataset="openbhb")
    (later.space).unlink()
    write_index(
        tmp_path / "many",
        "multi_dataset.json",
        datasets=["hc18", "ixi", "openbhb"],
        objective="per-dataset",
    )
    with served(tmp_path / "many") as dashboard:
        assert {name.rpartition("/")[2] for name in study_ids(dashboard)} == {"hc18", "ixi"}


def test_a_browser_can_change_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *EVENTS)
    with served(run.path) as dashboard:
        number = study_ids(dashboard)["run"]
        for method, path in (("DELETE", f"/api/studies/{number}"), ("POST", "/api/trials/1/tell")):
            request = urllib.request.Request(f"{dashboard.address}{path}", b"{}", method=method)
            with pytest.raises(urllib.error.HTTPError, match="405") as refused:
                urllib.request.urlopen(request, timeout=30)
            refused.value.close()
        assert states(dashboard, number) == ["Complete", "Running"]


def test_a_run_that_breaks_ends_the_dashboard_with_its_reason(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *EVENTS)
    with Dashboard(run.path, port=0, interval=0.05) as dashboard:
        with Path(run.ledger).open("ab") as file:
            file.write(b"{nonsense\n")
        with pytest.raises(RunFolderError, match="damaged"):
            dashboard.serve()


def test_the_journal_can_be_kept(tmp_path: Path) -> None:
    run, kept = write_run(tmp_path / "run", *EVENTS), tmp_path / "journal.log"
    with Dashboard(run.path, port=0, journal=kept):
        pass
    storage = JournalStorage(JournalFileBackend(str(kept)))
    assert len(optuna.load_study(study_name="run", storage=storage).trials) == 2
    with pytest.raises(SpecError, match="exists already"):
        Dashboard(run.path, port=0, journal=kept)


def test_a_run_whose_space_is_not_known_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *EVENTS)
    run.space.unlink()
    with pytest.raises(RunFolderError, match=r"no space\.json"):
        Dashboard(run.path, port=0)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *EVENTS)
    with Dashboard(run.path, port=0) as first:
        port = int(first.address.rpartition(":")[2])
        with pytest.raises(SpecError, match=f"cannot listen on 127.0.0.1:{port}"):
            Dashboard(run.path, port=port)


def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", *EVENTS)
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["dashboard", str(run.path)])
    assert "pip install 'supremix[dashboard]'" in capsys.readouterr().err
