"""Writing files so that a reader finds the old one or the new one, never half of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from uuid import uuid4

import fsspec.core  # pyright: ignore[reportMissingTypeStubs]

# fsspec carries no type information.
_url_to_fs = cast(
    "Callable[[str], tuple[Any, str]]",
    fsspec.core.url_to_fs,  # pyright: ignore[reportUnknownMemberType]
)


def join(folder: str, name: str) -> str:
    """Return the address of file `name` in `folder`."""
    return f"{str(folder).rstrip('/')}/{name}"


def write_atomic(address: str, data: bytes) -> None:
    """Write a file under a temporary name beside its place, then move it there.

    Args:
        address: path or fsspec address; missing folders are made.
        data: the content.
    """
    filesystem, path = _url_to_fs(str(address))
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.{uuid4().hex}.tmp"
    filesystem.makedirs(folder, exist_ok=True)
    try:
        with filesystem.open(temporary, "wb") as file:
            file.write(data)
        filesystem.mv(temporary, path)
    finally:
        if filesystem.exists(temporary):
            filesystem.rm(temporary)


def read_bytes(address: str) -> bytes:
    """Return the content of a file.

    Raises:
        FileNotFoundError: when there is none.
    """
    filesystem, path = _url_to_fs(str(address))
    return cast("bytes", filesystem.cat_file(path))


def exists(address: str) -> bool:
    """Whether there is a file at the address."""
    filesystem, path = _url_to_fs(str(address))
    return bool(filesystem.exists(path))
