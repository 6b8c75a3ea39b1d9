"""The SupReMix loss: supervised contrast for regression with mixed negatives and positives.

Formulas: Wu, Dong, Chen, Zhou, Zhou, arXiv 2309.16633. For an anchor i with positives P_i (other
rows of its label bin, and Mix-pos) and A_i (every other row, Mix-neg and Mix-pos),

    L_i = -1/|P_i| sum_{p in P_i} [ s_ip - log sum_{a in A_i} w_ia exp(s_ia) ],

averaged over the anchors that have a positive; ``w_ia = 1 + |y_i - y_a| / label_scale``, 1 for a
positive. No mixture is ever built: memory is O(M^2), plus a chunk of Mix-pos pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from supremix.losses.common.base import Loss, not_negative, positive
from supremix.losses.common.beta import draw_beta
from supremix.losses.common.checks import checked_labels, full_precision, nothing, prepared
from supremix.losses.common.errors import LossInputError
from supremix.losses.common.labels import bin_ids, find_neighbours
from supremix.losses.common.transfer import to_device
from supremix.losses.supremix.gram import MixtureContrast, evaluate
from supremix.losses.supremix.pairs import Rectangles, Samples, plan_pairs
from supremix.losses.supremix.sphere import evaluate_on_sphere


@dataclass(frozen=True, slots=True, kw_only=True)
class SupReMixLoss(Loss):
    """The SupReMix loss.

    Args:
        temperature: what similarities are divided by, above 0.
        label_bin: width of the grid on which labels are the same, in the unit of the labels;
            0 for exact equality.
        label_scale: label distance that counts as 1 in the weights, same unit, above 0.
        window: Mix-pos uses neighbours strictly nearer than this in label, same unit; 0 for none.
        alpha: first shape of the Beta distribution of lam, the anchor's part in Mix-neg, above 0.
        beta: second shape, above 0.
        mix_neg: whether there are anchor-inclusive hard negatives.
        mix_pos: whether there are anchor-exclusive hard positives.
        weights: whether label distance magnifies the terms of the denominator.
        stop_gradient: whether mixtures are constants, so that the gradient of their terms reaches
            an embedding as anchor only.
        normalize: whether embeddings are brought to unit length first.
        normalize_mixtures: whether mixtures are brought to unit length too. Slower, since that
            needs the length of every mixture of two others; see ``sphere``.
        max_pairs: Mix-pos pairs per anchor beyond which a random subset of this size stands for
            all of them; None for no cap. The pairs are cut into ``max_pairs`` strata, one pair of
            each is drawn and counts as many times as its stratum has pairs, in the numerator and
            in the denominator alike: both sums (not the logarithm) are estimated without bias,
            and |P_i| stays the number of all pairs.

    Raises:
        LossInputError: a value is outside what is legal.
    """

    temperature: float = positive(0.3)
    label_bin: float = not_negative(1.0)
    label_scale: float = positive(1.0)
    window: float = not_negative(5.0)
    alpha: float = positive(2.0)
    beta: float = positive(8.0)
    mix_neg: bool = True
    mix_pos: bool = True
    weights: bool = True
    stop_gradient: bool = True
    normalize: bool = True
    normalize_mixtures: bool = False
    max_pairs: int | None = None

    def __post_init__(self) -> None:
        Loss.__post_init__(self)
        if self.max_pairs is not None and self.max_pairs < 1:
            raise LossInputError(
                f"Expected max_pairs of at least 1, found {self.max_pairs}. "
                "Use None for no cap, mix_pos=False for no pairs."
            )

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        *,
        lam: Tensor | None = None,
        generator: torch.Generator | None = None,
        anchors: slice | None = None,
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: ``(M, D)`` floating, all views of all images of the batch.
            labels: ``(M,)`` real and finite, in the unit of the task.
            lam: ``(M, M)``, row i for anchor i, within [0, 1]; drawn from Beta(alpha, beta) if
                None.
            generator: Source of everything random: first lam (if not given), then the pairs under
                a cap, always for all M, so that ranks with generators in one state agree. On any
                device; None is torch's global CPU generator.
            anchors: Only these rows are anchors, against all M; the values of slices that cover
                the batch add up to the whole-batch loss, and so do the gradients. None for all.

        Returns:
            A scalar in float32 (float64 for float64 embeddings), also under autocast; 0 with a
            gradient of 0 when no anchor has a positive. It can be differentiated once.

        Raises:
            LossInputError: Shapes are not legal, or a label is not finite.
        """
        known, span = checked_labels(embeddings, labels, anchors)
        lam = self._mixing(embeddings, lam, generator, span)
        uniform = self._choices(embeddings, generator, span)
        with full_precision(embeddings.device):
            z = prepared(embeddings, normalize=self.normalize)
            problem = self._problem(z, known, lam, uniform, span)
            if problem is None:
                return nothing(z)
            return (
                evaluate_on_sphere(z, problem) if self.normalize_mixtures else evaluate(z, problem)
            )

    def _mixing(
        self,
        embeddings: Tensor,
        lam: Tensor | None,
        generator: torch.Generator | None,
        span: tuple[int, int],
    ) -> Tensor | None:
        """The anchors' rows of lam, given or drawn, None without Mix-neg."""
        count, rows = len(embeddings), slice(*span)
        if lam is not None and lam.shape != (count, count):
            raise LossInputError(
                f"Expected lam of shape ({count}, {count}), found {tuple(lam.shape)}. "
                "Give one row per anchor and one column per embedding, also with anchors."
            )
        if not self.mix_neg:
            return None
        if lam is not None:
            return lam.detach()[rows].cpu()
        return draw_beta(
            count, count, alpha=self.alpha, beta=self.beta, generator=generator, keep=rows
        )

    def _choices(
        self, embeddings: Tensor, generator: torch.Generator | None, span: tuple[int, int]
    ) -> Tensor | None:
        """The uniforms by which pairs are chosen, drawn for all M so that every rank agrees."""
        if self.max_pairs is None or not self.mix_pos:
            return None
        device = torch.device("cpu") if generator is None else generator.device
        shape = (len(embeddings), self.max_pairs)
        return torch.rand(shape, generator=generator, device=device)[slice(*span)]

    def _problem(
        self,
        z: Tensor,
        labels: Tensor,
        lam: Tensor | None,
        uniform: Tensor | None,
        span: tuple[int, int],
    ) -> MixtureContrast | None:
        """The batch as the kernel takes it, None when no anchor at all has a positive."""
        bins = bin_ids(labels, self.label_bin)
        positives = torch.bincount(bins)[bins] - 1
        neighbours = find_neighbours(labels, self.window, bins) if self.mix_pos else None
        if neighbours is not None:
            positives = positives + neighbours.pairs
        effective = int((positives > 0).sum())
        if effective == 0:
            return None
        keep = None if lam is None else 1 - lam.to(z.dtype)
        count = positives[slice(*span)].to(z.dtype)
        share = (count > 0).to(z.dtype) / effective
        rate = share / count.clamp_(min=1)
        pairs: list[Rectangles | Samples] = []
        if neighbours is not None:
            pairs = plan_pairs(neighbours, rate, span[0], uniform=uniform, device=z.device)
        same = bins[slice(*span)].unsqueeze(1) == bins
        target = same.to(z.dtype).mul_(-rate.unsqueeze(1))
        target.diagonal(span[0]).fill_(0)
        problem = MixtureContrast(
            temperature=self.temperature,
            stop_gradient=self.stop_gradient,
            start=span[0],
            stop=span[1],
            share=share,
            rate=rate,
            target=target,
            bin=same,
            excess=self._excess(labels, same, keep, span, z.dtype) if self.weights else None,
            keep=keep,
            pairs=pairs,
        )
        return to_device(problem, z.device)

    def _excess(
        self,
        labels: Tensor,
        same: Tensor,
        keep: Tensor | None,
        span: tuple[int, int],
        kind: torch.dtype,
    ) -> Tensor:
        """By what the weights of the terms of the denominator exceed 1, see `MixtureContrast`."""
        values = labels.double()
        values = ((values - values.mean()) / self.label_scale).to(kind)
        count = len(labels)
        excess = torch.empty(len(same), count if keep is None else 2 * count, dtype=kind)
        real = excess[:, :count]
        torch.sub(values[slice(*span)].unsqueeze(1), values, out=real)
        real.abs_().masked_fill_(same, 0)
        if keep is not None:
            torch.mul(real, keep, out=excess[:, count:])
        return excess


def supremix_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    lam: Tensor | None = None,
    generator: torch.Generator | None = None,
    anchors: slice | None = None,
    **hyperparameters: Any,
) -> Tensor:
    """Compute the SupReMix loss of a batch: ``SupReMixLoss(**hyperparameters)`` called once.

    Args:
        embeddings: ``(M, D)`` floating, all views of all images of the batch.
        labels: ``(M,)`` real, in the unit of the task.
        lam: ``(M, M)``, see `SupReMixLoss.__call__` for this and the next two.
        generator: Source of everything random.
        anchors: Rows that are anchors.
        hyperparameters: Those of `SupReMixLoss`: temperature, label_bin, label_scale, window,
            alpha, beta, mix_neg, mix_pos, weights, stop_gradient, normalize, normalize_mixtures,
            max_pairs.

    Returns:
        A scalar in float32 (float64 for float64 embeddings).

    Raises:
        LossInputError: Shapes or hyperparameters are not legal, or a label is not finite.
    """
    loss = SupReMixLoss(**hyperparameters)
    return loss(embeddings, labels, lam=lam, generator=generator, anchors=anchors)
