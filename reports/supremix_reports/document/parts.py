"""What a report is made of, in any format: sections of text, tables and pictures.

Each part has a `kind`, which the renderers look at: the page's template, Markdown and LaTeX.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, Literal, TypeGuard

DASH: Final = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A value in a table.

    Args:
        text: what is read.
        detail: what stands after it in smaller type, e.g. its interval.
        order: what rows are sorted by; None sorts last.
        best: whether it is the best of its row.
    """

    text: str
    detail: str = ""
    order: float | str | None = None
    best: bool = False

    @property
    def whole(self) -> str:
        """Text and detail in one."""
        return f"{self.text} {self.detail}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table: its heading, and whether its cells are numbers."""

    name: str
    number: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with its caption.

    Args:
        name: its label, unique in the report.
        caption: what is in it.
        columns: its headings.
        rows: a cell a column.
        note: what has to be known to read it.
        heads: how many cells, from the first on, name their row.
        paper: whether it belongs into `tables.tex`.
    """

    kind: ClassVar[str] = "table"
    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    heads: int = 1
    paper: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure: what is seen, what it says in words, and its files by ending (svg, png, pdf)."""

    kind: ClassVar[str] = "picture"
    name: str
    title: str
    caption: str
    alt: str
    files: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What would stand here, and why it does not."""

    kind: ClassVar[str] = "missing"
    title: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Plain sentences; `tone` is "warning" for what a reader must not overlook."""

    kind: ClassVar[str] = "paragraph"
    text: str
    tone: Literal["plain", "strong", "warning"] = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The result of a report in large type.

    Args:
        title: What the number is, above it.
        text: The number, e.g. "MAE 6.10 years".
        detail: Its interval, in words.
        facts: Names with the numbers that it is read against.
    """

    kind: ClassVar[str] = "headline"
    title: str
    text: str
    detail: str
    facts: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowStep:
    """A step of a flow, and what leaves it there."""

    text: str
    aside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Steps that lead to one another, the last one to several ends."""

    kind: ClassVar[str] = "flow"
    title: str
    steps: tuple[FlowStep, ...]
    ends: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Names with what belongs to each: a definition list."""

    kind: ClassVar[str] = "listing"
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Lines to be typed as they are."""

    kind: ClassVar[str] = "code"
    lines: tuple[str, ...]


Part = Headline | Flow | Table | Picture | Missing | Paragraph | Listing | Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Parts under a heading, and sections below it.

    Args:
        key: Its name in addresses.
        title: Its heading.
        parts: What is in it, in reading order.
        sections: The sections below it.
        folded: Whether it is opened by its reader.
        first: Whether it is what a page begins with: its pictures are next to its text, and its
            heading is for screen readers alone.
    """

    kind: ClassVar[str] = "section"
    key: str
    title: str
    parts: tuple[Part, ...] = ()
    sections: tuple[Section, ...] = ()
    folded: bool = False
    first: bool = False

    def walk(self) -> Iterator[Part]:
        """Its parts and those of the sections below it, in reading order."""
        yield from self.parts
        for section in self.sections:
            yield from section.walk()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole report; `date` is the one thing in it that does not follow from the runs."""

    title: str
    date: str
    version: str
    sections: tuple[Section, ...]

    def walk(self) -> Iterator[Part]:
        """All parts in reading order."""
        for section in self.sections:
            yield from section.walk()

    def pictures(self) -> tuple[Picture, ...]:
        """All figures in reading order."""
        return tuple(part for part in self.walk() if isinstance(part, Picture))

    def tables(self) -> tuple[Table, ...]:
        """All tables in reading order."""
        return tuple(part for part in self.walk() if isinstance(part, Table))


def named_apart(sections: Sequence[Section]) -> tuple[Section, ...]:
    """Return sections in which no key, no picture's and no table's name stands twice.

    Names that differ in case or punctuation alone make the same file name. What comes first keeps
    its name, the next has "-2" behind it, and so on.
    """
    taken: dict[str, set[str]] = {}

    def free(kind: str, name: str) -> str:
        known = taken.setdefault(kind, set())
        names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
        found = next(one for one in names if one.lower() not in known)
        known.add(found.lower())
        return found

    def part(one: Part) -> Part:
        if isinstance(one, Table):
            return replace(one, name=free(one.kind, one.name))
        return _renamed(one, free(one.kind, one.name)) if isinstance(one, Picture) else one

    def apart(section: Section) -> Section:
        key = free(section.kind, section.key)
        parts = tuple(map(part, section.parts))
        return replace(section, key=key, parts=parts, sections=tuple(map(apart, section.sections)))

    return tuple(map(apart, sections))


def _renamed(picture: Picture, name: str) -> Picture:
    """The picture under another name, with which the ids in its drawing begin."""
    if name == picture.name:
        return picture
    begins = re.compile(rf'(\bid="|href="#|url\(#){re.escape(picture.name)}-'.encode())
    files = {
        ending: begins.sub(rb"\g<1>" + f"{name}-".encode(), content) if ending == "svg" else content
        for ending, content in picture.files.items()
    }
    return replace(picture, name=name, files=files)


def text_cell(value: object) -> Cell:
    """A cell with a value as it is; a dash for None."""
    return Cell(text=DASH) if value is None else Cell(text=str(value), order=str(value))


def count_cell(value: float | None) -> Cell:
    """A cell with a whole number; a dash for None."""
    if value is None:
        return Cell(text=DASH)
    return Cell(text=f"{int(value):,}".replace(",", "\u202f"), order=float(value))


def number_cell(
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    digits: int | None = None,
    sign: bool = False,
    best: bool = False,
) -> Cell:
    """A cell with a number and, where both ends are known, its interval.

    Args:
        value: the number; a dash for None or NaN.
        low: lower end of its interval.
        high: upper end.
        digits: decimals of all three; None for three significant digits of the value.
        sign: whether a plus is written.
        best: whether it is the best of its row.
    """
    if not _is_number(value):
        return Cell(text=DASH)
    digits_shown = decimals([value]) if digits is None else digits
    plus = "+" if sign else ""
    ends = [_written(end, digits_shown, plus) for end in (low, high) if _is_number(end)]
    detail = f"({ends[0]} to {ends[1]})" if len(ends) == 2 else ""
    return Cell(text=_written(value, digits_shown, plus), detail=detail, order=value, best=best)


def decimals(values: Sequence[float | None], significant: int = 3) -> int:
    """How many decimals give the largest of the values so many significant digits, at most 6.

    Numbers next to each other are rounded alike, so that they can be compared by eye.
    """
    largest = max((abs(value) for value in values if _is_number(value)), default=0.0)
    if largest == 0:
        return 2
    return min(6, max(0, significant - 1 - math.floor(math.log10(largest))))


def p_cell(value: float | None) -> Cell:
    """A cell with a p-value: two significant digits, not below 0.001."""
    if not _is_number(value):
        return Cell(text=DASH)
    return Cell(text="< 0.001" if value < 0.001 else f"{value:.2g}", order=value)


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _written(value: float | None, digits_shown: int, plus: str) -> str:
    text = f"{value:{plus}.{digits_shown}f}"
    # What is rounded to nothing has no sign.
    zero = f"{0:.{digits_shown}f}"
    return zero if text in (f"-{zero}", f"+{zero}") else text.replace("-", "\u2212")
