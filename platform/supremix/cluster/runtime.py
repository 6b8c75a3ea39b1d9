"""Starting Ray or joining a cluster, and leaving nothing behind."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import tempfile
import zipfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import AuthenticationError

from supremix.cluster.ray_private import own_process_groups
from supremix.cluster.temporary import check_temporary_folder, provide_token, ray_folder
from supremix.errors import ResourceError, SpecError

_QUIET = {
    # Ray's own reporters would drown the progress display.
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # On Ctrl-C the search writes its tables and ends its worker groups in order.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}

CONNECT_TIMEOUT = 10.0
"""Seconds a cluster may take to accept a connection."""


@contextlib.contextmanager
def ray_runtime(
    address: str | None = None, *, cpus: int | None = None, wheel: str | None = None
) -> Generator[None]:
    """Have Ray running inside the ``with`` block.

    A Ray that runs in this process already is used and left running; one that is started here, or
    a connection that is made here, ends with the block.

    Args:
        address: Address of a cluster, ``"auto"`` for the one on this machine, None to start a
            local Ray for the time of the block.
        cpus: CPUs of a Ray started here, None for those of the machine.
        wheel: A wheel of this package that is sent to the nodes, where it replaces any version
            that is installed. Its dependencies have to be installed there. None where the nodes
            have the package.

    Raises:
        SpecError: There is no such wheel, or Ray runs already and can take none any more.
        ResourceError: No cluster answers at the address, or it refuses this process, or this
            machine has no folder for temporary files.
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
    check_temporary_folder()
    _reach(address)
    if address is None:
        provide_token()
    with ray_folder() if address is None else contextlib.nullcontext() as folder:
        with wheel_environment(wheel) as environment, own_process_groups():
            _init(address, cpus, environment, folder)
        try:
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def wheel_environment(wheel: str | None) -> Generator[dict[str, Any] | None]:
    """Ray's runtime environment with the wheel's packages, unpacked.

    Ray would take the .whl itself, and have pip install it into a folder of its own with all its
    dependencies, torch included, on every node. The nodes have those already.
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
    """Try to connect to a cluster: Ray itself would try for minutes."""
    host, _, port = (address or "").rpartition(":")
    if not port.isdigit() or "//" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT).close()
    except OSError as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str | None, error: Exception) -> ResourceError:
    return ResourceError(
        f"no Ray cluster answers at {address!r} ({error}). Start one with 'ray start --head' "
        "and give its address, or leave the address out to work on this machine alone."
    )


def _init(
    address: str | None, cpus: int | None, environment: dict[str, Any] | None, folder: str | None
) -> None:
    try:
        ray.init(
            # "local" keeps RAY_ADDRESS from sending a search without an address to a cluster.
            address=address or "local",
            num_cpus=None if address else cpus,
            include_dashboard=None if address else False,
            runtime_env=environment,
            _temp_dir=folder,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
        )
    except (ConnectionError, AuthenticationError) as error:
        problem = _refused if _is_refusal(error) else _unreachable
        raise problem(address, error) from error
    except OSError as error:
        raise ResourceError(
            f"Ray cannot start on this machine ({error}). Make room for its files, or name a short "
            "folder that can be written in RAY_TMPDIR."
        ) from error


def _is_refusal(error: BaseException) -> bool:
    """Whether a token is the reason; Ray says so in the text of a cause of a cause."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AuthenticationError) or "AuthenticationError" in str(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _refused(address: str | None, error: Exception) -> ResourceError:
    return ResourceError(
        f"the Ray cluster at {address!r} refuses this process ({error}): its token is missing or "
        "differs. Ray asks for a token as soon as there is one in ~/.ray: set RAY_AUTH_MODE, and "
        "the token, alike on all nodes and here, or RAY_AUTH_MODE=disabled everywhere."
    )


def cluster_nodes() -> list[Mapping[str, float]]:
    """Resources of every living node of the cluster Ray is connected to."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
