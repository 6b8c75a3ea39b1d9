"""What a report is made from: the runs, each under a name of its own, and their tables."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

import polars as pl

from supremix_reports import schema, storage
from supremix_reports.collecting import Collection, Run, collect
from supremix_reports.errors import TableError
from supremix_reports.finding import BENCHMARK, Problem
from supremix_reports.frames import mae_rows
from supremix_reports.scanning import frame_schema
from supremix_reports.statistics import LEVEL, METRICS, RESAMPLES

REFERENCE: Final = "l1"
"""The method that others are compared with where none is named: plain regression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How intervals are drawn.

    Args:
        level: probability that they are to cover.
        resamples: number of bootstrap samples.
        seed: seed of the drawing.
    """

    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = 0

    def arguments(self) -> dict[str, Any]:
        """The same as arguments by name."""
        return asdict(self)


@dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """A run in a report.

    Args:
        run: the run.
        method: its method; with the run's name where several runs share dataset and method.
        unit: unit of its errors; None where it has no trials.
        trials: how many there are.
    """

    run: Run
    method: str
    unit: str | None
    trials: int


@dataclass(frozen=True, eq=False, slots=True)
class Material:
    """Runs and their tables; in all of them `method` is that of the entry.

    Args:
        collection: what was collected.
        entries: the runs.
        predictions: those of the split that is looked at.
        mae: rows of the table `mae` of that split, those of the usual measures computed from the
            predictions where there are any.
        problems: what is wrong with any run.
        split: the split that is looked at.
        reference: the method that a benchmark was asked to compare with; None where it is none.
    """

    collection: Collection
    entries: tuple[Entry, ...]
    predictions: pl.DataFrame
    mae: pl.DataFrame
    problems: tuple[Problem, ...]
    split: str
    reference: str | None

    @property
    def datasets(self) -> list[str]:
        """The datasets, in the order of the runs."""
        return list(dict.fromkeys(entry.run.dataset for entry in self.entries))

    @property
    def methods(self) -> list[str]:
        """The methods, in the order of the runs."""
        return list(dict.fromkeys(entry.method for entry in self.entries))

    def trials(self, entry: Entry) -> pl.DataFrame:
        """The trials of a run."""
        return self._of(self.collection.trials, entry)

    def curves(self, entry: Entry) -> pl.DataFrame:
        """The curves of a run."""
        return self._of(self.collection.curves, entry)

    def all_trials(self) -> pl.DataFrame:
        """The trials of all runs, in their order."""
        return _labelled(self.collection.trials.collect(), self.entries)

    def _of(self, frame: pl.LazyFrame, entry: Entry) -> pl.DataFrame:
        rows = frame.filter(pl.col(schema.RUN) == entry.run.name).collect()
        return _labelled(rows, (entry,))


def read_material(
    addresses: Iterable[str], *, split: str, drawing: Drawing | None = None
) -> Material:
    """Collect runs for a report.

    Args:
        addresses: as `collect` takes them.
        split: the split whose errors are looked at.
        drawing: how intervals are drawn.

    Returns:
        The runs with their tables; each run without predictions of the split is a problem.

    Raises:
        TableError: as `collect` does, and when there is no run at all.
    """
    given = tuple(addresses)
    collection = collect(given)
    if not collection.runs:
        reasons = " ".join(problem.reason for problem in collection.problems)
        raise TableError(f"There is no run to report on. {reasons}".strip())
    plan = _plan(given)
    entries = _entries(collection, plan)
    own = collection.predictions.filter(pl.col(schema.SPLIT) == split).collect()
    predictions = _labelled(own, entries)
    odd, predictions = _one_unit(entries, predictions)
    problems = [*collection.problems, *odd]
    return Material(
        collection=collection,
        entries=entries,
        predictions=predictions,
        mae=_mae(collection, entries, predictions, split, drawing or Drawing()),
        problems=(*problems, *_untested(entries, predictions, split, problems)),
        split=split,
        reference=plan.get("reference"),
    )


def choose_reference(material: Material, wanted: str | None) -> str | None:
    """Return the method that others are compared with.

    Args:
        material: the runs.
        wanted: the one asked for; None for the one that the benchmark was asked for with, else
            `REFERENCE`, and where that is not among the methods the first one.

    Returns:
        Its name; None with a single method, which nothing is compared with.

    Raises:
        TableError: when the one asked for is not among them.
    """
    methods: list[str] = material.methods
    if wanted is not None and wanted not in methods:
        raise TableError(
            f"There is no method {wanted!r} to compare with. Methods: {', '.join(methods)}."
        )
    if len(methods) < 2:
        return None
    preferred = (wanted, material.reference, REFERENCE)
    return next((name for name in preferred if name in set(methods)), methods[0])


def _plan(addresses: Sequence[str]) -> dict[str, Any]:
    """What a benchmark was asked for, where the report is about one alone."""
    address = storage.join(addresses[0], BENCHMARK)
    if len(addresses) > 1 or not storage.exists(address):
        return {}
    try:
        content = json.loads(storage.read_bytes(address))
    except ValueError:  # told among the problems of the collection
        return {}
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}


def _entries(collection: Collection, plan: Mapping[str, Any]) -> tuple[Entry, ...]:
    """The runs; those of a benchmark in the order in which it was asked for."""
    labels = _labels(collection.runs)
    counts = collection.trials.group_by(schema.RUN).agg(pl.len(), pl.col(schema.UNIT).first())
    known = {name: (int(number), unit) for name, number, unit in counts.collect().iter_rows()}
    entries: list[Entry] = []
    for run in collection.runs:
        number, unit = known.get(run.name, (0, None))
        entries.append(Entry(run=run, method=labels[run.name], unit=unit, trials=number))

    def place(entry: Entry) -> tuple[int, int]:
        return _rank(plan, "datasets", entry.run.dataset), _rank(plan, "methods", entry.run.method)

    return tuple(sorted(entries, key=place))


def _rank(plan: Mapping[str, Any], key: str, name: str) -> int:
    """The place of a name in a list of the plan; behind all where it is not in there."""
    names = cast("list[str]", plan.get(key, []))
    return names.index(name) if name in names else len(names)


def _labels(runs: Sequence[Run]) -> dict[str, str]:
    """By run the name of its method: with that of the whole it is part of, or its own, if needed.

    Runs of one whole keep one name over its datasets, so that they stand in one column.
    """
    shared = Counter((run.dataset, run.method) for run in runs)
    several = {method for (_, method), count in shared.items() if count > 1}
    short = {
        run.name: f"{run.method} ({run.name.split('/')[0]})"
        if run.method in several
        else run.method
        for run in runs
    }
    again = Counter((run.dataset, short[run.name]) for run in runs)
    return {
        run.name: short[run.name]
        if again[run.dataset, short[run.name]] == 1
        else f"{run.method} ({run.name})"
        for run in runs
    }


def _labelled(frame: pl.DataFrame, entries: Sequence[Entry]) -> pl.DataFrame:
    """Put the entries' names of methods, and their datasets, into a table."""
    methods = {entry.run.name: entry.method for entry in entries}
    order = {entry.run.name: number for number, entry in enumerate(entries)}
    run = pl.col(schema.RUN)
    return (
        frame.filter(run.is_in(list(methods)))
        .with_columns(run.replace_strict(methods, return_dtype=pl.String).alias(schema.METHOD))
        .sort(run.replace_strict(order, return_dtype=pl.Int64), maintain_order=True)
        if not frame.is_empty()
        else frame
    )


def _one_unit(
    entries: Sequence[Entry], predictions: pl.DataFrame
) -> tuple[list[Problem], pl.DataFrame]:
    """Leave out runs whose unit is not that of the other runs on their dataset."""
    units: dict[str, str] = {}
    odd: list[Problem] = []
    for entry in entries:
        unit = units.setdefault(entry.run.dataset, entry.unit) if entry.unit else None
        if entry.unit != unit:
            reason = (
                f"Its errors are in {entry.unit}, those of the runs before it on "
                f"{entry.run.dataset} in {unit}; its predictions are left out."
            )
            odd.append(Problem(entry.run.name, "unit", reason))
    names = [problem.run for problem in odd]
    return odd, predictions.filter(~pl.col(schema.RUN).is_in(names)) if names else predictions


def _untested(
    entries: Sequence[Entry],
    predictions: pl.DataFrame,
    split: str,
    known: Sequence[Problem],
) -> list[Problem]:
    """Runs without predictions of the split of which nothing has been said yet."""
    there = set(predictions[schema.RUN].unique().to_list())
    told = {problem.run for problem in known if re.search("predictions|trials|unit", problem.what)}
    reason = f"It has no predictions on {split}, so it is in no table of errors."
    return [
        Problem(entry.run.name, "predictions", reason)
        for entry in entries
        if entry.run.name not in there | told
    ]


def _mae(
    collection: Collection,
    entries: Sequence[Entry],
    predictions: pl.DataFrame,
    split: str,
    drawing: Drawing,
) -> pl.DataFrame:
    """The usual measures from predictions; the others, and those of runs without, as written."""
    units = {entry.run.name: entry.unit or "" for entry in entries}
    rows: list[dict[str, object]] = []
    for (run,), part in predictions.group_by([schema.RUN], maintain_order=True):
        own = mae_rows(part, unit=units[str(run)], **drawing.arguments())
        rows += [{schema.RUN: run, **row} for row in own]
    computed = {row[schema.RUN] for row in rows}
    written = _labelled(collection.mae.filter(pl.col(schema.SPLIT) == split).collect(), entries)
    for row in written.to_dicts():
        if row[schema.RUN] not in computed or row[schema.METRIC] not in METRICS:
            rows.append(row)
    order = {entry.run.name: number for number, entry in enumerate(entries)}
    rows.sort(key=lambda row: order[str(row[schema.RUN])])
    return pl.DataFrame(rows, schema=frame_schema("mae"), orient="row")
