"""Rank correlation of errors on the way with the error at the end, on recorded trainings.

    python benchmarks/ranks.py [TABLE…]

Trials are compared at rungs, so what they are compared by should rank them as the end does. For
each recording (`benchmarks/record_curves.py`), at a third, half and two thirds of the epochs:
Spearman's correlation with the error after the last epoch of the least error so far, of the last
one, and of the least of the last quarter of the epochs so far, which searches use.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from supremix.tuning.study.pruning import recent_error

CURVES = Path(__file__).parent / "curves"
TABLES = [CURVES / f"{name}.parquet" for name in ("rsna-bone-age", "hc18")]
WAY = {"a third": 1 / 3, "half": 1 / 2, "two thirds": 2 / 3}
SCORES: dict[str, Callable[[Sequence[float]], float]] = {
    "least so far": min,
    "last": lambda errors: errors[-1],
    "least of the last quarter": recent_error,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    recorded = [*TABLES, *sorted((CURVES / "stable-decay").glob("*.parquet"))]
    parser.add_argument("tables", nargs="*", type=Path, default=recorded)
    print(f"| recording | trials | compared by | {' | '.join(WAY)} |")
    print("| --- | --- | --- |" + " --- |" * len(WAY))
    for table in parser.parse_args().tables:
        curves = errors_of(pl.read_parquet(table))
        for name, score in SCORES.items():
            cells = [f"{correlation(curves, score, share):.2f}" for share in WAY.values()]
            row = (f"{table.parent.name}/{table.stem}", str(len(curves)), name, *cells)
            print(f"| {' | '.join(row)} |")


def errors_of(recording: pl.DataFrame) -> np.ndarray:
    """(trials, epochs) errors of the trials that were trained to the end."""
    curves = [rows["error"].to_numpy() for _, rows in recording.group_by("trial")]
    longest = max(map(len, curves))
    return np.stack([c for c in curves if len(c) == longest and np.isfinite(c).all()])


def correlation(
    curves: np.ndarray, score: Callable[[Sequence[float]], float], share: float
) -> float:
    """Spearman's correlation of the scores after a share of the epochs with the last errors."""
    epoch = round(share * curves.shape[1])
    scores = [score(curve[:epoch].tolist()) for curve in curves]
    return float(spearmanr(scores, curves[:, -1]).statistic)


if __name__ == "__main__":
    main()
