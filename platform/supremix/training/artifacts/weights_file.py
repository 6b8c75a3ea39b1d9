"""Reading the weights in a file of others, without running anything that it holds."""

from __future__ import annotations

import io
import pickle
import re
import struct
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from supremix._errors import TaskError
from supremix.storage.paths import Address, read_bytes, to_path
from supremix.storage.retry import failures

_NESTS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "encoder",
    "backbone", "teacher", "student",
)  # fmt: skip
_SAFE = ".safetensors"
_DAMAGED = (
    pickle.UnpicklingError, EOFError, RuntimeError, ValueError, TypeError, AttributeError,
    LookupError, struct.error,
)  # fmt: skip
"""Raised by torch for bytes that are no file of its own."""


def is_weights_file(address: Address) -> bool:
    """Whether an address is that of a file, and not of the folder of a run or model."""
    return to_path(address).is_file()


def read_weights(address: Address) -> tuple[bytes, list[dict[str, Tensor]]]:
    """Read a file of weights: safetensors by its ending, else a file that torch saved.

    Args:
        address: Path or fsspec address of the file.

    Returns:
        The bytes of the file, and the tensors by name: a dictionary for each group of them, that
        of the outermost first, where they lie inside of others (`state_dict`, `model` ...).

    Raises:
        TaskError: It cannot be read, is damaged, holds more than tensors, or holds none.
    """
    path = to_path(address)
    try:
        content = read_bytes(path)
    except failures() as error:
        raise TaskError(f"cannot read the pretrained weights {str(path)!r}: {error}") from error
    groups = list(_groups(_loaded(content, str(path))))
    if not groups:
        raise TaskError(
            f"the pretrained weights {str(path)!r} hold no tensors by name: expected a state dict, "
            f"or one inside of {', '.join(_NESTS[:4])} ...; save model.state_dict()"
        )
    return content, groups


def _loaded(content: bytes, name: str) -> Any:
    try:
        if name.endswith(_SAFE):
            return dict(sorted(load_safetensors(content).items()))  # its order is random
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that are refused anyway
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (SafetensorError, *_DAMAGED) as error:
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code is not None:
            raise TaskError(
                f"the pretrained weights {name!r} hold more than tensors: loading them would run "
                f"{code[1]}, so they were not loaded. If you trust the file, open it where it came "
                "from and save its state dict alone: torch.save(model.state_dict(), FILE)"
            ) from error
        kind = "safetensors" if name.endswith(_SAFE) else "a file of torch.save"
        raise TaskError(
            f"the pretrained weights {name!r} cannot be read: expected {kind}, found {len(content)}"
            " bytes that are not. The file is damaged, or not wholly downloaded, or "
            "of another kind (.h5, .onnx, a plain pickle): download it again, or save it as "
            ".safetensors or .pt"
        ) from error


def _groups(content: Any) -> Iterator[dict[str, Tensor]]:
    if not isinstance(content, Mapping):
        return
    found = cast("Mapping[Any, Any]", content)
    own = {n: t for n, t in found.items() if isinstance(n, str) and isinstance(t, Tensor)}
    if own:
        yield own
    for name in _NESTS:
        yield from _groups(found.get(name))
