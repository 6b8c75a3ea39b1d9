"""Which items of reporting guidelines a report answers, and where.

TRIPOD+AI (Collins et al. 2024) has 27 items with sub-items, CLAIM (Mongan et al. 2020) 42. What an
item asks for is in words of our own.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from supremix_reports.document.parts import Cell, Column, Paragraph, Section, Table
from supremix_reports.report.data import ReportData
from supremix_reports.run_layout import MODEL
from supremix_reports.tables import schema, storage

NOT_REPORTED: Final = "not reported by this software"

_CARD, _COHORT, _ERRORS, _SITES, _FILES = "card", "cohort", "errors", "sites", "files"
_MAPS, _OUTSIDE = "maps", "outside"

_Item = tuple[str, str] | tuple[str, str, str] | tuple[str, str, str, str]
"""Number and what it asks for; where the report answers it, and what the runs must have for that
(cards of the datasets, a table of the cohort, errors, several sites, files of the final model,
explanation maps that are shown, outside cohorts)."""

TRIPOD: Final[tuple[_Item, ...]] = (
    ("1", "title with population and outcome"),
    ("2", "structured abstract"),
    ("3a", "health care context and rationale"),
    ("3b", "target population, purpose and users"),
    ("3c", "known health inequalities"),
    ("4", "objectives"),
    ("5a", "sources of the data and their representativeness"),
    ("5b", "dates of the data"),
    ("6a", "study setting and centres"),
    ("6b", "eligibility criteria"),
    ("6c", "treatments"),
    ("7", "preparation of the data", "The model (Input); Cohort (what was excluded)", _CARD),
    ("8a", "definition of the outcome, how and when it was assessed"),
    ("8b", "qualifications of outcome assessors"),
    ("8c", "blinding of outcome assessment"),
    ("9a", "choice of initial predictors"),
    ("9b", "definition of predictors, how and when they were measured"),
    ("9c", "qualifications of predictor assessors"),
    ("10", "how the sample size was determined"),
    ("11", "handling of missing data", "Cohort (what was excluded, and values not known)", _COHORT),
    ("12a", "how the data were divided and used", "Cohort; How it was computed (Errors)", _COHORT),
    ("12b", "how predictors were scaled and transformed", "The model (Input, Covariates)", _CARD),
    (
        "12c",
        "type of model, building steps, tuning and internal validation",
        "The model; The search; How it was computed",
        _CARD,
    ),
    ("12d", "heterogeneity between clusters", "The model (Error by site)", _SITES),
    ("12e", "measures of performance", "How it was computed", _ERRORS),
    ("12f", "updating of the model"),
    ("12g", "how predictions were calculated"),
    ("13", "methods for class imbalance"),
    ("14", "methods for fairness"),
    ("15", "output of the model", "The model (Target): a number, without a threshold", _CARD),
    ("16", "differences between development and evaluation data"),
    ("17", "ethical approval"),
    ("18a–18f", "funding, interests, protocol, registration, sharing of data and code"),
    ("19", "involvement of patients and the public"),
    ("20a", "flow of participants", "Cohort (flow)", _COHORT),
    ("20b", "characteristics of participants", "Cohort (table)", _COHORT),
    ("20c", "predictors in development and evaluation data", "Cohort (table)", _COHORT),
    ("21", "number of participants in each analysis", "Cohort; Result", _COHORT),
    (
        "22",
        "the full model, so that it can be used",
        "The model; its files, best/ in the run folder",
        _FILES,
    ),
    (
        "23a",
        "performance with intervals, also of subgroups",
        "Result; Errors; The model (error by region of the label, by site and sex where known)",
        _ERRORS,
    ),
    ("23b", "heterogeneity of performance between clusters", "The model (Error by site)", _SITES),
    ("24", "results of updating the model"),
    ("25", "interpretation"),
    ("26", "limitations"),
    ("27a", "handling of poor or missing input in use"),
    ("27b", "what users have to do and know"),
    ("27c", "next steps"),
)

CLAIM: Final[tuple[_Item, ...]] = (
    ("1", "title that names the technology"),
    ("2", "structured abstract"),
    ("3", "background, intended use and clinical role"),
    ("4", "objectives and hypotheses"),
    ("5", "prospective or retrospective study"),
    ("6", "goal of the study"),
    ("7", "sources of the data"),
    ("8", "eligibility criteria"),
    ("9", "preprocessing of the data", "The model (Input)", _CARD),
    ("10", "selection of subsets of the data"),
    ("11", "definitions of data elements"),
    ("12", "de-identification"),
    ("13", "handling of missing data", "Cohort (what was excluded, and values not known)", _COHORT),
    ("14", "definition of the reference standard"),
    ("15", "why that reference standard was chosen"),
    ("16", "source of annotations, and who made them"),
    ("17", "annotation tools"),
    ("18", "variability of raters"),
    ("19", "intended sample size"),
    (
        "20",
        "how data were assigned to partitions, and proportions",
        "Cohort; What was done",
        _COHORT,
    ),
    ("21", "level at which partitions are disjoint", "Cohort (patients)", _COHORT),
    ("22", "description of the model", "The model", _CARD),
    ("23", "software and versions", "What was done"),
    ("24", "initialisation of parameters", "The model (Encoder)", _CARD),
    ("25", "training, augmentation and hyperparameters", "The model; The search", _CARD),
    ("26", "selection of the final model", "The search; How it was computed"),
    ("27", "ensembles", "How it was computed (Errors): none, each seed's model is measured alone"),
    ("28", "measures of performance", "How it was computed", _ERRORS),
    ("29", "significance and uncertainty", "How it was computed", _ERRORS),
    ("30", "robustness or sensitivity analysis"),
    ("31", "explanation of predictions", "Explanation maps", _MAPS),
    ("32", "testing on external data", "Outside cohorts", _OUTSIDE),
    ("33", "flow of participants", "Cohort (flow)", _COHORT),
    ("34", "characteristics by partition", "Cohort (table)", _COHORT),
    ("35", "performance on all partitions"),
    ("36", "estimates of performance and their precision", "Result; Errors", _ERRORS),
    ("37", "analysis of failures", "The model (the largest errors, error by region)", _ERRORS),
    ("38", "limitations"),
    ("39", "implications for practice"),
    ("40", "registration"),
    ("41", "access to the protocol"),
    ("42", "funding"),
)


def guidelines_section(
    data: ReportData, cohort: Section, *, maps: bool = False, outside: bool = False
) -> Section:
    """Return the appendix that maps a report to the items of TRIPOD+AI and CLAIM.

    Args:
        data: the runs.
        cohort: the report's section on patients and images.
        maps: whether the report shows explanation maps.
        outside: whether it shows errors on outside cohorts.
    """
    shown = {_MAPS: maps, _OUTSIDE: outside}
    has = _has(data, cohort) | {name for name, there in shown.items() if there}
    several = len(data.entries) > 1
    parts = (
        Paragraph(
            text="Where this report answers items of TRIPOD+AI (Collins et al., BMJ 2024, 385, "
            "e078378) and of CLAIM (Mongan et al., Radiology: Artificial Intelligence 2020, 2, "
            "e200029), in short words of our own. All else is for its authors to write."
        ),
        _table("tripod", "TRIPOD+AI", TRIPOD, has, several=several),
        _table("claim", "CLAIM", CLAIM, has, several=several),
    )
    return Section(key="guidelines", title="Guidelines", parts=parts, folded=True)


def _has(data: ReportData, cohort: Section) -> set[str]:
    """What the report has, of what items need."""
    needs = {
        _ERRORS: not data.mae.is_empty(),
        _CARD: all(entry.card for entry in data.entries),
        _COHORT: any(isinstance(part, Table) for part in cohort.walk()),
        _FILES: all(storage.exists(storage.join(e.run.address, MODEL)) for e in data.entries),
        _SITES: all(_several_sites(data.predicted(entry)) for entry in data.entries),
    }
    return {name for name, there in needs.items() if there}


def _several_sites(predictions: pl.DataFrame) -> bool:
    return predictions[schema.SITE].drop_nulls().n_unique() > 1


def _table(
    name: str, guideline: str, items: tuple[_Item, ...], has: set[str], *, several: bool
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for number, asked, *answer in items:
        reported = bool(answer) and has.issuperset(answer[1:])
        place = answer[0] if reported else NOT_REPORTED
        texts = (number, asked, place.replace("The model", "The models") if several else place)
        rows.append(tuple(Cell(text=text) for text in texts))
    return Table(
        name=name,
        caption=f"Items of {guideline}, and where this report answers them.",
        columns=tuple(Column(name=heading) for heading in ("Item", "Asks for", "In this report")),
        rows=tuple(rows),
    )
