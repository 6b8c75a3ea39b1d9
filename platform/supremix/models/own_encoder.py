"""Encoders of the user's own, by the path that they are imported by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from supremix._errors import ModelError
from supremix_datasets.own_objects import import_object


def import_path(value: Any) -> str:
    """The path of a function or class, "module:name"."""
    name = getattr(value, "__qualname__", None) or repr(value)
    return f"{getattr(value, '__module__', '?')}:{name}"


def imported(path: str) -> Callable[[int, int], Any]:
    """The builder of an encoder by its import path.

    Raises:
        ModelError: It cannot be imported here.
    """
    try:
        found = import_object(path)
    except ImportError as error:
        raise ModelError(
            f"the encoder {error}; in Python the callable can be given itself, as builder= where a "
            "model is loaded and as encoder= in a search"
        ) from error
    if not callable(found):
        raise ModelError(
            f"the encoder {path} has to be a callable (spatial_dims, channels) -> nn.Module, found "
            f"{type(found).__name__}"
        )
    return found


def cannot_be_imported(builder: Any) -> str | None:
    """Why another process cannot import a builder by its path, as a sentence; None where it can.

    Args:
        builder: A callable that builds an encoder.
    """
    path = import_path(builder)
    module, _, name = path.partition(":")
    if module == "__main__":
        why = "is defined in the script that is run (__main__)"
    elif not name.replace(".", "").isidentifier():
        why = "is a lambda, or is defined inside of a function"
    else:
        try:
            if imported(path) == builder:
                return None
            why = "is another object than what its import path gives"
        except ModelError:
            why = "cannot be imported by its path"
    return (
        f"the encoder {path} {why}, so `supremix predict`, `supremix evaluate` and a resumed "
        "search cannot find it. Put it into a module of its own under a name, and import it from "
        "there; or give it again in Python, as builder= or encoder="
    )
