"""Writing files so that a reader finds the old one or the new one, never half of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from uuid import uuid4

import fsspec.core  # pyright: ignore[reportMissingTypeStubs]
from fsspec.implementations.local import LocalFileSystem  # pyright: ignore[reportMissingTypeStubs]

# fsspec carries no type information.
_url_to_fs = cast(
    "Callable[..., tuple[Any, str]]",
    fsspec.core.url_to_fs,  # pyright: ignore[reportUnknownMemberType]
)

_BUCKETS = ("s3://", "s3a://", "gs://", "gcs://", "abfs://", "abfss://", "az://")
"""Object stores: one PUT is atomic there, a move is a copy and a deletion, and to make a folder may
be to make a bucket of a misspelt name."""


def join(folder: str, name: str) -> str:
    """Return the address of file `name` in `folder`."""
    return f"{str(folder).rstrip('/')}/{name}"


def write_atomic(address: str, data: bytes) -> None:
    """Write a file whole: by one PUT in a bucket, elsewhere under another name and moved.

    Args:
        address: path or fsspec address; missing folders are made, but no bucket.
        data: the content.
    """
    filesystem, path = _open(address)
    if _in_bucket(address):
        filesystem.pipe_file(path, data)
        return
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
    filesystem, path = _open(address)
    return cast("bytes", filesystem.cat_file(path))


def exists(address: str) -> bool:
    """Whether there is a file at the address."""
    filesystem, path = _open(address)
    return bool(filesystem.exists(path))


def discard(address: str) -> None:
    """Delete a file; nothing happens where there is none."""
    filesystem, path = _open(address)
    if filesystem.exists(path):
        filesystem.rm(path)


def is_local(address: str) -> bool:
    """Whether the address is one of this machine's disks."""
    return isinstance(_open(address)[0], LocalFileSystem)


def local_path(address: str) -> str:
    """Return the path on disk of an address of which `is_local` holds."""
    return _open(address)[1]


def listing(address: str) -> tuple[dict[str, int], list[str]]:
    """Look into a folder.

    Args:
        address: path or fsspec address of the folder.

    Returns:
        The names of its files with their sizes in bytes, and the names of its folders; both in
        the order of the names.

    Raises:
        OSError: when there is no such folder, or it is out of reach.
    """
    filesystem, path = _open(address)
    files: dict[str, int] = {}
    folders: list[str] = []
    for entry in filesystem.ls(path, detail=True):
        name = str(entry["name"]).rstrip("/").rsplit("/", 1)[-1]
        if entry["type"] == "directory":
            folders.append(name)
        elif str(entry["name"]).rstrip("/") != path.rstrip("/"):  # the marker of a folder in S3
            files[name] = int(entry["size"] or 0)
    return dict(sorted(files.items())), sorted(folders)


def open_read(address: str) -> Any:
    """Return a file, open for reading in any order."""
    filesystem, path = _open(address)
    return filesystem.open(path, "rb")


def _open(address: str) -> tuple[Any, str]:
    # A listing of before would hide from this process what another one has written since.
    options = {"use_listings_cache": False} if _in_bucket(address) else {}
    return _url_to_fs(str(address), **options)


def _in_bucket(address: str) -> bool:
    return str(address).startswith(_BUCKETS)
