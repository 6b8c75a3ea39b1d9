# fsspec and its filesystems carry no types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
"""Files at any fsspec address: listing them, reading them, noticing that they changed."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import fsspec

from supremix_datasets.errors import DecodeError, SourceError
from supremix_datasets.sources.guards import check_member, check_members, read_limited

CHAIN = re.compile(r"::(?=[a-z0-9+]+://|/)")

PART = "\n"
"""Stands between the addresses of an image that has several files, one for each channel."""

EDGE = 65536
READERS = 8
"""Files of which the edges are read at the same time."""


def filesystem(address: str) -> tuple[Any, str]:
    """The fsspec filesystem of an address, and the path within it without a trailing slash."""
    try:
        if (local := local_path(address)) is not None:
            return fsspec.filesystem("file"), local
        fs, path = fsspec.core.url_to_fs(address)
    except (ValueError, ImportError) as error:
        raise SourceError(
            f"cannot use the address {address!r}: {error}. Give a local folder or an fsspec URL "
            "such as s3://bucket/folder (its package, here s3fs, has to be installed)."
        ) from error
    return fs, str(path).rstrip("/") or "/"


def local_path(address: str) -> str | None:
    """The path of an address on this machine, None for others; names are taken as they are.

    A ``::`` or ``#`` may be part of a file's name; only after the name of a filesystem, as in
    ``zip://a::file:///b.zip``, it makes a chain of addresses.
    """
    scheme, several, path = address.partition("://")
    if several and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme.rpartition("::")[2]):
        return str(Path(path).absolute()) if scheme in ("file", "local") else None
    first, chained, _ = address.partition("::")
    if chained and first in fsspec.available_protocols():
        return None
    return str(Path(address).expanduser().absolute())


def as_url(address: str) -> str:
    """The address of a file as folders are listed with it; a path becomes ``file:///…``."""
    if not address or "://" in address:
        return address
    slash = "/" if address.endswith("/") else ""
    return f"file://{Path(address).expanduser().absolute()}{slash}"


def as_path(address: str) -> str:
    """An address as readers decode it: files of this machine by their path, others as it is."""
    return PART.join(part.removeprefix("file://") for part in parts_of(address))


def protocols(fs: Any) -> tuple[str, ...]:
    """The names by which addresses call a filesystem."""
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def is_local(address: str) -> bool:
    """Whether an address is a path on this machine, which can be memory-mapped and resolved."""
    return any(name in ("file", "local") for name in protocols(filesystem(address)[0]))


def list_files(source: str) -> dict[str, dict[str, Any]]:
    """Every file below a folder: relative path to ``{"address", "size", "changed"}``.

    Raises:
        SourceError: there is no such folder, or it is empty.
    """
    fs, root = filesystem(source)
    if not fs.exists(root):
        raise SourceError(
            f"no folder at {source!r}. Give the folder that holds the downloaded dataset."
        )
    if not fs.isdir(root):
        raise SourceError(f"{source!r} is a file. Give the folder that holds the dataset.")
    found: dict[str, dict[str, Any]] = (
        _walk(Path(root)) if is_local(source) else fs.find(root, detail=True)
    )
    prefix = len(root.rstrip("/")) + 1
    listing = {
        path[prefix:]: {
            "address": str(fs.unstrip_protocol(path)),
            "size": int(info.get("size") or 0),
            "changed": str(info.get("mtime") or info.get("ETag") or info.get("LastModified")),
        }
        for path, info in sorted(found.items())
    }
    if not listing:
        raise SourceError(
            f"the folder {source!r} is empty. Give the folder that holds the dataset."
        )
    return listing


def find_named(listing: Mapping[str, Mapping[str, Any]], name: re.Pattern[str]) -> list[str]:
    """Addresses of the files whose name matches from its beginning, the shortest path first."""
    paths = [path for path in listing if name.match(path.rsplit("/", 1)[-1])]
    return [str(listing[path]["address"]) for path in sorted(paths, key=lambda p: (len(p), p))]


def _walk(folder: Path, above: tuple[Path, ...] = ()) -> dict[str, dict[str, Any]]:
    """Size and time of every file below a folder of this machine; linked folders are folders.

    A link to one of the folders that lead to it is passed over, as it would lead round for ever.

    Args:
        folder: The folder; one that cannot be listed counts as empty.
        above: Real paths of the folders that lead to it.
    """
    real = folder.resolve()
    try:
        paths = [] if real in above else list(folder.iterdir())
    except OSError:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        if path.is_dir():
            found |= _walk(path, (*above, real))
        elif path.exists() or path.is_symlink():
            facts = path.stat() if path.exists() else path.lstat()
            found[str(path)] = {"size": facts.st_size, "mtime": facts.st_mtime}
    return found


def listing_signature(listing: dict[str, dict[str, Any]]) -> str:
    """A hash of names, sizes and times: cheap, and any change of the folder changes it."""
    rows = [(path, info["size"], info["changed"]) for path, info in listing.items()]
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=16).hexdigest()


def content_signature(addresses: Iterable[str], root: str) -> str:
    """A hash of the files' contents that reads at most 128 KiB of each.

    Size, first and last 64 KiB: that is the whole file for small ones, and for zip and gzip files
    the part that holds the checksum of everything. Names enter relative to ``root``, so a moved or
    copied folder has the same signature. Many files are read at once, since on a remote store it
    is the waiting that takes time.
    """
    digest = hashlib.blake2b(digest_size=16)
    unique = sorted({part for address in addresses for part in parts_of(address)})
    with ThreadPoolExecutor(READERS) as pool:
        for address, edges in zip(unique, pool.map(_edges, map(container, unique)), strict=True):
            digest.update(relative(address, root).encode() + b"\0")
            digest.update(edges)
    return digest.hexdigest()


def folder_files(address: str) -> list[str]:
    """Addresses of the files directly in a folder, sorted: the parts of one image.

    Raises:
        DecodeError: there is no such folder, or it holds no file.
    """
    fs, path = filesystem(address)
    try:
        entries: list[dict[str, Any]] = fs.ls(path, detail=True)
    except OSError as error:
        raise DecodeError(f"the folder cannot be listed: {error}") from error
    found = sorted(str(entry["name"]) for entry in entries if entry["type"] == "file")
    if not found:
        raise DecodeError("the folder holds no file")
    return [str(fs.unstrip_protocol(name)) for name in found]


def _edges(address: str) -> bytes:
    if address.endswith("/"):
        try:
            parts = folder_files(address)
        except DecodeError:  # decoding will say so and exclude it
            return b"unreadable folder"
        return b"".join(part.rsplit("/", 1)[-1].encode() + _edges(part) for part in parts)
    fs, path = filesystem(address)
    try:
        size = int(fs.size(path) or 0)
        with fs.open(path, "rb") as file:
            head = file.read(EDGE)
            file.seek(max(len(head), size - EDGE))
            return str(size).encode() + b"\0" + head + file.read(EDGE)
    except OSError as error:  # decoding will name it and exclude it
        return f"unreadable {type(error).__name__}".encode()


def is_hidden(address: str) -> bool:
    """Whether a file is one that desktops leave behind: its name begins with a point."""
    return address.rsplit("/", 1)[-1].startswith(".")


def parts_of(address: str) -> list[str]:
    """The addresses of the files of one image."""
    return address.split(PART)


def container(address: str) -> str:
    """The address of the outermost file: the zip of ``zip://member::zip``, else the address."""
    return split_member(address)[1]


def split_member(address: str) -> tuple[str, str]:
    """The member of a zip, empty for a file that is in none, and the address of its file."""
    link = CHAIN.search(address) if address.startswith("zip://") else None
    if link is None:
        return "", address
    return address[len("zip://") : link.start()], address[link.end() :]


def file_name(address: str) -> str:
    """The last part of a path or an address; of a zip's member that of the member."""
    member, file = split_member(address)
    return (member or file).rsplit("/", 1)[-1]


def relative(address: str, root: str) -> str:
    """An address with the source folder cut off, for records that survive moving the folder."""
    fs, path = filesystem(root)
    home = str(fs.unstrip_protocol(path)).rstrip("/") + "/"
    return PART.join(as_url(part).replace(home, "", 1) for part in parts_of(address))


def read_bytes(address: str) -> bytes:
    """The whole file at an address; a zip's member is checked against its checksum.

    Raises:
        DecodeError: the file is missing, empty, larger than any image, or cannot be read.
    """
    member, file = split_member(address)
    fs, path = filesystem(file)
    try:
        with fs.open(path, "rb") as opened:
            data = _read_member(opened, member) if member else read_limited(opened)
    except FileNotFoundError as error:
        raise DecodeError("the file is missing") from error
    except KeyError as error:
        raise DecodeError(f"the zip holds no member {member!r}") from error
    except (OSError, EOFError, zipfile.BadZipFile, ValueError) as error:
        raise DecodeError(f"the file cannot be read: {error}") from error
    if not data:
        raise DecodeError("the file is empty")
    return data


def _read_member(file: IO[bytes], member: str) -> bytes:
    with zipfile.ZipFile(file) as archive:
        info = archive.getinfo(member)
        check_member(info.file_size, info.compress_size)
        with archive.open(info) as opened:
            return read_limited(opened)


def zip_members(address: str) -> list[str]:
    """Names of the files in a zip, from its directory alone.

    Raises:
        DecodeError: the file is no zip, a truncated one, or one whose paths leave its folder.
    """
    fs, path = filesystem(address)
    try:
        with fs.open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            check_members(archive.infolist())
            return [info.filename for info in archive.infolist() if not info.is_dir()]
    except FileNotFoundError as error:
        raise DecodeError("the file is missing") from error
    except (OSError, EOFError, zipfile.BadZipFile, ValueError) as error:
        raise DecodeError(f"the zip cannot be read: {error}") from error
