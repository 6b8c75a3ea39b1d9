"""Values as they are written and shown on the command line: assignments, times, numbers."""

from __future__ import annotations


def parse_assignment(text: str) -> tuple[str, str]:
    """Read a covariate's value.

    Args:
        text: Such as `pixel_size=0.14` or `sex=F`.

    Returns:
        The name and the value.

    Raises:
        ValueError: Where the equals sign, the name or the value is missing.
    """
    name, equals, value = text.partition("=")
    if not (equals and name.strip() and value.strip()):
        raise ValueError(f"{text!r} gives no value; write NAME=VALUE, e.g. pixel_size=0.14")
    return name.strip(), value.strip()


def format_value(value: object) -> str:
    """Write one setting briefly: four significant digits are enough to tell trials apart."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
