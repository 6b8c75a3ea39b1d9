"""Files of a run on disks and in buckets that fail for a while."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from s3_server import S3Server
from small_disk import run_on_small_disk
from upath import UPath
from weak_link import Link

from supremix._errors import ModelError, RunFolderError, TaskError
from supremix.storage.paths import children, discard_tree, probe, read_bytes, to_path, write_bytes
from supremix.storage.retry import may_pass, with_retries
from supremix.training import (
    CheckpointError,
    Task,
    TrainedModel,
    TrialRun,
    checkpoint_exists,
    load_checkpoint,
    save_checkpoint,
)
from supremix.training.artifacts.pretrained import Initial, model_folder
from supremix_datasets.cards.dataset import Dataset

STATE = {"epoch": 3, "weights": torch.arange(1000.0)}


@contextmanager
def mended_once_told(link: Link, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Cut the link, and mend it once somebody has complained in the log."""

    def mend() -> None:
        deadline = time.monotonic() + 60
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.02)
        link.mend()

    caplog.set_level(logging.WARNING, "supremix")
    link.cut()
    helper = threading.Thread(target=mend)
    helper.start()
    try:
        yield
    finally:
        helper.join()


def test_local_places_are_absolute_and_remote_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3Server
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert to_path("runs/a") == tmp_path / "runs" / "a"
    assert to_path(Path("runs/a")) == tmp_path / "runs" / "a"
    assert to_path(f"file://{tmp_path}/a") == tmp_path / "a"
    assert str(to_path("~/a")) == "/home/someone/a"
    assert str(to_path("s3://bucket/runs/a/")) == "s3://bucket/runs/a"
    assert str(to_path(UPath("s3://bucket/runs")) / "a") == "s3://bucket/runs/a"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("gs://bucket/run", "cannot use the address .*gcsfs"),
        ("nothing://bucket/run", "cannot use the address .*nothing"),
        (UPath("memory://a", own="option"), "storage options of its own .own."),
    ],
)
def test_addresses_that_cannot_be_used_are_told(address: str, message: str) -> None:
    with pytest.raises(RunFolderError, match=message):
        to_path(address)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (OSError(errno.ENOSPC, "full"), True),
        (OSError(errno.EIO, "broken"), True),
        (OSError("a server's own words"), True),
        (TimeoutError(), True),
        (ConnectionRefusedError(), True),
        (PermissionError(), False),
        (OSError(errno.EROFS, "read-only"), False),
        (FileNotFoundError(), False),
        (ValueError(), False),
    ],
)
def test_what_may_pass(error: Exception, passes: bool) -> None:
    assert may_pass(error) == passes


def test_pauses_grow_and_an_outage_is_told_once() -> None:
    told: list[str] = []
    pauses: list[float] = []

    def action() -> int:
        if len(pauses) < 9:
            raise OSError(errno.ENOSPC, "full")
        return 7

    assert with_retries(action, "it", tell=told.append, pause=pauses.append) == 7
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert len(told) == 2


@pytest.mark.parametrize("kind", ["disk", "bucket", "memory"])
def test_files_come_back(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    base = {
        "disk": lambda: str(tmp_path),
        "bucket": lambda: request.getfixturevalue("bucket"),
        "memory": lambda: f"memory://{tmp_path.name}",
    }[kind]()
    folder = to_path(base) / "run"
    assert list(children(folder)) == []
    write_bytes(folder / "a" / "x", b"old")
    write_bytes(folder / "a" / "x", b"new")
    write_bytes(folder / "b", b"")
    assert read_bytes(folder / "a" / "x") == b"new"
    assert [child.name for child in children(folder)] == ["a", "b"]
    with pytest.raises(FileNotFoundError):
        read_bytes(folder / "c")
    probe(folder)
    assert [child.name for child in children(folder)] == ["a", "b"]
    discard_tree(folder)
    discard_tree(folder)
    assert list(children(folder)) == []


def test_a_checkpoint_in_a_bucket_is_one_put_and_comes_back(bucket: str, s3: S3Server) -> None:
    address = f"{bucket}/run/checkpoints/00000.pt"
    assert not checkpoint_exists(address)
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_checkpoint(address)
    save_checkpoint(STATE, address)
    assert checkpoint_exists(address)
    state = load_checkpoint(address)
    assert state["epoch"] == 3
    assert torch.equal(state["weights"], STATE["weights"])
    assert s3.asked("PUT", f"{bucket[5:]}/run/checkpoints/00000.pt", times=1) == 1


def test_a_checkpoint_waits_for_a_bucket_that_is_away(
    bucket: str, link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"{bucket}/run/00000.pt"
    with mended_once_told(link, caplog):
        save_checkpoint(STATE, address)
    caplog.clear()
    with mended_once_told(link, caplog):
        assert load_checkpoint(address)["epoch"] == 3
    assert "fails for now" in caplog.messages[0]
    assert "works again" in caplog.messages[1]


def test_a_checkpoint_waits_for_room_on_the_disk(tmp_path: Path) -> None:
    script = """
import json, logging, torch
from supremix.training import load_checkpoint, save_checkpoint
class Freeing(logging.Handler):
    said = []
    def emit(self, record):
        if not self.said:
            free()
        self.said.append(record.getMessage())
logging.getLogger("supremix").addHandler(Freeing())
save_checkpoint({"weights": torch.zeros(1000)}, disk / "a.pt")
for leave in (0, 4096, 65536):
    Freeing.said.clear()
    fill(leave)
    save_checkpoint({"weights": torch.ones(100_000)}, disk / "a.pt")
    assert float(load_checkpoint(disk / "a.pt")["weights"].sum()) == 100_000
    assert len(Freeing.said) == 2, Freeing.said
    assert "No space left" in Freeing.said[0], Freeing.said
print(sorted(file.name for file in disk.iterdir()))
"""
    assert run_on_small_disk(script, tmp_path) == "['a.pt']\n"


def test_a_checkpoint_that_is_none_is_refused(bucket: str) -> None:
    to_path(f"{bucket}/a.pt").write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(f"{bucket}/a.pt")


def test_a_model_in_a_bucket_predicts_and_is_set_out_from(
    task: Task, discs: Dataset, disc_folder: Path, bucket: str, tmp_path: Path
) -> None:
    run = TrialRun(dataclasses.replace(task, method="l1", epochs=2), {"batch_size": 16})
    run.advance()
    run.export(tmp_path)
    run.export(f"{bucket}/run/best")
    there = f"{bucket}/run/best"
    near, far = (TrainedModel.load(at, dataset=discs) for at in (tmp_path, there))
    image = str(next(disc_folder.glob("*.npy")))
    assert near.predict(image, pixel_size=1.0) == far.predict(image, pixel_size=1.0)
    assert str(model_folder(f"{bucket}/run")) == there
    assert Initial.read(there).digest == Initial.read(tmp_path).digest
    again = TrialRun(dataclasses.replace(run.task, pretrained=there), {"batch_size": 16})
    weights = dict(again.ema_model.encoder.state_dict())
    for name, tensor in run.ema_model.encoder.state_dict().items():
        assert torch.equal(weights[name], tensor)
    np.testing.assert_equal(again.data.fit, run.data.fit)


def test_a_bucket_without_a_model_is_told(bucket: str) -> None:
    with pytest.raises(ModelError, match=r"no model in .*expected model\.safetensors"):
        TrainedModel.load(f"{bucket}/run")
    with pytest.raises(TaskError, match="no model to start from in"):
        Initial.read(f"{bucket}/run")


def test_an_export_waits_for_a_bucket_that_is_away(
    task: Task, bucket: str, link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    run = TrialRun(dataclasses.replace(task, method="l1", epochs=2), {"batch_size": 16})
    with mended_once_told(link, caplog):
        run.export(f"{bucket}/best")
    text = to_path(f"{bucket}/best/model.json").read_text()
    assert json.loads(text)["epoch"] == 0


def test_missing_credentials_are_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(RunFolderError, match=r"NoCredentialsError.*give credentials"):
        probe(to_path(f"{bucket}/run"))
