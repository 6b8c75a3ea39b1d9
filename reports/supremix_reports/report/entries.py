"""The runs of a report, each under a name of its own; a joint training is one for each model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import polars as pl

from supremix_reports.catalog.collection import Collection, Run
from supremix_reports.errors import SchemaError, TableError
from supremix_reports.tables import schema
from supremix_reports.tables.tables import has_table, read_config, read_table

_KEYS: Final = (schema.RUN, schema.DATASET, schema.METHOD)
_JOINT: Final = "joint"


@dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """A run in a report, or a part of a joint training: one dataset, trained jointly or alone.

    Args:
        run: the run; a part has a name, dataset and method of its own.
        method: its method; with the run's name where several runs share dataset and method.
        unit: unit of its errors; None where neither its trials nor its errors tell.
        trials: how many there are.
        whole: what the collected tables have as `run`: for a part the name of the training.
    """

    run: Run
    method: str
    unit: str | None
    trials: int
    whole: str

    @property
    def environment(self) -> Mapping[str, Any]:
        """Versions, hardware, and what the images were made of; empty where not known."""
        return self.run.environment or {}

    @property
    def card(self) -> Mapping[str, Any]:
        """The card of its dataset as the run recorded it; empty where it did not."""
        data = as_mapping(self.environment.get("data"))
        return as_mapping(data.get("card") or as_mapping(data.get(self.run.dataset)).get("card"))

    @property
    def target(self) -> str:
        """Name of the quantity that is predicted, such as "age"; "label" where not known."""
        return str(self.card.get("target") or "label")


def entries_of(
    collection: Collection, trials: pl.DataFrame, mae: pl.DataFrame, benchmark: Mapping[str, Any]
) -> tuple[Entry, ...]:
    """Return the runs to report on; those of a benchmark in the order in which it was asked for.

    Args:
        collection: what was collected.
        trials: its table of that name.
        mae: likewise.
        benchmark: what a benchmark was asked for; empty where it is none.

    Returns:
        An entry a run; of a joint training one for each dataset and method in its tables, as those
        have models of their own, trained jointly or alone.
    """
    parts = _all_parts(collection, mae)
    runs = [(run.name, part) for run in collection.runs for part in parts.get(run.name, (run,))]
    labels = _labels(runs)
    units = _units(mae, [part for _, part in runs]) | _units(trials, [part for _, part in runs])
    counts = dict(trials.group_by(schema.RUN).len().iter_rows())
    entries = [
        Entry(
            run=part,
            method=labels[part.name],
            unit=units.get(part.name),
            trials=counts.get(part.name, 0),
            whole=whole,
        )
        for whole, part in runs
    ]

    def place(entry: Entry) -> tuple[int, int]:
        return _rank(benchmark, "datasets", entry.run.dataset), _rank(
            benchmark, "methods", entry.run.method
        )

    return tuple(sorted(entries, key=place))


def labelled(frame: pl.DataFrame, entries: Sequence[Entry]) -> pl.DataFrame:
    """Return the rows of entries, in their order, with the entries' names of runs and methods."""
    methods = {entry.run.name: entry.method for entry in entries}
    order = {entry.run.name: number for number, entry in enumerate(entries)}
    run = pl.col(schema.RUN)
    return (
        _parted(frame, [entry.run for entry in entries])
        .filter(run.is_in(list(methods)))
        .with_columns(run.replace_strict(methods, return_dtype=pl.String).alias(schema.METHOD))
        .sort(run.replace_strict(order, return_dtype=pl.Int64), maintain_order=True)
        if not frame.is_empty()
        else frame
    )


def own_table(entry: Entry, name: str) -> pl.DataFrame | None:
    """Return a table of a run's own folder; None where it lacks it, or it cannot be read.

    Of a joint training, whose tables hold several models, the rows of the entry's.
    """
    try:
        if not has_table(entry.run.address, name):
            return None
        table = read_table(entry.run.address, name)
    except (TableError, SchemaError):
        # The error names the user's disk; that the table is of no use has to be enough.
        return None
    own = {schema.DATASET: entry.run.dataset, schema.METHOD: entry.run.method}
    return table.filter(**{name: value for name, value in own.items() if name in table.columns})


def hyperparameters_of(trial: Mapping[str, Any]) -> dict[str, Any] | str:
    """Return the hyperparameters of a trial, or say why they cannot be read."""
    try:
        return read_config(trial[schema.TRIAL], str(trial[schema.CONFIG]))
    except TableError as error:
        return str(error)


def _all_parts(collection: Collection, mae: pl.DataFrame) -> dict[str, tuple[Run, ...]]:
    """By joint training its parts, where any of its tables has rows."""
    joint = {run.name: run for run in collection.runs if run.kind == _JOINT}
    if not joint:
        return {}
    own = pl.col(schema.RUN).is_in(list(joint))
    frames = [mae.lazy(), collection.predictions]
    frames += [collection.table_of(name, "curves") for name in joint]
    rows = pl.concat(
        [frame.filter(own).select(_KEYS).unique(maintain_order=True) for frame in frames]
    )
    found: dict[str, tuple[Run, ...]] = {}
    for name, dataset, method in rows.unique(maintain_order=True).collect().iter_rows():
        own_name = f"{name} ({method} on {dataset})"
        part = replace(joint[name], name=own_name, dataset=dataset, method=method)
        found[name] = (*found.get(name, ()), part)
    return found


def _parted(frame: pl.DataFrame, runs: Iterable[Run]) -> pl.DataFrame:
    """Give the rows of joint trainings the names of the parts."""
    parts = {run.name for run in runs if run.kind == _JOINT}
    if not parts:
        return frame
    name = pl.format("{} ({} on {})", schema.RUN, schema.METHOD, schema.DATASET)
    named = pl.when(name.is_in(sorted(parts))).then(name).otherwise(schema.RUN)
    return frame.with_columns(named.alias(schema.RUN))


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping that a run recorded; empty where it is none: its files may hold anything."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _units(frame: pl.DataFrame, runs: Sequence[Run]) -> dict[str, str]:
    """By run the unit that a table tells, where it tells one."""
    known = _parted(frame, runs).filter(pl.col(schema.UNIT).fill_null("") != "")
    rows = known.group_by(schema.RUN, maintain_order=True).agg(pl.col(schema.UNIT).first())
    return dict(rows.iter_rows())


def _rank(benchmark: Mapping[str, Any], key: str, name: str) -> int:
    """The place of a name in a list of the benchmark; behind all where it is not in there."""
    found = benchmark.get(key)
    names = cast("list[object]", found) if isinstance(found, list) else []
    return names.index(name) if name in names else len(names)


def _labels(runs: Sequence[tuple[str, Run]]) -> dict[str, str]:
    """By run the name of its method: with that of the whole it is part of, or its own, if needed.

    Runs of one whole keep one name over its datasets, so that they stand in one column.
    """
    shared = Counter((run.dataset, run.method) for _, run in runs)
    several = {method for (_, method), count in shared.items() if count > 1}
    short = {
        run.name: f"{run.method} ({whole.split('/')[0]})" if run.method in several else run.method
        for whole, run in runs
    }
    again = Counter((run.dataset, short[run.name]) for _, run in runs)
    return {
        run.name: short[run.name]
        if again[run.dataset, short[run.name]] == 1
        else f"{run.method} ({whole})"
        for whole, run in runs
    }
