"""What runs differ in: what was asked for, versions, best hyperparameters, errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import polars as pl

from supremix_reports.catalog.discovery import Problem
from supremix_reports.document.parts import (
    DASH,
    Cell,
    Column,
    Paragraph,
    Part,
    Section,
    Table,
    count_cell,
    decimals,
    number_cell,
    p_cell,
    text_cell,
)
from supremix_reports.errors import TableError
from supremix_reports.report.data import ReportData, read_report_data
from supremix_reports.report.entries import Entry, hyperparameters_of
from supremix_reports.report.privacy import shown_spec, without_places, without_secrets
from supremix_reports.report.sections.setup import packages_of, shown
from supremix_reports.statistics.comparing.comparisons import RESAMPLES, compare_methods
from supremix_reports.statistics.resampling.bootstrap import Resampling
from supremix_reports.statistics.resampling.intervals import LEVEL
from supremix_reports.summaries.error_rows import SKILL_NOTE, interval_columns, measure_columns
from supremix_reports.summaries.verdicts import skill_sentences, verdict
from supremix_reports.tables import schema
from supremix_reports.tables.frames import best_trial

Row = dict[str, Any]

_PARTS: Final = {
    "specification": "Specification",
    "versions": "Versions",
    "best_hyperparameters": "Best hyperparameters",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """What runs differ in; each list of values has one for each run, in their order.

    Args:
        runs: names of the runs.
        split: the split whose errors are compared.
        specification: Options of the request that differ, with each run's value; None where it
            was not given.
        versions: the packages that differ, with each run's version.
        best_hyperparameters: Hyperparameters of the best trials that differ, with each run's value.
        errors: a row a run: run, dataset, method, trial (the best one), mae, low, high, n, groups,
            seeds, unit, null_mae (of predicting the training median), skill, skill_low, skill_high,
            and against the first run on the same dataset: against, difference,
            difference_low, difference_high, p, p_adjusted, significant, note. Null where there
            is no such number.
        notes: sentences on runs that show no skill, and on predictions beyond the labels.
        problems: what is wrong with any run.
    """

    runs: tuple[str, ...]
    split: str
    specification: Mapping[str, tuple[Any, ...]]
    versions: Mapping[str, tuple[Any, ...]]
    best_hyperparameters: Mapping[str, tuple[Any, ...]]
    errors: tuple[Row, ...]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return asdict(self)

    def sections(self) -> tuple[Section, ...]:
        """The differences as parts of a page."""
        columns = tuple(_numbered(self.runs))
        parts: dict[str, Part] = {"runs": _runs_table(self.runs)} if len(columns) > 2 else {}
        tables = [
            Section(key=key, title=title, parts=(self._table(key, title, columns),))
            for key, title in _PARTS.items()
        ]
        said = [Paragraph(text=text, tone="warning") for text in self.notes]
        errors = Section(
            key="errors", title="Errors", parts=(*said, _skill_table(self), _errors_table(self))
        )
        problems = [
            Paragraph(
                text=f"{p.run}, {p.what}: {p.reason}", tone="plain" if p.remark else "warning"
            )
            for p in sorted(self.problems, key=lambda one: one.remark)
        ]
        ends = (
            [Section(key="problems", title="Problems", parts=tuple(problems))] if problems else []
        )
        first = [Section(key="runs", title="Runs", parts=tuple(parts.values()))] if parts else []
        return (*first, *tables, errors, *ends)

    def _table(self, key: str, title: str, columns: Sequence[str]) -> Part:
        values: Mapping[str, tuple[Any, ...]] = getattr(self, key)
        if not values:
            return Paragraph(text="Nothing differs.")
        rows = [
            (text_cell(name), *(text_cell(shown(value)) for value in own))
            for name, own in values.items()
        ]
        return Table(
            name=key,
            caption=f"{title}: what differs.",
            columns=(Column(name="Option"), *(Column(name=name) for name in columns)),
            rows=tuple(rows),
        )


def compare_runs(
    addresses: Sequence[str],
    *,
    split: str | None = None,
    paths: bool = False,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Differences:
    """Find what runs differ in.

    Args:
        addresses: of run folders, or of folders that hold several; paths or fsspec addresses.
        split: the split whose errors are compared: "test" or "val"; None for test, or for
            validation where every run was asked for without a test.
        paths: whether paths and addresses are shown whole.
        level: probability that intervals are to cover.
        resamples: number of bootstrap samples of a comparison.
        seed: Seed of the drawing.

    Returns:
        The differences; errors are compared with those of the first run on the same dataset, where
        both were measured on the same samples.

    Raises:
        TableError: fewer than two runs.
        ReportError: as `collect` and `compare_methods` do.
    """
    resampling = Resampling(level=level, seed=seed)
    data = read_report_data(addresses, split=split, resampling=resampling)
    names = [entry.run.name for entry in data.entries]
    if len(names) < 2:
        raise TableError(
            f"Differences need two runs, and there is one: {', '.join(names)}. Name another one."
        )
    specs = [shown_spec(entry.run.spec, paths=paths) for entry in data.entries]
    best = [best_trial(data.trials(entry), data.predicted(entry)) for entry in data.entries]
    configs, unread = _configs(names, best)
    gains = _gains(data, replace(resampling, resamples=resamples))
    clean: Callable[[str], str] = without_secrets if paths else without_places
    return Differences(
        runs=tuple(names),
        split=data.split,
        specification=_differing(specs),
        versions=_differing([packages_of(entry) for entry in data.entries]),
        best_hyperparameters=_differing(configs),
        errors=tuple(
            _error_row(entry, one, data, gains)
            for entry, one in zip(data.entries, best, strict=True)
        ),
        notes=tuple(skill_sentences(data.mae, level=level)),
        problems=tuple(replace(p, reason=clean(p.reason)) for p in (*data.problems, *unread)),
    )


def _configs(
    names: Sequence[str], best: Sequence[Row | None]
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """The hyperparameters of the best trials; of those that cannot be read a problem."""
    found = [{} if one is None else hyperparameters_of(one) for one in best]
    unread = [
        Problem(n, "trials", c) for n, c in zip(names, found, strict=True) if isinstance(c, str)
    ]
    return [{} if isinstance(config, str) else config for config in found], unread


def _differing(values: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    names = dict.fromkeys(name for own in values for name in own)
    found = {name: tuple(own.get(name) for own in values) for name in names}
    return {name: own for name, own in found.items() if len({shown(one) for one in own}) > 1}


def _gains(data: ReportData, resampling: Resampling) -> dict[str, Row]:
    """By run its difference to the first run on its dataset that can be compared with."""
    tested = set(data.predictions[schema.RUN].unique().to_list())
    labels: dict[str, str] = {}
    runs: dict[tuple[str, str], str] = {}
    firsts: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for entry in data.entries:
        name, dataset = entry.run.name, entry.run.dataset
        if name in tested:
            # The first one of every dataset has the same label: that of the reference.
            labels[name] = f"{counts[dataset]:04d}"
            counts[dataset] += 1
            runs[dataset, labels[name]] = name
            firsts.setdefault(dataset, name)
    if len(runs) == len(firsts):
        return {}
    labelled = pl.col(schema.RUN).replace_strict(labels, return_dtype=pl.String)
    predictions = data.predictions.with_columns(labelled.alias(schema.METHOD))
    rows = compare_methods(
        predictions, reference="0000", split=data.split, **resampling.arguments()
    )
    return {
        runs[key]: {**row, "against": firsts[row[schema.DATASET]]}
        for row in rows.iter_rows(named=True)
        if (key := (row[schema.DATASET], row[schema.METHOD])) in runs
    }


def _error_row(entry: Entry, best: Row | None, data: ReportData, gains: Mapping[str, Row]) -> Row:
    every = data.mae.filter(pl.col(schema.RUN) == entry.run.name).to_dicts()
    own: dict[str, Row] = {row[schema.METRIC]: row for row in every}
    measured = own.get(schema.MAE, {})
    gain = gains.get(entry.run.name, {})
    counts = (schema.LOW, schema.HIGH, schema.N, schema.GROUPS, schema.SEEDS)
    tests = ("p", "p_adjusted", "significant", "note")
    ends = ("difference", "difference_low", "difference_high")
    return {
        schema.RUN: entry.run.name,
        schema.DATASET: entry.run.dataset,
        schema.METHOD: entry.run.method,
        schema.TRIAL: None if best is None else best[schema.TRIAL],
        schema.MAE: measured.get(schema.VALUE),
        **{name: measured.get(name) for name in counts},
        schema.UNIT: entry.unit,
        schema.NULL_MAE: own.get(schema.NULL_MAE, {}).get(schema.VALUE),
        **measure_columns(schema.SKILL, own, schema.SKILL),
        **{name: gain.get(name) for name in ("against", *ends, *tests)},
    }


def _numbered(runs: Sequence[str]) -> list[str]:
    """The headings of many runs are numbers, so that the table stays narrow."""
    return list(runs) if len(runs) <= 2 else [f"[{number}]" for number in range(1, len(runs) + 1)]


def _runs_table(runs: Sequence[str]) -> Table:
    rows = [(text_cell(n), text_cell(run)) for n, run in zip(_numbered(runs), runs, strict=True)]
    columns = (Column(name="Number"), Column(name="Run"))
    return Table(name="runs", caption="The runs.", columns=columns, rows=tuple(rows))


def _skill_table(of: Differences) -> Table:
    names = ("Run", "Dataset", "MAE", "Training median", "Unit", "Skill")
    rows = [
        (
            text_cell(label),
            text_cell(row[schema.DATASET]),
            number_cell(row[schema.MAE]),
            number_cell(row[schema.NULL_MAE]),
            text_cell(row[schema.UNIT]),
            number_cell(*(row[name] for name in interval_columns(schema.SKILL)), digits=2),
        )
        for label, row in zip(_numbered(of.runs), of.errors, strict=True)
    ]
    return Table(
        name="skill",
        caption=f"Mean absolute error on {of.split}, and that of predicting the training median.",
        columns=tuple(Column(name=n, number=n not in ("Run", "Dataset", "Unit")) for n in names),
        rows=tuple(rows),
        note=f"Skill: {SKILL_NOTE}.",
    )


def _errors_table(of: Differences) -> Table:
    names = ("Run", "Dataset", "MAE", "Unit", "Difference", "Verdict", "p", "Patients", "Seeds")
    texts = ("Run", "Dataset", "Unit", "Verdict")
    several = len({row["against"] for row in of.errors if row["against"]}) > 1
    first = "the first run on the same dataset" if several else "the first run"
    labels = _numbered(of.runs)
    return Table(
        name="errors",
        caption=f"Mean absolute error on {of.split}, and its difference to {first}.",
        columns=tuple(Column(name=n, number=n not in texts) for n in names),
        rows=tuple(_errors_cells(n, row) for n, row in zip(labels, of.errors, strict=True)),
        note="Differences are paired: both runs on the same patients. p is corrected for all "
        "comparisons of the table.",
    )


def _errors_cells(label: str, row: Row) -> tuple[Cell, ...]:
    difference = (row["difference"], row["difference_low"], row["difference_high"])
    compared = row["against"] is not None
    return (
        text_cell(label),
        text_cell(row[schema.DATASET]),
        number_cell(row[schema.MAE], row[schema.LOW], row[schema.HIGH]),
        text_cell(row[schema.UNIT]),
        number_cell(*difference, digits=decimals(difference), sign=True),
        text_cell(verdict(row)) if compared else Cell(text=DASH),
        p_cell(row["p_adjusted"]),
        count_cell(row[schema.GROUPS]),
        count_cell(row[schema.SEEDS]),
    )
