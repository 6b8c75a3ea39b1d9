"""The exceptions a user of supremix may meet, in one place.

Each room has a family of its own, since datasets, search spaces and reports import nothing of the
platform. The platform's family is::

    SupremixError
    ├── SpecError             a search was asked for that cannot be run
    │   └── UnknownNameError  no such method, encoder, …
    ├── ResourceError         the cluster does not have what the search needs
    ├── RunFolderError        a run folder is missing, half written, out of reach or another run's
    ├── SearchFailedError     the search ran and has no result
    ├── SearchInterrupted     the search was interrupted and can be resumed
    │   └── JointInterrupted  likewise a joint training
    ├── TrainingError         (supremix.training) a trial cannot be trained
    └── ModelError            (supremix.models) a network cannot be built

`USER_ERRORS` holds the heads of all families: ``except supremix.errors.USER_ERRORS`` catches
every error whose message is meant for the user.
"""

from __future__ import annotations

from collections.abc import Iterable

from supremix._errors import (
    BatchTooLargeError,
    ConfigError,
    TaskError,
    UnknownMethodError,
    unknown_name,
)
from supremix._errors import ModelError as ModelError
from supremix._errors import RunFolderError as RunFolderError
from supremix._errors import SupremixError as SupremixError
from supremix._errors import TrainingError as TrainingError
from supremix_datasets.errors import DatasetError
from supremix_reports.errors import ReportError
from supremix_spaces.errors import SpaceError

__all__ = [
    "USER_ERRORS",
    "DatasetError",
    "JointInterrupted",
    "ModelError",
    "ReportError",
    "ResourceError",
    "RunFolderError",
    "SearchFailedError",
    "SearchInterrupted",
    "SpaceError",
    "SpecError",
    "SupremixError",
    "TrainingError",
    "UnknownNameError",
]


class SpecError(SupremixError):
    """A search was asked for that cannot be run; nothing was started."""


class UnknownNameError(SpecError):
    """A name was given that stands for nothing.

    Args:
        kind: What the name should stand for, e.g. ``"method"``.
        name: The name as given.
        known: The names there are.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(unknown_name(kind, name, sorted(known)))


class ResourceError(SupremixError):
    """The cluster does not have what the search needs; nothing was started."""


class SearchFailedError(SupremixError):
    """The search ran and has no result, e.g. because every trial failed."""


class SearchInterrupted(SupremixError):
    """The search was interrupted in order; ``run`` is the folder to resume from."""

    def __init__(self, run: str, command: str = "search") -> None:
        self.run = run
        super().__init__(f"interrupted; go on with: supremix {command} --resume {run}")


class JointInterrupted(SearchInterrupted):
    """A joint training was interrupted in order; ``run`` is the folder to go on in."""

    def __init__(self, run: str) -> None:
        self.run = run
        SupremixError.__init__(
            self, f"interrupted; go on with the same command and --out {run} (as `out` in Python)"
        )


REFUSED = (TaskError, ConfigError, UnknownMethodError, BatchTooLargeError)
"""Training errors that say what cannot be trained as asked; the others are of a training that
failed."""

USER_ERRORS: tuple[type[Exception], ...] = (SupremixError, DatasetError, SpaceError, ReportError)
