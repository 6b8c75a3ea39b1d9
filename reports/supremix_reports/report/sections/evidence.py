"""The evidence in a report: figures and tables about each search and each model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

import polars as pl

from supremix_reports.document.parts import (
    Cell,
    Column,
    Missing,
    Paragraph,
    Part,
    Picture,
    Section,
    Table,
    number_cell,
    text_cell,
)
from supremix_reports.figures.model.embedding import embedding_plot
from supremix_reports.figures.model.model import FIGURES, model_plots, worst_cases
from supremix_reports.figures.model.samples import HIGHEST, LOWEST, Predicted
from supremix_reports.figures.plot import FigureSpec, NotShown, Plot, plot_name
from supremix_reports.figures.search.search import across_plots, search_plots
from supremix_reports.report.data import ReportData
from supremix_reports.report.entries import Entry, hyperparameters_of, own_table
from supremix_reports.report.sections.model_words import model_listing
from supremix_reports.report.sections.setup import shown
from supremix_reports.statistics.learning_curves.convergence import best_convergence
from supremix_reports.statistics.measures.best_error import best_error
from supremix_reports.summaries.convergence import convergence_sentence, longer_sentence
from supremix_reports.summaries.folds import folds_table, selection_sentence
from supremix_reports.summaries.verdicts import defaults_sentence
from supremix_reports.tables import schema
from supremix_reports.tables.frames import best_trial, folds_of

DRAWN: Final = ("svg", "png", "pdf")
"""Endings of the files of a figure."""

_UNKNOWN: Final = "unit not recorded"


def pictured(plots: Iterable[Plot | NotShown], endings: Sequence[str]) -> list[Part]:
    """Draw plots, and say of those that cannot be made why."""
    parts: list[Part] = []
    for plot in plots:
        if isinstance(plot, NotShown):
            parts.append(Missing(title=plot.title, reason=plot.reason))
            continue
        draw = {"svg": lambda p=plot: p.svg().encode(), "png": plot.png, "pdf": plot.pdf}
        files = {ending: draw[ending]() for ending in endings}
        words = {"title": plot.title, "caption": plot.caption, "alt": plot.alt}
        parts.append(Picture(name=plot.name, files=files, **words))
    return parts


def search_section(data: ReportData, endings: Sequence[str]) -> Section:
    """Return the evidence about the searches: over all of them, then of each."""
    several = len(data.entries) > 1
    plots = across_plots(data.comparable_trials()) if several else []
    sections = [_search_of(data, entry, endings, folded=several) for entry in data.entries]
    if not several:
        return replace(sections[0], key="search", title="The search")
    return Section(
        key="search",
        title="The search",
        parts=tuple(pictured(plots, endings)),
        sections=tuple(sections),
    )


def _search_of(data: ReportData, entry: Entry, endings: Sequence[str], *, folded: bool) -> Section:
    trials, unit = data.trials(entry), entry.unit or _UNKNOWN
    title = f"{entry.method} on {entry.run.dataset}"
    key = plot_name("search", entry.run.name)
    if trials.is_empty():
        missing = Missing(title="The search", reason="it has no trials.")
        return Section(key=key, title=title, parts=(missing,), folded=folded)
    dataset = entry.run.dataset
    trials, curves = (
        frame.with_columns(pl.lit(dataset).alias(schema.DATASET))
        for frame in (trials, data.curves(entry))
    )
    plots = search_plots(
        trials, curves, entry.run.space or None, dataset=dataset, method=entry.method, unit=unit
    )
    best = best_trial(trials, data.predicted(entry))
    parts = [
        *_best_settings(entry, trials, best, key),
        *(convergence_parts(data, [entry]) if folded else ()),
        *pictured(plots, endings),
    ]
    return Section(key=key, title=title, parts=tuple(parts), folded=folded)


def _best_settings(
    entry: Entry, trials: pl.DataFrame, best: Mapping[str, Any] | None, key: str
) -> list[Part]:
    if folds_of(trials) is not None:
        return fold_parts(entry, trials, key)
    if best is None:
        return [Paragraph(text="No trial has an error.", tone="warning")]
    config = hyperparameters_of(best)
    if isinstance(config, str):
        return [Paragraph(text=config, tone="warning")]
    space = entry.run.space or {}
    rows = [
        (text_cell(name), text_cell(shown(value)), text_cell(searched(space.get(name))))
        for name, value in config.items()
    ]
    if not rows:
        return [Paragraph(text="The method has no hyperparameters.")]
    return [
        *(Paragraph(text=text, tone="strong") for text in _best_error(entry, trials, best)),
        Table(
            name=f"best-{key}",
            caption=f"The best hyperparameters of {entry.method} on {entry.run.dataset}: trial "
            f"{best[schema.TRIAL]}.",
            columns=tuple(Column(name=name) for name in ("Hyperparameter", "Best", "Searched")),
            rows=tuple(rows),
            note="Chosen by errors on validation. A dash: not searched.",
        ),
    ]


def fold_parts(entry: Entry, trials: pl.DataFrame, key: str) -> list[Part]:
    """Return what the choice of hyperparameters in folds means, and what came out of each fold."""
    words = Paragraph(text=selection_sentence(entry.run.spec), tone="strong")
    predictions = own_table(entry, "predictions")
    if predictions is None or predictions.is_empty():
        return [words]
    head, rows = folds_table(trials, predictions)
    table = frame_table(
        pl.DataFrame(rows, schema=head, orient="row", strict=False),
        name=f"folds-{key}",
        caption=f"The folds of {entry.method} on {entry.run.dataset}: mean absolute errors of "
        "their patients, and the best hyperparameters of each where they differ.",
    )
    text = "The trials of all folds are shown together; each was validated on other patients."
    return [words, table, Paragraph(text=text)]


def _best_error(entry: Entry, trials: pl.DataFrame, best: Mapping[str, Any]) -> list[str]:
    """The error of the best hyperparameters, and how they compare with the defaults."""
    number = best[schema.TRIAL]
    new_seeds = number in trials[schema.REPLICATE_OF].to_list()
    errors, compared = own_table(entry, "mae"), own_table(entry, "defaults")
    error = None if errors is None else best_error(errors, new_seeds=new_seeds)
    if error is None:
        return []
    unit = entry.unit or _UNKNOWN
    text = f"Error of the best hyperparameters (trial {number}): {error.value:.4g} {unit} "
    row = None if compared is None else next(compared.iter_rows(named=True), None)
    return [f"{text}({error.basis}).", defaults_sentence(row, number)]


def convergence_parts(data: ReportData, entries: Sequence[Entry]) -> list[Paragraph]:
    """Return of one run whether its best training has flattened, of several which have not.

    Args:
        data: The runs.
        entries: Those that it is said of.
    """
    found = [(entry, tables) for entry in entries if (tables := _best_tables(data, entry))]
    if len(entries) > 1:
        named = {f"{one.method} on {one.run.dataset}": tables for one, tables in found}
        known = {name: best_convergence(**tables) for name, tables in named.items()}
        text = longer_sentence({name: one and one.verdict for name, one in known.items()})
        return [Paragraph(text=text, tone="warning")] if text else []
    texts = [convergence_sentence(**tables, run=entry.run.name) for entry, tables in found]
    return [Paragraph(text=text, tone="strong") for text in texts if text]


def _best_tables(data: ReportData, entry: Entry) -> dict[str, Any]:
    """Trials, curves and number of the best trial of a run; empty without one."""
    trials = data.trials(entry)
    best = None if trials.is_empty() else best_trial(trials, data.predicted(entry))
    if best is None or isinstance(hyperparameters_of(best), str):
        return {}
    return {"trials": trials, "curves": data.curves(entry), "number": best[schema.TRIAL]}


def searched(entry: object) -> str | None:
    """Say what was searched of a parameter of `space.json`; None where it was fixed."""
    if not isinstance(entry, Mapping):
        return None
    data = cast("Mapping[str, Any]", entry)
    if "options" in data:
        return shown(data["options"])
    if "low" in data:
        ends = f"{_bound(data['low'])} to {_bound(data.get('high'))}"
        return ends + (" (log)" if data.get("log") else "")
    return None


def _bound(value: object) -> str:
    """An end of a range; a space that was written by hand may have it as a text."""
    return f"{value:g}" if isinstance(value, int | float) else shown(value)


def predicted_pictures(data: ReportData, endings: Sequence[str], *, ids: bool) -> list[Part]:
    """Return "predicted against true" of a report on one run, to stand next to its error."""
    (entry,) = data.entries
    if data.predicted(entry).is_empty():
        return []
    return pictured(_model_plots(data, entry, FIGURES[:1], ids=ids), endings)


def model_section(data: ReportData, endings: Sequence[str], *, ids: bool) -> Section:
    """Return the evidence about the models: a section a dataset and method.

    Of a single run without `predicted_pictures`, which stand next to its error.
    """
    several = len(data.entries) > 1
    sections = [_model_of(data, entry, endings, ids=ids, folded=several) for entry in data.entries]
    if not several:
        return replace(sections[0], key="model", title="The model")
    text = (
        f"Every figure is of the predictions on {data.split}; where there are several seeds, "
        "of all of them."
    )
    parts = (Paragraph(text=text),)
    return Section(key="model", title="The models", parts=parts, sections=tuple(sections))


def _model_of(
    data: ReportData, entry: Entry, endings: Sequence[str], *, ids: bool, folded: bool
) -> Section:
    own = data.predicted(entry)
    dataset = entry.run.dataset
    key = plot_name("model", entry.run.name)
    title = f"{entry.method} on {dataset}"
    best = best_trial(data.trials(entry), own)
    words = model_listing(data, entry, best)
    parts: list[Part] = [] if words is None else [words]
    if own.is_empty():
        reason = f"there are no predictions on {data.split} that can be used."
        parts.append(Missing(title="The model", reason=reason))
    else:
        figures = FIGURES if folded else FIGURES[1:]
        parts += pictured(_model_plots(data, entry, figures, ids=ids), endings)
        parts.append(_worst_table(entry, own, key, data.split, ids=ids))
    parts += _embedding(entry, key, endings)
    return Section(key=key, title=title, parts=tuple(parts), folded=folded)


def _worst_table(
    entry: Entry, predictions: pl.DataFrame, key: str, split: str, *, ids: bool
) -> Table:
    worst = worst_cases(predictions, ids=ids, split=split).drop(schema.DATASET, schema.METHOD)
    if predictions[schema.SEED].n_unique() == 1:
        worst = worst.drop(LOWEST, HIGHEST, schema.SEEDS)
    names = {schema.TARGET: f"True {entry.target}", schema.PREDICTION: f"Predicted {entry.target}"}
    unit = entry.unit or _UNKNOWN
    caption = f"The largest errors of {entry.method} on {entry.run.dataset}, in {unit}."
    return frame_table(worst.rename(names), name=f"worst-{key}", caption=caption)


def _model_plots(
    data: ReportData, entry: Entry, figures: Sequence[FigureSpec[Predicted]], *, ids: bool
) -> list[Plot | NotShown]:
    """Drawn as for the table of errors, so that the same error has the same interval."""
    return model_plots(
        data.predicted(entry),
        dataset=entry.run.dataset,
        method=entry.method,
        unit=entry.unit or _UNKNOWN,
        target=entry.target,
        ids=ids,
        split=data.split,
        figures=figures,
        **data.resampling.arguments(),
    )


def frame_table(frame: pl.DataFrame, *, name: str, caption: str) -> Table:
    """Return a frame as a table, its columns named as they are."""
    numbers = [kind.is_numeric() for kind in frame.dtypes]
    whole = [kind.is_integer() for kind in frame.dtypes]

    def cell(value: Any, column: int) -> Cell:
        if value is None or not numbers[column]:
            return text_cell(value)
        return number_cell(float(value), digits=0 if whole[column] else None)

    return Table(
        name=name,
        caption=caption,
        columns=tuple(
            Column(name=column.replace("_", " ").capitalize(), number=number)
            for column, number in zip(frame.columns, numbers, strict=True)
        ),
        rows=tuple(tuple(cell(v, i) for i, v in enumerate(row)) for row in frame.iter_rows()),
    )


def _embedding(entry: Entry, key: str, endings: Sequence[str]) -> list[Part]:
    """The features in two dimensions, from their table."""
    words = f"{entry.method} on {entry.run.dataset}"
    table = own_table(entry, "embedding")
    if table is None:
        reason = "the run has no table of them, or it is damaged or of another version."
        if entry.run.spec.get(schema.FOLDS):
            reason = "each fold has a model of its own, and its features in its own run."
        return [Missing(title=f"Features coloured by {entry.target}", reason=reason)]
    return list(pictured([embedding_plot(f"embedding-{key}", table, words, entry.target)], endings))
