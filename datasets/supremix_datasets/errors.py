"""The exceptions of this package."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DatasetError(Exception):
    """Base of every error this package raises on purpose."""


class CardError(DatasetError):
    """A card, a covariate or an augmentation policy contradicts itself."""


class UnknownDatasetError(DatasetError):
    """No dataset of that name is registered."""


class SourceError(DatasetError):
    """The source folder is missing, empty or not in the official layout."""


class LabelTableError(DatasetError):
    """The table of labels lacks a column or holds labels that are not numbers."""


class DecodeError(DatasetError):
    """One file cannot be turned into an image; preparing excludes it with this message."""


class CovariateError(DatasetError):
    """A covariate of an image is missing, unknown or unusable."""


class StoreError(DatasetError):
    """A prepared store is missing, unfinished or damaged."""


class DataChangedError(DatasetError):
    """A run's data are no longer those that it began with."""


class SplitError(DatasetError):
    """The official split contradicts itself, or the fractions cannot be used."""


class TooFewSamplesError(DatasetError):
    """Too few samples are left to work with."""


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The known name closest to `name`, as " Did you mean 'x'?", or nothing.

    Args:
        name: Name that is not known.
        known: Names that are.
        cutoff: Least similarity of the two. ``[0, 1]``.
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f" Did you mean {close[0]!r}?" if close else ""
