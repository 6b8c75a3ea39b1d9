"""What a report is made from: the runs, each under a name of its own, and their tables."""

from __future__ import annotations

import json
import re
from collections.abc import Collection as Several
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import polars as pl

from supremix_reports.catalog.collection import Collection, collect
from supremix_reports.catalog.discovery import Problem
from supremix_reports.catalog.lazy_tables import frame_schema
from supremix_reports.errors import TableError
from supremix_reports.report.entries import Entry, as_mapping, entries_of, labelled
from supremix_reports.run_layout import BENCHMARK
from supremix_reports.statistics.measures.mae import mae_rows
from supremix_reports.statistics.measures.skill import MEASURES
from supremix_reports.statistics.resampling.bootstrap import DEFAULT, Resampling
from supremix_reports.statistics.resampling.intervals import METRICS
from supremix_reports.tables import schema, storage

REFERENCE: Final = "l1"
"""The method that others are compared with where none is named: plain regression."""


@dataclass(frozen=True, eq=False, slots=True)
class ReportData:
    """Runs and their tables; in all of them `run` and `method` are those of the entry.

    Args:
        collection: what was collected.
        entries: the runs; of a joint training its parts.
        all_trials: the trials of all runs, in the order of the entries.
        predictions: those of the split that is looked at, in the same order.
        mae: rows of the table `mae` of that split, those of the usual measures computed from the
            predictions where there are any.
        problems: what is wrong with any run.
        split: the split that is looked at.
        reference: the method that a benchmark was asked to compare with; None where it is none.
        apart: names of the runs whose errors are in another unit than those of the other runs on
            their dataset, so that they compare with none.
        resampling: how the intervals of the errors were drawn.
    """

    collection: Collection
    entries: tuple[Entry, ...]
    all_trials: pl.DataFrame
    predictions: pl.DataFrame
    mae: pl.DataFrame
    problems: tuple[Problem, ...]
    split: str
    reference: str | None
    apart: frozenset[str]
    resampling: Resampling
    _trials: Mapping[str, pl.DataFrame]
    _predicted: Mapping[str, pl.DataFrame]

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
        return self._trials.get(entry.run.name, self.all_trials.clear())

    def curves(self, entry: Entry) -> pl.DataFrame:
        """The curves of a run, read from its own file."""
        return labelled(self.collection.table_of(entry.whole, "curves").collect(), (entry,))

    def predicted(self, entry: Entry) -> pl.DataFrame:
        """The predictions of a run on the split."""
        return self._predicted.get(entry.run.name, self.predictions.clear())

    def comparable_trials(self) -> pl.DataFrame:
        """The same without runs whose errors are in another unit than the runs before them."""
        return self.all_trials.filter(~pl.col(schema.RUN).is_in(sorted(self.apart)))


def read_report_data(
    addresses: Iterable[str], *, split: str | None, resampling: Resampling = DEFAULT
) -> ReportData:
    """Collect runs for a report.

    Args:
        addresses: as `collect` takes them.
        split: the split whose errors are looked at; None for test, or for validation where every
            run was asked for without a test.
        resampling: how intervals are drawn.

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
    if split is None:
        asked = any(run.spec.get(schema.TEST) is not False for run in collection.runs)
        split = schema.TEST if asked else schema.VAL
    benchmark = _benchmark(given)
    reference = benchmark.get("reference")
    # Each table is read once, for any number of runs.
    trials, mae = collection.trials.collect(), collection.mae.collect()
    entries = entries_of(collection, trials, mae, benchmark)
    odd = _other_units(entries)
    problems = [*collection.problems, *odd, *_copies(entries)]
    own = collection.predictions.filter(pl.col(schema.SPLIT) == split).collect()
    apart = frozenset(problem.run for problem in odd)
    predictions, all_trials = _left(labelled(own, entries), apart), labelled(trials, entries)
    damaged, untested = _lacking(entries, predictions, split, problems)
    written = labelled(mae.filter(pl.col(schema.SPLIT) == split), entries)
    rows = _mae(entries, predictions, _left(written, apart | damaged), resampling)
    return ReportData(
        collection=collection,
        entries=entries,
        all_trials=all_trials,
        predictions=predictions,
        mae=rows,
        problems=(*problems, *untested),
        split=split,
        reference=reference if isinstance(reference, str) else None,
        apart=apart,
        resampling=resampling,
        _trials=_by_run(all_trials),
        _predicted=_by_run(predictions),
    )


def choose_reference(data: ReportData, wanted: str | None) -> str | None:
    """Return the method that others are compared with.

    Args:
        data: the runs.
        wanted: the one asked for; None for the one that the benchmark was asked for with, else
            `REFERENCE`, and where that is not among the methods the first one.

    Returns:
        Its name; None with a single method, which nothing is compared with.

    Raises:
        TableError: when the one asked for is not among them.
    """
    methods: list[str] = data.methods
    if wanted is not None and wanted not in methods:
        raise TableError(
            f"There is no method {wanted!r} to compare with. Methods: {', '.join(methods)}."
        )
    if len(methods) < 2:
        return None
    preferred = (wanted, data.reference, REFERENCE)
    return next((name for name in preferred if name in set(methods)), methods[0])


def _benchmark(addresses: Sequence[str]) -> dict[str, Any]:
    """What a benchmark was asked for, where the report is about one alone."""
    address = storage.join(addresses[0], BENCHMARK)
    if len(addresses) > 1 or not storage.exists(address):
        return {}
    try:
        content = json.loads(storage.read_bytes(address))
    except ValueError:  # named among the problems of the collection
        return {}
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}


def _by_run(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The rows of each run, of a frame in which they lie together; nothing is copied."""
    lengths = frame[schema.RUN].rle().struct.unnest()
    starts = lengths["len"].cum_sum() - lengths["len"]
    places = zip(lengths["value"], starts, lengths["len"], strict=True)
    return {run: frame.slice(start, length) for run, start, length in places}


def _left(frame: pl.DataFrame, without: Several[str]) -> pl.DataFrame:
    """The rows of all runs but some."""
    return frame.filter(~pl.col(schema.RUN).is_in(sorted(without))) if without else frame


def _lacking(
    entries: Sequence[Entry], predictions: pl.DataFrame, split: str, problems: Sequence[Problem]
) -> tuple[set[str], list[Problem]]:
    """Runs whose predictions of the split are damaged; a problem for each other without any."""
    there = set(predictions[schema.RUN])
    lacking = [entry for entry in entries if entry.run.name not in there]
    damaged = {problem.run for problem in problems if problem.what == f"predictions, {split}"}
    said = {p.run for p in problems if re.search("predictions|trials|unit", p.what)}
    reason = f"It has no predictions on {split}, so it is in no table of errors."
    return {entry.run.name for entry in lacking if entry.whole in damaged}, [
        Problem(entry.run.name, "predictions", reason)
        for entry in lacking
        if not {entry.run.name, entry.whole} & said
    ]


def _other_units(entries: Sequence[Entry]) -> list[Problem]:
    """Runs whose unit is not that of the runs before them on their dataset."""
    units: dict[str, str] = {}
    odd: list[Problem] = []
    for entry in entries:
        unit = units.setdefault(entry.run.dataset, entry.unit) if entry.unit else None
        if entry.unit != unit:
            reason = (
                f"Its errors are in {entry.unit}, those of the runs before it on "
                f"{entry.run.dataset} in {unit}; its errors are left out."
            )
            odd.append(Problem(entry.run.name, "unit", reason))
    return odd


def _copies(entries: Sequence[Entry]) -> list[Problem]:
    """Runs in which images occur under several patients who are in several splits."""
    found: list[Problem] = []
    for entry in entries:
        known = as_mapping(entry.environment.get("copies"))
        if known.get("apart"):
            reason = (
                f"{known.get('images')} images occur under more than one patient, with the same "
                f"pixels, and {known['apart']} of them in more than one split: its errors look "
                "better than they are."
            )
            found.append(Problem(entry.run.name, "copies", reason))
    return found


def _mae(
    entries: Sequence[Entry],
    predictions: pl.DataFrame,
    written: pl.DataFrame,
    resampling: Resampling,
) -> pl.DataFrame:
    """The usual measures from predictions; the others, and those of runs without, as written."""
    units = {entry.run.name: entry.unit or "" for entry in entries}
    rows: list[dict[str, object]] = []
    for (run,), part in predictions.group_by([schema.RUN], maintain_order=True):
        own = mae_rows(part, unit=units[str(run)], **resampling.arguments())
        rows += [{schema.RUN: run, **row} for row in own]
    computed = {row[schema.RUN] for row in rows}
    for row in written.to_dicts():
        if row[schema.RUN] not in computed or row[schema.METRIC] not in (*METRICS, *MEASURES):
            rows.append(row)
    order = {entry.run.name: number for number, entry in enumerate(entries)}
    rows.sort(key=lambda row: order[str(row[schema.RUN])])
    return pl.DataFrame(rows, schema=frame_schema("mae"), orient="row")
