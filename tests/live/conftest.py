"""A tiny folder in the layout of hc18, a Ray to share, drivers in processes of their own."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
from filelock import FileLock

from supremix.cluster import ray_runtime

sys.path.insert(0, str(Path(__file__).parent))  # tests are no package: this finds live_support
from live_support import TINY, Driver, text_of, write_heads
from undisturbed import UndisturbedRun, undisturbed_runs


@pytest.fixture(scope="session", autouse=True)
def in_turn() -> Iterator[None]:
    """Two of these test runs on one machine make each other too slow for any deadline."""
    with FileLock(Path(tempfile.gettempdir()) / "supremix-live-tests.lock"):
        yield


@pytest.fixture(scope="session", autouse=True)
def no_token(in_turn: None) -> Iterator[None]:
    """Ray asks for a token where a machine has one, and a process settles that once for all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        yield


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_heads(tmp_path_factory.mktemp("heads") / "hc18"))


class SharedRay:
    """A Ray that searches share; it has to outlive each of them unharmed."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def start(self) -> None:
        if not ray.is_initialized():
            self._stack.enter_context(ray_runtime(cpus=2))

    def end(self) -> None:
        self._stack.close()
        assert not ray.is_initialized()


@pytest.fixture(scope="session")
def shared_ray(no_token: None) -> Iterator[SharedRay]:
    shared = SharedRay()
    yield shared
    shared.end()


@pytest.fixture(scope="module")
def local_ray(shared_ray: SharedRay) -> None:
    """The Ray that all searches of this process share: to start one takes seconds."""
    shared_ray.start()


@pytest.fixture(scope="module")
def no_local_ray(shared_ray: SharedRay) -> None:
    """No Ray in this process, for tests that start one of another kind."""
    shared_ray.end()


@pytest.fixture(scope="session")
def runs(
    tmp_path_factory: pytest.TempPathFactory, heads: str, shared_ray: SharedRay
) -> dict[str, UndisturbedRun]:
    """Undisturbed searches by their method, one after the other on the same worker group."""
    shared_ray.start()
    return undisturbed_runs(tmp_path_factory.mktemp("undisturbed") / "run", heads)


@pytest.fixture
def drive(tmp_path: Path, heads: str, cache: Path) -> Iterator[Callable[..., Driver]]:
    """Starts `supremix search` on the tiny folder; its processes end with the test."""
    drivers: list[Driver] = []

    def start(name: str, *more: str) -> Driver:
        tiny = [
            part
            for option, value in TINY.items()
            for part in (f"--{option.replace('_', '-')}", text_of(value))
        ]
        arguments = ["--source", heads, "--method", "l1", *tiny, *more]
        drivers.append(Driver(tmp_path / name, *arguments, cache=cache))
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.end()
        driver.wait_for_processes_to_end()
