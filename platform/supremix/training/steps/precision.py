"""Mixed precision: the type of the forward pass, and the scaling that fp16 needs."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from supremix._choices import PRECISIONS
from supremix._errors import TaskError

# "auto", the first of the names, is one of the others, depending on the device.
_TYPES: dict[str, torch.dtype | None] = dict(
    zip(PRECISIONS[1:], (None, torch.bfloat16, torch.float16), strict=True)
)


def _fastest(device: torch.device) -> str:
    """The precision that "auto" stands for: bfloat16 where the GPU computes in it (from Ampere)."""
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"


class Precision:
    """Autocast and gradient scaling of a run.

    Args:
        name: One of `PRECISIONS`, see `Task.precision`.
        device: Device of the training.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self.name = _fastest(device) if name == "auto" else name
        self.dtype = _TYPES[self.name]
        self._device = device

    def check(self, axes: int) -> None:
        """Raise TaskError where the gradients of images of so many axes would be wrong."""
        if self.name == "bf16" and self._device.type == "cpu" and axes == 3:
            # Seen in torch 2.13 (oneDNN 3.12): weight gradients at right angles to the true ones.
            raise TaskError(
                "precision='bf16' on a CPU gives wrong gradients in 3-D convolutions (a fault of "
                "torch's CPU kernels); use precision='fp32' or 'auto', or train on a GPU"
            )

    def autocast(self) -> AbstractContextManager[object]:
        """The context of a forward pass in training; an evaluation needs none, it is in float32."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self._device.type, dtype=self.dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """Scales the loss for fp16, whose gradients underflow; for the others it does nothing."""
        return torch.amp.GradScaler(self._device.type, enabled=self.name == "fp16")
