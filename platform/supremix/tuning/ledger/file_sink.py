"""A ledger on a disk: one file that grows, whose torn last line is cut off."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from upath import UPath

from supremix.errors import RunFolderError


def read_lines(path: UPath) -> tuple[list[bytes], int]:
    """The whole lines of a file, and their length in bytes; those of a missing one are none."""
    if not path.exists():
        return [], 0
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1  # what comes after was torn by a kill
    return data[:whole].splitlines(keepends=True), whole


class FileSink:
    """Appends lines to a file.

    Args:
        path: The file; made when missing.
        whole: Length in bytes of the whole lines in it; the rest is cut off.
    """

    immediate = True

    def __init__(self, path: UPath, whole: int) -> None:
        self._path, self._whole = path, whole
        self._file = -1

    def begin(self, lines: Sequence[bytes]) -> None:
        """Open the file behind the lines that it has."""
        self._open()

    def write(self, lines: Sequence[bytes], *, urgent: bool) -> None:
        """Append lines; what a failure leaves of them is cut off before the next try."""
        if self._file < 0:
            self._open()
        data = b"".join(lines)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            if urgent:
                os.fsync(self._file)
        except OSError:
            # Also a reader that comes now finds whole lines only, and no lines that come again.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._whole)
            self.close()
            raise
        self._whole += len(data)

    def close(self) -> None:
        """Close the file; the next `write` opens it again."""
        file, self._file = self._file, -1
        if file >= 0:
            with contextlib.suppress(OSError):  # `write` has raised it before
                os.close(file)

    def _open(self) -> None:
        file = os.open(str(self._path), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        size = os.fstat(file).st_size
        if size < self._whole:
            os.close(file)
            raise RunFolderError(
                f"{self._path} was cut by another process: expected {self._whole} bytes, found "
                f"{size}. Restore it from a copy, then go on with the run by --resume."
            )
        os.ftruncate(file, self._whole)
        self._file = file
