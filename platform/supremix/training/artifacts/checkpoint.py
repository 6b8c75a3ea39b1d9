"""Checkpoints: written whole or not at all, read without executing anything, at any address."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import Any, cast

import torch
from upath import UPath

from supremix._errors import CheckpointError
from supremix.storage.paths import Address, is_local, read_bytes, to_path, write_file
from supremix.storage.retry import WORKER_PATIENCE, failures, with_retries

State = dict[str, Any]
"""Tensors, numbers, strings, lists and dicts of them."""


def save_checkpoint(state: Mapping[str, Any], address: Address) -> None:
    """Write a state to a file, so that a reader finds the old one or the new one, never half.

    Storage that fails for a while (a full disk, a server that is away) is waited for.

    Args:
        state: what to keep.
        address: path or fsspec address; missing folders are made.

    Raises:
        RunFolderError: the storage went on failing for `WORKER_PATIENCE` seconds.
        OSError: the storage refuses, and would again.
    """
    target = to_path(address)
    content = dict(state)
    with_retries(
        lambda: write_file(target, lambda file: _save(content, file)),
        str(target),
        patience=WORKER_PATIENCE,
    )


def _save(state: State, file: Any) -> None:
    try:
        torch.save(state, file)
    except RuntimeError as error:
        # torch's writer closes its archive after the error of the disk, and complains of that.
        cause = error.__context__
        if isinstance(cause, OSError):
            raise cause from error
        raise


def load_checkpoint(address: Address) -> State:
    """Read a state back, onto the CPU; a file with code in it is refused.

    Args:
        address: path or fsspec address.

    Raises:
        CheckpointError: no such file, or not one of `save_checkpoint`.
    """
    path = to_path(address)
    try:
        state = with_retries(lambda: _read(path), str(path), patience=WORKER_PATIENCE)
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint at {str(path)!r}") from error
    except (RuntimeError, EOFError, pickle.UnpicklingError, *failures()) as error:
        raise CheckpointError(
            f"the checkpoint {str(path)!r} cannot be read ({error}); remove it and train again"
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{str(path)!r} holds no training state; it is another file")
    return cast(State, state)


def _read(path: UPath) -> object:
    source = str(path) if is_local(path) else io.BytesIO(read_bytes(path))
    return torch.load(source, map_location="cpu", weights_only=True)


def checkpoint_exists(address: Address) -> bool:
    """Whether there is a checkpoint; one that is there is whole."""
    path = to_path(address)
    return with_retries(path.exists, str(path), patience=WORKER_PATIENCE)
