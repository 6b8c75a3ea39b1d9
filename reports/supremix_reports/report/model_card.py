"""The sections of a model card that follow from the tables of its run."""

from __future__ import annotations

from supremix_reports.document.parts import Part, Section
from supremix_reports.report.data import read_report_data
from supremix_reports.report.sections.cohort import cohort_section
from supremix_reports.report.sections.first_screen import first_section
from supremix_reports.report.sections.methods import methods_section
from supremix_reports.report.sections.model_words import model_listing
from supremix_reports.report.sections.results import measures_table
from supremix_reports.report.sections.setup import setup_section
from supremix_reports.statistics.comparing.comparisons import RESAMPLES as COMPARING
from supremix_reports.statistics.resampling.bootstrap import Resampling
from supremix_reports.statistics.resampling.intervals import LEVEL, RESAMPLES
from supremix_reports.tables.frames import best_trial


def run_sections(address: str) -> tuple[Section, ...]:
    """Return result, errors, cohort, model, what was done and how it was computed, of one run.

    Args:
        address: Run folder, or its fsspec address.

    Raises:
        ReportError: There is no run, or nothing of it can be shown.
    """
    drawn = Resampling(level=LEVEL, resamples=RESAMPLES, seed=0)
    data = read_report_data([address], split=None, resampling=drawn)
    (entry,) = data.entries
    listing = model_listing(data, entry, best_trial(data.trials(entry), data.predicted(entry)))
    errors: tuple[Part, ...] = ()
    if not data.mae.is_empty():
        errors = (measures_table(data.mae, split=data.split, level=LEVEL),)
    words: tuple[Part, ...] = () if listing is None else (listing,)
    return (
        first_section(data, "", ()),
        Section(key="errors", title="Errors", parts=errors),
        cohort_section(data),
        Section(key="model", title="The model", parts=words),
        setup_section(data, again="", paths=False),
        methods_section(
            split=data.split,
            level=LEVEL,
            resamples=RESAMPLES,
            comparing=COMPARING,
            seed=0,
            reference=None,
        ),
    )
