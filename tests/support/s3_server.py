"""A real S3-compatible server process on loopback, for tests of remote sources and stores."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}
READY = re.compile(r"Running on (http://127\.0\.0\.1:\d+)")


class S3Server:
    """The running server.

    Attributes:
        url: Its address.
        requests: What it was asked for so far, a line of its log each.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.requests: list[str] = []
        self._process = process
        self.url = self._wait()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _wait(self) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            found = READY.search(line)
            if found:
                return found[1]
        raise RuntimeError("the S3 server ended before it was ready")

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.requests.append(line)

    def asked(self, method: str, ending: str, *, times: int = 0) -> int:
        """How many requests of a method were for an object whose key ends so.

        The server may answer before it logs: so many are waited for.
        """
        pattern = re.compile(rf'"{method} \S*{re.escape(ending)}(\?\S*)? HTTP')
        deadline = time.monotonic() + 30
        while True:
            found = sum(bool(pattern.search(line)) for line in self.requests)
            if found >= times or time.monotonic() > deadline:
                return found
            time.sleep(0.02)

    def stop(self) -> None:
        """End the process and wait for it."""
        self._process.terminate()
        self._process.wait()
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that lead s3:// addresses to it."""
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": self.url}


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start a server on a free port; it ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **CREDENTIALS, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
    )
    server = S3Server(process)
    try:
        yield server
    finally:
        server.stop()
