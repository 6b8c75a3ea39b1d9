"""Reading parameters as they are typed on the command line.

temperature=0.1                a fixed value
temperature=0.05..1.0:log      a range of floats, here on a logarithmic scale
channels=8..64:step=8          a range of integers, here in steps of 8
batch_size=16,32,64            a choice
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from supremix_spaces.errors import SpaceError
from supremix_spaces.parameters.parameters import Choice, Fixed, Float, Int, Parameter
from supremix_spaces.parameters.values import Value

GRAMMAR = (
    "Write name=0.1 (fixed), name=0.05..1.0 or name=0.05..1.0:log (range), name=8..64:step=8 "
    "(integers in steps) or name=16,32,64 (choice)."
)
_WORDS: dict[str, Value] = {"true": True, "false": False, "none": None}


def parse_override(text: str) -> tuple[str, Parameter]:
    """Read one `name=value`.

    Args:
        text: Text in the notation at the top of this file.

    Returns:
        The name and its parameter.

    Raises:
        SpaceError: when the text cannot be read.
    """
    name, equals, notation = (part.strip() for part in text.partition("="))
    if not (equals and name.isidentifier() and notation):
        raise SpaceError(f"Cannot read the setting {text!r}. {GRAMMAR}")
    try:
        return name, parse_parameter(notation)
    except SpaceError as error:
        raise SpaceError(f"Cannot read the setting {text!r}: {error}") from error


def parse_overrides(texts: Iterable[str]) -> dict[str, Parameter]:
    """Read several `name=value`, each name once.

    Raises:
        SpaceError: when one cannot be read, or a name comes twice.
    """
    parameters: dict[str, Parameter] = {}
    for text in texts:
        name, parameter = parse_override(text)
        if name in parameters:
            raise SpaceError(f"{name} is set twice. For a choice write {name}=first,second.")
        parameters[name] = parameter
    return parameters


def parse_parameter(notation: str) -> Parameter:
    """Read what stands right of the `=`.

    Raises:
        SpaceError: when it cannot be read.
    """
    if ".." in notation:
        return _parse_range(notation)
    if "," in notation:
        return Choice(tuple(parse_value(part) for part in notation.split(",")))
    return Fixed(parse_value(notation))


def parse_value(text: str) -> Value:
    """Read `true`, `false`, `none`, an integer or a float; anything else is a string."""
    text = text.strip()
    if not text:
        raise SpaceError(f"A value is empty. {GRAMMAR}")
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


def _parse_range(notation: str) -> Float | Int:
    bounds, *flags = (part.strip() for part in notation.split(":"))
    low, high = (parse_value(part) for part in bounds.split("..", 1))
    options = dict(_parse_flag(flag) for flag in flags)
    log, step = bool(options.get("log", 0)), options.get("step", 1)
    if isinstance(low, int) and isinstance(high, int):
        return Int(low, high, log=log, step=step)
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        raise SpaceError(f"A range runs from a number to a number; got {bounds!r}. {GRAMMAR}")
    if "step" in options:
        raise SpaceError(f"Only a range of integers has a step; got {notation!r}.")
    return Float(low, high, log=log)


def _parse_flag(flag: str) -> tuple[str, int]:
    if flag == "log":
        return "log", 1
    if match := re.fullmatch(r"step=(\d+)", flag):
        return "step", int(match[1])
    raise SpaceError(f"Unknown range option {flag!r}; a range takes :log and :step=N.")
