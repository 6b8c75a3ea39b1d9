"""`summary.md`: what a run found, from its tables and its specification alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from statistics import fmean
from typing import Any, Final, cast

import polars as pl

from supremix_reports.document.markdown import duration, specification, table, word
from supremix_reports.run_layout import EMBEDDING
from supremix_reports.statistics.measures.best_error import BestError, best_error
from supremix_reports.statistics.measures.imbalance import BALANCED, REGIONS
from supremix_reports.statistics.resampling.intervals import LEVEL
from supremix_reports.summaries.convergence import convergence_sentence
from supremix_reports.summaries.coverage import coverage_sentence
from supremix_reports.summaries.error_rows import SKILL_NOTE, error_rows, interval_text
from supremix_reports.summaries.verdicts import defaults_sentence, skill_sentences
from supremix_reports.tables import schema, storage
from supremix_reports.tables.frames import (
    CONFIG_PREFIX,
    best_trial,
    outcomes_of,
    ranked,
    trials_frame,
)
from supremix_reports.tables.ranking import on_validation, replicate_errors
from supremix_reports.tables.tables import has_table, read_table

SUMMARY: Final = "summary.md"
_SHOWN: Final = 10
_WORDS: Final = ("copies", "final_length")
_SINGLE: Final = "Each error is of a single training; the least of them is optimistically biased."


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
    names = ("predictions", "mae", "measures", "defaults", "curves", "intervals")
    tables = {name: read_table(folder, name) for name in names if has_table(folder, name)}
    picture = storage.exists(storage.join(folder, EMBEDDING))
    address = storage.join(folder, SUMMARY)
    text = summary_markdown(spec, trials, **tables, picture=picture)
    storage.write_atomic(address, text.encode())
    return address


def summary_markdown(
    spec: Mapping[str, object],
    trials: pl.DataFrame,
    predictions: pl.DataFrame | None = None,
    *,
    mae: pl.DataFrame | None = None,
    measures: pl.DataFrame | None = None,
    defaults: pl.DataFrame | None = None,
    curves: pl.DataFrame | None = None,
    intervals: pl.DataFrame | None = None,
    picture: bool = False,
) -> str:
    """Return the summary of a run as Markdown.

    Args:
        spec: the run's specification. Its plain values are listed; under "space" the searched
            parameters are looked for (`Space.to_dict()`), to stand with the best hyperparameters,
            under "label_regions" the words that say what many, median and few are, under
            "copies" those about images that occur under several patients, under "final_length" the
            length of the final training where it is longer than a trial.
        trials: the table `trials`.
        predictions: the table `predictions`, if there is one; they are of the best hyperparameters.
        mae: the table `mae`, if there is one: the error of the best hyperparameters with its
            interval, those of models that look at no image, and the errors by label density.
        measures: the table `measures`, if there is one; those of the best trial are shown.
        defaults: the table `defaults`, if there is one.
        curves: the table `curves`, if there is one: whether the best training has flattened.
        intervals: the table `intervals`, if there is one: how prediction intervals cover on test.
        picture: whether `embedding.png` is next to the summary.
    """
    best = best_trial(trials, predictions)
    row = None if defaults is None else next(defaults.iter_rows(named=True), None)
    against = "" if best is None else defaults_sentence(row, best[schema.TRIAL])
    parts = [
        _title(spec, trials),
        "" if mae is None else _skill(mae),
        "No trial has an error." if best is None else _best(best, trials, mae, against),
        "" if best is None or curves is None else _convergence(best, trials, curves),
        _final_length(spec),
        "" if mae is None else errors_section(mae),
        "" if intervals is None else coverage_sentence(intervals),
        f"**{spec['copies']}**" if spec.get("copies") else "",
        "" if best is None else _settings(best, spec),
        "" if mae is None else densities(mae, spec),
        "" if best is None or measures is None else _representation(best, measures),
        f"![The best trial's features on validation]({EMBEDDING})" if picture else "",
        trial_counts(trials),
        _ranking(trials),
        _failures(trials),
        specification({name: value for name, value in spec.items() if name not in _WORDS}),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _final_length(spec: Mapping[str, object]) -> str:
    length = spec.get("final_length")
    if not length:
        return ""
    return (
        f"The final model, which is tested, trained longer than the trials: {length}, with the "
        "hyperparameters that shorter trainings chose. Errors on validation are of the trials."
    )


def _title(spec: Mapping[str, object], trials: pl.DataFrame) -> str:
    def names(column: str) -> str:
        found = cast("list[str]", trials[column].unique(maintain_order=True).to_list())
        return ", ".join(found) or str(spec.get(column, "unknown"))

    return f"# {names(schema.METHOD)} on {names(schema.DATASET)}"


def _best(
    best: Mapping[str, Any], trials: pl.DataFrame, mae: pl.DataFrame | None, defaults: str
) -> str:
    """The error of the best hyperparameters, and how they compare with the defaults."""
    unit, number = best[schema.UNIT], best[schema.TRIAL]
    errors = replicate_errors(outcomes_of(trials)).get(number, [])
    measured = None if mae is None else best_error(mae, new_seeds=bool(errors))
    # Before anything was predicted, as in an interrupted run, the trials tell what is known.
    error = measured or BestError(
        value=fmean(errors) if errors else best[schema.ERROR], basis=on_validation(len(errors))
    )
    lines = [
        f"**Error of the best hyperparameters (trial {number}): {error.value:.4g} {unit}** "
        f"({error.basis})."
    ]
    if measured is not None and mae is not None:
        tested = mae.filter(pl.col(schema.METRIC) == schema.MAE).sort(schema.SPLIT)
        lines += [
            f"On {row[schema.SPLIT]} there are {row[schema.N]} images of "
            f"{row[schema.GROUPS]} groups."
            for row in tested.to_dicts()
        ]
        lines.append(defaults)
    return "\n".join(lines)


def _convergence(best: Mapping[str, Any], trials: pl.DataFrame, curves: pl.DataFrame) -> str:
    return convergence_sentence(trials, curves, best[schema.TRIAL], best[schema.RUN])


def _skill(mae: pl.DataFrame) -> str:
    sentences = skill_sentences(mae)
    return f"**{' '.join(sentences)}**" if sentences else ""


def errors_section(mae: pl.DataFrame) -> str:
    """Return a section with the errors of the method and of models that look at no image."""
    unit = ", ".join(mae[schema.UNIT].unique(maintain_order=True).to_list())
    names = (schema.VAL, schema.TEST, schema.SKILL)
    rows = [
        [row[schema.METHOD], *(interval_text(row, name) for name in names)]
        for row in error_rows(mae)
    ]
    head = ["model", f"validation ({unit})", f"test ({unit})", "skill"]
    return (
        f"## Errors\n\n{table(head, rows)}\n\nMean absolute errors on the same patients, with "
        f"{LEVEL:.0%} intervals. Skill, on test, or on validation without a test: {SKILL_NOTE}."
    )


def _settings(best: Mapping[str, Any], spec: Mapping[str, object]) -> str:
    config = cast("dict[str, object]", json.loads(best[schema.CONFIG]))
    searched = _mapping(spec.get("space"))
    rows = [[name, word(value), _range(searched.get(name))] for name, value in config.items()]
    head = ["hyperparameter", "best", "searched"]
    return "## Best hyperparameters\n\n" + table(head, rows) if rows else ""


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


def densities(mae: pl.DataFrame, spec: Mapping[str, object]) -> str:
    """Return a section with the errors by label density; empty without any."""
    shown = mae.filter(pl.col(schema.METRIC).is_in([*(f"mae_{r}" for r in REGIONS), BALANCED]))
    columns = [schema.SPLIT, schema.METRIC, schema.VALUE, schema.LOW, schema.HIGH, schema.N]
    rows = shown.select(columns).rows()
    unit = ", ".join(mae[schema.UNIT].unique(maintain_order=True).to_list())
    text = table(["split", "measure", f"error ({unit})", "from", "to", "samples"], rows)
    words = spec.get("label_regions")
    if not text:
        return ""
    return "## Errors by label density\n\n" + text + (f"\n\n{words}." if words else "")


def _representation(best: Mapping[str, Any], measures: pl.DataFrame) -> str:
    """The measures of the best trial, a column for each epoch at which they were taken."""
    own = measures.filter(
        (pl.col(schema.RUN) == best[schema.RUN]) & (pl.col(schema.TRIAL) == best[schema.TRIAL])
    )
    stages = own.select(schema.EPOCH, schema.STAGE).unique(maintain_order=True).rows()
    known = {(r[schema.EPOCH], r[schema.MEASURE]): r[schema.VALUE] for r in own.to_dicts()}
    rows = [
        [name, *(known.get((epoch, name)) for epoch, _ in stages)]
        for name in own[schema.MEASURE].unique(maintain_order=True).to_list()
    ]
    head = ["measure", *(f"epoch {epoch} ({stage})" for epoch, stage in stages)]
    return "## Representation, on validation\n\n" + table(head, rows) if rows else ""


def trial_counts(trials: pl.DataFrame) -> str:
    """Return a section with the number of trials and what they took."""
    states = trials[schema.STATE].to_list()
    counts = [f"{states.count(s)} {s}" for s in schema.STATES if s in states]
    names = schema.EPOCHS, schema.STEPS, schema.IMAGES_SEEN
    epochs, steps, images = (int(trials[name].sum()) for name in names)
    return (
        f"## Trials\n\n{len(states)} trials ({', '.join(counts) or 'none ran'}): {epochs:,} "
        f"epochs, {steps:,} steps and {images:,} images seen in "
        f"{duration(float(trials[schema.SECONDS].sum()))} of training."
    )


def _ranking(trials: pl.DataFrame) -> str:
    frame = trials_frame(ranked(trials.filter(pl.col(schema.STATE) != schema.FAILED)))
    varied = [
        column
        for column in frame.columns
        if column.startswith(CONFIG_PREFIX) and frame[column].n_unique() > 1
    ]
    own = [
        schema.TRIAL, schema.STATE, schema.ERROR, schema.R2, schema.EPOCHS, schema.IMAGES_SEEN,
        schema.CONVERGENCE,
    ]  # fmt: skip
    rows = frame.head(_SHOWN).select(*own, *varied).rows()
    unit = ", ".join(trials[schema.UNIT].unique(maintain_order=True).to_list())
    head = ["trial", "state", f"error ({unit})", "R²", "epochs", "images seen", "convergence"]
    head += [column.removeprefix(CONFIG_PREFIX) for column in varied]
    text = table(head, rows) + f"\n\n{_SINGLE}"
    hidden = frame.height - len(rows)
    return text + (f"\n\nand {hidden} more in `trials.parquet`." if hidden else "")


def _failures(trials: pl.DataFrame) -> str:
    failed = trials.filter(pl.col(schema.STATE) == schema.FAILED)
    rows = failed.select(schema.TRIAL, schema.REASON).rows()
    return "## Failed trials\n\n" + table(["trial", "reason"], rows) if rows else ""
