"""The critical-difference diagram of ranks (Demšar 2006, figure 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from supremix_reports.errors import StatisticsError
from supremix_reports.statistics.comparing.ranks import Ranks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# All lengths are inches, so that text and lines keep their positions at any size of the figure.
_SCALE: Final = 3.6
_LINE: Final = 0.72
_ROW: Final = 0.24
_STUB: Final = 0.15
_LETTER: Final = 0.085
_SIZE: Final = 9  # points
_INK: Final = "black"


@dataclass(frozen=True, slots=True)
class _Page:
    axes: Any
    margin: float
    count: int

    def x(self, rank: float) -> float:
        return self.margin + _SCALE * (rank - 1) / (self.count - 1)

    def line(self, xs: list[float], ys: list[float], width: float = 1.0) -> None:
        self.axes.plot(xs, ys, color=_INK, linewidth=width, solid_capstyle="butt")

    def text(self, x: float, y: float, words: str, *, ha: str, va: str) -> None:
        self.axes.text(x, y, words, ha=ha, va=va, fontsize=_SIZE, color=_INK)


def critical_difference_figure(ranks: Ranks) -> Figure:
    """Draw mean ranks on a line, best left; bars join methods that do not differ significantly.

    Args:
        ranks: of two datasets and two methods at least.

    Returns:
        A figure of matplotlib that pyplot knows nothing of.

    Raises:
        StatisticsError: when the ranks have no critical difference.
    """
    # Imported here: matplotlib takes a while, and most who import the room draw nothing.
    from matplotlib.figure import Figure

    if ranks.critical_difference is None:
        raise StatisticsError(ranks.reason or "These ranks have no critical difference to draw.")
    count = len(ranks.methods)
    margin = 0.3 + _STUB + _LETTER * (max(len(name) for name in ranks.methods) + 6)
    top = _LINE + _ROW * (0.9 + 0.6 * len(ranks.cliques))
    width, height = _SCALE + 2 * margin, top + _ROW * (count + 1) / 2
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    page = _Page(axes, margin, count)
    _scale(page)
    _difference(page, ranks.critical_difference)
    _bars(page, ranks)
    _names(page, ranks, top)
    return figure


def _scale(page: _Page) -> None:
    page.line([page.x(1), page.x(page.count)], [_LINE, _LINE])
    for rank in range(1, page.count + 1):
        page.line([page.x(rank)] * 2, [_LINE - 0.06, _LINE])
        page.text(page.x(rank), _LINE - 0.09, str(rank), ha="center", va="bottom")


def _difference(page: _Page, apart: float) -> None:
    """The critical difference as a length of the scale, above it."""
    text, y = f"critical difference {apart:.2f}", 0.32
    if apart > page.count - 1:
        text += ": longer than the scale"
    else:
        page.line([page.x(1), page.x(1 + apart)], [y, y])
        for x in (page.x(1), page.x(1 + apart)):
            page.line([x, x], [y - 0.04, y + 0.04])
    page.text(page.x(1), y - 0.07, text, ha="left", va="bottom")


def _bars(page: _Page, ranks: Ranks) -> None:
    """A thick line below the scale for each clique."""
    known = dict(zip(ranks.methods, ranks.mean_ranks, strict=True))
    for k, clique in enumerate(ranks.cliques):
        ends = [page.x(known[clique[0]]) - 0.04, page.x(known[clique[-1]]) + 0.04]
        page.line(ends, [_LINE + _ROW * (0.5 + 0.6 * k)] * 2, 3.5)


def _names(page: _Page, ranks: Ranks, top: float) -> None:
    """The better half on the left, the rest on the right, outermost first."""
    left = (page.count + 1) // 2
    for k, (name, rank) in enumerate(zip(ranks.methods, ranks.mean_ranks, strict=True)):
        outer = page.x(1) - _STUB if k < left else page.x(page.count) + _STUB
        y = top + _ROW * (k if k < left else page.count - 1 - k)
        page.line([page.x(rank), page.x(rank), outer], [_LINE, y, y], 0.8)
        side, gap = ("right", -0.06) if k < left else ("left", 0.06)
        page.text(outer + gap, y, f"{name}  {rank:.2f}", ha=side, va="center")
