"""Copies of a training state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch


def frozen(value: Any) -> Any:
    """A copy of a nested state on the CPU that later training steps do not change."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        items = cast(Mapping[Any, Any], value).items()
        return {key: frozen(item) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [frozen(item) for item in cast("list[Any]", value)]
    return value
