"""The values a parameter can take, and their kinds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum
from typing import Final

Value = bool | int | float | str | None
"""A value of a configuration: what JSON can hold, except lists and objects."""

Condition = tuple[str, tuple[Value, ...]]
"""`(name, values)`: the parameter exists where parameter `name` has one of `values`."""


class Auto(Enum):
    """The type of `AUTO`."""

    AUTO = "auto"

    def __repr__(self) -> str:
        return "AUTO"


AUTO: Final = Auto.AUTO
"""A default left to the parameter: the middle of a range, the first option of a choice."""


def kind(value: object) -> str:
    """Return "bool", "int", "float", "str" or "none"; the type's name for anything else.

    Python counts `True` as an integer; a search space must not.
    """
    return "none" if value is None else type(value).__name__


def is_value(value: object) -> bool:
    """Whether `value` may stand in a configuration (numbers have to be finite)."""
    if isinstance(value, float):
        return type(value) is float and math.isfinite(value)
    return kind(value) in {"bool", "int", "str", "none"}


def is_number(value: object) -> bool:
    """Whether `value` is a finite int or float, and not a bool."""
    return kind(value) in {"int", "float"} and is_value(value)


def same(a: object, b: object) -> bool:
    """Equality that keeps `True` apart from `1`, and takes `1` and `1.0` for the same number."""
    return a == b and (kind(a) == "bool") == (kind(b) == "bool")


def member(value: object, values: Iterable[object]) -> bool:
    """Whether `value` is the `same` as one of `values`."""
    return any(same(value, other) for other in values)


def text(value: object) -> str:
    """Write a value as the command line reads it: `true`, `none`, `0.3`, `finetune`."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
