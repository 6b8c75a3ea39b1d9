"""Following a ledger that another process writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from supremix.errors import RunFolderError
from supremix.storage.paths import Address, children, is_local, to_path
from supremix.tuning.ledger.ledger import Event, parse_event, read_events


class Rewound(RunFolderError):
    """Events that were read are no longer in the ledger; begin again with a new `Tail`.

    A driver that is killed may take along what its storage had not confirmed yet.
    """


class Tail:
    """Gives the events that were added to a ledger since the last look.

    A local ledger is read from where the last look ended, so that one of a million lines is read
    once. In a bucket, objects are listed, and read where there are others than before.

    Args:
        address: The file, or the folder of segments; it need not exist yet.
    """

    def __init__(self, address: Address) -> None:
        self._path = to_path(address)
        self._offset = self._seen = 0
        self._names: list[str] = []
        self._last: Event | None = None

    def new(self) -> Iterator[Event]:
        """The events that were added; to be read to the end.

        Raises:
            Rewound: Events that were given before are missing.
            RunFolderError: The ledger is damaged.
        """
        if is_local(self._path) and not self._path.is_dir():
            yield from self._new_lines() if self._path.exists() else ()
            return
        names = [child.name for child in children(self._path)]
        if names != self._names or not names:
            yield from self._new_events()
            self._names = names

    def _new_lines(self) -> Iterator[Event]:
        path = Path(str(self._path))
        if path.stat().st_size < self._offset:
            raise Rewound(_rewound(str(path)))
        with path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):  # being written, or torn by a kill
                    return
                event = parse_event(line, f"the line at byte {self._offset} of {path}")
                self._offset += len(line)
                yield event

    def _new_events(self) -> Iterator[Event]:
        events = read_events(self._path)
        if self._seen and (len(events) < self._seen or events[self._seen - 1] != self._last):
            raise Rewound(_rewound(str(self._path)))
        known, self._seen = self._seen, len(events)
        self._last = events[-1] if events else None
        yield from events[known:]

    def changed(self) -> float | None:
        """When something was last written, in s since 1970; None where that is not known."""
        path = self._path
        if is_local(path) and not path.is_dir():
            return path.stat().st_mtime if path.exists() else None
        return max((child.stat().st_mtime for child in children(path)), default=0.0) or None


def _rewound(path: str) -> str:
    return f"{path} has lost events that were read from it before. Start the command again."
