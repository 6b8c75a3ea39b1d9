"""TensorBoard's files and MLflow's records, read back by other libraries."""

from __future__ import annotations

import json
import struct
import sys
import threading
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from run_folders import CONFIG

from supremix.cluster.tune.trackers import Tracker, make_trackers, numbers
from supremix.errors import SpecError

pytest.importorskip("tensorboardX")
pytest.importorskip("mlflow")
pytest.importorskip("wandb")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """MLflow's own use of its database library is deprecated there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def tune_trial(number: int, *, epoch: int = 0, study: int = 0) -> Any:
    described = {"study": study, "number": number, "epoch": epoch, "seed": 1, "config": CONFIG}
    config = {"trial": json.dumps(described)}
    return SimpleNamespace(trial_id=f"t{number}-{epoch}", config=config)


def result(epoch: int, error: float) -> dict[str, Any]:
    row = {"epoch": epoch, "stage": "regress", "error": error, "lr": 0.01, "measures": {"rank": 2}}
    return {"number": 0, "row": json.dumps(row), "total": 4, "failure": None, "pid": 17}


def play(trackers: list[Tracker], *errors: float, begin: int = 0, end: str = "complete") -> None:
    """The calls of Tune to its callbacks for one trial, in Tune's order."""
    trial = tune_trial(3, epoch=begin)
    for tracker in trackers:
        tracker.on_trial_start(0, [], trial)
        for epoch, error in enumerate(errors, start=begin + 1):
            tracker.on_trial_result(0, [], trial, result(epoch, error))
        if end == "failure":
            failure = {**result(9, 9.0), "row": "null", "failure": "no memory"}
            tracker.on_trial_result(0, [], trial, failure)
        if end in ("complete", "failure"):
            tracker.on_trial_complete(0, [], trial)
        tracker.on_experiment_end([])


@dataclass(frozen=True)
class Mlflow:
    """A database that tests share, since making one takes seconds, and a run's name in it."""

    uri: str
    run: str

    def play(self, *errors: float, begin: int = 0, end: str = "complete") -> None:
        found = make_trackers(tensorboard=None, mlflow=self.uri, run=self.run, warn=pytest.fail)
        play(found, *errors, begin=begin, end=end)

    def records(self) -> list[Any]:
        client = self._client()
        experiment = client.get_experiment_by_name(self.run)
        assert experiment is not None
        return list(client.search_runs([experiment.experiment_id]))

    def history(self, name: str) -> list[tuple[int, float]]:
        (run,) = self.records()
        found = self._client().get_metric_history(run.info.run_id, name)
        return [(metric.step, metric.value) for metric in found]

    def _client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def mlflow(database: str) -> Mlflow:
    return Mlflow(database, uuid.uuid4().hex)


def test_tensorboard_gets_a_folder_a_trial_with_its_epochs(tmp_path: Path) -> None:
    found = make_trackers(tensorboard=str(tmp_path), mlflow=None, run="hc18-l1", warn=pytest.fail)
    play(found, 9.0, 4.0, begin=2)
    (file,) = (tmp_path / "hc18-l1" / "00003").glob("events.out.tfevents.*")
    scalars = read_scalars(file)
    assert scalars["ray/tune/error"] == [(3, 9.0), (4, 4.0)]
    assert scalars["ray/tune/measures/rank"] == [(3, 2.0), (4, 2.0)]
    assert b"batch_size" in file.read_bytes()  # the hyperparameters, at the end


def read_scalars(file: Path) -> dict[str, list[tuple[int, float]]]:
    """Read an event file: records of a length, its checksum, the event, its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, found, at = file.read_bytes(), dict[str, list[tuple[int, float]]](), 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        event = Event.FromString(data[at + 12 : at + 12 + length])
        at += 16 + length
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


@pytest.mark.slow  # MLflow takes seconds to make its tables
def test_mlflow_gets_hyperparameters_and_epochs(mlflow: Mlflow) -> None:
    mlflow.play(9.0, 4.0)
    (run,) = mlflow.records()
    assert run.data.params == {name: str(value) for name, value in CONFIG.items()}
    assert (run.info.run_name, run.info.status) == ("00003", "FINISHED")
    assert mlflow.history("error") == [(1, 9.0), (2, 4.0)]


@pytest.mark.slow  # MLflow takes seconds to make its tables
def test_a_trial_that_failed_is_failed_in_mlflow(mlflow: Mlflow) -> None:
    mlflow.play(9.0, end="failure")
    assert [run.info.status for run in mlflow.records()] == ["FAILED"]


@pytest.mark.slow  # MLflow takes seconds to make its tables
def test_a_resumed_trial_continues_its_records(mlflow: Mlflow) -> None:
    mlflow.play(9.0, 8.0, end="interruption")
    mlflow.play(7.0, begin=2)
    assert mlflow.history("error") == [(1, 9.0), (2, 8.0), (3, 7.0)]
    assert [run.info.status for run in mlflow.records()] == ["FINISHED"]


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder into which Weights & Biases writes without a network."""
    import wandb

    wandb.teardown()
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    yield tmp_path / "wandb"
    wandb.teardown()


def wandb_records(folder: Path) -> dict[str, Any]:
    """The run, its config, its history by epoch and its exit code as a run's file has them."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("*.wandb")
    found: dict[str, Any] = {"history": [], "config": {}}
    for data in leveldb_records(file.read_bytes()):
        record = Record.FromString(data)
        if record.HasField("run"):
            found["run"] = record.run
            config = record.run.config.update
            found["config"] |= {one.key: json.loads(one.value_json) for one in config}
        elif record.HasField("history"):
            values = {i.nested_key[0]: json.loads(i.value_json) for i in record.history.item}
            found["history"].append((values["_step"], values["error"]))
        elif record.HasField("exit"):
            found["exit"] = record.exit.exit_code
    return found


def leveldb_records(data: bytes) -> Iterator[bytes]:
    """The records of a log in LevelDB's format, in blocks of 32 KiB, after 7 bytes of a header."""
    assert data.startswith(b":W&B")
    at, part = 7, b""
    while at + 7 <= len(data):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield part
            part = b""


@pytest.mark.slow  # it starts a process of its own
def test_wandb_gets_hyperparameters_and_epochs_without_a_network(offline: Path) -> None:
    import wandb

    ids = set[str]()
    for begin, errors, end in ((0, (9.0, 8.0), "complete"), (2, (7.0,), "failure")):
        known = set(offline.glob("offline-run-*"))
        found = make_trackers(
            tensorboard=None, mlflow=None, wandb="lab/ages", run="hc18-l1", warn=pytest.fail
        )
        play(found, *errors, begin=begin, end=end)
        wandb.teardown()  # its process has written everything once it has ended
        (folder,) = set(offline.glob("offline-run-*")) - known
        read = wandb_records(folder)
        run = read["run"]
        names = (run.entity, run.project, run.run_group, run.display_name)
        assert names == ("lab", "ages", "hc18-l1", "00003")
        assert {name: read["config"][name] for name in CONFIG} == CONFIG
        assert read["history"] == list(enumerate(errors, start=begin + 1))
        assert read["exit"] == (end == "failure")
        ids.add(run.run_id)
    assert len(ids) == 1  # a trial that is resumed goes on in its run


def test_wandb_without_a_login_is_refused_before_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    monkeypatch.setattr(wandb, "login", lambda **named: False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    wandb.teardown()
    with pytest.raises(SpecError, match=r"nobody is logged in .*`wandb login`.*WANDB_MODE=offline"):
        make_trackers(tensorboard=None, mlflow=None, wandb="ages", run="r", warn=pytest.fail)
    with pytest.raises(SpecError, match="needs the name of a project"):
        make_trackers(tensorboard=None, mlflow=None, wandb="lab/", run="r", warn=pytest.fail)


class Slow:
    """A logger that takes its time, and fails on demand."""

    def __init__(self, fails: bool = False) -> None:
        self.gate, self.heard, self.fails = threading.Event(), list[str](), fails

    def log_trial_start(self, trial: Any) -> None:
        assert self.gate.wait(60)
        self.heard.append(f"start {trial}")

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        if self.fails:
            raise OSError("the server is down")
        self.heard.append(f"result {iteration}")

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        self.heard.append("end")


def test_a_slow_tracker_delays_nothing_and_loses_nothing() -> None:
    slow = Slow()
    tracker = Tracker(slow, "Slow", names=("ixi", "hc18"), warn=pytest.fail)
    trial = tune_trial(0, study=1)
    tracker.on_trial_start(0, [], trial)
    for epoch in range(1, 100):
        tracker.on_trial_result(0, [], trial, result(epoch, 1.0))
    tracker.on_trial_complete(0, [], trial)
    assert slow.heard == []
    slow.gate.set()
    tracker.close()
    assert slow.heard == ["start hc18/00000", *(f"result {n}" for n in range(1, 100)), "end"]


def test_a_tracker_that_fails_warns_once() -> None:
    sentences: list[str] = []
    broken = Slow(fails=True)
    broken.gate.set()
    tracker = Tracker(broken, "Slow", warn=sentences.append)
    play([tracker], 1.0, 2.0, 3.0)
    assert sentences == ["Slow lacks records: the server is down"]
    assert broken.heard == ["start 00003", "end"]


def test_only_numbers_are_recorded() -> None:
    row = {"epoch": 1, "stage": "x", "ok": True, "mae": 2.5, "none": None, "measures": {"a": 1}}
    assert numbers(row) == {"epoch": 1, "mae": 2.5, "measures/a": 1}


@pytest.mark.parametrize(
    ("package", "extra", "asked"),
    [
        ("tensorboardX", "tensorboard", {"tensorboard": "logs", "mlflow": None}),
        ("mlflow.exceptions", "mlflow", {"tensorboard": None, "mlflow": "sqlite:///x.db"}),
        ("wandb", "wandb", {"tensorboard": None, "mlflow": None, "wandb": "ages"}),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, extra: str, asked: dict[str, Any]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SpecError, match=rf"pip install 'supremix\[{extra}\]'"):
        make_trackers(**asked, run="hc18-l1", warn=pytest.fail)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "a/folder", "nonsense://x"])
def test_mlflow_at_an_address_that_cannot_be_used_is_refused_before_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=f"cannot record in MLflow at '{address}'"):
        make_trackers(tensorboard=None, mlflow=address, run="hc18-l1", warn=pytest.fail)
