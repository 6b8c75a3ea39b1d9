"""Batch normalisation over the batch of all workers, on any backend.

torch's own SyncBatchNorm runs on CUDA alone. This one gathers each worker's count, mean and sum
of squared deviations, and merges them exactly (Chan, Golub and LeVeque 1979), so that W workers
normalise by the statistics that one process would have; gradients flow through the gather.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from supremix.training.distributed.collective import Collective, Distributed


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
        exact = input if input.dtype == torch.float64 else input.float()
        mean, variance, count = self._statistics(exact)
        self._track(mean.detach(), variance.detach(), count)
        view = (1, -1, *[1] * (input.ndim - 2))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return (exact * scale.view(view) + shift.view(view)).to(input.dtype)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean (C,), biased variance (C,) and count () over all workers' batches."""
        axes = [axis for axis in range(x.ndim) if axis != 1]
        count = x.new_full((x.shape[1],), float(x.numel() // x.shape[1]))
        mean = x.mean(axes)
        squares = ((x - mean.view(1, -1, *[1] * (x.ndim - 2))) ** 2).sum(axes)
        own = torch.stack([count, mean, squares]).unsqueeze(0)
        counts, means, sums = self._collective.gather(own, [1] * self._collective.world).unbind(1)
        total = counts.sum(0)
        merged = (counts * means).sum(0) / total
        spread = sums.sum(0) + (counts * (means - merged) ** 2).sum(0)
        return merged, spread / total, total[0].detach()

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


def synchronise_norms(module: nn.Module, collective: Collective, device: torch.device) -> nn.Module:
    """Make every batch normalisation inside see the batch of all workers; in place where it can.

    torch's on CUDA, which is fused, and ours elsewhere. One worker alone needs neither.
    """
    if collective.world == 1:
        return module
    if device.type == "cuda":
        group = collective.tensors if isinstance(collective, Distributed) else None
        return nn.SyncBatchNorm.convert_sync_batchnorm(module, group)
    for name, child in list(module.named_children()):
        if isinstance(child, _BatchNorm):
            setattr(module, name, GatheredBatchNorm(child, collective))
        else:
            synchronise_norms(child, collective, device)
    return module
