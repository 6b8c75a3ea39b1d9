"""Small pieces of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; empty when there are no rows."""
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell(value) for value in line) + " |" for line in lines)


def cell(value: object) -> str:
    """Return a value as it stands in a table: one line, four digits, a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(str(value).split()).replace("|", "\\|")


def word(value: object) -> object:
    """Return a setting's value as it is named: None is one too, and is called none."""
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
