"""Checkpoints: written whole or not at all, read without executing anything."""

from __future__ import annotations

import os
import pickle
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from supremix.training.errors import CheckpointError

State = dict[str, Any]
"""Tensors, numbers, strings, lists and dicts of them."""


def save_checkpoint(state: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a state to a file, under another name first: a killed writer leaves no half file."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
    try:
        with draft.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def load_checkpoint(path: str | os.PathLike[str]) -> State:
    """Read a state back, onto the CPU; a file with code in it is refused.

    Raises:
        CheckpointError: no such file, or not one of `save_checkpoint`.
    """
    try:
        state: object = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint at {os.fspath(path)!r}") from error
    except (RuntimeError, EOFError, pickle.UnpicklingError, OSError) as error:
        raise CheckpointError(
            f"the checkpoint {os.fspath(path)!r} cannot be read ({error}); remove it and train "
            "again"
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{os.fspath(path)!r} holds no training state; it is another file")
    return cast(State, state)


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
