"""Spaces as data: JSON-able dictionaries, and a user's own TOML or JSON file.

batch_size = 64                       # fixed
weights = [true, false]               # a choice; the first is the default
temperature = "0.05..1.0:log"         # a range, as on the command line

[head]
type = "choice"
options = ["finetune", "probe"]

[finetune_lr]
type = "float"
low = 5e-5
high = 2e-3
log = true
default = 3e-4
when = { head = ["finetune"] }        # exists only with this head
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import PurePosixPath
from typing import Any, Final, cast

import fsspec  # pyright: ignore[reportMissingTypeStubs]

from supremix_spaces.errors import SpaceError, hint
from supremix_spaces.parameters.notation import parse_parameter
from supremix_spaces.parameters.parameters import Choice, Fixed, Float, Int, Parameter
from supremix_spaces.parameters.values import AUTO, Condition, Value, is_value

# fsspec has no type information; this is the one function used of it.
_open = cast("Callable[..., Any]", fsspec.open)  # pyright: ignore[reportUnknownMemberType]

_TYPES: Final = {"float": Float, "int": Int, "choice": Choice, "fixed": Fixed}
_NAMES: Final = {cls: name for name, cls in _TYPES.items()}


def load_parameters(address: str) -> dict[str, Parameter]:
    """Read parameters from a file, to be merged into a preset.

    Args:
        address: Path or fsspec address of a `.toml` or `.json` file in the form shown at the top
            of this file.

    Raises:
        SpaceError: when the file is missing or cannot be read.
    """
    return parameters_from_dict(_load(str(address)))


def parameters_from_dict(data: Mapping[str, object]) -> dict[str, Parameter]:
    """Read parameters from data: a table, a list (choice), a range in words, or a plain value.

    Raises:
        SpaceError: naming the entry that cannot be read.
    """
    result: dict[str, Parameter] = {}
    for name, entry in data.items():
        try:
            result[name] = _parameter(entry)
        except SpaceError as error:
            raise SpaceError(f"Parameter {name!r}: {error}") from error
    return result


def parameter_to_dict(parameter: Parameter) -> dict[str, object]:
    """Return a parameter as JSON-able data with its "type"; what is left to itself is left out."""
    data: dict[str, object] = {"type": _NAMES[type(parameter)]}
    for name in _fields(type(parameter)):
        value = getattr(parameter, name)
        if name == "when" and parameter.when is not None:
            data[name] = {parameter.when[0]: list(parameter.when[1])}
        elif name == "options":
            data[name] = list(value)
        elif name != "when" and value is not AUTO:
            data[name] = value
    return data


def _load(address: str) -> dict[str, object]:
    suffix = PurePosixPath(address).suffix.lower()
    if suffix not in {".toml", ".json"}:
        raise SpaceError(f"A space file ends in .toml or .json; got {address!r}. Rename it.")
    try:
        with _open(address, "rb") as file:
            content: str = file.read().decode()
        data: object = tomllib.loads(content) if suffix == ".toml" else json.loads(content)
    except FileNotFoundError as error:
        raise SpaceError(f"There is no space file at {address!r}. Check the path.") from error
    except ValueError as error:  # both parsers' errors and a wrong encoding
        raise SpaceError(f"{address!r} is not valid {suffix[1:].upper()}: {error}") from error
    if not isinstance(data, dict):
        raise SpaceError(f"{address!r} has to hold one object with a parameter per name.")
    return cast("dict[str, object]", data)


def _parameter(entry: object) -> Parameter:
    if isinstance(entry, Mapping):
        return _from_table(cast("Mapping[str, Any]", entry))
    if isinstance(entry, list | tuple):
        return Choice(tuple(cast("list[Value]", entry)))
    if isinstance(entry, str) and ".." in entry:
        return parse_parameter(entry)
    if is_value(entry):
        return Fixed(cast("Value", entry))
    raise SpaceError(f"expected a table, a list, a range in words or a value; got {entry!r}.")


def _from_table(table: Mapping[str, Any]) -> Parameter:
    data = dict(table)
    name: object = data.pop("type", None)
    if not isinstance(name, str) or name not in _TYPES:
        raise SpaceError(f"'type' has to be one of {', '.join(_TYPES)}; got {name!r}.")
    legal = _fields(_TYPES[name])
    for key in data:
        if key not in legal:
            close = hint(key, legal)
            raise SpaceError(f"{name!r} has no {key!r}.{close} It takes {', '.join(legal)}.")
    if "when" in data:
        data["when"] = _condition(data["when"])
    try:
        return _TYPES[name](**data)
    except TypeError as error:  # a required entry is missing
        raise SpaceError(f"{error}. {name!r} takes {', '.join(legal)}.") from error


def _condition(data: object) -> Condition | None:
    if data is None:
        return None
    if isinstance(data, Mapping) and len(cast("Mapping[str, object]", data)) == 1:
        ((name, values),) = cast("Mapping[str, object]", data).items()
        listed = tuple(cast("list[Value]", values)) if isinstance(values, list) else (values,)
        return name, cast("tuple[Value, ...]", listed)
    raise SpaceError(f"'when' has the form {{ head = [\"finetune\"] }}; got {data!r}.")


def _fields(cls: type[Parameter]) -> tuple[str, ...]:
    own = [f.name for f in fields(cls) if f.name != "when"]
    return (*own, "when")
