"""A representation as a plot: its samples along two principal components, coloured by label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import polars as pl

from supremix_reports.figures.plot import RANKS, NotShown, Plot, counted, drawing, many_dots
from supremix_reports.statistics.resampling.seeds import Array
from supremix_reports.tables import schema


def embedding_plot(name: str, table: pl.DataFrame, words: str, target: str) -> Plot | NotShown:
    """Draw the table `embedding` of a run; `words` say what the features are of."""
    title = f"Features coloured by {target}"
    if table.is_empty():
        return NotShown(name=name, title=title, reason="The run's table of features is empty.")
    splits = ", ".join(sorted(table[schema.SPLIT].unique().to_list()))
    shares = table.select(schema.FIRST_SHARE, schema.SECOND_SHARE).row(0)
    points = table.select(schema.FIRST, schema.SECOND).to_numpy()
    unit = table[schema.UNIT][0]
    both = " and ".join(f"{share:.0%}" for share in shares)
    return Plot(
        name=name,
        title=title,
        caption=f"The features of {words} along their first two principal components, which have "
        f"{both} of their variance; {counted(table.height, 'sample')} of the split {splits}; the "
        f"colour is the true {target}.",
        alt=f"Scatter of the features of {words} along two principal components, each dot coloured "
        f"by its true {target}.",
        figure=draw_features(points, table[schema.TARGET], shares, f"{target} ({unit})"),
        data=table.select(schema.FIRST, schema.SECOND, schema.TARGET),
    )


def draw_features(points: Array, labels: npt.ArrayLike, shares: Sequence[float], words: str) -> Any:
    """Draw features (N, 2) along two principal components, coloured by label."""
    with drawing(height=4.2) as (figure, (axes,)):
        dots = axes.scatter(
            *points.T, c=labels, s=14, cmap=RANKS, linewidths=0, alpha=0.85,
            rasterized=many_dots(len(points)),
        )  # fmt: skip
        axes.set_xlabel(f"first principal component ({shares[0]:.0%} of the variance)")
        axes.set_ylabel(f"second principal component ({shares[1]:.0%})")
        axes.set_aspect("equal", adjustable="datalim")
        figure.colorbar(dots, ax=axes, label=words)
    return figure
