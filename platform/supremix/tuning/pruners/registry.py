"""The stopping rules by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from supremix.errors import SpecError, UnknownNameError
from supremix.tuning.pruners.halving import SuccessiveHalving
from supremix.tuning.pruners.median import MedianRule
from supremix.tuning.pruners.none import NoPruning
from supremix.tuning.pruners.pruner import Pruner

PRUNERS: dict[str, Callable[..., Pruner]] = {
    "halving": SuccessiveHalving,
    "median": MedianRule,
    "none": NoPruning,
}


def make_pruner(name: str, **options: float | None) -> Pruner:
    """A stopping rule by its name.

    Args:
        name: One of `PRUNERS`.
        options: Numbers of the rule; None leaves the rule's own default.

    Raises:
        SpecError: There is no such rule, it has no such option, or a number is out of its range.
    """
    if name not in PRUNERS:
        raise UnknownNameError("pruner", name, tuple(PRUNERS))
    rule: Any = PRUNERS[name]
    known = [field.name for field in dataclasses.fields(rule)]
    given = {option: value for option, value in options.items() if value is not None}
    for option in given.keys() - known:
        raise SpecError(
            f"pruner {name!r} has no {option}; it has {', '.join(known) or 'no options'}. Leave "
            f"{option} out, or choose another pruner."
        )
    return rule(**given)
