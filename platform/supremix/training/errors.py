"""What can go wrong in training, as exceptions.

The tree of them::

    TrainingError
    ├── TaskError            the task, or a value in it, cannot be trained
    ├── UnknownMethodError   no method of that name
    ├── ConfigError          a configuration with an unknown or illegal parameter
    ├── BatchTooLargeError   the batch does not fit the split, or the workers do not fit the batch
    ├── NonFiniteLossError   the loss, or a feature, became NaN or infinite
    └── CheckpointError      a checkpoint that cannot be read, or is of another run
    ModelError               (supremix.models) a network or model file that cannot be used
    └── ModelInputError      an input that a trained model does not take
"""

from __future__ import annotations

from supremix._errors import ModelError as ModelError
from supremix._errors import TrainingError as TrainingError


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
