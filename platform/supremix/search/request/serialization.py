"""The arguments of a search as plain values, and back."""

from __future__ import annotations

from typing import Any

from supremix.errors import ModelError, SpecError
from supremix.models import EncoderSpec
from supremix.models.own_encoder import import_path
from supremix_datasets.own_objects import import_object
from supremix_spaces import Space


def plain(value: Any) -> Any:
    """An argument's value for JSON: spaces and encoders in full, objects by their import path.

    Args:
        value: Value of an argument of `SearchSpec`.
    """
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Space):
        return {"space": value.to_dict()}
    if isinstance(value, EncoderSpec):
        return {"encoder": {name: plain(one) for name, one in value.to_dict().items()}}
    return {"object": import_path(value)}


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
        try:
            return EncoderSpec.from_dict(value["encoder"])
        except ModelError as error:
            raise _not_imported(name, value["encoder"].get("builder")) from error
    return _imported(name, value["object"])


def _imported(name: str, path: str) -> Any:
    try:
        return import_object(path)
    except ImportError as error:
        raise _not_imported(name, path) from error


def _not_imported(name: str, path: str) -> SpecError:
    return SpecError(
        f"the run was started with an object of your own as {name} ({path}), which cannot be "
        f"imported here. Give it again: Search.resume(run, {name}=…), or Search.from_file."
    )
