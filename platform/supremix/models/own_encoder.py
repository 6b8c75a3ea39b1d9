"""Encoders of the user's own, by the path that they are imported by."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import reduce
from typing import Any

from supremix._errors import ModelError


def import_path(value: Any) -> str:
    """The path of a function or class, "module:name"."""
    name = getattr(value, "__qualname__", None) or repr(value)
    return f"{getattr(value, '__module__', '?')}:{name}"


def imported(path: str) -> Callable[[int, int], Any]:
    """The builder of an encoder by its import path.

    Raises:
        ModelError: It cannot be imported here.
    """
    module, _, name = path.partition(":")
    try:
        found = reduce(getattr, name.split("."), importlib.import_module(module))
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(
            f"the encoder of this model is built by {path}, which cannot be imported here "
            f"({error}). Install the package with the module {module!r}, or name the folder that "
            "holds it (PYTHONPATH=FOLDER supremix ...); in Python the callable can be given "
            "itself, as builder="
        ) from error
    if not callable(found):
        raise ModelError(
            f"the encoder of this model is built by {path}, expected a callable (spatial_dims, "
            f"channels) -> nn.Module there, found {type(found).__name__}"
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
