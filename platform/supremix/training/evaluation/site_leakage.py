"""Leakage of the acquisition site into a representation, by a linear probe on frozen features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def site_leakage(
    features: Tensor,
    sites: Sequence[str | None],
    groups: Sequence[str],
    *,
    generator: torch.Generator,
    folds: int = 5,
) -> tuple[float, float]:
    """Accuracy of a linear probe on the features for the site of a sample's acquisition.

    A ridge classifier (one against all, sites weighted alike), evaluated on folds of groups it was
    not fitted to, by the mean over the sites of the share of their samples that it gets right.

    Args:
        features: (N, F).
        sites: (N,), None where unknown; those samples are left out, and sites
            with fewer groups than folds.
        groups: (N,) patients, none of whom is split.
        generator: Source of the folds.
        folds: Number of folds.

    Returns:
        The balanced accuracy, and that of guessing, 1 / number of sites. NaN where fewer than two
        sites are left.
    """
    rows, site, fold = _deal_folds(sites, groups, generator, folds)
    number = int(site.max()) + 1 if len(site) else 0
    if number < 2:
        return math.nan, math.nan
    x = features.double()[rows]
    guess = torch.empty_like(site)
    for held in range(folds):
        out = fold == held
        guess[out] = classify(x[~out], site[~out], x[out], number)
    right = (guess == site).double()
    hits = torch.zeros(number, dtype=torch.float64).index_add_(0, site, right)
    return float((hits / torch.bincount(site, minlength=number)).mean()), 1 / number


def _deal_folds(
    sites: Sequence[str | None], groups: Sequence[str], generator: torch.Generator, folds: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows that take part, the index of their site, and their fold, each (n,)."""
    home: dict[str, str] = {}
    for group, site in zip(groups, sites, strict=True):
        if site is not None:
            # A group seen at several sites is dealt with its first one, and stays in one fold.
            home.setdefault(group, site)
    members: dict[str, list[str]] = {}
    for group, site in home.items():
        members.setdefault(site, []).append(group)
    kept = sorted(site for site, own in members.items() if len(own) >= folds)
    fold_of: dict[str, int] = {}
    for site in kept:
        shuffled = torch.randperm(len(members[site]), generator=generator).tolist()
        fold_of |= {members[site][k]: rank % folds for rank, k in enumerate(shuffled)}
    index = {site: number for number, site in enumerate(kept)}
    found = [
        (row, index[site], fold_of[group])
        for row, (site, group) in enumerate(zip(sites, groups, strict=True))
        if site in index and group in fold_of
    ]
    columns = torch.tensor(found, dtype=torch.int64).reshape(-1, 3).unbind(1)
    return columns[0], columns[1], columns[2]


def classify(
    known: Tensor, classes: Tensor, features: Tensor, number: int, *, alpha: float = 1.0
) -> Tensor:
    """Classes (N,) of features (N, F) by a ridge classifier, one against all.

    It solves min Σ_n w_n |t_n - x_n B - b|² + alpha |B|² for targets t of 1 for the own class and
    -1 for the others, x standardised, and weights w that give every class the same sum.

    Args:
        known: (K, F) features to fit.
        classes: (K,) their classes, 0 <= class < number.
        features: (N, F).
        number: Number of classes; one without a sample is never predicted.
        alpha: Strength of the penalty.
    """
    centre, spread = known.mean(0), known.std(0, correction=0)
    spread = torch.where(spread > 1e-9 * (1 + centre.abs()), spread, torch.inf)
    x, new = (known - centre) / spread, (features - centre) / spread
    counts = torch.bincount(classes, minlength=number)
    weight = (len(classes) / ((counts > 0).sum() * counts[classes])).unsqueeze(1)
    target = torch.nn.functional.one_hot(classes, number).double() * 2 - 1
    middle, mean = (weight * x).sum(0) / weight.sum(), (weight * target).sum(0) / weight.sum()
    left = (weight * (x - middle)).T @ (x - middle)
    left.diagonal().add_(alpha)
    solved = torch.linalg.solve(left, (weight * (x - middle)).T @ (target - mean))
    return ((new - middle) @ solved + mean).masked_fill(counts == 0, -torch.inf).argmax(1)
