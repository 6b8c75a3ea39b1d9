"""One run folder as it is found: its small files, where its tables lie, and what is amiss."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from supremix_reports.catalog.discovery import RunLocation
from supremix_reports.catalog.lazy_tables import Source, look
from supremix_reports.errors import ReportError
from supremix_reports.run_layout import ENVIRONMENT, SPACE, SPEC
from supremix_reports.tables import schema, storage
from supremix_reports.tables.tables import table_address

_UNDER_WAY = (
    "There is no trials.parquet: the search is under way, or was interrupted before it wrote its "
    "tables. It has no results yet; 'supremix status' tells how far it is."
)
_NOT_BEGUN = "There is no trials.parquet and no ledger: the search has not begun. No results yet."
_NOT_OVER = (
    "There is no {file}: the search is not over, so it has no final model yet. Its trials are "
    "taken; its errors are in no table."
)
_ABSENT = "There is no {file}: it was not written, or was taken away. All else is taken."


@dataclass(slots=True)
class Loaded:
    """What is in a run folder.

    Args:
        location: where it is.
        small: the contents of its JSON files by their names, as far as they can be read.
        sources: its tables by their names, as far as they can be used.
        problems: what is amiss, each a file or table and the reason.
    """

    location: RunLocation
    small: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    sources: dict[str, Source] = field(default_factory=dict[str, Source])
    problems: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    @property
    def spec(self) -> Mapping[str, Any]:
        """What was asked for; empty where that is not known."""
        return self.small.get(SPEC, {})

    @property
    def kind(self) -> Literal["search", "joint"]:
        """What sort of run it is."""
        return "joint" if "joint" in self.spec else "search"

    @property
    def name(self) -> str:
        """As its tables have it, else as its folder is called."""
        return self._constant(schema.RUN) or self.location.label

    @property
    def dataset(self) -> str:
        """As its tables have it, else as it was asked for; "?" where neither tells."""
        if self.kind == "joint":
            return "+".join(self.spec["joint"])
        known = self.small.get(ENVIRONMENT, {}).get(schema.DATASET)
        return self._constant(schema.DATASET) or _named(known or self.spec.get(schema.DATASET))

    @property
    def method(self) -> str:
        """Likewise."""
        if self.kind == "joint":
            first = next(iter(self.spec["joint"].values()), {})
            return f"joint-{_named(first.get(schema.METHOD))}"
        return self._constant(schema.METHOD) or _named(self.spec.get(schema.METHOD))

    def _constant(self, column: str) -> str | None:
        values = (source.constants.get(column) for source in self.sources.values())
        return next((value for value in values if value), None)


def load(location: RunLocation, tables: Sequence[str]) -> Loaded:
    """Look at a run folder; what cannot be read becomes a problem."""
    loaded = Loaded(location)
    for name in (SPEC, SPACE, ENVIRONMENT):
        _take_small(loaded, name)
    for name in tables:
        if f"{name}.parquet" in location.files:
            _take_table(loaded, name)
    _miss(loaded, [name for name in tables if f"{name}.parquet" not in location.files])
    return loaded


def _take_small(loaded: Loaded, name: str) -> None:
    if name not in loaded.location.files:
        if name == SPEC:
            reason = (
                "There is no spec.json, so what was asked for is not known. The tables are taken."
            )
            loaded.problems.append((name, reason))
        return
    try:
        content = json.loads(storage.read_bytes(storage.join(loaded.location.address, name)))
    except (OSError, ValueError) as error:
        content = error
    if isinstance(content, dict):
        loaded.small[name] = cast("dict[str, Any]", content)
        return
    found = type(content).__name__
    loaded.problems.append((name, f"{name} holds no JSON object ({found}); all else is taken."))


def _take_table(loaded: Loaded, name: str) -> None:
    address = table_address(loaded.location.address, name)
    try:
        source = look(loaded.location.address, name, loaded.location.files[f"{name}.parquet"])
    except ReportError as error:
        loaded.problems.append((f"{name}.parquet", f"{private(error, address)} It is left out."))
        return
    loaded.sources[name] = source


def private(error: ReportError, address: str) -> str:
    """The message of an error without where on a disk the file lies."""
    return str(error).replace(address, address.rpartition("/")[2])


def _miss(loaded: Loaded, missing: Sequence[str]) -> None:
    """Say of the tables that are not there what that means."""
    if "trials" in missing and loaded.kind == "search" and SPEC in loaded.location.files:
        reason = _UNDER_WAY if loaded.location.ledger else _NOT_BEGUN
        loaded.problems.append(("trials", reason))
        return
    for name in missing:
        if name == "predictions":
            loaded.problems.append((name, _NOT_OVER.format(file=f"{name}.parquet")))
        elif _expected(loaded, name, missing):
            loaded.problems.append((name, _ABSENT.format(file=f"{name}.parquet")))


def _expected(loaded: Loaded, name: str, missing: Sequence[str]) -> bool:
    """Whether a run that has come this far has the table."""
    if loaded.kind == "joint":
        return name in ("curves", "mae")
    if name == "cohort":
        return False  # nothing else follows from it
    return name != "mae" or "predictions" not in missing


def _named(value: object) -> str:
    """The name of a dataset or method as a specification has it."""
    if isinstance(value, dict):
        named = cast("dict[str, object]", value)
        return str(named.get("object", "?")).rpartition(":")[2]
    return "?" if value is None else str(value)
