"""Storage that fails for a while: what may pass is tried again, what may not is explained."""

from __future__ import annotations

import errno
import logging
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from supremix._errors import RunFolderError

T = TypeVar("T")
Tell = Callable[[str], None]
"""Called with a sentence when an outage begins, and when it is over."""

PATIENCE = 1800.0
"""Seconds that a driver goes on trying before it gives up."""

WORKER_PATIENCE = 1200.0
"""Those of a training worker: fewer than the half hour after which workers that wait for each other
give up."""

LONGEST_PAUSE = 30.0

# What the filesystems of fsspec raise besides OSError. Named, not imported: an error of a package
# that was never loaded cannot have been raised.
_FOREIGN = {
    "botocore.exceptions": ("BotoCoreError",),
    "aiohttp": ("ClientError",),
    "azure.core.exceptions": ("AzureError",),
    "google.auth.exceptions": ("GoogleAuthError",),
}
_PASSING = {
    "botocore.exceptions": ("ConnectionError", "HTTPClientError"),
    "aiohttp": ("ClientConnectionError", "ClientPayloadError"),
    "azure.core.exceptions": ("ServiceRequestError", "ServiceResponseError"),
    "google.auth.exceptions": ("TransportError",),
}
_LASTING = (
    PermissionError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
)
_LASTING_NUMBERS = {
    errno.EROFS,
    errno.EINVAL,
    errno.ENAMETOOLONG,
    errno.ENOTSUP,
    errno.ENOSYS,
    errno.EMSGSIZE,
    errno.ELOOP,
}


def failures() -> tuple[type[Exception], ...]:
    """The errors that a storage may raise; to be called in an ``except``, once it has failed."""
    return OSError, *_loaded(_FOREIGN)


def may_pass(error: BaseException) -> bool:
    """Whether the same may work later: a full disk or a server that is away, not a refusal."""
    if isinstance(error, OSError):
        return not isinstance(error, _LASTING) and error.errno not in _LASTING_NUMBERS
    return isinstance(error, _loaded(_PASSING))


def with_retries(
    action: Callable[[], T],
    what: str,
    *,
    patience: float = PATIENCE,
    tell: Tell | None = None,
    pause: Callable[[float], Any] = time.sleep,
) -> T:
    """Do something with a storage, again and again with growing pauses while it fails.

    Args:
        action: What to do; it may be done more than once.
        what: What it is done to, for the messages.
        patience: Seconds after which it is given up.
        tell: Called once when an outage begins and once when it is over; None for the log.
        pause: Waits for so many seconds.

    Returns:
        What the action returns.

    Raises:
        RunFolderError: The storage failed for longer than `patience`.
        OSError: Or another of `failures`: one that does not pass.
    """
    say = tell or logging.getLogger("supremix").warning
    began: float | None = None
    wait = 0.25
    while True:
        try:
            done = action()
        except failures() as error:
            if not may_pass(error):
                raise
            if began is None:
                began = time.monotonic()
                say(
                    f"the storage of {what} fails for now ({_reason(error)}); trying again for up "
                    f"to {_duration(patience)}"
                )
            elif time.monotonic() - began >= patience:
                raise RunFolderError(_given_up(what, error, patience)) from error
            wait = min(2 * wait, LONGEST_PAUSE, max(patience, 0.05))
            pause(wait)
            continue
        if began is not None:
            say(f"the storage of {what} works again, after {time.monotonic() - began:.0f} s")
        return done


@contextmanager
def storage_errors(what: str) -> Generator[None]:
    """Turn what a storage raises within the block into an error that says what to do.

    Raises:
        RunFolderError: In place of one of `failures`.
    """
    try:
        yield
    except failures() as error:
        raise RunFolderError(explanation(what, error)) from error


def explanation(what: str, error: BaseException) -> str:
    """A failure of a storage in words: what was expected, what was found, and what to do."""
    found = f"{what} cannot be used: {_reason(error)}."
    if isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
        if "://" not in what:
            return f"{found} Expected rights to read and write there: name another, or get them."
        return (
            f"{found} Expected rights to read and write there: give credentials in the environment "
            "(such as AWS_ACCESS_KEY_ID), on every node; see docs/storage.md."
        )
    if isinstance(error, FileNotFoundError):
        return f"{found} Expected a bucket or disk of that name: make it, or correct the name."
    if may_pass(error):
        return (
            f"{found} Expected a storage that answers and has room: check the network, the "
            "endpoint (such as AWS_ENDPOINT_URL) and the space left, then try again."
        )
    return f"{found} Name another address, or make this one usable."


def _given_up(what: str, error: BaseException, patience: float) -> str:
    return (
        f"the storage of {what} has failed for {_duration(patience)}: {_reason(error)}. Nothing "
        "that was written before is lost: bring the storage back (network, credentials, space "
        "left on the disk), then go on with the run by --resume."
    )


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".") or "no reason given"
    return f"{type(error).__name__}: {text}"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _loaded(names: dict[str, tuple[str, ...]]) -> tuple[type[Exception], ...]:
    return tuple(
        getattr(sys.modules[module], name)
        for module, classes in names.items()
        if module in sys.modules
        for name in classes
    )
