"""Learning curves of several runs by images seen, for docs/evidence.md.

    python benchmarks/evidence.py OUT.png TITLE=RUN,RUN… [TITLE=RUN,RUN…]

Each title is a panel, with a line for each run folder: the validation error of its first trial (of
the ridge probe while an encoder is pretrained, dotted), over the images seen.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import polars as pl

COLOURS = ("#1f3b73", "#c0392b", "#2e8b57", "#d68910", "#7d3c98", "#17a2b8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("panels", nargs="+", metavar="TITLE=RUN,RUN…")
    options = parser.parse_args()
    panels = [item.split("=", 1) for item in options.panels]
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4.4 * len(panels), 3.6), squeeze=False, layout="constrained"
    )
    for axis, (title, runs) in zip(axes[0], panels, strict=True):
        panel(axis, title, [Path(run) for run in runs.split(",")])
    figure.savefig(options.out, dpi=110)


def panel(axis: Any, title: str, runs: list[Path]) -> None:
    """One dataset's curves."""
    for colour, run in zip(COLOURS, runs, strict=False):
        curves = pl.read_parquet(run / "curves.parquet").filter(pl.col("trial") == 0)
        trials = pl.read_parquet(run / "trials.parquet")
        axis.plot([], [], color=colour, label=run.name)
        for _, rows in curves.group_by("stage", maintain_order=True):
            probe = rows["probe_mae"].is_finite().any()
            style = {"linestyle": ":" if probe else "-", "color": colour, "linewidth": 1.4}
            axis.plot(rows["images_seen"] / 1000, rows["error"], **style)
        axis.set_ylabel(f"MAE on validation ({trials['unit'][0]})")
    axis.set(title=title, xlabel="images seen (thousands)", yscale="log")
    for ticks in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
        ticks("{x:g}")
    axis.tick_params(axis="y", which="both", labelsize=7)
    axis.grid(alpha=0.3, which="both")
    axis.legend(fontsize=8)


if __name__ == "__main__":
    main()
