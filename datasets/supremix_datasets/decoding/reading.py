"""The one rule for faults of a file: anything that its decoding raises refuses that file."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager

from supremix_datasets.errors import DatasetError, DecodeError


@contextmanager
def reading(kind: str) -> Generator[None]:
    """Turn every exception of the block into a :class:`DecodeError`.

    No list of expected exceptions is kept: libraries raise of damaged bytes what they like, and
    what is not on a list would end the preparation of a whole dataset.

    Args:
        kind: Kind of file, for the message: ``picture``, ``NIfTI volume``.

    Raises:
        DecodeError: the block raised something; its own errors pass as they are.
    """
    try:
        yield
    except DatasetError:
        raise
    except Exception as error:
        raise DecodeError(f"not a readable {kind}: {fault(error)}") from error


def fault(error: Exception) -> str:
    """What an exception says, in one line; the name of its class where that is nothing.

    Objects are left out that the sentence names by where they lie in memory: the same damage has
    the same words in every process.
    """
    words = re.sub(r"<[^<>]* at 0x[0-9a-fA-F]+>", "", str(error))
    return " ".join(words.split())[:300] or type(error).__name__
