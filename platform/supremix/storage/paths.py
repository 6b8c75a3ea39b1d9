"""Files of a run at any fsspec address, written whole or not at all."""

from __future__ import annotations

import io
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from upath import UPath

from supremix._errors import RunFolderError
from supremix.storage.retry import storage_errors
from supremix_datasets.sources.files import local_path
from supremix_datasets.stores.shared import BUCKETS

Address = str | os.PathLike[str] | UPath
"""A local path, or any address that fsspec knows, such as ``s3://bucket/runs/first``."""

# Other processes write there as well: a listing of before would hide what they wrote.
_FRESH: dict[str, Any] = {"use_listings_cache": False}
_LOCAL = ("", "file", "local")


def to_path(address: Address) -> UPath:
    """Convert an address to a path: a local one absolute, a remote one as given.

    Raises:
        RunFolderError: Nothing here can open such an address.
    """
    if isinstance(address, UPath) and not isinstance(address, Path):
        _check_options(address)
    text = str(address)
    try:
        path = UPath(text)
        if path.protocol in _LOCAL:
            return UPath(path.path).expanduser().absolute()
        path = UPath(text.rstrip("/"), **(_FRESH if path.protocol in BUCKETS else {}))
        _ = path.fs  # made now, so that a missing package is noticed before anything has begun
    except (ImportError, ValueError) as error:
        raise RunFolderError(
            f"cannot use the address {text!r}: {error}. Expected a local path or an fsspec address "
            "such as s3://bucket/folder, with its package installed (s3fs for s3, gcsfs for gs, "
            "adlfs for abfs)."
        ) from error
    return path


def _check_options(path: UPath) -> None:
    own = {k: v for k, v in path.storage_options.items() if k not in _FRESH}
    if own:
        raise RunFolderError(
            f"{path} has storage options of its own ({', '.join(own)}), which the workers on other "
            "nodes would not know. Give them in the environment or in fsspec's configuration; see "
            "docs/storage.md."
        )


def absolute(address: str) -> str:
    """An address that means the same from any working folder; one of a remote storage as given."""
    return local_path(address) or address


def is_local(path: UPath) -> bool:
    """Whether a path lies on this machine's file system."""
    return isinstance(path, Path)


def read_bytes(path: UPath) -> bytes:
    """The content of a file.

    Raises:
        OSError: Or another of `retry.failures`; FileNotFoundError where there is none.
    """
    data = path.read_bytes() if is_local(path) else path.fs.cat_file(path.path)
    return cast("bytes", data)


def write_bytes(path: UPath, data: bytes) -> None:
    """Write a file: a reader finds the old one or the new one, and a kill leaves no half file.

    In a bucket that is one PUT; elsewhere the file gets its name when it is whole. Folders are
    made where there are any.
    """
    write_file(path, lambda file: file.write(data))


def write_file(path: UPath, write: Callable[[BinaryIO], object]) -> None:
    """Write a file as `write_bytes` does; on a disk straight to it, without a copy in memory."""
    if is_local(path):
        _write_local(path, write)
        return
    buffer = io.BytesIO()
    write(buffer)
    if in_bucket(path):
        path.fs.pipe_file(path.path, buffer.getvalue())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path)
    try:
        path.fs.pipe_file(draft.path, buffer.getvalue())
        path.fs.mv(draft.path, path.path)
    finally:
        discard(draft)


def _write_local(path: UPath, write: Callable[[BinaryIO], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path)
    try:
        with draft.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(str(draft), str(path))
    finally:
        discard(draft)


def _draft(path: UPath) -> UPath:
    return path.with_name(f".{path.name}-{uuid.uuid4().hex}")


def in_bucket(path: UPath) -> bool:
    """Whether a path lies in an object store: one PUT is atomic, and folders are only names."""
    return path.protocol in BUCKETS


def discard(path: UPath) -> None:
    """Delete a file; that it is gone already is no error."""
    if is_local(path):
        path.unlink(missing_ok=True)
    elif path.fs.exists(path.path):
        try:
            path.fs.rm_file(path.path)
        except FileNotFoundError:
            return  # another process was quicker


def discard_tree(path: UPath) -> None:
    """Delete a folder with everything in it."""
    if is_local(path):
        shutil.rmtree(str(path), ignore_errors=True)
    elif path.fs.exists(path.path):
        path.fs.rm(path.path, recursive=True)


def children(path: UPath) -> Iterator[UPath]:
    """The entries of a folder, in the order of their names; none where there is no folder."""
    if is_local(path):
        yield from sorted(path.iterdir()) if path.is_dir() else []
        return
    try:
        entries: list[Any] = path.fs.ls(path.path, detail=False)
    except FileNotFoundError:
        return
    names = {str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in entries}
    yield from (path / name for name in sorted(names - {"", path.name}))


def probe(folder: UPath) -> None:
    """See that files can be written to a folder, which is made where it is missing.

    Raises:
        RunFolderError: They cannot; the message says what to do.
    """
    file = folder / f".probe-{uuid.uuid4().hex}"
    with storage_errors(str(folder)):
        write_bytes(file, b"supremix\n")
        discard(file)
