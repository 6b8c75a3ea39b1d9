"""What came out: the result tables, their statistics, and the summary of a run.

write_table(folder, "trials", rows)
trials_frame(ranked(read_table(folder, "trials")))
write_summary(folder, spec)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supremix_reports.benchmarks import write_benchmark as write_benchmark
    from supremix_reports.collecting import Collection as Collection
    from supremix_reports.collecting import Run as Run
    from supremix_reports.collecting import collect as collect
    from supremix_reports.collecting import to_pandas as to_pandas
    from supremix_reports.comparing import average_gain as average_gain
    from supremix_reports.comparing import compare_methods as compare_methods
    from supremix_reports.comparison import MethodRun as MethodRun
    from supremix_reports.comparison import comparison_rows as comparison_rows
    from supremix_reports.comparison import write_comparison as write_comparison
    from supremix_reports.comparison_page import comparison_markdown as comparison_markdown
    from supremix_reports.comparison_page import comparison_verdict as comparison_verdict
    from supremix_reports.comparison_page import interval_text as interval_text
    from supremix_reports.embedding import EMBEDDING as EMBEDDING
    from supremix_reports.embedding import embedding_picture as embedding_picture
    from supremix_reports.embedding import embedding_rows as embedding_rows
    from supremix_reports.embedding import principal_components as principal_components
    from supremix_reports.errors import QueryError as QueryError
    from supremix_reports.errors import ReportError as ReportError
    from supremix_reports.errors import SchemaError as SchemaError
    from supremix_reports.errors import StatisticsError as StatisticsError
    from supremix_reports.errors import TableError as TableError
    from supremix_reports.evidence_model import model_plots as model_plots
    from supremix_reports.evidence_model import worst_cases as worst_cases
    from supremix_reports.evidence_search import across_plots as across_plots
    from supremix_reports.evidence_search import search_plots as search_plots
    from supremix_reports.finding import Problem as Problem
    from supremix_reports.frames import CONFIG_PREFIX as CONFIG_PREFIX
    from supremix_reports.frames import best_trial as best_trial
    from supremix_reports.frames import mae_rows as mae_rows
    from supremix_reports.frames import ranked as ranked
    from supremix_reports.frames import trials_frame as trials_frame
    from supremix_reports.imbalance import LabelDensity as LabelDensity
    from supremix_reports.imbalance import imbalance_intervals as imbalance_intervals
    from supremix_reports.many import write_many as write_many
    from supremix_reports.plots import NotShown as NotShown
    from supremix_reports.plots import Plot as Plot
    from supremix_reports.ranks import Ranks as Ranks
    from supremix_reports.ranks import nemenyi_difference as nemenyi_difference
    from supremix_reports.ranks import rank_methods as rank_methods
    from supremix_reports.ranks_figure import (
        critical_difference_figure as critical_difference_figure,
    )
    from supremix_reports.schema import SCHEMA_VERSION as SCHEMA_VERSION
    from supremix_reports.schema import SCHEMAS as SCHEMAS
    from supremix_reports.schema import STATES as STATES
    from supremix_reports.schema import column_names as column_names
    from supremix_reports.schema import meanings as meanings
    from supremix_reports.statistics import Interval as Interval
    from supremix_reports.statistics import mae_interval as mae_interval
    from supremix_reports.statistics import mean_of_bins_interval as mean_of_bins_interval
    from supremix_reports.statistics import metric_interval as metric_interval
    from supremix_reports.statistics import paired_difference as paired_difference
    from supremix_reports.statistics import seeds_interval as seeds_interval
    from supremix_reports.storage import write_atomic as write_atomic
    from supremix_reports.store import Store as Store
    from supremix_reports.store import results as results
    from supremix_reports.summary import summary_markdown as summary_markdown
    from supremix_reports.summary import write_summary as write_summary
    from supremix_reports.tables import config_text as config_text
    from supremix_reports.tables import has_table as has_table
    from supremix_reports.tables import read_table as read_table
    from supremix_reports.tables import read_tables as read_tables
    from supremix_reports.tables import write_table as write_table

_HOMES = {
    "CONFIG_PREFIX": "supremix_reports.frames",
    "EMBEDDING": "supremix_reports.embedding",
    "SCHEMAS": "supremix_reports.schema",
    "SCHEMA_VERSION": "supremix_reports.schema",
    "STATES": "supremix_reports.schema",
    "Collection": "supremix_reports.collecting",
    "Interval": "supremix_reports.statistics",
    "LabelDensity": "supremix_reports.imbalance",
    "MethodRun": "supremix_reports.comparison",
    "NotShown": "supremix_reports.plots",
    "Plot": "supremix_reports.plots",
    "Problem": "supremix_reports.finding",
    "QueryError": "supremix_reports.errors",
    "Ranks": "supremix_reports.ranks",
    "ReportError": "supremix_reports.errors",
    "Run": "supremix_reports.collecting",
    "SchemaError": "supremix_reports.errors",
    "StatisticsError": "supremix_reports.errors",
    "Store": "supremix_reports.store",
    "TableError": "supremix_reports.errors",
    "across_plots": "supremix_reports.evidence_search",
    "average_gain": "supremix_reports.comparing",
    "best_trial": "supremix_reports.frames",
    "collect": "supremix_reports.collecting",
    "column_names": "supremix_reports.schema",
    "compare_methods": "supremix_reports.comparing",
    "comparison_markdown": "supremix_reports.comparison_page",
    "comparison_rows": "supremix_reports.comparison",
    "comparison_verdict": "supremix_reports.comparison_page",
    "config_text": "supremix_reports.tables",
    "critical_difference_figure": "supremix_reports.ranks_figure",
    "embedding_picture": "supremix_reports.embedding",
    "embedding_rows": "supremix_reports.embedding",
    "has_table": "supremix_reports.tables",
    "imbalance_intervals": "supremix_reports.imbalance",
    "interval_text": "supremix_reports.comparison_page",
    "mae_interval": "supremix_reports.statistics",
    "mae_rows": "supremix_reports.frames",
    "mean_of_bins_interval": "supremix_reports.statistics",
    "meanings": "supremix_reports.schema",
    "metric_interval": "supremix_reports.statistics",
    "model_plots": "supremix_reports.evidence_model",
    "nemenyi_difference": "supremix_reports.ranks",
    "paired_difference": "supremix_reports.statistics",
    "principal_components": "supremix_reports.embedding",
    "rank_methods": "supremix_reports.ranks",
    "ranked": "supremix_reports.frames",
    "read_table": "supremix_reports.tables",
    "read_tables": "supremix_reports.tables",
    "results": "supremix_reports.store",
    "search_plots": "supremix_reports.evidence_search",
    "seeds_interval": "supremix_reports.statistics",
    "summary_markdown": "supremix_reports.summary",
    "to_pandas": "supremix_reports.collecting",
    "trials_frame": "supremix_reports.frames",
    "worst_cases": "supremix_reports.evidence_model",
    "write_atomic": "supremix_reports.storage",
    "write_benchmark": "supremix_reports.benchmarks",
    "write_comparison": "supremix_reports.comparison",
    "write_many": "supremix_reports.many",
    "write_summary": "supremix_reports.summary",
    "write_table": "supremix_reports.tables",
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
    "write_many",
    "write_summary",
    "write_table",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'supremix_reports' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
