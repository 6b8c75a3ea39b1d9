"""What came out: the result tables, their statistics, and the summary of a run.

write_table(folder, "trials", rows)
trials_frame(ranked(read_table(folder, "trials")))
write_summary(folder, spec)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supremix_reports.catalog.collection import Collection as Collection
    from supremix_reports.catalog.collection import Run as Run
    from supremix_reports.catalog.collection import collect as collect
    from supremix_reports.catalog.collection import to_pandas as to_pandas
    from supremix_reports.catalog.discovery import Problem as Problem
    from supremix_reports.catalog.sql import Store as Store
    from supremix_reports.catalog.sql import results as results
    from supremix_reports.errors import QueryError as QueryError
    from supremix_reports.errors import ReportError as ReportError
    from supremix_reports.errors import SchemaError as SchemaError
    from supremix_reports.errors import StatisticsError as StatisticsError
    from supremix_reports.errors import TableError as TableError
    from supremix_reports.figures.critical_difference import (
        critical_difference_figure as critical_difference_figure,
    )
    from supremix_reports.figures.embedding_picture import embedding_picture as embedding_picture
    from supremix_reports.figures.embedding_picture import embedding_rows as embedding_rows
    from supremix_reports.figures.embedding_picture import (
        principal_components as principal_components,
    )
    from supremix_reports.figures.model.model import model_plots as model_plots
    from supremix_reports.figures.model.model import worst_cases as worst_cases
    from supremix_reports.figures.plot import NotShown as NotShown
    from supremix_reports.figures.plot import Plot as Plot
    from supremix_reports.figures.search.search import across_plots as across_plots
    from supremix_reports.figures.search.search import search_plots as search_plots
    from supremix_reports.run_layout import EMBEDDING as EMBEDDING
    from supremix_reports.statistics.comparisons import average_gain as average_gain
    from supremix_reports.statistics.comparisons import compare_methods as compare_methods
    from supremix_reports.statistics.imbalance import LabelDensity as LabelDensity
    from supremix_reports.statistics.imbalance import imbalance_intervals as imbalance_intervals
    from supremix_reports.statistics.intervals import Interval as Interval
    from supremix_reports.statistics.intervals import mae_interval as mae_interval
    from supremix_reports.statistics.intervals import mean_of_bins_interval as mean_of_bins_interval
    from supremix_reports.statistics.intervals import metric_interval as metric_interval
    from supremix_reports.statistics.intervals import paired_difference as paired_difference
    from supremix_reports.statistics.intervals import seeds_interval as seeds_interval
    from supremix_reports.statistics.mae import mae_rows as mae_rows
    from supremix_reports.statistics.ranks import Ranks as Ranks
    from supremix_reports.statistics.ranks import nemenyi_difference as nemenyi_difference
    from supremix_reports.statistics.ranks import rank_methods as rank_methods
    from supremix_reports.summaries.benchmark import write_benchmark as write_benchmark
    from supremix_reports.summaries.comparison import MethodRun as MethodRun
    from supremix_reports.summaries.comparison import comparison_rows as comparison_rows
    from supremix_reports.summaries.comparison import write_comparison as write_comparison
    from supremix_reports.summaries.comparison_page import (
        comparison_markdown as comparison_markdown,
    )
    from supremix_reports.summaries.comparison_page import comparison_verdict as comparison_verdict
    from supremix_reports.summaries.comparison_page import interval_text as interval_text
    from supremix_reports.summaries.multi_dataset import write_multi_dataset as write_multi_dataset
    from supremix_reports.summaries.summary import summary_markdown as summary_markdown
    from supremix_reports.summaries.summary import write_summary as write_summary
    from supremix_reports.tables.frames import CONFIG_PREFIX as CONFIG_PREFIX
    from supremix_reports.tables.frames import best_trial as best_trial
    from supremix_reports.tables.frames import ranked as ranked
    from supremix_reports.tables.frames import trials_frame as trials_frame
    from supremix_reports.tables.schema import SCHEMA_VERSION as SCHEMA_VERSION
    from supremix_reports.tables.schema import SCHEMAS as SCHEMAS
    from supremix_reports.tables.schema import STATES as STATES
    from supremix_reports.tables.schema import column_names as column_names
    from supremix_reports.tables.schema import meanings as meanings
    from supremix_reports.tables.storage import write_atomic as write_atomic
    from supremix_reports.tables.tables import config_text as config_text
    from supremix_reports.tables.tables import has_table as has_table
    from supremix_reports.tables.tables import read_table as read_table
    from supremix_reports.tables.tables import read_tables as read_tables
    from supremix_reports.tables.tables import write_table as write_table

_HOMES = {
    "CONFIG_PREFIX": "supremix_reports.tables.frames",
    "EMBEDDING": "supremix_reports.run_layout",
    "SCHEMAS": "supremix_reports.tables.schema",
    "SCHEMA_VERSION": "supremix_reports.tables.schema",
    "STATES": "supremix_reports.tables.schema",
    "Collection": "supremix_reports.catalog.collection",
    "Interval": "supremix_reports.statistics.intervals",
    "LabelDensity": "supremix_reports.statistics.imbalance",
    "MethodRun": "supremix_reports.summaries.comparison",
    "NotShown": "supremix_reports.figures.plot",
    "Plot": "supremix_reports.figures.plot",
    "Problem": "supremix_reports.catalog.discovery",
    "QueryError": "supremix_reports.errors",
    "Ranks": "supremix_reports.statistics.ranks",
    "ReportError": "supremix_reports.errors",
    "Run": "supremix_reports.catalog.collection",
    "SchemaError": "supremix_reports.errors",
    "StatisticsError": "supremix_reports.errors",
    "Store": "supremix_reports.catalog.sql",
    "TableError": "supremix_reports.errors",
    "across_plots": "supremix_reports.figures.search.search",
    "average_gain": "supremix_reports.statistics.comparisons",
    "best_trial": "supremix_reports.tables.frames",
    "collect": "supremix_reports.catalog.collection",
    "column_names": "supremix_reports.tables.schema",
    "compare_methods": "supremix_reports.statistics.comparisons",
    "comparison_markdown": "supremix_reports.summaries.comparison_page",
    "comparison_rows": "supremix_reports.summaries.comparison",
    "comparison_verdict": "supremix_reports.summaries.comparison_page",
    "config_text": "supremix_reports.tables.tables",
    "critical_difference_figure": "supremix_reports.figures.critical_difference",
    "embedding_picture": "supremix_reports.figures.embedding_picture",
    "embedding_rows": "supremix_reports.figures.embedding_picture",
    "has_table": "supremix_reports.tables.tables",
    "imbalance_intervals": "supremix_reports.statistics.imbalance",
    "interval_text": "supremix_reports.summaries.comparison_page",
    "mae_interval": "supremix_reports.statistics.intervals",
    "mae_rows": "supremix_reports.statistics.mae",
    "mean_of_bins_interval": "supremix_reports.statistics.intervals",
    "meanings": "supremix_reports.tables.schema",
    "metric_interval": "supremix_reports.statistics.intervals",
    "model_plots": "supremix_reports.figures.model.model",
    "nemenyi_difference": "supremix_reports.statistics.ranks",
    "paired_difference": "supremix_reports.statistics.intervals",
    "principal_components": "supremix_reports.figures.embedding_picture",
    "rank_methods": "supremix_reports.statistics.ranks",
    "ranked": "supremix_reports.tables.frames",
    "read_table": "supremix_reports.tables.tables",
    "read_tables": "supremix_reports.tables.tables",
    "results": "supremix_reports.catalog.sql",
    "search_plots": "supremix_reports.figures.search.search",
    "seeds_interval": "supremix_reports.statistics.intervals",
    "summary_markdown": "supremix_reports.summaries.summary",
    "to_pandas": "supremix_reports.catalog.collection",
    "trials_frame": "supremix_reports.tables.frames",
    "worst_cases": "supremix_reports.figures.model.model",
    "write_atomic": "supremix_reports.tables.storage",
    "write_benchmark": "supremix_reports.summaries.benchmark",
    "write_comparison": "supremix_reports.summaries.comparison",
    "write_multi_dataset": "supremix_reports.summaries.multi_dataset",
    "write_summary": "supremix_reports.summaries.summary",
    "write_table": "supremix_reports.tables.tables",
}

__all__ = [
    "CONFIG_PREFIX",
    "EMBEDDING",
    "SCHEMAS",
    "SCHEMA_VERSION",
    "STATES",
    "Collection",
    "Interval",
    "LabelDensity",
    "MethodRun",
    "NotShown",
    "Plot",
    "Problem",
    "QueryError",
    "Ranks",
    "ReportError",
    "Run",
    "SchemaError",
    "StatisticsError",
    "Store",
    "TableError",
    "across_plots",
    "average_gain",
    "best_trial",
    "collect",
    "column_names",
    "compare_methods",
    "comparison_markdown",
    "comparison_rows",
    "comparison_verdict",
    "config_text",
    "critical_difference_figure",
    "embedding_picture",
    "embedding_rows",
    "has_table",
    "imbalance_intervals",
    "interval_text",
    "mae_interval",
    "mae_rows",
    "mean_of_bins_interval",
    "meanings",
    "metric_interval",
    "model_plots",
    "nemenyi_difference",
    "paired_difference",
    "principal_components",
    "rank_methods",
    "ranked",
    "read_table",
    "read_tables",
    "results",
    "search_plots",
    "seeds_interval",
    "summary_markdown",
    "to_pandas",
    "trials_frame",
    "worst_cases",
    "write_atomic",
    "write_benchmark",
    "write_comparison",
    "write_multi_dataset",
    "write_summary",
    "write_table",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'supremix_reports' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
