from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from s3_server import S3Server

from supremix_datasets import StoreError, open_shared, prepare
from supremix_datasets.readers.hc18 import Hc18Reader

Make = Callable[..., Path]


@pytest.fixture
def bucket(s3: S3Server, tmp_path: Path) -> str:
    """An empty bucket of this test alone."""
    fs: Any = fsspec.filesystem("s3")
    name = f"bucket-{abs(hash(str(tmp_path))):x}"
    fs.mkdir(name)
    return f"s3://{name}"


def put(folder: Path, address: str) -> None:
    fs, path = fsspec.core.url_to_fs(address)
    fs.put(f"{folder}/", f"{path}/", recursive=True)


def test_a_bucket_as_source_gives_the_store_of_the_folder(
    make_hc18: Make, bucket: str, tmp_path: Path
) -> None:
    folder = make_hc18()
    put(folder, f"{bucket}/hc18")
    remote = prepare("hc18", f"{bucket}/hc18", cache=tmp_path / "a")
    local = prepare("hc18", folder, cache=tmp_path / "b")
    assert remote.key == local.key
    assert remote.manifest["files"] == local.manifest["files"]


def _open(address: str, cache: str, barrier: Any, answers: Any) -> None:
    barrier.wait()
    store = open_shared(address, cache)
    answers.put((os.getpid(), store.path, int(store.images.astype(np.int64).sum())))


def test_three_workers_fetch_a_store_once(
    s3: S3Server, make_hc18: Make, bucket: str, tmp_path: Path
) -> None:
    store = prepare("hc18", make_hc18(), cache=tmp_path / "a", shared=f"{bucket}/stores")
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(3), context.Queue()
    arguments = (f"{bucket}/stores/{store.name}", str(tmp_path / "node"), barrier, answers)
    workers = [context.Process(target=_open, args=arguments) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = [answers.get() for _ in workers]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len({pid for pid, _, _ in found}) == 3
    assert {path for _, path, _ in found} == {str(tmp_path / "node" / "stores" / store.name)}
    assert {total for _, _, total in found} == {int(store.images.astype(np.int64).sum())}
    assert s3.asked("GET", f"{bucket[5:]}/stores/{store.name}/images.bin") == 1


def test_another_machine_fetches_instead_of_decoding(
    make_hc18: Make, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_hc18()
    first = prepare("hc18", folder, cache=tmp_path / "a", shared=f"{bucket}/stores")
    monkeypatch.setattr(Hc18Reader, "decode", None)
    second = prepare("hc18", folder, cache=tmp_path / "b", shared=f"{bucket}/stores")
    assert second.manifest == first.manifest
    assert second.path != first.path
    np.testing.assert_array_equal(second.images, first.images)


def test_it_is_put_there_once(s3: S3Server, make_hc18: Make, bucket: str, tmp_path: Path) -> None:
    folder = make_hc18()
    for cache in ("a", "a", "b"):
        store = prepare("hc18", folder, cache=tmp_path / cache, shared=f"{bucket}/stores/")
    assert s3.asked("PUT", f"{bucket[5:]}/stores/{store.name}/images.bin") == 1
    assert s3.asked("PUT", f"{bucket[5:]}/stores/{store.name}/manifest.json") == 1


def test_damage_on_the_way_is_noticed(make_hc18: Make, bucket: str, tmp_path: Path) -> None:
    store = prepare("hc18", make_hc18(), cache=tmp_path / "a", shared=f"{bucket}/stores")
    address = f"{bucket}/stores/{store.name}"
    fs, path = fsspec.core.url_to_fs(address)
    size = (Path(store.path) / "images.bin").stat().st_size
    fs.pipe_file(f"{path}/images.bin", b"\1" * size)
    with pytest.raises(StoreError, match=r"is not what was kept there: images\.bin"):
        open_shared(address, tmp_path / "node")
    assert not list((tmp_path / "node" / "stores").iterdir())


def test_a_store_half_written_is_no_store(make_hc18: Make, bucket: str, tmp_path: Path) -> None:
    folder = make_hc18()
    store = prepare("hc18", folder, cache=tmp_path / "a", shared=f"{bucket}/stores")
    address = f"{bucket}/stores/{store.name}"
    fs, path = fsspec.core.url_to_fs(address)
    fs.rm_file(f"{path}/manifest.json")
    with pytest.raises(StoreError, match="no prepared store at"):
        open_shared(address, tmp_path / "node")
    # the next to prepare completes it
    again = prepare("hc18", folder, cache=tmp_path / "b", shared=f"{bucket}/stores")
    assert open_shared(address, tmp_path / "node").manifest["files"] == again.manifest["files"]


def test_a_store_on_disk_is_opened_where_it_is(make_hc18: Make, tmp_path: Path) -> None:
    store = prepare("hc18", make_hc18(), cache=tmp_path / "a")
    assert open_shared(store.path, tmp_path / "node").path == store.path
    assert open_shared(f"file://{store.path}").path == store.path
    assert not (tmp_path / "node").exists()
    shutil.rmtree(store.path)
    with pytest.raises(StoreError, match="no prepared store in"):
        open_shared(store.path)


def test_a_place_that_cannot_be_written_is_told(
    make_hc18: Make, tmp_path: Path, s3: S3Server
) -> None:
    with pytest.raises(StoreError, match="cannot keep the store at"):
        prepare("hc18", make_hc18(), cache=tmp_path / "a", shared="s3://no-such-bucket/stores")
