"""Normalisation by statistics that are computed apart, in the type of what is normalised.

Under autocast PyTorch computes group normalisation in float32 and keeps its input and output in it.
Here statistics and arithmetic are in float32 (in float64 for float64), while what is read, written
and kept for the backward pass stays in the type of the input.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional


def exact(x: Tensor) -> Tensor:
    """A tensor in the type that statistics, covariates and heads are computed in."""
    return x if x.dtype == torch.float64 else x.float()


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance (C,) of each channel of x (N, C, ...), float32 or float64."""
    if x.device.type == "cpu":
        # The kernel of torch's own batch normalisation: `var_mean` is up to twelve times slower.
        found: Any = torch.ops.aten.batch_norm_update_stats(x, None, None, 0.0)
        return found
    var, mean = torch.var_mean(x, [0, *range(2, x.ndim)], correction=0)
    return mean, var


def scaled(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, in the type of x.

    Args:
        x: (N, C, ...).
        mean: (C,), as all that follow.
        var: Variance.
        weight: Factor.
        bias: Summand.
        eps: Added to the variance.
    """
    return functional.batch_norm(x, mean, var, weight, bias, training=False, eps=eps)


def scaled_backward(
    grad: Tensor, x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `scaled` in x, weight and bias, as if mean and variance were constants."""
    found: Any = torch.ops.aten.native_batch_norm_backward(
        grad, x, weight, mean, var, None, None, False, eps, [True, True, True]
    )
    return found


def corrected(grad: Tensor, x: Tensor, mean: Tensor, slope: Tensor, constant: Tensor) -> Tensor:
    """Take slope * (x - mean) + constant, the part through the statistics, off a gradient in x."""
    # One pass of a fused kernel: a normalisation with a variance of one.
    part = functional.batch_norm(
        x, mean, torch.ones_like(mean), slope, constant, training=False, eps=0.0
    )
    return grad.sub_(part)


class _GroupNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
    ) -> Tensor:
        count, channels = x.shape[:2]
        var, mean = torch.var_mean(exact(x).reshape(count * groups, -1), 1, correction=0)
        # One image of N C channels, each with the statistics of its group.
        planes = x.reshape(1, count * channels, -1)
        mean, var = (part.repeat_interleave(channels // groups) for part in (mean, var))
        ctx.groups, ctx.eps = groups, eps
        ctx.save_for_backward(x, mean, var, weight)
        y = scaled(planes, mean, var, weight.repeat(count), bias.repeat(count), eps)
        return y.view(x.shape)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        x, mean, var, weight = ctx.saved_tensors
        count, channels = x.shape[:2]
        planes, factors = x.reshape(1, count * channels, -1), weight.repeat(count)
        grad, by_weight, by_bias = scaled_backward(
            grad_outputs[0].reshape(planes.shape), planes, mean, var, factors, ctx.eps
        )
        within = channels // ctx.groups
        inverse = torch.rsqrt(var + ctx.eps)

        def over_group(sums: Tensor) -> Tensor:
            total = (factors * sums).view(-1, within).sum(1) / (within * planes.shape[2])
            return total.repeat_interleave(within)

        slope, constant = inverse**2 * over_group(by_weight), inverse * over_group(by_bias)
        grad = corrected(grad, planes, mean, slope, constant)
        sums = (total.view(count, channels).sum(0) for total in (by_weight, by_bias))
        return grad.view(x.shape), *sums, None, None


def group_norm(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
    """Group normalisation of x (N, C, ...) in its own type, with statistics in float32."""
    return cast(Tensor, _GroupNorm.apply(x, weight, bias, groups, eps))
