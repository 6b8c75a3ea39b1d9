"""What makes a space sound, entry by entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from supremix_spaces.errors import SpaceError, UnknownParameterError, hint
from supremix_spaces.parameters.parameters import Choice, Fixed, Float, Int, Parameter


def unknown_parameter(name: str, known: Iterable[str], owner: str) -> UnknownParameterError:
    """Return the error for a parameter that `owner` does not have."""
    names = tuple(known)
    return UnknownParameterError(
        f"Unknown parameter {name!r} for {owner}.{hint(name, names)} Legal: {', '.join(names)}."
    )


def check_type(name: object, parameter: object) -> None:
    """Check that an entry is a parameter under a usable name."""
    if not isinstance(name, str) or not name.isidentifier():
        raise SpaceError(f"A parameter's name has to be a Python identifier; got {name!r}.")
    if not isinstance(parameter, Float | Int | Choice | Fixed):
        raise SpaceError(
            f"{name} has to be a Float, Int, Choice or Fixed; got {parameter!r}. "
            f"Write Fixed({parameter!r}) for a value that is not searched."
        )


def check_condition(
    name: str, parameters: Mapping[str, Parameter], earlier: tuple[str, ...]
) -> None:
    """Check that the condition of `name` refers to one of the `earlier` choices and can hold."""
    parameter = parameters[name]
    if parameter.when is None:
        return
    parent, values = parameter.when
    source = parameters.get(parent) if parent in earlier else None
    if not isinstance(source, Choice | Fixed):
        raise SpaceError(
            f"The condition of {name} refers to {parent!r}, which has to be a choice that stands "
            f"before it; before it stand: {', '.join(earlier) or 'none'}."
        )
    impossible = [v for v in values if not source.contains(v)]
    if impossible:
        raise SpaceError(
            f"The condition of {name} asks for {parent} = {impossible[0]!r}, which {parent} never "
            f"is; its values are {source}."
        )
