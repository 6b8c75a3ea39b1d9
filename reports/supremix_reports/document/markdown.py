"""Small pieces of Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

_KEPT: Final = r"\[\d+\](?![\[(:])|(?<=[^\W_])_(?=[^\W_])"
"""A number in brackets that is no link, and an underscore within a word, are harmless."""

_OWN: Final = re.compile(rf"{_KEPT}|([\\*_<>`\[\]~$]|&(?=#?\w+;))")
_BLOCK: Final = re.compile(r"^(?:(#{1,6}|[-+]+|=+)(?=\s|$)|(\d{1,9})(?=[.)](?:\s|$)))")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; empty when there are no rows."""
    if not rows:
        return ""
    return grid([cell(name) for name in head], [[cell(value) for value in row] for row in rows])


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table of cells that are Markdown already, as `cell` makes it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(value: object) -> str:
    """Return a value as it stands in a table: one line, four digits, a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return plain(str(value)).replace("|", "\\|")


def plain(text: str) -> str:
    """Return a text as one line in which nothing is taken for Markdown's or HTML's own."""
    line = _OWN.sub(lambda found: f"\\{found[1]}" if found[1] else found[0], " ".join(text.split()))
    # What would begin a heading, a list or a rule, does not behind a backslash.
    return _BLOCK.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\", line)


def code(lines: Sequence[str]) -> str:
    """Return lines as a block of shell code, its fence longer than any in the lines."""
    fence = "`" * (1 + max([2, *(len(run) for line in lines for run in re.findall("`+", line))]))
    return "\n".join((f"{fence}bash", *lines, fence))


def word(value: object) -> object:
    """Return an option's value as it is named: None is one too, and is called none."""
    return "none" if value is None else value


def specification(spec: Mapping[str, object]) -> str:
    """Return a section with the plain values of a specification; empty when it has none."""
    plain = (bool, int, float, str, type(None))
    rows = [[name, word(value)] for name, value in spec.items() if isinstance(value, plain)]
    return "## Specification\n\n" + table(["", "value"], rows) if rows else ""


def duration(seconds: float) -> str:
    """Return a time span in words: `45 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
