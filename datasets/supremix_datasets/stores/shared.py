"""Stores that nodes share: kept at any fsspec address, fetched once to each node's own disk.

A store's folder there holds the same files as on disk. Its manifest is written last, so a folder
with a manifest is whole; it lists a hash of every file, which is checked on arrival.
"""

# fsspec and its filesystems carry no types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from supremix_datasets.cache import cache_folder, file_digest, new_folder, only_one, writable
from supremix_datasets.errors import StoreError
from supremix_datasets.sources.files import filesystem, is_local, protocols
from supremix_datasets.stores.store import MANIFEST, Store, open_whole

BUCKETS = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az")
"""Where there are no folders to make, and making one would make a bucket of a misspelt name."""


def open_shared(address: str, cache: str | os.PathLike[str] | None = None) -> Store:
    """Open a store wherever it is; one at a remote address is first fetched to this node.

    Many processes of a node may ask at the same time: one fetches, the others wait for it.

    Args:
        address: A store's folder, on disk or at an fsspec address.
        cache: Where this node keeps what it fetched; default :func:`default_cache`.

    Raises:
        StoreError: there is no such store, or what arrived is not what was sent.
    """
    if is_local(address):
        return Store.open(filesystem(address)[1])
    folder = cache_folder(cache)
    target = folder / "stores" / address.rstrip("/").rsplit("/", 1)[-1]
    known = open_whole(target)
    if known is not None:
        return known
    writable(folder)
    with only_one(target):
        if not target.is_dir():
            _fetch(address, target)
    return Store.open(target)


def shared_address(shared: str, name: str) -> str:
    """Where a store of that name is among the shared ones."""
    return f"{shared.rstrip('/')}/{name}"


def has_store(address: str) -> bool:
    """Whether a whole store is at an address."""
    fs, path = filesystem(address)
    return bool(fs.exists(f"{path}/{MANIFEST}"))


def publish(store: Store, shared: str) -> str:
    """Copy a store to where all nodes find it, unless it is there.

    Args:
        store: A store on this disk.
        shared: Folder of stores at any fsspec address.

    Returns:
        Address of the store there.

    Raises:
        StoreError: the address cannot be written to.
    """
    address = shared_address(shared, store.name)
    fs, path = filesystem(address)
    try:
        if not has_store(address):
            if not any(name in BUCKETS for name in protocols(fs)):
                fs.makedirs(path, exist_ok=True)
            for name in [*store.manifest["files"], MANIFEST]:
                fs.put_file(str(Path(store.path) / name), f"{path}/{name}")
    except OSError as error:
        raise StoreError(
            f"cannot keep the store at {address!r}: {error}. Give an address that can be written "
            "to, and whose credentials this machine has."
        ) from error
    return address


def _fetch(address: str, target: Path) -> None:
    fs, path = filesystem(address)
    try:
        manifest: dict[str, Any] = json.loads(fs.cat_file(f"{path}/{MANIFEST}"))
        with new_folder(target) as draft:
            for name in [*manifest["files"], MANIFEST]:
                fs.get_file(f"{path}/{name}", str(draft / name))
            _compare(draft, manifest["files"], address)
    except FileNotFoundError as error:
        raise StoreError(
            f"no prepared store at {address!r} ({error}). Prepare the dataset with that address "
            "as the shared store first."
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"the store at {address!r} cannot be fetched: {error}.") from error


def _compare(draft: Path, files: dict[str, str], address: str) -> None:
    wrong = [name for name, known in files.items() if file_digest(draft / name) != known]
    if wrong:
        raise StoreError(
            f"what arrived from {address!r} is not what was kept there: {', '.join(wrong)}. "
            "Try again; where it stays so, remove that folder and prepare again."
        )
