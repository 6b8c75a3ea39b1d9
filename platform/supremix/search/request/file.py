"""Requests as files: read from TOML or a run's `spec.json`, checked, and written as TOML."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from supremix.errors import SpecError, UnknownNameError
from supremix.search.request.declaration import command_options
from supremix.search.request.option import OTHER_LENGTH, Command, Option
from supremix.search.request.serialization import restored
from supremix.search.request.values import to_option
from supremix.storage.paths import Address, read_bytes, to_path
from supremix.storage.retry import storage_errors

NOT_OPTIONS = ("lenient", "fold", "repeat")
"""Entries of a run's `spec.json` that follow from the grid that the run is part of."""

NOT_IN_FILES = ("request", "dry_run", "resume", "or_resume")
"""Options that say what is done with a request."""


def read_request(
    address: Address, command: Command, *, given: Collection[str] = ()
) -> dict[str, Any]:
    """The options that a file holds.

    Args:
        address: A TOML file with one table, or the `spec.json` of a run; its keys are names of
            options in Python.
        command: The command whose options they are.
        given: Names of options that are given besides, and win over the file.

    Returns:
        Values by name, of the options in the file that are not in `given`.

    Raises:
        SpecError: The file cannot be read as that, or a value is not of its option's type.
        UnknownNameError: It holds a name that is no option of the command.
        RunFolderError: Its storage cannot be read.
    """
    known = {one.name: one for one in _options(command)}
    stored = str(address).endswith(".json")
    values: dict[str, Any] = {}
    for name, value in _load(address, stored).items():
        if stored and (value is None or name in NOT_OPTIONS):
            continue
        if name not in known:
            raise UnknownNameError(f"option in {address}", name, known)
        if name not in given and OTHER_LENGTH.get(name) not in given:
            values[name] = _read(known[name], value, stored=stored, address=str(address))
    return values


def request_toml(command: Command, values: Mapping[str, Any]) -> str:
    """A request as TOML, group by group; options without a value are left out."""
    return "\n".join(_lines(command, values))


def _options(command: Command) -> list[Option]:
    return [one for one in command_options(command) if one.name not in NOT_IN_FILES]


def _load(address: Address, stored: bool) -> dict[str, Any]:
    path = to_path(address)
    try:
        with storage_errors(str(path)):
            text = read_bytes(path).decode() if path.is_file() else None
        content = None if text is None else json.loads(text) if stored else tomllib.loads(text)
    except ValueError as error:  # both parsers' errors and a wrong encoding
        raise SpecError(
            f"{address} is not valid {'JSON' if stored else 'TOML'}: {error}."
        ) from error
    if content is None:
        raise SpecError(
            f"there is no file {address}. Expected a TOML file with an option a line, or the "
            "spec.json of a run."
        )
    if not isinstance(content, dict):
        raise SpecError(
            f"{address} is no file with a request. Expected a TOML file with an option a line, or "
            "the spec.json of a run."
        )
    return content


def _read(one: Option, value: Any, *, stored: bool, address: str) -> Any:
    if stored and isinstance(value, dict):
        return restored(one.name, value)
    if one.written == "text" and not isinstance(value, str):  # in Python it may be an object
        raise SpecError(f"{one.name} in {address} has to be text in quotes; got {value!r}.")
    try:
        return to_option(one, value, where=f" in {address}")
    except ValueError as error:
        raise SpecError(str(error)) from None


def _lines(command: Command, values: Mapping[str, Any]) -> Iterator[str]:
    group = ""
    for one in _options(command):
        value = values.get(one.name)
        if value is None:
            continue
        if one.group != group:
            yield f"{chr(10) if group else ''}# {one.group}"
            group = one.group
        yield f"{one.name} = {_toml(value)}"


def _toml(value: Any) -> str:
    """A value in TOML, whose texts, numbers and lists are written like those of JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
