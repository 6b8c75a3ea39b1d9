"""What a search would have reached, had its trials come in another order."""

from __future__ import annotations

from typing import Final

import numpy as np

from supremix_reports.statistics.resampling.seeds import Array

SHUFFLES: Final = 500
_GRID: Final = 101
_LEAST: Final = 5


def best_in_shuffled_orders(
    epochs: Array, errors: Array, *, seed: int = 0
) -> tuple[Array, Array] | None:
    """Return how the best error so far varies over orders of the trials (Dodge et al. 2019).

    Args:
        epochs: Epochs that each trial cost, (N,).
        errors: Error of each trial, infinite where it has none that counts, (N,).
        seed: Seed of the shuffling.

    Returns:
        Epochs (P,) and the 5 %, 50 % and 95 % quantiles (3, P) of the best error so far over
        shuffled orders; epochs at which fewer than 95 % of the orders have an error are left out.
        None for fewer than five trials with an error.
    """
    if np.isfinite(errors).sum() < _LEAST:
        return None
    generator = np.random.default_rng(seed)
    grid = np.linspace(0.0, epochs.sum(), _GRID)
    best = np.empty((SHUFFLES, _GRID))
    for k in range(SHUFFLES):
        order = generator.permutation(len(errors))
        least = np.concatenate([[np.inf], np.minimum.accumulate(errors[order])])
        # An error counts once the last of its trial's epochs is spent.
        spent = np.cumsum(epochs[order])
        best[k] = least[np.searchsorted(spent, grid * (1 + 1e-12), side="right")]
    known = np.isfinite(best).mean(axis=0) >= 0.95
    quantiles = np.quantile(best[:, known], [0.05, 0.5, 0.95], axis=0, method="inverted_cdf")
    return grid[known], quantiles
