"""Methods: a name, a configuration class, and the stages a configuration stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

import torch

from supremix._errors import ConfigError, UnknownMethodError, unknown_name
from supremix.methods.base import Method
from supremix.methods.contrast_terms import CONTRAST_TERMS
from supremix.methods.contrastive import CONTRASTIVE, PUBLISHED
from supremix.methods.density import DENSITIES
from supremix.methods.mixup import MIXUPS
from supremix.methods.regression import REGRESSION
from supremix.methods.regularisers import TERMS
from supremix_datasets.own_objects import import_object, is_import_path

_METHODS: dict[str, Method] = {
    method.name: method
    for group in (CONTRASTIVE, PUBLISHED, REGRESSION, MIXUPS, TERMS, DENSITIES, CONTRAST_TERMS)
    for method in group
}


def get_method(method: str | Method) -> Method:
    """A built-in method by its name; one of the user's own by its import path, or as it is.

    Raises:
        UnknownMethodError: There is none of that name or at that path, or it is no method.
    """
    own: Any = method
    if is_import_path(method):
        try:
            own = import_object(str(method))
        except ImportError as error:
            raise UnknownMethodError(f"no method {method!r}: {error}.") from error
    elif isinstance(method, str):
        if method in _METHODS:
            return _METHODS[method]
        raise UnknownMethodError(unknown_name("method", method, _METHODS))
    if isinstance(own, Method) and is_dataclass(own.config):
        return own
    raise UnknownMethodError(
        "a method object needs a name, a config dataclass and a function stages(config, *, "
        f"epochs, card); found {type(own).__name__}"
    )


def method_names() -> tuple[str, ...]:
    """The names of the built-in methods."""
    return tuple(_METHODS)


def make_config(method: Method, values: Mapping[str, Any]) -> Any:
    """An instance of the method's configuration class from a trial's parameters.

    Numbers may come as NumPy scalars and whole numbers as floats (a table's way of keeping
    them); both are taken as what the field wants.

    Raises:
        ConfigError: an unknown parameter, a missing one without default, an illegal value.
    """
    known = {f.name: f for f in fields(method.config)}
    for name in values:
        if name not in known:
            text = unknown_name(f"parameter of {method.name}", name, known)
            raise ConfigError(text)
    required = [
        n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING
    ]
    missing = [name for name in required if name not in values]
    if missing:
        raise ConfigError(f"{method.name} needs a value for {', '.join(missing)}")
    return method.config(**{n: _plain(n, v, known[n]) for n, v in values.items()})


def _plain(name: str, value: Any, field: Field[Any]) -> Any:
    if hasattr(value, "item") and not isinstance(value, torch.Tensor):
        value = value.item()
    kind = str(field.type)
    try:
        if isinstance(value, float) and kind.startswith("int") and value.is_integer():
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool) and kind.startswith("float"):
            return float(value)
    except OverflowError as error:
        raise ConfigError(f"{name}={value!r} is out of range") from error
    _check_type(name, value, kind)
    return value


def _check_type(name: str, value: Any, kind: str) -> None:
    expected = {"int": int, "float": float, "bool": bool, "str": str}.get(kind.split(" ")[0])
    if expected is None or (value is None and "None" in kind):
        return
    # A bool is an int to Python, and a batch of True images is none.
    if isinstance(value, expected) and isinstance(value, bool) == (expected is bool):
        return
    raise ConfigError(f"{name} must be of type {kind}, found {value!r}")
