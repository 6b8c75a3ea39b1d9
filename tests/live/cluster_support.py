"""Nodes of a Ray cluster on this machine, each a `ray start --block` of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from live_support import wait_for_none, wait_until

RAY = str(Path(sys.executable).with_name("ray"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Node:
    """One `ray start --block`, and the processes it started."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.mark = f"SUPREMIX_LIVE_MARK={uuid.uuid4().hex}"
        name, value = self.mark.split("=")
        # Ports that every Ray of a machine wants for itself.
        ports = [
            f"--{option}-port={free_port()}"
            for option in (
                "dashboard-agent-listen",
                "dashboard-agent-grpc",
                "runtime-env-agent",
                "metrics-export",
            )
        ]
        self.log = folder / f"{value}.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    RAY,
                    "start",
                    "--block",
                    "--node-ip-address=127.0.0.1",
                    "--num-cpus=1",
                    "--object-store-memory=100000000",
                    "--disable-usage-stats",
                    *ports,
                    *arguments,
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, name: value},
                start_new_session=True,
            )

    def left(self) -> list[int]:
        """Every living process that descends from this node."""
        return [
            int(folder.name) for folder in Path("/proc").glob("[0-9]*") if self._is_ours(folder)
        ]

    def _is_ours(self, folder: Path) -> bool:
        try:
            return self.mark.encode() in (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # ended meanwhile, or another user's
            return False

    def kill(self) -> None:
        """End every process of it at once, as when a machine loses its power."""

        def left() -> list[str]:
            for pid in (pids := self.left()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return [str(pid) for pid in pids]

        wait_for_none(left, "processes of the node")
        self.process.wait()

    def end(self) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        self.kill()


def living_nodes(address: str) -> int:
    """As deploy/slurm.sh counts them."""
    script = (Path(__file__).parents[2] / "deploy" / "slurm.sh").read_text()
    (pattern,) = re.findall(r"grep -c '([^']*)'", script)
    done = subprocess.run(
        [RAY, "status", f"--address={address}"], capture_output=True, text=True, check=False
    )
    return sum(pattern in line for line in done.stdout.splitlines())


def start_cluster(nodes: contextlib.ExitStack, folder: Path) -> tuple[str, Node, Node]:
    """Start two nodes with a CPU each, which end with `nodes`.

    Args:
        nodes: What ends them.
        folder: For Ray's files. Sockets are in there, and their names may not be long.

    Returns:
        The address, the head, the second node.
    """
    folder.mkdir()
    port = free_port()
    address = f"127.0.0.1:{port}"
    words = ("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}/ray")
    head = Node(folder, *words)
    nodes.callback(head.end)
    wait_until(lambda: living_nodes(address) == 1, "the head to be there")
    second = Node(folder, f"--address={address}")
    nodes.callback(second.end)
    wait_until(lambda: living_nodes(address) == 2, "the second node to join")
    return address, head, second


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of a short name."""
    folder = Path(tempfile.mkdtemp(prefix="smx", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
