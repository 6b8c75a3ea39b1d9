"""Mixing of samples and labels: mixup, Manifold mixup and C-Mixup (Yao et al. 2022).

Partners and shares are drawn for the whole batch, so workers whose generators are in one state
agree on them; what is mixed, inputs or features, is up to the caller.
"""

from __future__ import annotations

import torch
from torch import Tensor

from supremix.losses.common.beta import draw_beta
from supremix.losses.common.checks import check_finite_labels, check_positive
from supremix.losses.common.errors import LossInputError
from supremix.losses.common.transfer import to_device


def mixup_partners(count: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Draw a partner for each sample, all equally likely.

    Args:
        count: B, the number of samples.
        generator: where the draws come from; None is torch's global CPU generator.

    Returns:
        ``(B,)`` int64 on the generator's device, a permutation of the samples.
    """
    device = torch.device("cpu") if generator is None else generator.device
    return torch.randperm(count, generator=generator, device=device)


def c_mixup_partners(
    labels: Tensor, *, bandwidth: float, generator: torch.Generator | None = None
) -> Tensor:
    """Draw a partner for each sample, the likelier the nearer its label.

    The probability of j for i is proportional to ``exp(-(y_i - y_j)^2 / (2 bandwidth^2))`` over
    all j other than i.

    Args:
        labels: ``(B,)`` real, in the unit of the task.
        bandwidth: in the same unit, above 0.
        generator: where the draws come from; None is torch's global CPU generator.

    Returns:
        ``(B,)`` int64 on the device of the labels; a sample alone is its own partner.

    Raises:
        LossInputError: an argument is not legal, or a label is not finite.
    """
    check_positive("bandwidth", bandwidth)
    if labels.ndim != 1:
        raise LossInputError(
            f"Expected labels of shape (B,), found {tuple(labels.shape)}. Give one per sample."
        )
    check_finite_labels(labels)
    count = len(labels)
    device = torch.device("cpu") if generator is None else generator.device
    uniform = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
    if count < 2:
        return torch.zeros(count, dtype=torch.int64, device=labels.device)
    values = labels.detach().double()
    level = ((values.unsqueeze(1) - values) / bandwidth).square_().mul_(-0.5)
    level.fill_diagonal_(-torch.inf)
    # Softmax, not exp: a sample far from all still has a nearest.
    reach = level.softmax(1).cumsum(1)
    point = uniform.to(labels.device).unsqueeze(1) * reach[:, -1:]
    return torch.searchsorted(reach, point, right=True).squeeze(1).clamp_(max=count - 1)


def draw_mixing(count: int, *, alpha: float, generator: torch.Generator | None = None) -> Tensor:
    """Draw the share of each sample in its mixture from Beta(alpha, alpha).

    Args:
        count: B, the number of samples.
        alpha: both shapes, above 0: near 0 nearly nothing is mixed, 1 is uniform.
        generator: where the draws come from; None is torch's global CPU generator.

    Returns:
        ``(B,)`` float32 within [0, 1], on the generator's device.

    Raises:
        LossInputError: alpha is not legal.
    """
    return draw_beta(count, 1, alpha=alpha, beta=alpha, generator=generator).squeeze(1)


def mix(values: Tensor, partners: Tensor, shares: Tensor) -> Tensor:
    """Mix each sample with its partner: ``share * own + (1 - share) * partner's``.

    Args:
        values: ``(B, ...)`` floating: inputs, features or labels.
        partners: ``(B,)`` int64.
        shares: ``(B,)`` within [0, 1].

    Returns:
        The shape and type of ``values``.

    Raises:
        LossInputError: the three are not of one length, or values are not floating.
    """
    if not values.is_floating_point() or not len(values) == len(partners) == len(shares):
        raise LossInputError(
            f"Expected floating values, partners and shares of one length, found {values.dtype} "
            f"and lengths {len(values)}, {len(partners)}, {len(shares)}. Draw both for the batch."
        )
    partners, shares = to_device((partners, shares.to(values.dtype)), values.device)
    return torch.lerp(values[partners], values, shares.reshape(-1, *[1] * (values.ndim - 1)))
