"""Values of options as words: times, grids and fractions of a split."""

from __future__ import annotations

import math
import re

SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


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
    numbers = match.groups() if match else ()
    seconds = sum(
        float(number) * unit
        for number, unit in zip(numbers, SECONDS.values(), strict=False)
        if number
    )
    if seconds <= 0:
        raise ValueError(f"{text!r} is no time; write it like 30m, 1h, 1h30m or 90s")
    return seconds


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
