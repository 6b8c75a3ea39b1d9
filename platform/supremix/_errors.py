"""Heads of the platform's exceptions, importable by rooms that know only torch."""

from __future__ import annotations


class SupremixError(Exception):
    """Head of the platform's exceptions; the message is meant for the user."""


class TrainingError(SupremixError):
    """A trial cannot be trained as asked, or came to nothing."""


class ModelError(SupremixError):
    """A network cannot be built as asked, or a saved one not be loaded."""


class RunFolderError(SupremixError):
    """A run folder is missing, half written, out of reach, or belongs to another run."""
