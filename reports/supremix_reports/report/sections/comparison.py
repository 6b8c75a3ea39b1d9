"""Methods compared in a report: differences to the reference, gains, ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from supremix_reports.document.parts import (
    Column,
    Listing,
    Missing,
    Paragraph,
    Part,
    Section,
    Table,
    count_cell,
    number_cell,
    text_cell,
)
from supremix_reports.figures.critical_difference import critical_difference_figure
from supremix_reports.figures.plot import BLUE, GREY, Plot, drawing, whiskers
from supremix_reports.report.data import ReportData
from supremix_reports.report.sections.evidence import pictured
from supremix_reports.report.sections.results import gains_sentences, gains_table
from supremix_reports.statistics.comparing.comparisons import average_gain, compare_methods
from supremix_reports.statistics.comparing.ranks import Ranks, rank_methods
from supremix_reports.statistics.resampling.bootstrap import Resampling
from supremix_reports.tables import schema

NO_OTHER: Final = "there is one method only."
_NOTHING: Final = "Differences, gains and ranks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What comes out of comparing methods.

    Args:
        reference: the method that the others are compared with.
        gains: rows of the table `gains`.
        averages: a row a method: its gain over all datasets.
        ranks: of the methods over datasets.
    """

    reference: str
    gains: pl.DataFrame
    averages: pl.DataFrame
    ranks: Ranks


def compare_report_data(
    data: ReportData, reference: str | None, resampling: Resampling
) -> Compared | str:
    """Compare the methods of a report, or say why that cannot be done."""
    if reference is None:
        return NO_OTHER
    tested = data.predictions[schema.METHOD].unique().to_list()
    if reference not in tested:
        return f"{reference} has no predictions on {data.split} that can be used."
    units = {
        e.run.dataset: e.unit
        for e in data.entries
        if e.unit is not None and e.run.name not in data.apart
    }
    words: dict[str, Any] = {"reference": reference, "split": data.split}
    gains = compare_methods(data.predictions, units=units, **words, **resampling.arguments())
    return Compared(
        reference=reference,
        gains=_in_order(gains, data),
        averages=average_gain(data.predictions, **words, **resampling.arguments()),
        ranks=rank_methods(data.mae, split=data.split, level=resampling.level),
    )


def _in_order(gains: pl.DataFrame, data: ReportData) -> pl.DataFrame:
    """Datasets and methods in the order of the report."""
    places = [
        pl.col(column).replace_strict(
            {name: i for i, name in enumerate(names)}, default=len(names), return_dtype=pl.Int64
        )
        for column, names in (
            (schema.DATASET, data.datasets),
            (schema.METHOD, data.methods),
        )
    ]
    return gains.sort(*places, maintain_order=True) if gains.height else gains


def comparison_section(
    compared: Compared | str, *, level: float, endings: Sequence[str]
) -> Section:
    """Return the section of differences, gains and ranks."""
    if isinstance(compared, str):
        parts: tuple[Part, ...] = (Missing(title=_NOTHING, reason=compared),)
        return Section(key="comparison", title="Comparison of the methods", parts=parts)
    gains = compared.gains
    differences: list[Part] = [
        *(
            Paragraph(text=text, tone="strong")
            for text in gains_sentences(gains, compared.averages, compared.reference)
        ),
        gains_table(gains, reference=compared.reference, level=level),
    ]
    known = gains.filter(pl.col("gain").is_not_null())
    if known.height:
        differences += pictured([_gains_plot(known, compared.reference, level)], endings)
    differences.append(_averages_table(compared, level))
    ranks = Section(key="ranks", title="Ranks", parts=tuple(_ranks(compared.ranks, endings)))
    return Section(
        key="comparison",
        title="Comparison of the methods",
        parts=tuple(differences),
        sections=(ranks,),
    )


def _averages_table(compared: Compared, level: float) -> Table:
    names = ("Method", "Mean gain (%)", "Datasets", "Seeds", "Note")
    rows = [
        (
            text_cell(row[schema.METHOD]),
            number_cell(row["gain"], row["gain_low"], row["gain_high"], digits=1, sign=True),
            count_cell(row["datasets"]),
            count_cell(row[schema.SEEDS]),
            text_cell(row["note"]),
        )
        for row in compared.averages.iter_rows(named=True)
    ]
    return Table(
        name="averages",
        caption=f"Gain over {compared.reference}, averaged over the datasets, with {level:.0%} "
        "intervals.",
        columns=tuple(Column(name=n, number=n not in ("Method", "Note")) for n in names),
        rows=tuple(rows),
        note="Patients are drawn within each dataset: the interval is for these datasets with "
        "other patients and seeds, not for other datasets. It is not corrected for the number "
        "of methods, and with one seed it is over patients alone. Seeds: the fewest of any "
        "dataset.",
        paper=True,
    )


def _ranks(ranks: Ranks, endings: Sequence[str]) -> list[Part]:
    parts: list[Part] = []
    if ranks.mean_ranks:
        parts.append(_ranks_table(ranks))
    parts += [
        Paragraph(text=f"{dataset} is not ranked on: {why}.", tone="warning")
        for dataset, why in ranks.left_out
    ]
    if ranks.reason is not None or ranks.critical_difference is None:
        reason = ranks.reason or "there is no critical difference."
        return [*parts, Missing(title="Test of the ranks", reason=reason)]
    tests = (
        ("Friedman's test", f"χ² = {ranks.statistic:.3g}, p = {ranks.p:.2g}"),
        ("Critical difference", f"{ranks.critical_difference:.3g} of mean ranks, at level "
         f"{1 - ranks.level:.2g}"),
        (
            "No significant difference",
            "; ".join(", ".join(names) for names in ranks.cliques) or "none",
        ),
    )  # fmt: skip
    plot = Plot(
        name="critical-difference",
        title="Critical difference diagram",
        caption="Mean ranks of the methods over the datasets, 1 for the least error. Methods "
        "joined by a bar differ by less than the critical difference (Nemenyi's test; Demšar "
        "2006).",
        alt="Mean ranks: "
        + ", ".join(f"{m} {r:.2f}" for m, r in zip(ranks.methods, ranks.mean_ranks, strict=True))
        + f". Critical difference {ranks.critical_difference:.2f}.",
        figure=critical_difference_figure(ranks),
        data=ranks.table,
    )
    return [*parts, Listing(entries=tests), *pictured([plot], endings)]


def _ranks_table(ranks: Ranks) -> Table:
    rows = [
        (text_cell(method), number_cell(rank, digits=2))
        for method, rank in zip(ranks.methods, ranks.mean_ranks, strict=True)
    ]
    count = len(ranks.datasets)
    return Table(
        name="ranks",
        caption=f"Mean ranks of the methods over {count} dataset{'s' if count > 1 else ''}.",
        columns=(Column(name="Method"), Column(name="Mean rank", number=True)),
        rows=tuple(rows),
        note=f"Datasets: {', '.join(ranks.datasets)}.",
        paper=True,
    )


def _gains_plot(gains: pl.DataFrame, reference: str, level: float) -> Plot:
    rows = gains.select(schema.DATASET, schema.METHOD, "gain", "gain_low", "gain_high")
    better = gains.filter(pl.col("gain") > 0).height
    with drawing(height=1.0 + 0.28 * rows.height) as (figure, (axes,)):
        at = range(rows.height)
        low, high = rows["gain_low"].to_list(), rows["gain_high"].to_list()
        whiskers(axes, at, rows["gain"].to_list(), low, high, across=True, ecolor=BLUE, capsize=0)
        axes.plot(rows["gain"], at, "o", color=BLUE)
        axes.axvline(0, color=GREY, linewidth=1)
        labels = [f"{row[schema.METHOD]} on {row[schema.DATASET]}" for row in rows.to_dicts()]
        axes.set_yticks(range(rows.height), labels)
        axes.set_ylim(rows.height - 0.4, -0.6)
        axes.set_xlabel(f"gain over {reference} (%)")
    return Plot(
        name="gains",
        title=f"Gain over {reference}",
        caption=f"How much smaller each method's error is than that of {reference}, in percent, "
        f"with {level:.0%} intervals; right of 0 the method is better.",
        alt=f"Dots with intervals: {better} of {rows.height} gains over {reference} are above 0.",
        figure=figure,
        data=rows,
    )
