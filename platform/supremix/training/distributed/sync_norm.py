"""Batch normalisation over the batch of all workers, on any backend.

torch's own SyncBatchNorm runs on CUDA alone, and makes the host wait in every layer. This one
gathers each worker's count, mean and sum of squared deviations, and merges them exactly (Chan,
Golub and LeVeque 1979), so that W workers normalise by the statistics that one process would have.
Backward, the sums that the gradient needs are added up in one message too.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from supremix.models.normalising import corrected, exact, moments, scaled, scaled_backward
from supremix.training.distributed.collective import Collective


class GatheredBatchNorm(_BatchNorm):
    """Drop-in for `nn.BatchNorm1d/2d/3d` with the same parameters, buffers and names."""

    def __init__(self, norm: _BatchNorm, collective: Collective) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.training = norm.training
        self._collective = collective
        # Those of our own encoders do not count their batches, a user's do.
        self._counts: bool = getattr(norm, "counts", True)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  (the name is torch's)
        """Any (B, C, ...) will do."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the name is torch's)
        """(B, C, ...) -> the same shape, normalised."""
        if not self.training:
            return super().forward(input)
        weight, bias = self.weight, self.bias
        if not self.affine:
            weight = torch.ones(self.num_features, device=input.device)
            bias = torch.zeros_like(weight)
        output, mean, variance, count = _Normalise.apply(
            input, weight, bias, self.eps, self._collective
        )
        self._track(mean, variance, count)
        return output

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        momentum = 0.1 if self.momentum is None else self.momentum
        if self.running_mean is None or self.running_var is None:
            return
        self.running_mean.lerp_(mean.to(self.running_mean), momentum)
        unbiased = variance * count / (count - 1).clamp_min(1)
        self.running_var.lerp_(unbiased.to(self.running_var), momentum)
        if self._counts and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


class _Normalise(torch.autograd.Function):
    """Batch normalisation over the workers: one message forward, one backward."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, collective: Collective
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The normalised batch; mean (C,), biased variance (C,) and count (C,) of all workers."""
        mean, var = moments(exact(x))
        size = torch.full_like(mean, x.numel() // x.shape[1])
        own = torch.stack([size, mean, var * size]).unsqueeze(0)
        sizes, means, squares = collective.gather(own, [1] * collective.world).unbind(1)
        count = sizes.sum(0)
        merged = (sizes * means).sum(0) / count
        spread = squares.sum(0) + (sizes * (means - merged) ** 2).sum(0)
        variance = spread / count
        ctx.eps, ctx.collective = eps, collective
        ctx.save_for_backward(x, merged, variance, weight, count)
        ctx.mark_non_differentiable(merged, variance, count)
        return scaled(x, merged, variance, weight, bias, eps), merged, variance, count

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        x, mean, variance, weight, count = ctx.saved_tensors
        grad, by_weight, by_bias = scaled_backward(
            grad_outputs[0], x, mean, variance, weight, ctx.eps
        )
        inverse = torch.rsqrt(variance + ctx.eps)
        totals = ctx.collective.sum(torch.stack([by_weight, by_bias])) * weight * inverse / count
        slope, constant = totals[0] * inverse, totals[1]
        return corrected(grad, x, mean, slope, constant), by_weight, by_bias, None, None


def synchronise_norms(module: nn.Module, collective: Collective) -> nn.Module:
    """Make every batch normalisation inside see the batch of all workers; in place where it can.

    One worker alone needs none of it.
    """
    if collective.world == 1:
        return module
    for name, child in list(module.named_children()):
        if isinstance(child, _BatchNorm):
            setattr(module, name, GatheredBatchNorm(child, collective))
        else:
            synchronise_norms(child, collective)
    return module
