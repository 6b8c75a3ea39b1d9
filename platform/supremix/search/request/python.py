"""The keyword arguments of the Python interface, made from the declaration."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from supremix.errors import SpecError, UnknownNameError
from supremix.search.request.declaration import OPTIONS, request_options
from supremix.search.request.option import Command, Option

T = TypeVar("T", bound=Callable[..., Any])

OPTIONS_LINE = "        **options: "
"""Where a docstring's arguments say what the keyword arguments are; their list goes there."""

_WIDTH = 100


def takes_options(command: Command, *, but: Iterable[str] = ()) -> Callable[[T], T]:
    """Give a function or class the signature and the documentation of a command's options.

    Args:
        command: The command whose options are its keyword arguments.
        but: Options that it takes in another form.
    """
    left_out = {"dataset", "source", "method", *but}
    options = [one for one in request_options(command) if one.name not in left_out]

    def decorate(function: T) -> T:
        init: Any = vars(function).get("__init__", function)
        init.__signature__ = _signature(init, options)
        function.__doc__ = _documented(function.__doc__ or "", options)
        return function

    return decorate


def checked(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments that a function was given, and its defaults of those left out.

    Args:
        function: A function or class that `takes_options`.
        given: The keyword arguments.

    Raises:
        UnknownNameError: One of them is no option of the function.
    """
    declared = {one.name for one in OPTIONS}
    taken = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name in declared
    }
    for name in given:
        if name not in taken:
            raise UnknownNameError(f"option of {function.__name__}", name, taken)
    return taken | dict(given)


def check_several(sources: Any, **names: Any) -> None:
    """Check that several names are given as a list, and their sources by name.

    Args:
        sources: Folders by the name of the dataset, or None.
        **names: Lists of names or objects.

    Raises:
        SpecError: One of them has another type.
    """
    for argument, value in names.items():
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise SpecError(
                f"{argument} has to be a list of names, such as {str(value).split(',')}; got "
                f"{value!r}."
            )
    if not isinstance(sources, Mapping | None):
        raise SpecError(
            f"sources has to be a dict from the dataset's name to its folder; got {sources!r}."
        )


def _signature(function: Callable[..., Any], options: Iterable[Option]) -> inspect.Signature:
    own = inspect.signature(function)
    kind = inspect.Parameter.KEYWORD_ONLY
    keywords = [
        inspect.Parameter(one.name, kind, default=one.default, annotation=one.type)
        for one in options
    ]
    kept = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    return own.replace(parameters=[*kept, *keywords])


def _documented(text: str, options: Iterable[Option]) -> str:
    """The docstring with a line for each option in place of the line on ``**options``."""
    head, line, tail = text.partition(OPTIONS_LINE)
    if not line:
        raise ValueError(f"the docstring has no line {OPTIONS_LINE.strip()!r}")
    _, end, rest = tail.partition("\n\n")
    entries = [
        textwrap.fill(
            f"{one.name}: {one.text} Default: {one.default!r}.",
            width=_WIDTH,
            initial_indent=" " * 8,
            subsequent_indent=" " * 12,
        )
        for one in options
    ]
    return head + "\n".join(entries) + end + rest
