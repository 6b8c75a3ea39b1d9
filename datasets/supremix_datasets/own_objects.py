"""Objects of the user's own: found by their import path, and looked at before they are called."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from functools import reduce
from typing import Any

_NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_PATH = re.compile(f"{_NAME}:{_NAME}")


def is_import_path(name: object) -> bool:
    """Whether a name is an import path, such as ``my_package.knees:DATASET``."""
    return isinstance(name, str) and _PATH.fullmatch(name) is not None


def import_object(path: str) -> Any:
    """The object at an import path.

    Raises:
        ImportError: There is no such module or name, or the module cannot be imported; the message
            says why, and what to do.
    """
    module, _, name = path.partition(":")
    try:
        return reduce(getattr, name.split("."), importlib.import_module(module))
    except Exception as error:  # the module is the user's code, which may raise anything
        reason = str(error)
        if not isinstance(error, (ImportError, AttributeError)):
            reason = f"importing it raised {type(error).__name__}: {error}"
        raise ImportError(
            f"{path} cannot be imported here ({reason}). Install the package with the module "
            f"{module!r}, or name the folder that holds it (PYTHONPATH=FOLDER supremix ...)"
        ) from error


def takes(function: Callable[..., Any], *arguments: object, **named: object) -> bool:
    """Whether a function can be called with these arguments, by its signature."""
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature
        return True
    return True
