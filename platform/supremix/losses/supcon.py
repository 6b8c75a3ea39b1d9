"""Supervised contrast (Khosla et al. 2020, arXiv 2004.11362) with positives by label bin."""

from __future__ import annotations

import torch
from torch import Tensor

from supremix.losses.checks import (
    anchor_range,
    check_batch,
    check_finite_labels,
    check_not_negative,
    check_positive,
    full_precision,
    prepared,
)
from supremix.losses.labels import bin_ids


def supcon_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    temperature: float = 0.07,
    label_bin: float = 1.0,
    normalize: bool = True,
    anchors: slice | None = None,
) -> Tensor:
    """Compute the SupCon loss: SupReMix without mixtures and weights.

    ``L_i = -1/|P_i| sum_{p in P_i} [ s_ip - log sum_{a != i} exp(s_ia) ]``, averaged over the
    anchors that have a positive.

    Args:
        embeddings: ``(M, D)`` floating, all views of all images of the batch.
        labels: ``(M,)`` real, in the unit of the task.
        temperature: what similarities are divided by, above 0.
        label_bin: width of the grid on which labels are the same; 0 for exact equality.
        normalize: whether embeddings are brought to unit length first.
        anchors: only these rows are anchors, against all M; the values of slices that cover the
            batch add up to the whole-batch loss, and so do the gradients. None for all rows.

    Returns:
        A scalar in float32 (float64 for float64 embeddings), also under autocast; 0 with a
        gradient of 0 when no anchor has a positive.

    Raises:
        LossInputError: shapes or settings are not legal, or a label is not finite.
    """
    check_positive("temperature", temperature)
    check_not_negative("label_bin", label_bin)
    check_batch(embeddings, labels)
    check_finite_labels(labels)
    start, stop = anchor_range(anchors, len(labels))
    bins = bin_ids(labels.detach(), label_bin)
    count = torch.bincount(bins)[bins] - 1
    effective = int((count > 0).sum())
    with full_precision(embeddings.device):
        z = prepared(embeddings, normalize=normalize)
        if effective == 0:
            # Nothing to learn from: zero, but still a node that backward can start from.
            return (z * 0).sum()
        logits = (z[start:stop] / temperature) @ z.T
        same = bins[start:stop].unsqueeze(1) == bins
        own = torch.zeros_like(same)
        own.diagonal(start).fill_(True)
        pull = logits.masked_fill(~same | own, 0).sum(1) / count[start:stop].clamp(min=1)
        push = logits.masked_fill(own, -torch.inf).logsumexp(1)
        return ((push - pull) * (count[start:stop] > 0)).sum() / effective
