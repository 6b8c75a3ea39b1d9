"""The checks of a search's request that look at more than the form of one value."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from supremix.errors import SpecError, UnknownNameError
from supremix.models import EncoderSpec
from supremix.search.request.declaration import MACHINE, Request
from supremix.search.request.option import declared
from supremix_spaces import Fixed, Parameter, Space, SpaceError, parse_overrides

OBJECTS = ("dataset", "method", "space", "encoder")
"""Options whose value may be an object of the user's own."""


def check_values(request: Request) -> None:
    """Check that each option has a legal value, and that those of folds go together.

    Args:
        request: Options, each in its one form.

    Raises:
        SpecError: An option has an illegal value, or two contradict each other.
        UnknownNameError: A name stands for nothing.
    """
    _check_objects(request)
    for one in declared(type(request)):
        value = getattr(request, one.name)
        if one.allows(value):
            continue
        if one.choices:
            raise UnknownNameError(one.name, value, one.choices)
        meaning = one.help.partition(". ")[0].rstrip(".")
        raise SpecError(f"{one.name} has to be {one.legal}; got {value!r}. It is: {meaning}.")
    _check_folds(request)


def _check_objects(request: Request) -> None:
    encoder: Any = request.encoder
    space: Any = request.space
    if not (isinstance(encoder, str | EncoderSpec) or callable(encoder)):
        raise SpecError(
            "encoder has to be a name, an import path (MODULE:NAME), an EncoderSpec or a "
            f"callable (spatial_dims, channels) -> nn.Module; got {encoder!r}."
        )
    if not isinstance(space, str | Space | None):
        raise SpecError(f"space has to be a file or a Space; got {space!r}.")


def _check_folds(request: Request) -> None:
    refused: dict[str, object] = {
        "repeats": request.repeats > 1,
        "stratify_by_site": request.stratify_by_site,
        "search_once": request.search_once,
    }
    reason = "is for the folds of a cross-validation: give folds (--folds 5), or leave it out."
    if request.folds is not None:
        refused = {"test=False": not request.test, "warm_start": request.warm_start}
        reason = (
            "goes against folds: each is tested once, by a search that knows nothing of its "
            "patients. Leave one of the two out."
        )
    for name in (name for name, so in refused.items() if so):
        raise SpecError(f"{name} {reason}")


def check_points(request: Request) -> None:
    """Check that the points to start from are written as such and leave room for other trials.

    Raises:
        SpecError: One is not, or the defaults and they are all trials of the budget.
    """
    for text in request.points:
        parse_point(text)
    count = len(request.points)
    if request.trials is not None and count and count >= request.trials:
        raise SpecError(
            f"the defaults and {count} points are {count + 1} trials, "
            f"but the budget has {request.trials}. Give more trials, or fewer points."
        )


def parse_point(text: str) -> dict[str, Any]:
    """Read a point of a space.

    Args:
        text: Values of hyperparameters, such as ``lr=0.1,head=probe``.

    Raises:
        SpecError: It is not written like that.
    """
    try:
        parsed = parse_overrides(text.split(","))
    except SpaceError as error:
        raise SpecError(f"cannot read the point {text!r}: {error}") from error
    found = {name: one.value for name, one in parsed.items() if isinstance(one, Fixed)}
    if len(found) < len(parsed):
        raise SpecError(f"the point {text!r} has a range; give one value of each: NAME=0.1.")
    return found


def check_resumed_with(names: Collection[str]) -> None:
    """Check that what is given for a resumed search leaves it the same search.

    Args:
        names: Names of the options that are given.

    Raises:
        SpecError: One of them would make it another.
    """
    for name in names:
        if name not in (*OBJECTS, *MACHINE):
            raise SpecError(
                f"a resumed search keeps to its specification, so it takes no {name}: only where "
                f"to run ({', '.join(MACHINE)}), and objects of your own that it was started with "
                f"({', '.join(OBJECTS)}). Leave {name} out."
            )


def check_batch(space: Space, train_size: int) -> None:
    """Check that no batch of a space is larger than the training split.

    Args:
        space: The space.
        train_size: Images in the training split.

    Raises:
        SpecError: One is.
    """
    largest = max(numbers_of(space.parameters.get("batch_size")), default=0)
    if largest > train_size:
        raise SpecError(
            f"batch_size goes up to {largest:g}, but the training split has {train_size} images. "
            f"Search no batch above {train_size}, e.g. --set batch_size={train_size}."
        )


def numbers_of(parameter: Parameter | None) -> list[float]:
    """The least and the largest number of a parameter, or all its choices; none for None."""
    if parameter is None:
        return []
    values = [getattr(parameter, name, None) for name in ("low", "high", "value")]
    values += list(getattr(parameter, "options", ()))
    return [value for value in values if isinstance(value, int | float)]
