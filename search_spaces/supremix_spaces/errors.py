"""What can be wrong with a search space."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SpaceError(Exception):
    """A search space, or a part of one, that cannot be used; the message says what to change."""


class UnknownSpaceError(SpaceError):
    """A method for which there is no preset space."""


class UnknownParameterError(SpaceError):
    """A parameter that the space (or the method) does not have."""


class NotInSpaceError(SpaceError):
    """A configuration that is not a point of the space."""


def hint(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the known name closest to `name`, or an empty string."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
