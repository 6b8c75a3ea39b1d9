"""Values of options: as they are written on the command line or in Python, made into one form."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Callable, Mapping
from typing import Any

from supremix.search.request.option import Form, Option

SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")

COUNT = re.compile(r"(\d+(?:\.\d+)?)([km]?)")
_THOUSANDS = {"": 1, "k": 1_000, "m": 1_000_000}


def parse_duration(text: str) -> float:
    """Read a time.

    Args:
        text: Such as `30m`, `1h`, `1h30m`, `90s`; a bare number means seconds.

    Returns:
        Seconds, above 0.

    Raises:
        ValueError: For anything else.
    """
    match = DURATION.fullmatch(text.strip().lower())
    parts = match.groups() if match else ()
    seconds = sum(
        float(number) * unit
        for number, unit in zip(parts, SECONDS.values(), strict=False)
        if number
    )
    if seconds <= 0:
        raise ValueError(f"{text!r} is no time; write it like 30m, 1h, 1h30m or 90s")
    return seconds


def parse_count(text: str) -> int:
    """Read a number of images.

    Args:
        text: Such as `240000`, `240k`, `1.2M`.

    Returns:
        The whole number.

    Raises:
        ValueError: For anything else.
    """
    match = COUNT.fullmatch(text.strip().lower())
    found = float(match[1]) * _THOUSANDS[match[2]] if match else math.nan
    if not found.is_integer():
        raise ValueError(f"{text!r} is no number of images; write it like 240000, 240k or 1.2M")
    return int(found)


def parse_shape(text: str) -> tuple[int, ...]:
    """Read the grid of an image.

    Args:
        text: Such as `128,192` or `48x56x48`.

    Returns:
        The whole numbers.

    Raises:
        ValueError: For anything but two or three positive whole numbers.
    """
    parts = text.lower().replace("x", ",").split(",")
    if len(parts) not in (2, 3) or not all(part.isdecimal() and int(part) for part in parts):
        raise ValueError(f"{text!r} is no shape; write two or three whole numbers, e.g. 48,56,48")
    return tuple(map(int, parts))


def parse_fractions(text: str) -> tuple[float, float, float]:
    """Read the fractions of a split.

    Args:
        text: Such as `0.6,0.2,0.2`.

    Returns:
        The three numbers, adding up to 1.

    Raises:
        ValueError: For anything else.
    """
    try:
        train, val, test = map(float, text.split(","))
    except ValueError:
        train = val = test = math.nan
    if not (min(train, val, test) >= 0 and math.isclose(train + val + test, 1)):
        raise ValueError(
            f"{text!r} are no fractions of a split; write three numbers that add up to 1, e.g. "
            "0.6,0.2,0.2"
        )
    return train, val, test


PARSERS: Mapping[Form, Callable[[str], Any]] = {
    "time": parse_duration,
    "count": parse_count,
    "shape": parse_shape,
    "fractions": parse_fractions,
}


def to_option(one: Option, value: Any, where: str = "") -> Any:
    """The value of an option in its one form, from a text as on the command line or an object.

    Args:
        one: The option.
        value: Its value: None where the option may be left open, an object of its type, or a text
            such as ``"30m"``.
        where: Where it was found, for the message of an error.

    Raises:
        ValueError: The value is of another type, or a text that is not written as expected.
    """
    if value is None and one.default is None:
        return None
    if one.written == "text" and one.type not in ("str", "str | None"):
        return value
    expected, typed = _TYPES[one.written]
    convert: Callable[[Any], Any] = typed
    if isinstance(value, str):
        convert = PARSERS.get(one.written, typed)
    try:
        return convert(value)
    except ValueError as error:
        raise ValueError(f"{one.name}{where}: {error}.") from None
    except TypeError:
        meaning = one.help.partition(". ")[0].rstrip(".")
        raise ValueError(
            f"{one.name}{where} has to be {expected}; got {value!r}, of type "
            f"{type(value).__name__}. It is: {meaning}."
        ) from None


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError
    return value if isinstance(value, int | float) else float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _shape(value: Any) -> tuple[int, ...]:
    return parse_shape(",".join(str(_integer(size)) for size in value))


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_text, [value] if isinstance(value, str) else value))


_TYPES: Mapping[Form, tuple[str, Callable[[Any], Any]]] = {
    "integer": ("a whole number", _integer),
    "number": ("a number", _number),
    "time": ("a number of seconds, or a text such as '30m'", _number),
    "count": ("a whole number, or a text such as '240k'", _integer),
    "switch": ("true or false", _flag),
    "flag": ("true or false", _flag),
    "text": ("a text", _text),
    "texts": ("a list of texts", _texts),
    "shape": ("whole numbers, such as (48, 56, 48)", _shape),
    "fractions": ("numbers, such as (0.6, 0.2, 0.2)", lambda value: tuple(map(_number, value))),
}
"""By the form of an option: its values in words, and the function that makes one of an object."""
