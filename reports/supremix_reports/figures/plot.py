"""What a plot is, how it looks, and how it becomes a file.

A plot carries the numbers it shows and the words that go with it, so that a report in HTML,
Markdown or LaTeX is made of the same parts. The style is fixed: the user's own settings of
matplotlib change nothing, and the same numbers give the same bytes.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from supremix_reports.errors import PlotError, TableError

if TYPE_CHECKING:
    from matplotlib import figure as matplotlib_figure

T = TypeVar("T")

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, BLACK = COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000",
)  # fmt: skip
"""Colours that the colour-blind tell apart (Okabe and Ito 2008)."""

GREY: Final = "#8C8C8C"
FAINT: Final = "#C8C8C8"
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: Final = ("-", "--", "-.", ":")
"""Markers and dashes go with the colours, so that a grey print tells the lines apart as well."""

RANKS: Final = "viridis"
WIDTH: Final = 6.4
"""Inches that a figure is wide; a column of text on A4."""

_DPI: Final = 150
_SVG_STYLE: Final = "max-width:100%;height:auto;stroke-linejoin:round;stroke-linecap:butt"
_WIDE: Final = 8.0  # ratio of the largest to the median value from which on an axis is logarithmic
_MANY: Final = 3000  # dots from which on a drawing of each one makes a file too large
_STYLE: Final[dict[str, Any]] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "figure.constrained_layout.h_pad": 0.07,
    "figure.constrained_layout.w_pad": 0.07,
    "figure.facecolor": "white",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.markerscale": 1.3,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar in a site's name is a dollar
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NotShown:
    """A plot that cannot be made of what there is, and the reason for the reader of a report."""

    name: str
    title: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A figure with its words and its numbers.

    Args:
        caption: what is seen, how it was computed and what of.
        alt: what it shows, in words, for readers who do not see it.
        figure: a matplotlib figure, not registered with pyplot.
        data: the numbers that are drawn, a row a dot, bar or step.
        name: what its file is called, without an ending: lower case letters, digits and hyphens;
            given to it, as the title is, by its `FigureSpec`.
        title: a line above it.
    """

    caption: str
    alt: str
    figure: matplotlib_figure.Figure
    data: pl.DataFrame
    name: str = ""
    title: str = ""

    def svg(self) -> str:
        """Return an `<svg>` element to stand in a page, its ids unlike those of other plots.

        It is as wide as its place allows, up to its own width, and tells `alt` to screen readers.
        """
        text = saved(self.figure, "svg", self.name).decode()
        text = text[text.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
        # Its style sheet would be that of the whole page.
        text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, flags=re.DOTALL)
        text = re.sub(r'\bid="', f'id="{self.name}-', text)
        text = re.sub(r'((?:xlink:)?href="#|url\(#)', rf"\g<1>{self.name}-", text)
        # A browser on a phone lacks the font; any other without serifs will do.
        text = text.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, Arial, sans-serif")
        words = f'role="img" aria-label="{escape(self.alt)}" style="{_SVG_STYLE}"'
        return text.replace("<svg", f"<svg {words}", 1).strip() + "\n"

    def png(self, dpi: int = _DPI) -> bytes:
        """Return it as a PNG of `dpi` dots per inch."""
        return saved(self.figure, "png", self.name, dpi=dpi)

    def pdf(self) -> bytes:
        """Return it as a PDF, its text as text."""
        return saved(self.figure, "pdf", self.name)


def saved(figure: Any, kind: str, salt: str = "", **options: Any) -> bytes:
    """Return a figure as the content of a file (svg, png or pdf), always the same bytes."""
    undated = {
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }[kind]
    buffer = io.BytesIO()
    with _styled(salt):
        figure.savefig(buffer, format=kind, metadata=undated, **options)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class FigureSpec(Generic[T]):
    """One figure of a list of figures, all of which are drawn from data of one kind.

    Args:
        key: Its part of the plot's name: lower case letters and hyphens.
        title: The line above it, also where it cannot be drawn; ``{target}`` stands for the name
            of the label.
        draw: Takes the data; raises a `PlotError` where they are not enough for the figure.
    """

    key: str
    title: str
    draw: Callable[[T], Plot]

    def plot(self, data: T | str, *words: str, target: str = "label") -> Plot | NotShown:
        """Draw the figure, named after `words`; `data` may be the reason why there are none."""
        name, title = plot_name(*words, self.key), self.title.format(target=target)
        try:
            if isinstance(data, str):
                raise PlotError(data)
            return replace(self.draw(data), name=name, title=title)
        except (PlotError, TableError) as error:
            return NotShown(name=name, title=title, reason=str(error))


@contextmanager
def drawing(
    rows: int = 1, columns: int = 1, *, height: float = 3.6, width: float = WIDTH, **options: Any
) -> Generator[tuple[Any, list[Any]]]:
    """Open a new figure in the fixed style.

    Args:
        rows: of panels.
        columns: of panels.
        height: in inches.
        width: in inches.
        options: passed on to `Figure.subplots`.

    Yields:
        The figure, and its axes row by row.
    """
    # Imported here: it takes a while, and a table needs none of it. No pyplot, so no window.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with _styled():
        figure: Any = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False, **options)
        yield figure, list(axes.ravel())
        # Laid out once, not again for every file, which costs more than the drawing itself.
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine("none")


@contextmanager
def _styled(salt: str = "supremix") -> Generator[None]:
    import matplotlib as mpl
    from matplotlib import style

    # The user's own settings of matplotlib would make another picture of the same numbers.
    with (
        cast("Any", style).context("default"),
        cast("Any", mpl).rc_context({**_STYLE, "svg.hashsalt": salt}),
    ):
        yield


def plot_name(*words: str) -> str:
    """Return words as a plot's name: lower case letters, digits and single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")


def log_axis(axis: Any, low: float, high: float) -> None:
    """Make an axis (`axes.xaxis`) logarithmic, with round numbers at its ticks; low is above 0."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(FixedLocator(round_numbers(low, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def round_numbers(low: float, high: float) -> list[float]:
    """Return two to six numbers within a range for ticks on a logarithmic scale.

    They are 1, 2 and 5 times powers of ten; only these powers where the range is wide, the ends
    where it is narrow.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in ((1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**k for k in powers for m in parts if low <= m * 10.0**k <= high]
        if len(found) <= 6:
            return found if len(found) > 1 else [low, high]
    return found[:: math.ceil(len(found) / 6)]


def shade(share: float) -> Any:
    """Return the colour of a rank from 0, the best and darkest, to 1; all dark enough for print."""
    from matplotlib import colormaps

    return colormaps[RANKS](0.88 * share)


def many_dots(count: int) -> bool:
    """Whether so many dots should be drawn as a picture within a drawing."""
    return count > _MANY


def spread_axis(axis: Any, values: npt.NDArray[np.float64]) -> bool:
    """Make an axis logarithmic where a few values would press the rest to the ground; if it did."""
    low, high = float(values.min()), float(values.max())
    wide = low > 0 and high > _WIDE * float(np.median(values))
    if wide:
        log_axis(axis, low, high)
    return wide


def robust_top(values: npt.NDArray[np.float64], *, share: float = 0.5, reach: float = 8.0) -> float:
    """Return the largest of some errors that an axis should reach.

    That is the largest value or, where it would press most of the others to the ground, as a trial
    that diverged does, `reach` times as far above the least value as the quantile `share` is.

    Args:
        values: (N,) errors, at least one.
        share: Share of the values that are usual, in (0, 1).
        reach: Height of the axis in units of that quantile's.
    """
    low, high = float(values.min()), float(values.max())
    usual = float(np.quantile(values, share, method="lower"))
    top = low + reach * (usual - low)
    return top if usual > low and high - low > 1.5 * (top - low) else high


def end_axis(axes: Any, low: float, top: float, beyond: str) -> None:
    """End the vertical axis of errors at `top`, and say what lies beyond where anything does."""
    room = 0.06 * (top - low or abs(top) or 1.0)
    axes.set_ylim(low - room, top + room)
    if beyond:
        axes.annotate(
            f"\u2191 {beyond}", (1, 1), xycoords="axes fraction", xytext=(0, 2),
            textcoords="offset points", ha="right", va="bottom", fontsize=8, color=RED,
        )  # fmt: skip


@contextmanager
def panel_grid(count: int, height: float, label: str) -> Generator[tuple[Any, list[Any]]]:
    """Open a new figure of `count` panels, three a row, with one vertical axis and its label."""
    columns = min(3, count)
    rows = math.ceil(count / columns)
    with drawing(rows, columns, height=height + 2.2 * rows, sharey=True) as (figure, panels):
        for axes in panels[:count:columns]:
            axes.set_ylabel(label)
        for axes in panels[count:]:
            axes.set_axis_off()
        yield figure, panels[:count]


def whiskers(
    axes: Any,
    at: npt.ArrayLike,
    values: npt.ArrayLike,
    low: npt.ArrayLike,
    high: npt.ArrayLike,
    *,
    across: bool = False,
    **style: Any,
) -> None:
    """Draw the intervals of values, as lines with caps.

    Args:
        axes: Axes of matplotlib.
        at: Position of each value on the other axis, (N,).
        values: The values, (N,).
        low: Lower ends, (N,); nothing is drawn where an end is None or NaN.
        high: Upper ends, (N,).
        across: Whether values are along the horizontal axis.
        style: Passed on to `Axes.errorbar`.
    """
    x, v, lower, upper = (np.asarray(one, dtype=np.float64) for one in (at, values, low, high))
    known = np.isfinite(lower) & np.isfinite(upper)
    bars = np.stack([v - lower, upper - v])[:, known].clip(0)
    x, y, ends = (v, x, {"xerr": bars}) if across else (x, v, {"yerr": bars})
    look = {"fmt": "none", "ecolor": BLACK, "capsize": 3, **style}
    axes.errorbar(x[known], y[known], **ends, **look)


def nth(looks: Sequence[str], number: int) -> str:
    """Return the colour, marker or dash of line or group `number`, counted from 0; in a cycle."""
    return looks[number % len(looks)]


def number(value: float) -> str:
    """Return a number as it stands in a text or at a tick: three digits, no needless zeros."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{value:.2g}"


def counted(count: int, thing: str) -> str:
    """Return a count with its noun: "1 trial", "3 trials"."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
