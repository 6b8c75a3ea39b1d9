"""What a local Ray writes to this machine: its files and sockets, and its token."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from supremix.errors import ResourceError

LONGEST = 33 if sys.platform == "darwin" else 37
"""Bytes of a temporary folder's path: a socket's path has 107 at most (103 on macOS), and Ray adds
up to 70."""

SHORT = ("/tmp", "/var/tmp", "/dev/shm")
"""Folders that are tried where the temporary folder will not do."""


@contextmanager
def ray_folder() -> Generator[str | None]:
    """A folder for the files of a Ray that is started here, removed at the end of the block.

    Batch systems give each job a temporary folder of its own, often too long for a socket.

    Yields:
        None where the folder that Ray takes by itself will do.

    Raises:
        ResourceError: No folder will do.
    """
    own = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or SHORT[0]
    inside = f"{own}/ray"  # kept from one session to the next, perhaps by another user
    if _usable(own) and (not os.path.isdir(inside) or _usable(inside)):  # noqa: PTH112
        yield None
        return
    short = next((folder for folder in SHORT if _usable(folder)), None)
    if short is None:
        raise ResourceError(
            f"Ray has no place for its files: expected a folder that can be written, of at most "
            f"{LONGEST} bytes, found {own!r} and none of {', '.join(SHORT)} usable. "
            "Name one in RAY_TMPDIR."
        )
    with tempfile.TemporaryDirectory(
        prefix="ray-", dir=short, ignore_cleanup_errors=True
    ) as folder:
        yield folder


def provide_token() -> None:
    """Give a local Ray a token of this process where it could not keep its own, in ~/.ray."""
    mode = os.environ.get("RAY_AUTH_MODE", "token").lower()
    if mode != "token" or {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        return
    home = os.environ.get("HOME", "")
    token = Path(home, ".ray", "auth_token")
    if not home or not (os.access(token, os.R_OK) or _makes_files(token.parent)):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def check_temporary_folder() -> None:
    """See that temporary files can be written.

    Raises:
        ResourceError: They cannot.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise ResourceError(
            f"temporary files cannot be written ({error.strerror}). Name a folder that can be "
            "written, with room in it, in TMPDIR."
        ) from error


def _usable(folder: str) -> bool:
    if len(os.fsencode(folder).removesuffix(b"/ray")) > LONGEST or not os.path.isabs(folder):  # noqa: PTH117
        return False
    return Path(folder).is_dir() and _makes_files(Path(folder))


def _makes_files(folder: Path) -> bool:
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
