"""`summary.md`: what a run found, from its tables and its specification alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

import polars as pl

from supremix_reports import schema, storage
from supremix_reports.frames import CONFIG_PREFIX, best_trial, ranked, trials_frame
from supremix_reports.markdown import duration, table
from supremix_reports.statistics import LEVEL, Interval, mae_interval
from supremix_reports.tables import has_table, read_table

SUMMARY: Final = "summary.md"
_SHOWN: Final = 10


def write_summary(folder: str, spec: Mapping[str, object]) -> str:
    """Write `summary.md` into a run folder.

    Args:
        folder: path or fsspec address of a run folder that holds the table `trials`.
        spec: the run's specification, as `summary_markdown` takes it.

    Returns:
        The address of the file.

    Raises:
        TableError, SchemaError: when the tables are missing or unfit.
    """
    trials = read_table(folder, "trials")
    predictions = read_table(folder, "predictions") if has_table(folder, "predictions") else None
    address = storage.join(folder, SUMMARY)
    text = summary_markdown(spec, trials, predictions)
    storage.write_atomic(address, text.encode())
    return address


def summary_markdown(
    spec: Mapping[str, object], trials: pl.DataFrame, predictions: pl.DataFrame | None = None
) -> str:
    """Return the summary of a run as Markdown.

    Args:
        spec: the run's specification. Its plain values are listed; under "space" the searched
            parameters are looked for (`Space.to_dict()`), to stand beside the best settings.
        trials: the table `trials`.
        predictions: the table `predictions`, if there is one; those of the best trial give its
            interval.
    """
    best = best_trial(trials)
    parts = [
        _title(spec, trials),
        "No trial came to an error." if best is None else _best(best, predictions),
        "" if best is None else _settings(best, spec),
        _counts(trials),
        _ranking(trials),
        _failures(trials),
        _specification(spec),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(spec: Mapping[str, object], trials: pl.DataFrame) -> str:
    def names(column: str) -> str:
        found = cast("list[str]", trials[column].unique(maintain_order=True).to_list())
        return ", ".join(found) or str(spec.get(column, "unknown"))

    return f"# {names(schema.METHOD)} on {names(schema.DATASET)}"


def _best(best: Mapping[str, Any], predictions: pl.DataFrame | None) -> str:
    unit = best[schema.UNIT]
    lines = [
        f"**Best: trial {best[schema.TRIAL]}, error {best[schema.ERROR]:.4g} {unit}** "
        f"on validation ({best[schema.STATE]}, {best[schema.EPOCHS]} epochs)."
    ]
    lines += [
        f"Mean absolute error on {split}: {interval.value:.4g} {unit}, {LEVEL:.0%} interval "
        f"{interval.low:.4g} to {interval.high:.4g} (bootstrap over {interval.groups} groups, "
        f"{interval.n} predictions)."
        for split, interval in _intervals(best, predictions).items()
    ]
    lines.append(
        "The search picked this trial by its validation error, which is therefore a little too "
        "good: expect more on data it has never seen."
    )
    return "\n".join(lines)


def _intervals(best: Mapping[str, Any], predictions: pl.DataFrame | None) -> dict[str, Interval]:
    """Return the interval of the best trial on each split with predictions of two groups."""
    if predictions is None:
        return {}
    own = predictions.filter(
        (pl.col(schema.RUN) == best[schema.RUN]) & (pl.col(schema.TRIAL) == best[schema.TRIAL])
    )
    result: dict[str, Interval] = {}
    for (split,), part in own.group_by([schema.SPLIT], maintain_order=True):
        errors = (part[schema.PREDICTION] - part[schema.TARGET]).to_numpy()
        interval = mae_interval(errors, part[schema.GROUP].to_numpy())
        if interval.groups > 1:
            result[str(split)] = interval
    return result


def _settings(best: Mapping[str, Any], spec: Mapping[str, object]) -> str:
    config = cast("dict[str, object]", json.loads(best[schema.CONFIG]))
    searched = _mapping(spec.get("space"))
    rows = [[name, _word(value), _range(searched.get(name))] for name, value in config.items()]
    head = ["setting", "best", "searched"]
    return "## Best settings\n\n" + table(head, rows) if rows else ""


def _word(value: object) -> object:
    return "none" if value is None else value


def _mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping as it is, and anything else as an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _range(entry: object) -> str | None:
    """Say what was searched, from the stored form of a parameter; None for a fixed one."""
    data = _mapping(entry)
    if "options" in data:
        return ", ".join(json.dumps(option).strip('"') for option in data["options"])
    if "low" in data:
        return f"{data['low']:g} to {data['high']:g}" + (" (log)" if data.get("log") else "")
    return None


def _counts(trials: pl.DataFrame) -> str:
    states = trials[schema.STATE].to_list()
    counts = [f"{states.count(s)} {s}" for s in schema.STATES if s in states]
    epochs, seconds = trials[schema.EPOCHS].sum(), trials[schema.SECONDS].sum()
    return (
        f"## Trials\n\n{len(states)} trials ({', '.join(counts) or 'none ran'}), {epochs} epochs, "
        f"{duration(float(seconds))} of training."
    )


def _ranking(trials: pl.DataFrame) -> str:
    frame = trials_frame(ranked(trials.filter(pl.col(schema.STATE) != schema.FAILED)))
    varied = [
        column
        for column in frame.columns
        if column.startswith(CONFIG_PREFIX) and frame[column].n_unique() > 1
    ]
    own = [schema.TRIAL, schema.STATE, schema.ERROR, schema.R2, schema.EPOCHS]
    rows = frame.head(_SHOWN).select(*own, *varied).rows()
    unit = ", ".join(trials[schema.UNIT].unique(maintain_order=True).to_list())
    head = ["trial", "state", f"error ({unit})", "R²", "epochs"]
    head += [column.removeprefix(CONFIG_PREFIX) for column in varied]
    text = table(head, rows)
    hidden = frame.height - len(rows)
    return text + (f"\n\nand {hidden} more in `trials.parquet`." if hidden else "")


def _failures(trials: pl.DataFrame) -> str:
    failed = trials.filter(pl.col(schema.STATE) == schema.FAILED)
    rows = failed.select(schema.TRIAL, schema.REASON).rows()
    return "## Failed trials\n\n" + table(["trial", "reason"], rows) if rows else ""


def _specification(spec: Mapping[str, object]) -> str:
    plain = (bool, int, float, str, type(None))
    rows = [[name, _word(value)] for name, value in spec.items() if isinstance(value, plain)]
    return "## Specification\n\n" + table(["", "value"], rows) if rows else ""
