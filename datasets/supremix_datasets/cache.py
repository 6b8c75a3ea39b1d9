"""The folder of prepared data on this machine: new folders, digests, one writer at a time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from supremix_datasets.errors import StoreError

STALE_SECONDS = 86_400.0
BLOCK = 1 << 22
CACHE_REMEDY = "Name another folder for the cache: --cache FOLDER, or $SUPREMIX_CACHE."


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """The cache as an absolute path: worker processes have another working folder.

    Args:
        cache: Folder on this machine; None for `default_cache`.
    """
    return (default_cache() if cache is None else Path(cache).expanduser()).absolute()


def writable(folder: Path, remedy: str = CACHE_REMEDY) -> Path:
    """Make a folder where it is missing, and see that files can be written to it.

    Args:
        folder: The folder, which comes back.
        remedy: What to do where they cannot, for the message.

    Raises:
        StoreError: They cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"{folder} cannot be written to: {reason}. {remedy}") from error


def default_cache() -> Path:
    """``$SUPREMIX_CACHE``, or ``~/.cache/supremix``.

    Raises:
        StoreError: There is neither.
    """
    try:
        return Path(os.environ.get("SUPREMIX_CACHE") or "~/.cache/supremix").expanduser()
    except RuntimeError as error:
        raise StoreError(
            "there is no folder for prepared images: HOME is not set, and this user has no home. "
            f"{CACHE_REMEDY}"
        ) from error


@contextmanager
def new_folder(target: Path) -> Generator[Path]:
    """A temporary folder that becomes ``target`` when the block ends without an exception.

    Two processes may do this for one target: the first to finish wins, the other's work is
    dropped, and both find a whole folder. What a killed process left behind is removed later.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target.parent)
    draft = target.parent / f".draft-{uuid.uuid4().hex}"
    draft.mkdir()
    try:
        yield draft
        try:
            draft.rename(target)  # atomic; fails when the target is there and not empty
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sweep(parent: Path) -> None:
    for draft in parent.glob(".draft-*"):
        try:
            stale = time.time() - draft.stat().st_mtime > STALE_SECONDS
        except FileNotFoundError:  # its owner finished just now
            continue
        if stale:
            shutil.rmtree(draft, ignore_errors=True)


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write JSON at once: whole or not at all."""
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    draft.write_text(json.dumps(data, indent=1, sort_keys=True), encoding="utf-8")
    draft.replace(path)


def file_digest(path: Path) -> str:
    """A hash of the whole content of a file."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def only_one(target: Path) -> Generator[None]:
    """Let one process of this machine at a time make ``target``, a folder of a cache's ``stores``.

    The lock goes with the process that holds it, also when that is killed.
    """
    locks = target.parent.parent / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / f"{target.name}.lock"):
        yield
