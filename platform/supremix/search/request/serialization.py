"""The arguments of a search as plain values, and back."""

from __future__ import annotations

import importlib
from dataclasses import fields
from typing import Any

from supremix.errors import SpecError
from supremix.models import EncoderSpec
from supremix_spaces import Space


def plain(value: Any) -> Any:
    """An argument's value for JSON: spaces and named encoders in full, other objects by name.

    Args:
        value: Value of an argument of `SearchSpec`.
    """
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Space):
        return {"space": value.to_dict()}
    if isinstance(value, EncoderSpec) and value.builder is None:
        return {"encoder": {f.name: plain(getattr(value, f.name)) for f in fields(value)}}
    return {"object": _import_path(value)}


def _import_path(value: Any) -> str:
    name = getattr(value, "__qualname__", None) or repr(value)
    return f"{getattr(value, '__module__', '?')}:{name}"


def restored(name: str, value: Any) -> Any:
    """The value that `plain` has made plain.

    Args:
        name: Name of the argument.
        value: Its plain value.

    Raises:
        SpecError: It was an object that cannot be imported.
    """
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, dict):
        return value
    if "space" in value:
        return Space.from_dict(value["space"])
    if "encoder" in value:
        return EncoderSpec(**{k: v for k, v in value["encoder"].items() if k != "builder"})
    return _imported(name, value["object"])


def _imported(name: str, path: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SpecError(
            f"the run was started with an object of your own as {name} ({path}), which cannot be "
            f"imported here. Give it again: Search.resume(run, {name}=…), or Search.from_file."
        ) from error
