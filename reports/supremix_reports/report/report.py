"""Reports: what was done, what came out and how sure that is, for readers who were not there.

write_report(["runs/bench"], "runs/bench/report")

report.html          everything on one page, without need of a network
report.md            the same as text
tables.tex           the tables of results for a paper
figures/             each figure as PNG and PDF
tables/              mae, gains and ranks, from which the tables of results are made
report.json          which files there are
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version

import polars as pl

from supremix_reports.catalog.discovery import Problem
from supremix_reports.document.parts import (
    Column,
    Paragraph,
    Part,
    Picture,
    Report,
    Section,
    Table,
    named_apart,
    text_cell,
)
from supremix_reports.errors import ReportError
from supremix_reports.report.data import ReportData, choose_reference, read_report_data
from supremix_reports.report.files import FORMATS, check_target, files_of, put_down
from supremix_reports.report.privacy import last_name, without_places, without_secrets
from supremix_reports.report.sections.cohort import cohort_section
from supremix_reports.report.sections.comparison import (
    NO_OTHER,
    Compared,
    compare_report_data,
    comparison_section,
)
from supremix_reports.report.sections.evidence import (
    model_section,
    predicted_pictures,
    search_section,
)
from supremix_reports.report.sections.explanations import explanations_section
from supremix_reports.report.sections.external import external_sections
from supremix_reports.report.sections.first_screen import first_section
from supremix_reports.report.sections.guidelines import guidelines_section
from supremix_reports.report.sections.intervals import run_interval_sections
from supremix_reports.report.sections.methods import methods_section
from supremix_reports.report.sections.results import error_table, measures_table
from supremix_reports.report.sections.setup import setup_section
from supremix_reports.statistics.comparing.comparisons import RESAMPLES as COMPARING
from supremix_reports.statistics.conformal.choices import BIAS_CORRECTIONS, BiasCorrection
from supremix_reports.statistics.resampling.bootstrap import Resampling
from supremix_reports.statistics.resampling.intervals import LEVEL, RESAMPLES
from supremix_reports.tables import schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a report is written.

    Args:
        reference: the method that the others are compared with; None for that of the benchmark,
            else l1, and where that is not among them for the first one.
        split: the split whose errors are shown: "test" or "val"; None for test, or for validation
            where every run was asked for without a test.
        title: of the report; None for one made of datasets and methods.
        ids: whether samples are named: the worst cases.
        paths: whether paths and addresses are shown whole.
        with_images: whether the explanation maps of the runs are shown, which are pictures of
            patients.
        correct_bias: Correction of the bias whose errors are shown next to the uncorrected ones,
            of `BIAS_CORRECTIONS`; None for none.
        formats: what is written, of `FORMATS`.
        level: probability that intervals are to cover.
        resamples: number of bootstrap samples of an interval.
        comparing: number of bootstrap samples of a comparison.
        seed: Seed of the drawing.
        date: the day that the report has on it; None for today (UTC).

    Raises:
        ReportError: an unknown format, split or correction.
    """

    reference: str | None = None
    split: str | None = None
    title: str | None = None
    ids: bool = False
    paths: bool = False
    with_images: bool = False
    correct_bias: BiasCorrection | None = None
    formats: tuple[str, ...] = FORMATS
    level: float = LEVEL
    resamples: int = RESAMPLES
    comparing: int = COMPARING
    seed: int = 0
    date: str | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.formats if name not in FORMATS]
        if unknown or not self.formats:
            named = ", ".join(unknown) or "none"
            raise ReportError(
                f"A report is written as {', '.join(FORMATS)}; found {named}. Name some of these."
            )
        if self.correct_bias not in (None, *BIAS_CORRECTIONS):
            raise ReportError(
                f"The bias is corrected by {' or '.join(BIAS_CORRECTIONS)}; found "
                f"{self.correct_bias!r}. Name one of them."
            )
        if self.split not in (None, schema.TEST, schema.VAL):
            raise ReportError(
                f"A report is about the split test or val; found {self.split!r}. Name one of them."
            )

    @property
    def endings(self) -> tuple[str, ...]:
        """The files that are drawn of a figure."""
        page = ("svg",) if "html" in self.formats else ()
        return (*page, *(name for name in ("png", "pdf") if name in self.formats))


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReport:
    """A report that was written.

    Args:
        path: folder or address of it.
        files: names of its files in there.
        problems: what is wrong with any run, as the report says it.
        mae: the errors shown, rows of the table `mae`.
        gains: the differences shown, rows of the table `gains`; None where nothing was compared.
    """

    path: str
    files: tuple[str, ...]
    problems: tuple[Problem, ...]
    mae: pl.DataFrame
    gains: pl.DataFrame | None


def write_report(
    addresses: Sequence[str], out: str, options: Options | None = None
) -> WrittenReport:
    """Write a report on runs.

    Args:
        addresses: of run folders, of comparisons, benchmarks, searches on several datasets, or of
            folders that hold any of these; paths or fsspec addresses.
        out: folder or address of the report. Files of an earlier report in there are replaced.
        options: how it is written.

    Returns:
        What was written.

    Raises:
        ReportError: `out` is a run folder; no runs; a reference that is not among the methods; no
            number can be computed as asked.
    """
    chosen = options or Options()
    check_target(out)
    resampling = Resampling(level=chosen.level, resamples=chosen.resamples, seed=chosen.seed)
    data = read_report_data(addresses, split=chosen.split, resampling=resampling)
    reference = choose_reference(data, chosen.reference)
    resampling = replace(resampling, resamples=chosen.comparing)
    compared = compare_report_data(data, reference, resampling)
    outside = external_sections(addresses, paths=chosen.paths)
    report = build_report(data, compared, chosen, again=_again(addresses, chosen), outside=outside)
    files = put_down(out, files_of(report, chosen.formats), _tables(data, compared))
    return WrittenReport(
        path=out,
        files=files,
        problems=shown_problems(data.problems, paths=chosen.paths),
        mae=data.mae,
        gains=None if isinstance(compared, str) else compared.gains,
    )


def build_report(
    data: ReportData,
    compared: Compared | str,
    options: Options,
    *,
    again: str,
    outside: Sequence[Section] = (),
) -> Report:
    """Put a report together.

    Args:
        data: The runs.
        compared: What came out of comparing the methods, or why nothing did.
        options: How it is written.
        again: The command line that writes it again.
        outside: The sections about outside cohorts.
    """
    problems = shown_problems(data.problems, paths=options.paths)
    reference = None if isinstance(compared, str) else compared.reference
    endings, single = options.endings, len(data.entries) == 1
    evidence: tuple[Section, ...] = ()
    first: list[Part] = []
    if set(options.formats) != {"tex"}:  # which has no use for figures, that take most of the time
        evidence = model_section(data, endings, ids=options.ids), search_section(data, endings)
        first = predicted_pictures(data, endings, ids=options.ids) if single else []
    differences: tuple[Section, ...] = ()
    if compared != NO_OTHER:
        differences = (comparison_section(compared, level=options.level, endings=endings),)
    cohort = cohort_section(data)
    maps = [explanations_section(data, ids=options.ids)] if options.with_images else []
    sections = (
        first_section(data, compared, problems, first),
        *_errors(data, options),
        *run_interval_sections(data, options.correct_bias),
        *differences,
        *outside,
        cohort,
        *evidence,
        *maps,
        _problems(problems),
        setup_section(data, again=again, paths=options.paths),
        methods_section(
            split=data.split,
            level=options.level,
            resamples=options.resamples,
            comparing=options.comparing,
            seed=options.seed,
            reference=reference,
        ),
        guidelines_section(
            data, cohort, maps=any(_has_pictures(one) for one in maps), outside=bool(outside)
        ),
    )
    return Report(
        title=options.title or _title(data),
        date=options.date or datetime.now(UTC).date().isoformat(),
        version=version("supremix"),
        sections=named_apart(sections),
    )


def _has_pictures(section: Section) -> bool:
    return any(isinstance(part, Picture) for part in section.walk())


def shown_problems(problems: Iterable[Problem], *, paths: bool) -> tuple[Problem, ...]:
    """Return problems as others may read them, then the remarks.

    There are names in place of paths, unless `paths`; passwords within addresses are left out in
    either case.
    """
    clean = without_secrets if paths else without_places
    found = [replace(problem, reason=clean(problem.reason)) for problem in problems]
    return tuple(sorted(found, key=lambda problem: problem.remark))


def _title(data: ReportData) -> str:
    def named(names: list[str], thing: str) -> str:
        return ", ".join(names) if len(names) <= 3 else f"{len(names)} {thing}"

    return f"{named(data.methods, 'methods')} on {named(data.datasets, 'datasets')}"


def _errors(data: ReportData, options: Options) -> tuple[Section, ...]:
    """The tables of errors; of several runs the first of them begins the report."""
    if data.mae.is_empty():
        return ()
    tables = (error_table, measures_table) if len(data.entries) == 1 else (measures_table,)
    parts = tuple(make(data.mae, split=data.split, level=options.level) for make in tables)
    return (Section(key="errors", title="Errors", parts=parts),)


def _problems(problems: Sequence[Problem]) -> Section:
    kinds = (
        ("problems", "What is wrong with any run, and what that means for the report.", False),
        ("remarks", "What limits the results though nothing is wrong.", True),
    )
    parts: list[Part] = [
        _problem_table(name, caption, [p for p in problems if p.remark == remark])
        for name, caption, remark in kinds
        if any(p.remark == remark for p in problems)
    ]
    if not any(not p.remark for p in problems):
        parts.insert(0, Paragraph(text="No problem was found."))
    return Section(key="problems", title="Problems", parts=tuple(parts))


def _problem_table(name: str, caption: str, problems: Sequence[Problem]) -> Table:
    return Table(
        name=name,
        caption=caption,
        columns=(Column(name="Run"), Column(name="What"), Column(name="Why")),
        rows=tuple((text_cell(p.run), text_cell(p.what), text_cell(p.reason)) for p in problems),
    )


def _again(addresses: Sequence[str], options: Options) -> str:
    """The command line of the report."""
    shown = without_secrets if options.paths else last_name
    names = [shown(str(address)) for address in addresses]
    words = ["supremix", "report", *(shlex.quote(name) for name in names)]
    words += ["--reference", shlex.quote(options.reference)] if options.reference else []
    words += ["--split", options.split] if options.split else []
    words += ["--title", shlex.quote(options.title)] if options.title else []
    words += ["--correct-bias", options.correct_bias] if options.correct_bias else []
    words += ["--formats", ",".join(options.formats)] if options.formats != FORMATS else []
    switches = (
        ("--ids", options.ids),
        ("--paths", options.paths),
        ("--with-images", options.with_images),
    )
    words += [word for word, so in switches if so]
    return " ".join(words)


def _tables(data: ReportData, compared: Compared | str) -> dict[str, pl.DataFrame]:
    """What the tables of results are made from, so that others can compute with it."""
    if isinstance(compared, str):
        return {"mae": data.mae}
    return {"mae": data.mae, "gains": compared.gains, "ranks": compared.ranks.table}
