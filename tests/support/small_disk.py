"""A file system of 1 MiB of its own, which a script can fill: a tmpfs in a mount namespace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MOUNT = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" -c "$3" "$1"'

FILL = """
import errno, os, sys
from pathlib import Path
disk = Path(sys.argv[1])
def fill(leave):
    with open(disk / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        file.truncate(file.tell() - leave)
def free():
    (disk / "filler").unlink()
"""


def run_on_small_disk(script: str, folder: Path) -> str:
    """Run a script that has `disk`, `fill(leave)` and `free()`, and return what it prints."""
    _skip_where_impossible(folder)
    words = ["unshare", "-Urm", "sh", "-c", MOUNT, "sh", str(folder), sys.executable, FILL + script]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _skip_where_impossible(folder: Path) -> None:
    words = ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    try:
        tried = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("a full disk needs the command unshare, which this machine lacks")
    if tried.returncode:
        pytest.skip(f"this machine lets no user mount a tmpfs: {tried.stderr.strip()}")
