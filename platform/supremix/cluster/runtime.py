"""Starting Ray or joining a cluster, and leaving nothing behind."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import tempfile
import zipfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import ray
from ray._private import services
from ray.exceptions import AuthenticationError

from supremix.errors import ResourceError, SpecError

_QUIET = {
    # One line in a progress display is worth more than a thousand from Ray's own reporters.
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ctrl-C is ours: the search writes its tables and ends its worker groups in order.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}


REACH = 10.0
"""Seconds a cluster may take to accept a connection."""


@contextlib.contextmanager
def ray_runtime(
    address: str | None = None, *, cpus: int | None = None, wheel: str | None = None
) -> Generator[None]:
    """Have Ray running inside the ``with`` block.

    A Ray that runs in this process already is used and left running; one that is started here
    (or a connection that is made here) ends with the block.

    Args:
        address: Address of a cluster, ``"auto"`` for the one on this machine, None to start a
            local Ray for the time of the block.
        cpus: CPUs of a Ray started here, None for those of the machine.
        wheel: A wheel of this package, by which the code reaches the nodes: it takes the place of
            whatever version they have. What it depends on they need to have. None where the
            nodes have the package.

    Raises:
        SpecError: There is no such wheel, or Ray runs already and can take none any more.
        ResourceError: No cluster answers at the address, or it refuses us.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if ray.is_initialized():
        if wheel is not None:
            raise SpecError(
                f"Ray runs in this process already, so the wheel {wheel!r} cannot reach its nodes. "
                "Give it before Ray is started: ray.init(runtime_env=...), "
                "or leave it out."
            )
        yield
        return
    _reach(address)
    with _environment(wheel) as environment, _apart():
        _init(address, cpus, environment)
    try:
        yield
    finally:
        ray.shutdown()


class _Apart(services.ConsolePopen):
    """A process of Ray's that leads a process group of its own."""

    def __init__(self, *rest: Any, **named: Any) -> None:
        super().__init__(*rest, **{"process_group": 0, **named})


@contextlib.contextmanager
def _apart() -> Generator[None]:
    """Have Ray's processes started outside of this one's process group.

    A signal to the whole group (of ``timeout``, of a batch system) would end Ray at once, and
    nothing could end in order. They end with this process all the same: the kernel sees to that,
    and where it does not, the group is needed, and stays.
    """
    plain: Any = services.ConsolePopen
    if sys.platform == "linux":
        services.ConsolePopen = _Apart
    try:
        yield
    finally:
        services.ConsolePopen = plain


@contextlib.contextmanager
def _environment(wheel: str | None) -> Generator[dict[str, Any] | None]:
    """What Ray shall bring to the nodes: the wheel's packages, unpacked.

    Ray would take the .whl itself, and have pip install it into a folder of its own with all it
    depends on, torch included, on every node. The nodes have those already.
    """
    if wheel is None:
        yield None
        return
    if Path(wheel).suffix != ".whl" or not zipfile.is_zipfile(wheel):
        raise SpecError(
            f"the code is to reach the nodes as a wheel; {wheel!r} is no .whl file. Build one "
            "with 'pip wheel --no-deps .' and give its path, or leave it out where the nodes "
            "have the package installed."
        )
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
        yield {"py_modules": [str(path) for path in sorted(Path(folder).iterdir())]}


def _reach(address: str | None) -> None:
    """Knock at a cluster's door: Ray itself would try for minutes."""
    host, _, port = (address or "").rpartition(":")
    if not port.isdigit() or "//" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH).close()
    except OSError as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str | None, error: Exception) -> ResourceError:
    return ResourceError(
        f"no Ray cluster answers at {address!r} ({error}). Start one with 'ray start --head' "
        "and give its address, or leave the address out to work on this machine alone."
    )


def _init(address: str | None, cpus: int | None, environment: dict[str, Any] | None) -> None:
    try:
        ray.init(
            # "local" keeps RAY_ADDRESS from sending a search without an address to a cluster.
            address=address or "local",
            num_cpus=None if address else cpus,
            include_dashboard=None if address else False,
            runtime_env=environment,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
        )
    except (ConnectionError, AuthenticationError) as error:
        problem = _refused if _is_refusal(error) else _unreachable
        raise problem(address, error) from error


def _is_refusal(error: BaseException) -> bool:
    """Whether a token is the reason; Ray tells it in the text of a cause of a cause."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AuthenticationError) or "AuthenticationError" in str(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _refused(address: str | None, error: Exception) -> ResourceError:
    return ResourceError(
        f"the Ray cluster at {address!r} refuses this process ({error}): its token is missing or "
        "another. Ray asks for a token as soon as there is one in ~/.ray: set RAY_AUTH_MODE, and "
        "the token, alike on all nodes and here, or RAY_AUTH_MODE=disabled everywhere."
    )


def cluster_nodes() -> list[Mapping[str, float]]:
    """Resources of every living node of the cluster Ray is connected to."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
