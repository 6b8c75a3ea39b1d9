"""A ledger in a bucket: a folder of objects that are written once, each with some of its lines.

Their names say what is in them: ``GENERATION-FIRST-COUNT.jsonl`` holds COUNT lines from number
FIRST (counted from 0) on. Whoever opens the ledger begins a new generation, with one object that
holds all the lines so far. Only the newest generation is read: what is still under way of the
driver before, a request that was slow, say, changes nothing any more when it arrives. The older
ones are deleted.

Within a generation small objects are merged into a larger one from time to time, which is written
before they are deleted; a reader takes the larger one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, cast

from upath import UPath

from supremix.errors import RunFolderError
from supremix.storage.paths import children, discard, is_local, write_bytes
from supremix.storage.retry import failures, may_pass
from supremix.tuning.ledger.file_sink import read_lines

_NAME = re.compile(r"(\d{6})-(\d{9})-(\d{9})\.jsonl")
_LOOKS = 8
"""How often a reader looks whose objects are merged or replaced at that moment."""

SMALL = 128
"""Objects of a few lines after which they are merged."""


class Segment(NamedTuple):
    """An object with some of the ledger's lines."""

    generation: int
    first: int
    lines: int

    @property
    def name(self) -> str:
        """The object's name."""
        return f"{self.generation:06d}-{self.first:09d}-{self.lines:09d}.jsonl"


def read_segments(folder: UPath) -> tuple[list[bytes], list[Segment]]:
    """The lines of a ledger, and all the objects that lie there.

    Where there are none, the lines are those of a ``ledger.jsonl`` next to the folder: that of a
    run that began on a disk and was copied here.

    Raises:
        RunFolderError: Lines are missing.
    """
    problem = ""
    for _ in range(_LOOKS):
        matches = (_NAME.fullmatch(file.name) for file in children(folder))
        found = [Segment(*map(int, match.groups())) for match in matches if match]
        chain, problem = _chain(found)
        if problem:
            continue
        try:
            if found:
                return _fetch(folder, chain), found
            return read_lines(folder.parent / "ledger.jsonl")[0], found
        except FileNotFoundError:
            problem = "objects vanish from it"
    raise RunFolderError(
        f"the ledger {folder} is damaged: {problem}. Restore the folder from a copy, or start a "
        "new search."
    )


def _chain(found: Sequence[Segment]) -> tuple[list[Segment], str]:
    """The objects that together have every line once, and what is wrong where there are none."""
    newest = max((segment.generation for segment in found), default=0)
    chain: list[Segment] = []
    lines = 0
    own = [segment for segment in found if segment.generation == newest]
    for segment in sorted(own, key=lambda s: (s.first, -s.lines)):
        if segment.first > lines or (segment.first < lines < segment.first + segment.lines):
            return [], f"expected lines from number {lines} on, found {segment.name}"
        if segment.first == lines:
            chain.append(segment)
            lines += segment.lines
    return chain, ""


def _fetch(folder: UPath, chain: Sequence[Segment]) -> list[bytes]:
    lines: list[bytes] = []
    for segment, data in zip(chain, _contents(folder, chain), strict=True):
        found = data.splitlines(keepends=True)
        if len(found) != segment.lines or not data.endswith(b"\n" if found else b""):
            raise RunFolderError(
                f"{folder / segment.name} is damaged: expected {segment.lines} lines, found "
                f"{len(found)}. Restore it from a copy, or start a new search."
            )
        lines += found
    return lines


def _contents(folder: UPath, chain: Sequence[Segment]) -> list[bytes]:
    paths = [folder / segment.name for segment in chain]
    if is_local(folder):
        return [path.read_bytes() for path in paths]
    fetched = cast("dict[str, bytes]", folder.fs.cat([path.path for path in paths]))
    return [fetched[path.path] for path in paths]


class SegmentSink:
    """Writes groups of lines as objects.

    Args:
        folder: Folder to write into.
        found: The objects that lie there.
    """

    immediate = False

    def __init__(self, folder: UPath, found: Sequence[Segment]) -> None:
        self._folder, self._old = folder, list(found)
        self._generation = 1 + max((segment.generation for segment in found), default=0)
        self._next = 0
        self._small: list[tuple[Segment, bytes]] = []

    def begin(self, lines: Sequence[bytes]) -> None:
        """Write all the lines as one object; the earlier objects are of no more use then."""
        self._write(Segment(self._generation, 0, len(lines)), b"".join(lines))
        self._next = len(lines)
        for segment in self._old:
            discard(self._folder / segment.name)
        self._old = []

    def write(self, lines: Sequence[bytes], *, urgent: bool) -> None:
        """Write lines as one object; the same lines again replace it by its like."""
        data = b"".join(lines)
        segment = Segment(self._generation, self._next, len(lines))
        self._write(segment, data)
        self._next += len(lines)
        self._small.append((segment, data))
        if len(self._small) >= SMALL:
            self._merge()

    def close(self) -> None:
        """Nothing is held."""

    def _merge(self) -> None:
        parts = self._small
        first, count = parts[0][0].first, sum(segment.lines for segment, _ in parts)
        try:
            self._write(Segment(self._generation, first, count), b"".join(d for _, d in parts))
            self._small = []
            for segment, _ in parts:
                discard(self._folder / segment.name)
        except failures() as error:
            # Every line is there; the next group meets the same storage and tells of it.
            if not may_pass(error):
                raise

    def _write(self, segment: Segment, data: bytes) -> None:
        write_bytes(self._folder / segment.name, data)
