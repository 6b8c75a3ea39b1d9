"""A tiny folder in the layout of hc18, a Ray to share, drivers in processes of their own."""

from __future__ import annotations

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


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A Ray that the searches of a module share; it has to outlive each of them unharmed."""
    with ray_runtime(cpus=2):
        yield
    assert not ray.is_initialized()


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
