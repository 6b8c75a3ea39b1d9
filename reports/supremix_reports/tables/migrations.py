"""Tables written by an earlier version of the schema, brought to this one a version at a time.

Version 2: the intervals of `mae` and `comparison` are over groups and seeds. Those of version 1
were over groups alone, which with several seeds is another number; it does not follow from the
table, so there is none. Test errors in `comparison` were of one seed; how many seeds validation
errors were of, that table does not say.

A step is a pure function on an arrow table of version n that returns one of version n + 1. Steps
are kept for good: a table of any age goes through all that came since. A nullable column, a table
or a measure that is new needs none (see `schema.SCHEMA_VERSION`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from pyarrow import compute  # pyright: ignore[reportMissingTypeStubs]

from supremix_reports.errors import SchemaError
from supremix_reports.tables import schema
from supremix_reports.tables.schema import pa

# pyarrow carries no type information.
_compute = cast("Any", compute)


@dataclass(frozen=True, slots=True)
class Step:
    """From a table of one version to the same of the next.

    Args:
        change: takes the pyarrow table and returns the new one.
        told: what that does to the rows, for those who read them.
    """

    change: Callable[[Any], Any]
    told: str


def _intervals_of_one_seed(table: Any) -> Any:
    several = _compute.greater(table[schema.SEEDS], 1)
    return _emptied(table, (schema.LOW, schema.HIGH), several)


def _no_validation_intervals(table: Any) -> Any:
    return _emptied(table, (schema.VAL_LOW, schema.VAL_HIGH), pa.scalar(True))


def _emptied(table: Any, columns: Iterable[str], where: Any) -> Any:
    """The table with nulls in some columns, in the rows where a condition holds."""
    for name in columns:
        values = _compute.if_else(where, pa.scalar(None, pa.float64()), table[name])
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(index), values)
    return table


STEPS: Final[Mapping[int, Mapping[str, Step]]] = {
    1: {
        "mae": Step(
            _intervals_of_one_seed,
            "its intervals were over patients alone, so rows of several seeds have none here; a "
            "report reckons them anew from the predictions",
        ),
        "comparison": Step(
            _no_validation_intervals,
            "its intervals were over patients alone, so validation errors, which may be of several "
            "seeds, have none here; a report reckons them anew from the predictions",
        ),
    }
}
"""By the version that a step starts from, the steps by the name of the table; a table that is not
named is the same in both versions."""


def version_of(metadata: Mapping[bytes, bytes] | None, address: str) -> int:
    """Return the schema version that a file says it has.

    Args:
        metadata: of the file's schema.
        address: of the file, for the message.

    Raises:
        SchemaError: when it says none, or one that is no whole number.
    """
    text = (metadata or {}).get(schema.VERSION_KEY, b"none").decode(errors="replace")
    if not text.isdecimal():
        raise SchemaError(
            f"{address!r} says no schema version of supremix (found {text!r}), so what its columns "
            "mean is unknown. Name a table that supremix wrote."
        )
    return int(text)


def check_version(
    version: int,
    address: str,
    *,
    newest: int = schema.SCHEMA_VERSION,
    steps: Mapping[int, Mapping[str, Step]] = STEPS,
) -> None:
    """Refuse a version that no steps lead away from.

    Args:
        version: of the file.
        address: of the file, for the message.
        newest: the version wanted.
        steps: as `STEPS`.

    Raises:
        SchemaError: when it is newer than `newest`, or older than the oldest step.
    """
    if version > newest:
        raise SchemaError(
            f"{address!r} has schema version {version}, but this supremix knows versions up to "
            f"{newest}. Read it with the supremix that wrote it, or a newer one."
        )
    lacking = [number for number in range(version, newest) if number not in steps]
    if lacking:
        raise SchemaError(
            f"{address!r} has schema version {version}, and nothing leads from version "
            f"{lacking[0]} to {lacking[0] + 1}. Read it with the supremix that wrote it."
        )


def changes(
    version: int,
    name: str,
    *,
    newest: int = schema.SCHEMA_VERSION,
    steps: Mapping[int, Mapping[str, Step]] = STEPS,
) -> list[str]:
    """Return what becomes of the rows of a table of an earlier version; nothing if all stay.

    Args:
        version: of the file, one that `check_version` lets pass.
        name: a name of `schema.SCHEMAS`.
        newest: the version wanted.
        steps: as `STEPS`.
    """
    return [steps[n][name].told for n in range(version, newest) if name in steps[n]]


def migrated(
    table: Any,
    name: str,
    address: str,
    *,
    newest: int = schema.SCHEMA_VERSION,
    steps: Mapping[int, Mapping[str, Step]] = STEPS,
) -> Any:
    """Return a table as the newest version of the schema has it.

    Args:
        table: a pyarrow table as it was read.
        name: a name of `schema.SCHEMAS`.
        address: where it was read from, for messages.
        newest: the version wanted.
        steps: as `STEPS`.

    Returns:
        The pyarrow table of version `newest`, which its metadata says; the same one where it had
        that version.

    Raises:
        SchemaError: when the version is unknown, or newer than `newest`.
    """
    version = version_of(table.schema.metadata, address)
    check_version(version, address, newest=newest, steps=steps)
    if version == newest:
        return table
    for number in range(version, newest):
        step = steps[number].get(name)
        table = table if step is None else step.change(table)
    metadata = {**(table.schema.metadata or {}), schema.VERSION_KEY: str(newest).encode()}
    return table.replace_schema_metadata(metadata)
