"""Limits on what a file may become in memory: hostile or broken archives are refused in time.

A few kilobytes of zip or gzip can claim, or turn into, more than any machine holds. Nothing here
trusts what a file says of itself: sizes are checked against the limits before and while reading.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import IO

from supremix_datasets.errors import DecodeError

MAX_BYTES = 4 << 30
"""Most bytes that one image may take, packed or unpacked: 1024 x 1024 x 1024 as float32."""

RATIO = 400
"""Most that a zip's member may grow by; medical images shrink to a tenth or so, a bomb to 1/1000.
Only asked of members above :data:`SMALL`, since a small one does no harm."""

SMALL = 64 << 20
MOST_MEMBERS = 1_000_000
SLACK = 1 << 16
"""Bytes that may follow the image in a gzip: some writers pad."""

_STEP = 1 << 20


def check_members(members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse a zip whose directory cannot be that of a dataset.

    Raises:
        DecodeError: a member's path leaves the folder, or there are absurdly many members.
    """
    if len(members) > MOST_MEMBERS:
        raise DecodeError(f"the zip lists {len(members)} members, at most {MOST_MEMBERS} are read")
    for member in members:
        if leaves_folder(member.filename):
            raise DecodeError(
                f"the zip holds the path {member.filename!r}, which leaves its folder"
            )


def check_member(size: int, packed: int) -> None:
    """Refuse a zip's member that claims to unpack to more than an image can be.

    Args:
        size: Number of bytes that it claims to have unpacked.
        packed: Number of bytes that it has in the zip.

    Raises:
        DecodeError: it claims too many bytes, or too many for its packed size.
    """
    check_size(size)
    if size > SMALL and size > RATIO * max(packed, 1):
        raise DecodeError(
            f"the zip's member unpacks from {packed} to {size} bytes, more than {RATIO} times: "
            "no image does"
        )


def check_size(size: int) -> None:
    """Refuse more bytes than one image may have.

    Raises:
        DecodeError: it is more than :data:`MAX_BYTES`.
    """
    if size > MAX_BYTES:
        raise DecodeError(f"the file has {size} bytes, at most {MAX_BYTES} are read")


def leaves_folder(path: str) -> bool:
    """Whether a relative path is none, or one that climbs out of where it starts."""
    plain = PurePosixPath(path.replace("\\", "/"))
    drive = path[1:3] in (":/", ":\\") and path[0].isalpha()
    return plain.is_absolute() or drive or "://" in path or ".." in plain.parts


def read_limited(file: IO[bytes], limit: int | None = None) -> bytes:
    """Everything that is left of a file, piece by piece, and no more than the limit.

    Args:
        file: Open for reading bytes; what it claims as its size is not asked.
        limit: Most bytes that are read; default :data:`MAX_BYTES`.

    Raises:
        DecodeError: there is more.
    """
    most = MAX_BYTES if limit is None else limit
    parts: list[bytes] = []
    size = 0
    while part := file.read(_STEP):
        size += len(part)
        if size > most:
            raise DecodeError(f"the file holds more than {most} bytes, which no image needs")
        parts.append(part)
    return b"".join(parts)


def gunzip(data: bytes, limit: int | None = None) -> bytes:
    """Unpack gzip, members one after the other and checksums included, up to a limit.

    Args:
        data: A whole gzip file.
        limit: Most bytes it may become; default :data:`MAX_BYTES`.

    Raises:
        DecodeError: it becomes more.
        EOFError: it is truncated.
        zlib.error: it is damaged.
    """
    most = MAX_BYTES if limit is None else limit
    parts: list[bytes] = []
    size = 0
    while data:
        member = zlib.decompressobj(wbits=31)
        part = member.decompress(data, most - size + 1)
        size += len(part)
        if size > most:
            raise DecodeError(f"the file unpacks to more than the {most} bytes that it may have")
        if not member.eof:
            raise EOFError("the gzip stream ends too early")
        parts.append(part)
        data = member.unused_data.lstrip(b"\0")  # padding between members is allowed
    return b"".join(parts)


def gunzip_head(data: bytes, size: int) -> bytes:
    """The first ``size`` unpacked bytes of a gzip file, or fewer where it is shorter.

    Raises:
        zlib.error: it is damaged.
    """
    head = b""
    while data and len(head) < size:
        member = zlib.decompressobj(wbits=31)
        head += member.decompress(data, size - len(head))
        data = member.unused_data.lstrip(b"\0")
    return head


def check_pixels(shape: Sequence[int], itemsize: int) -> int:
    """Bytes that pixels of a shape take.

    Raises:
        DecodeError: more than an image may have.
    """
    size = math.prod(int(n) for n in shape) * itemsize
    if size > MAX_BYTES:
        raise DecodeError(
            f"the header claims {' x '.join(map(str, shape))} pixels, {size} bytes; at most "
            f"{MAX_BYTES} are read"
        )
    return size
