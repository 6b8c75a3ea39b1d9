"""Starting Ray or joining a cluster, and leaving nothing behind."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Generator, Mapping

import ray

from supremix.errors import ResourceError

_QUIET = {
    # One line in a progress display is worth more than a thousand from Ray's own reporters.
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ctrl-C is ours: the search writes its tables and ends its gangs in order.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}


@contextlib.contextmanager
def ray_runtime(address: str | None = None, *, cpus: int | None = None) -> Generator[None]:
    """Have Ray running inside the ``with`` block.

    A Ray that runs in this process already is used and left running; one that is started here
    (or a connection that is made here) ends with the block.

    Args:
        address: Address of a cluster, ``"auto"`` for the one on this machine, None to start a
            local Ray for the time of the block.
        cpus: CPUs of a Ray started here, None for those of the machine.

    Raises:
        ResourceError: No cluster answers at the address.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if ray.is_initialized():
        yield
        return
    _init(address, cpus)
    try:
        yield
    finally:
        ray.shutdown()


def _init(address: str | None, cpus: int | None) -> None:
    try:
        ray.init(
            # "local" keeps RAY_ADDRESS from sending a search without an address to a cluster.
            address=address or "local",
            num_cpus=None if address else cpus,
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
        )
    except ConnectionError as error:
        raise ResourceError(
            f"no Ray cluster answers at {address!r} ({error}). Start one with 'ray start --head' "
            "and give its address, or leave the address out to work on this machine alone."
        ) from error


def cluster_nodes() -> list[Mapping[str, float]]:
    """Resources of every living node of the cluster Ray is connected to."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
