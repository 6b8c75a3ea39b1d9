"""What every test may use."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

from discs import disc_folder as disc_folder
from discs import discs as discs
from discs import store as store
from discs import task as task
from receiver import Receiver
from s3_server import S3Server, s3_server
from weak_link import Link, weak_link

LIVE = "tests/live/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the live tests first, since they take longest; give the long ones time."""
    items.sort(key=lambda item: not item.nodeid.startswith(LIVE))
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(3600))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several processes let one have all live tests, which go in turn, the others the rest."""
    from xdist.scheduler import LoadScopeScheduling

    class LiveInOne(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return LIVE if nodeid.startswith(LIVE) else nodeid.split("::")[0]

    config.option.loadscopereorder = False
    return LiveInOne(config, log)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two threads waiting for each other make small tensors slow, the more so on a busy machine."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for this test run alone; Ray's workers, started later, inherit it."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUPREMIX_CACHE", str(folder))
        yield folder


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook's receiver."""
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets; a test that asks for it is skipped where there is none."""
    folder = os.environ.get("SUPREMIX_TEST_DATA")
    if not folder:
        pytest.skip("SUPREMIX_TEST_DATA does not name a folder of real data")
    return Path(folder)


@pytest.fixture(scope="session")
def s3_process() -> Iterator[S3Server]:
    """One S3-compatible server process for the whole run."""
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(s3_process: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The server, found by s3:// addresses of this process and of those it starts."""
    import s3fs

    for name, value in s3_process.environment.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield s3_process
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """Address of a new bucket on the server."""
    import s3fs

    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"


@pytest.fixture
def link(bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Link]:
    """The way to the server, which can be cut: s3:// addresses lead through it from now on."""
    import s3fs

    with weak_link(int(s3.url.rsplit(":", 1)[1])) as link:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{link.port}")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        s3fs.S3FileSystem.clear_instance_cache()
        yield link
        s3fs.S3FileSystem.clear_instance_cache()
