"""The options of a command, made from their declaration."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from supremix.cli.parsing.completion import (
    complete_datasets,
    complete_from,
    complete_methods,
    complete_runs,
    find_run,
)
from supremix.search.request.declaration import command_options
from supremix.search.request.option import OTHER_LENGTH, REQUIRED, Command, Option, with_flags
from supremix.search.request.values import PARSERS

_TYPES: dict[str, Any] = {
    "integer": int, "number": float, "switch": bool, "flag": bool, "texts": list[str],
}  # fmt: skip
_COMPLETED = {
    "dataset": complete_datasets,
    "method": complete_methods,
    "reference": complete_methods,
    "resume": complete_runs,
}
_METAVARS = {"time": "TIME"}


def takes_options_of(
    command: Command, check: Callable[[dict[str, Any]], object] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a function the options of a command as its parameters, for typer to read.

    The function is called with the options by name, and with `context` if it has that parameter. An
    option that a file of the request gives counts as written by the user. With ``--dry-run`` the
    request is printed instead.

    Args:
        command: The command.
        check: Called with the options before a dry run prints them; it raises what a run would.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def called(context: typer.Context, **given: Any) -> None:
            given.pop("request", None)
            _give_one_length(context, given)
            if takes_context:
                given["context"] = context
            if given.pop("dry_run", False):
                _print_request(command, given, check)
            else:
                function(**given)

        kind = inspect.Parameter.KEYWORD_ONLY
        options = command_options(command)
        takes_context = "context" in inspect.signature(function).parameters
        context = inspect.Parameter("context", kind, annotation=typer.Context)
        parameters = [
            inspect.Parameter(
                one.name,
                kind,
                default=inspect.Parameter.empty if one.default is REQUIRED else _default(one),
                annotation=_typed(one, with_flags(one.text, options), command),
            )
            for one in options
        ]
        vars(called)["__signature__"] = inspect.Signature([context, *parameters])
        return called

    return decorate


def given_on_command_line(context: typer.Context) -> set[str]:
    """Names of the options that the user wrote, there or in a file of the request."""
    return _given(context, "COMMANDLINE", "DEFAULT_MAP")


def _given(context: typer.Context, *origins: str) -> set[str]:
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, origin in sources.items() if origin and origin.name in origins}


def _give_one_length(context: typer.Context, given: dict[str, Any]) -> None:
    """Let a length on the command line win over the other way to give it, in a file."""
    written = _given(context, "COMMANDLINE")
    for name, other in OTHER_LENGTH.items():
        if name in written and other not in written and other in given:
            given[other] = None


def _print_request(
    command: Command, given: dict[str, Any], check: Callable[[dict[str, Any]], object] | None
) -> None:
    from supremix.search.request.file import request_toml

    if given.get("resume") is not None:
        raise typer.BadParameter(
            "a resumed run keeps to the spec.json in its folder; leave out --resume.",
            param_hint="--dry-run",
        )
    given.pop("context", None)
    if check is not None:
        check(given)
    typer.echo(request_toml(command, given))


def _take_file(command: Command) -> Callable[[typer.Context, str | None], str | None]:
    """What reads the file of a request: its options become the defaults of the others."""

    def take(context: typer.Context, file: str | None) -> str | None:
        from supremix.errors import SpecError
        from supremix.models.own_encoder import cannot_be_imported, import_path
        from supremix.search.request.file import read_request

        if file is None:
            return None
        values = read_request(file, command)
        for name, value in values.items():
            if callable(value) and cannot_be_imported(value) is None:
                values[name] = import_path(value)
            elif not isinstance(value, str | int | float | tuple):
                raise SpecError(
                    f"{file} holds an object of Python as {name}, which a command line cannot "
                    "give: take supremix.Search.from_file."
                )
        context.default_map = values
        return file

    return take


def check_resumable(context: typer.Context, command: Command) -> None:
    """Check that a resumed run is given no option that its specification has decided.

    Raises:
        typer.BadParameter: It is given one.
    """
    given = _given(context, "COMMANDLINE")
    for one in command_options(command):
        if one.name in given and not one.resumable:
            raise typer.BadParameter(
                "a resumed run keeps to the specification in its run folder; leave out "
                f"{one.on_command_line}.",
                param_hint="--resume",
            )


def _typed(one: Option, text: str, command: Command) -> Any:
    """The type of an option's parameter, with what typer shows and reads of it."""
    plain = _TYPES.get(one.written, str)
    kind = plain | None if _default(one) is None else plain
    made: Any = Annotated[kind, _parameter(one, text, command)]
    return made


def _parameter(one: Option, text: str, command: Command) -> Any:
    common: dict[str, Any] = {"help": text, "rich_help_panel": one.group}
    if one.written not in ("switch", "flag"):
        common["metavar"] = one.metavar or _METAVARS.get(one.written)
    complete = _COMPLETED.get(one.name) or (complete_from(one.choices) if one.choices else None)
    if complete is not None:
        common["autocompletion"] = complete
    if one.written in PARSERS:
        common["parser"] = _reader(one)
    name = one.on_command_line
    if one.name == "resume":
        common["callback"] = find_run
    if one.name == "request":
        common |= {"callback": _take_file(command), "is_eager": True}
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
    parse = PARSERS[one.written]

    def read(text: Any) -> Any:
        try:
            return parse(text) if isinstance(text, str) else text  # a file gives the value
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint=one.on_command_line) from None

    read.__name__ = one.written  # typer shows it where there is no metavar
    return read
