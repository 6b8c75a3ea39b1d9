"""The options of a command, made from their declaration."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from supremix.cli.parsing.values import parse_duration, parse_fractions, parse_shape
from supremix.search.request.declaration import command_options
from supremix.search.request.option import REQUIRED, Command, Option, with_flags

T = TypeVar("T", bound=Callable[..., None])

_TYPES: dict[str, Any] = {
    "integer": int, "number": float, "switch": bool, "flag": bool, "texts": list[str],
}  # fmt: skip
_METAVARS = {"time": "TIME"}


def takes_options_of(command: Command) -> Callable[[T], T]:
    """Give a function the options of a command as its parameters, for typer to read.

    The function is called with the options by name, and with `context` if it has that parameter.
    """

    def decorate(function: T) -> T:
        kind = inspect.Parameter.KEYWORD_ONLY
        options = command_options(command)
        context = [
            inspect.Parameter("context", kind, annotation=typer.Context)
            for name in inspect.signature(function).parameters
            if name == "context"
        ]
        parameters = [
            inspect.Parameter(
                one.name,
                kind,
                default=inspect.Parameter.empty if one.default is REQUIRED else _default(one),
                annotation=_typed(one, with_flags(one.text, options)),
            )
            for one in options
        ]
        vars(function)["__signature__"] = inspect.Signature([*context, *parameters])
        return function

    return decorate


def given_on_command_line(context: typer.Context) -> set[str]:
    """Names of the options that the user wrote."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, origin in sources.items() if origin and origin.name == "COMMANDLINE"}


def check_resumable(context: typer.Context, command: Command) -> None:
    """Check that a resumed run is given no option that its specification has decided.

    Raises:
        typer.BadParameter: It is given one.
    """
    given = given_on_command_line(context)
    for one in command_options(command):
        if one.name in given and not one.resumable:
            raise typer.BadParameter(
                "a resumed run keeps to the specification in its run folder; leave out "
                f"{one.on_command_line}.",
                param_hint="--resume",
            )


def _typed(one: Option, text: str) -> Any:
    """The type of an option's parameter, with what typer shows and reads of it."""
    plain = _TYPES.get(one.written, str)
    kind = plain | None if _default(one) is None else plain
    made: Any = Annotated[kind, _parameter(one, text)]
    return made


def _parameter(one: Option, text: str) -> Any:
    common: dict[str, Any] = {"help": text, "rich_help_panel": one.group}
    if one.written not in ("switch", "flag"):
        common["metavar"] = one.metavar or _METAVARS.get(one.written)
    if one.written in _PARSERS:
        common["parser"] = _reader(one)
    name = one.on_command_line
    if not name.startswith("--"):
        return typer.Argument(**common)
    if one.written == "switch":
        return typer.Option(f"{name}/--no-{name.removeprefix('--')}", **common)
    return typer.Option(*([name, "-q"] if name == "--quiet" else [name]), **common)


def _default(one: Option) -> Any:
    if one.written == "texts":
        return None
    return ",".join(map(str, one.default)) if one.written == "fractions" else one.default


def _reader(one: Option) -> Callable[[str], Any]:
    parse = _PARSERS[one.written]

    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint=one.on_command_line) from None

    read.__name__ = one.written  # typer shows it where there is no metavar
    return read


_PARSERS: dict[str, Callable[[str], Any]] = {
    "time": parse_duration,
    "shape": parse_shape,
    "fractions": parse_fractions,
}
