"""The reference of the losses: the formulas as plain loops over real mixture vectors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional


def _bin_of(label: float, width: float) -> float:
    return label if width == 0 else math.floor(label / width)


def _real_terms(y, i, label_bin):
    """Positives and negatives of anchor i, as indices."""
    rest = [k for k in range(len(y)) if k != i]
    home = _bin_of(y[i], label_bin)
    return (
        [k for k in rest if _bin_of(y[k], label_bin) == home],
        [k for k in rest if _bin_of(y[k], label_bin) != home],
    )


def _hard_negatives(z, y, i, negatives, lam):
    """Mix-neg of anchor i: vectors and their labels."""
    for k in negatives:
        part = lam[i, k].item()
        yield part * z[i] + (1 - part) * z[k], part * y[i] + (1 - part) * y[k]


def _hard_positives(z, y, i, window, label_bin):
    """Mix-pos of anchor i, of two distinct negatives: vectors."""
    home = _bin_of(y[i], label_bin)
    others = [j for j in range(len(y)) if _bin_of(y[j], label_bin) != home]
    for j, k in itertools.product(others, repeat=2):
        if y[j] < y[i] < y[k] and y[i] - y[j] < window and y[k] - y[i] < window:
            part = (y[k] - y[i]) / (y[k] - y[j])
            yield part * z[j] + (1 - part) * z[k]


def brute_supremix(
    embeddings: Tensor,
    labels: Tensor,
    *,
    lam: Tensor | None = None,
    temperature: float = 0.3,
    label_bin: float = 1.0,
    label_scale: float = 1.0,
    window: float = 5.0,
    mix_neg: bool = True,
    mix_pos: bool = True,
    weights: bool = True,
    stop_gradient: bool = True,
    normalize: bool = True,
    normalize_mixtures: bool = False,
) -> Tensor:
    """SupReMix with a vector per mixture, a list per set, and autograd for the gradient."""
    z = functional.normalize(embeddings, dim=1) if normalize else embeddings
    y = labels.tolist()
    losses: list[Tensor] = []
    for i in range(len(y)):
        same, different = _real_terms(y, i, label_bin)
        hard = list(_hard_negatives(z, y, i, different, lam)) if mix_neg else []
        mixed = list(_hard_positives(z, y, i, window, label_bin)) if mix_pos else []
        if normalize_mixtures:
            hard = [(functional.normalize(vector, dim=0), label) for vector, label in hard]
            mixed = [functional.normalize(vector, dim=0) for vector in mixed]
        if stop_gradient:
            hard = [(vector.detach(), label) for vector, label in hard]
            mixed = [vector.detach() for vector in mixed]
        positives = [z[k] for k in same] + mixed
        negatives = [(z[k], y[k]) for k in different] + hard
        if not positives:
            continue
        others = [(vector, 0.0) for vector in positives]
        others += [(vector, abs(y[i] - label) / label_scale) for vector, label in negatives]
        terms = [
            z[i] @ vector / temperature + (math.log1p(distance) if weights else 0.0)
            for vector, distance in others
        ]
        denominator = torch.logsumexp(torch.stack(terms), dim=0)
        gaps = [denominator - z[i] @ positive / temperature for positive in positives]
        losses.append(torch.stack(gaps).mean())
    return torch.stack(losses).mean() if losses else (embeddings * 0).sum()


def random_batch(seed: int, *, count: int | None = None, width: int = 5) -> tuple[Tensor, ...]:
    """Embeddings, labels and lam in float64; what the labels are like depends on the seed.

    Over the seeds: two views or one, tied or continuous labels, many or few of them, so that
    windows are empty and anchors go without positives.
    """
    generator = torch.Generator().manual_seed(seed)
    views = 1 + seed % 2
    images = (count or 4 + seed % 7) // views
    spread = (4.0, 12.0, 60.0)[seed % 3]
    labels = torch.rand(images, generator=generator, dtype=torch.float64) * spread - 2
    if seed % 4 < 2:
        labels = labels.round()
    labels = labels.repeat(views)
    size = len(labels)
    embeddings = torch.randn(size, width, generator=generator, dtype=torch.float64)
    lam = torch.rand(size, size, generator=generator, dtype=torch.float64)
    return embeddings.requires_grad_(), labels, lam


@pytest.fixture
def brute() -> Callable[..., Tensor]:
    """The brute-force loss."""
    return brute_supremix


@pytest.fixture
def batch() -> Callable[..., tuple[Tensor, ...]]:
    """Random batches by seed."""
    return random_batch
