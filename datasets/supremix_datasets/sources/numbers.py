"""Numbers written as text, read strictly."""

from __future__ import annotations

import re

NUMBER = re.compile(r"[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|inf(inity)?)", re.ASCII | re.IGNORECASE)


def to_number(value: str | None) -> float | None:
    """A number written as text; None where there is none.

    Digits with a point at most, perhaps a sign and an exponent: ``1_5`` and ``60,5`` are none.

    Raises:
        ValueError: there is something, but it is not a number.
    """
    if value is not None and NUMBER.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not a number")
    return None if value is None else float(value)
