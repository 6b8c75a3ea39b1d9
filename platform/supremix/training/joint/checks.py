"""Checks of tasks that are to be trained together, and the parameters of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from supremix._errors import ConfigError, TaskError
from supremix.methods.base import Stage
from supremix.methods.registry import get_method, make_config
from supremix.training.preflight import preflight
from supremix.training.task import Task
from supremix_datasets.stores.shared import open_shared

_COMMON = ("method", "encoder", "epochs", "seed", "averaging", "precision", "threads", "pretrained")
_ALIKE = (
    "name",
    "objective",
    "epochs",
    "lr",
    "weight_decay",
    "schedule",
    "clip",
    "frozen_norms",
    "freeze",
    "layer_decay",
)


def check_tasks(tasks: Sequence[Task]) -> list[str]:
    """The names of the tasks' datasets, where the tasks can be trained together.

    Raises:
        TaskError: there is none, two are of one dataset, or they differ where they must not.
    """
    if not tasks:
        raise TaskError("a joint run needs at least one task, found none")
    for name in _COMMON:
        values = [getattr(task, name) for task in tasks]
        if any(value != values[0] for value in values):
            raise TaskError(
                f"tasks that are trained together need the same {name}, found "
                f"{', '.join(map(repr, values))}"
            )
    names = [open_shared(task.store, task.cache).card.name for task in tasks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TaskError(
            f"tasks that are trained together need a dataset of their own each, found "
            f"{', '.join(twice)} more than once; give the second one a name of its own"
        )
    return names


def split_config(names: Sequence[str], config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters of each task, from those of all and those of one, named "DATASET.NAME".

    >>> split_config(["a", "b"], {"lr": 0.1, "b.window": 3.0})
    {'a': {'lr': 0.1}, 'b': {'lr': 0.1, 'window': 3.0}}

    Raises:
        ConfigError: a parameter of a dataset that is not among the names.
    """
    own: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in config.items():
        name, dot, parameter = key.rpartition(".")
        if dot and name not in own:
            raise ConfigError(
                f"{key} is a parameter of the dataset {name!r}, which is not trained; there are "
                f"{', '.join(names)}"
            )
        for owner in [name] if dot else names:
            # What is said of one task holds against what is said of all, whichever comes first.
            if dot or f"{owner}.{key}" not in config:
                own[owner][parameter if dot else key] = value
    return own


def check_stages(stages: Mapping[str, Sequence[Stage]]) -> None:
    """Raise ConfigError where tasks, by dataset, have stages that one optimizer cannot serve."""
    (first, plan), *others = stages.items()
    for name, other in others:
        if len(plan) != len(other):
            raise ConfigError(
                f"tasks that are trained together need the same stages, found {len(plan)} for "
                f"{first} and {len(other)} for {name}"
            )
        for field in _ALIKE:
            ours, theirs = ([getattr(s, field) for s in these] for these in (plan, other))
            if ours != theirs:
                raise ConfigError(
                    f"tasks that are trained together have one optimizer and need the same "
                    f"{field} in every stage, found {ours} for {first} and {theirs} for {name}; "
                    "give it for all of them"
                )


def joint_preflight(
    tasks: Sequence[Task], config: Mapping[str, Any], *, workers: int = 1
) -> dict[str, int]:
    """Check that tasks can be trained together, and each alone, without building a network.

    Args:
        tasks: as for `JointRun`.
        config: as for `JointRun`.
        workers: that would train together.

    Returns:
        By dataset the number of samples that would be fitted.

    Raises:
        TrainingError: they cannot; the message says what to change.
    """
    names = check_tasks(tasks)
    own = split_config(names, config)
    pairs = dict(zip(names, tasks, strict=True))
    sizes = {name: preflight(task, own[name], workers=workers) for name, task in pairs.items()}
    check_stages({name: _stages(task, own[name]) for name, task in pairs.items()})
    return sizes


def _stages(task: Task, config: Mapping[str, Any]) -> Sequence[Stage]:
    method = get_method(task.method)
    card = open_shared(task.store, task.cache).card
    return method.stages(make_config(method, config), epochs=task.epochs, card=card)
