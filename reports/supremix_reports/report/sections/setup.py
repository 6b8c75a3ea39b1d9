"""What was done: the runs of a report, what was asked for, on what, and how to repeat it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

import polars as pl

from supremix_reports.document.markdown import duration
from supremix_reports.document.parts import (
    DASH,
    Cell,
    Code,
    Column,
    Listing,
    Paragraph,
    Part,
    Section,
    Table,
    count_cell,
    text_cell,
)
from supremix_reports.report.data import Entry, ReportData
from supremix_reports.report.privacy import shown_command, shown_spec
from supremix_reports.tables import schema

_OWN: Final = ("dataset", "method", "source")
"""Settings that tell runs apart as a matter of course."""

_UNREADABLE: Final = "not readable"
"""Stands for what a run's file has in another form than this version writes."""


def setup_section(data: ReportData, *, again: str, paths: bool) -> Section:
    """Return the section about specification, versions, seeds, hardware, splits and commands."""
    specs = {e.run.name: shown_spec(e.run.spec, paths=paths) for e in data.entries}
    parts: list[Part] = [
        _runs_table(data),
        *_settings("specification", "Specification", specs),
        *_settings("versions", "Versions", {e.run.name: packages_of(e) for e in data.entries}),
        *_settings("hardware", "Hardware", {e.run.name: _hardware(e) for e in data.entries}),
    ]
    sections = (
        Section(key="repeat", title="To repeat it", parts=_commands(data, again, paths=paths)),
    )
    return Section(key="setup", title="What was done", parts=tuple(parts), sections=sections)


def _runs_table(data: ReportData) -> Table:
    names = ("Run", "Dataset", "Method", "Trials", "Early", "Failed", "Epochs", "Time")
    splits = ("Train", "Validation", "Test")
    columns = [
        Column(name=n, number=n not in ("Run", "Dataset", "Method", "Test seeds"))
        for n in (*names, *splits, "Test seeds")
    ]
    trials = _trial_counts(data.all_trials)
    used = data.predictions.group_by(schema.RUN).agg(pl.col(schema.SEED).unique().sort())
    seeds = {run: ", ".join(map(str, own)) for run, own in used.iter_rows()}
    return Table(
        name="runs",
        caption="The runs: trials, what they took, and the images of each split.",
        columns=tuple(columns),
        rows=tuple(_run_row(entry, trials, seeds) for entry in data.entries),
        note="Early: trials that were pruned or stopped. Epochs and time: of all trials together. "
        f"Test seeds: those of the models measured on {data.split}.",
    )


def _trial_counts(trials: pl.DataFrame) -> dict[str, dict[str, Any]]:
    early = pl.col(schema.STATE).is_in([schema.PRUNED, schema.STOPPED]).sum()
    rows = trials.group_by(schema.RUN).agg(
        pl.len().alias("trials"),
        early.alias("early"),
        (pl.col(schema.STATE) == schema.FAILED).sum().alias("failed"),
        pl.col(schema.EPOCHS).sum(),
        pl.col(schema.SECONDS).sum(),
    )
    return {row[schema.RUN]: row for row in rows.iter_rows(named=True)}


def _run_row(
    entry: Entry, trials: Mapping[str, Mapping[str, Any]], seeds: Mapping[str, str]
) -> tuple[Cell, ...]:
    own = trials.get(entry.run.name)
    images = (entry.run.environment or {}).get("images") or {}
    counts = [None if own is None else own[n] for n in ("trials", "early", "failed", "epochs")]
    time = Cell(text=DASH)
    if own is not None:
        time = Cell(text=duration(own[schema.SECONDS]), order=own[schema.SECONDS])
    return (
        *map(text_cell, (entry.run.name, entry.run.dataset, entry.method)),
        *(count_cell(count) for count in counts),
        time,
        *(_image_cell(images, split) for split in ("train", "val", "test")),
        text_cell(seeds.get(entry.run.name)),
    )


def _image_cell(images: object, split: str) -> Cell:
    """How many images a split has; the file it is from may hold anything."""
    count = images
    if isinstance(images, Mapping):
        count = cast("Mapping[str, object]", images).get(split)
    if count is None:
        return count_cell(None)
    return count_cell(int(count)) if isinstance(count, int) else Cell(text=_UNREADABLE)


def packages_of(entry: Entry) -> dict[str, Any]:
    """Return the versions of Python and of the packages that a run was made with."""
    environment = entry.run.environment or {}
    packages = _recorded(environment, "packages")
    known = {name: version for name, version in packages.items() if version is not None}
    return {"python": environment["python"], **known} if "python" in environment else known


def _recorded(environment: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A mapping in a run's environment, where it is one."""
    value = environment.get(name) or {}
    return value if isinstance(value, Mapping) else {name: _UNREADABLE}


def _hardware(entry: Entry) -> dict[str, Any]:
    """Nodes and workers; the name of no machine is in there."""
    environment = entry.run.environment or {}
    found = {name: environment[name] for name in ("system", "processor") if name in environment}
    nodes: object = environment.get("nodes") or []
    if nodes:
        listed = cast("list[object]", nodes) if isinstance(nodes, list) else [None]
        found["nodes"] = "; ".join(_node(node) for node in listed)
    plan = _recorded(environment, "plan")
    return found | {
        name: plan[name] for name in ("worker_groups", "workers", "plan") if name in plan
    }


def _node(node: object) -> str:
    if not isinstance(node, Mapping):
        return _UNREADABLE
    own = cast("Mapping[str, object]", node)
    parts = (("CPU", 1, "CPUs"), ("GPU", 1, "GPUs"), ("memory", 2**30, "GiB"))
    return ", ".join(_amount(own[name], unit, word) for name, unit, word in parts if name in own)


def _amount(value: object, unit: int, word: str) -> str:
    if not isinstance(value, (int, float)):
        return f"{word} {_UNREADABLE}"
    return f"{value / unit:{'g' if unit == 1 else '.0f'}} {word}"


def _settings(key: str, title: str, values: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    """What all runs share as a list, and what they differ in as a table."""
    names = dict.fromkeys(name for own in values.values() for name in own)
    shared: list[tuple[str, str]] = []
    differing: list[str] = []
    for name in names:
        texts = {shown(own.get(name)) for own in values.values()}
        if len(texts) == 1:
            shared.append((name, texts.pop()))
        elif name not in _OWN:
            differing.append(name)
    if not names:
        return [Paragraph(text=f"{title}: not recorded in these runs.", tone="warning")]
    parts: list[Part] = []
    if shared:
        words = f"{title}, the same in all runs:" if len(values) > 1 else f"{title}:"
        parts += [Paragraph(text=words, tone="strong"), Listing(entries=tuple(shared))]
    if differing:
        rows = [
            (text_cell(run), *(text_cell(shown(own.get(name))) for name in differing))
            for run, own in values.items()
        ]
        columns = tuple(Column(name=name) for name in ("Run", *differing))
        caption = f"{title}: what differs between the runs."
        parts.append(Table(name=key, caption=caption, columns=columns, rows=tuple(rows)))
    return parts


def shown(value: object) -> str:
    """Return an option's value as it is read: a list with commas, a mapping as JSON."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(shown(one) for one in cast("list[object]", value)) or "none"
    return json.dumps(value) if isinstance(value, Mapping) else str(value)


def _commands(data: ReportData, again: str, *, paths: bool) -> tuple[Part, ...]:
    found = [str((e.run.environment or {}).get("command") or "") for e in data.entries]
    commands = [shown_command(text, paths=paths) if text else None for text in found]
    given = tuple(dict.fromkeys(command for command in commands if command is not None))
    python = sum(command is None for command in commands) - found.count("")
    parts: list[Part] = []
    if given:
        parts += [Paragraph(text="The runs were made by:"), Code(lines=given)]
    reasons = {", made from Python,": python, "": found.count("")}
    for words, count in reasons.items():
        if count:
            text = f"The command of {count} of {len(found)} runs{words} is not recorded."
            parts.append(Paragraph(text=text, tone="warning"))
    if again:
        parts += [Paragraph(text="This report was made by:"), Code(lines=(again,))]
    if not paths:
        text = (
            "Paths and addresses are cut down to their last name, and options that mean nothing "
            "on another machine are left out."
        )
        parts.append(Paragraph(text=text))
    return tuple(parts)
