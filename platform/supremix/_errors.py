"""Heads of the platform's exceptions, importable by rooms that know only torch."""

from __future__ import annotations

from collections.abc import Iterable

from supremix_datasets.errors import did_you_mean


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that stands for nothing.

    Args:
        kind: What the name should stand for, such as ``"method"``.
        name: The name as given.
        known: The names there are.
    """
    names = list(known)
    return f"unknown {kind} {name!r}; there are: {', '.join(names)}.{did_you_mean(name, names)}"


class SupremixError(Exception):
    """Head of the platform's exceptions; the message is meant for the user."""


class TrainingError(SupremixError):
    """A trial cannot be trained as asked, or its training failed."""


class ModelError(SupremixError):
    """A network cannot be built as asked, or a saved one not be loaded."""


class RunFolderError(SupremixError):
    """A run folder is missing, half written, out of reach, or belongs to another run."""


class TaskError(TrainingError):
    """The task, or a value in it, cannot be trained."""


class UnknownMethodError(TrainingError):
    """No method of that name."""


class ConfigError(TrainingError):
    """A configuration with an unknown parameter or an illegal value."""


class BatchTooLargeError(TrainingError):
    """The batch does not fit the training split, or the workers do not fit the batch."""


class NonFiniteLossError(TrainingError):
    """The training diverged: its loss, or the features it gives, became NaN or infinite."""


class CheckpointError(TrainingError):
    """A checkpoint that cannot be read, or that belongs to another run."""


class ModelInputError(ModelError):
    """An input that a trained model does not take, or a covariate that it misses."""
