"""What came out: the result tables, their statistics, and the summary of a run.

write_table(folder, "trials", rows)
trials_frame(ranked(read_table(folder, "trials")))
write_summary(folder, spec)
"""

from supremix_reports.comparison import MethodRun as MethodRun
from supremix_reports.comparison import comparison_rows as comparison_rows
from supremix_reports.comparison import write_comparison as write_comparison
from supremix_reports.comparison_page import comparison_markdown as comparison_markdown
from supremix_reports.comparison_page import comparison_verdict as comparison_verdict
from supremix_reports.comparison_page import interval_text as interval_text
from supremix_reports.embedding import EMBEDDING as EMBEDDING
from supremix_reports.embedding import embedding_picture as embedding_picture
from supremix_reports.embedding import principal_components as principal_components
from supremix_reports.errors import ReportError as ReportError
from supremix_reports.errors import SchemaError as SchemaError
from supremix_reports.errors import StatisticsError as StatisticsError
from supremix_reports.errors import TableError as TableError
from supremix_reports.frames import CONFIG_PREFIX as CONFIG_PREFIX
from supremix_reports.frames import best_trial as best_trial
from supremix_reports.frames import mae_rows as mae_rows
from supremix_reports.frames import ranked as ranked
from supremix_reports.frames import trials_frame as trials_frame
from supremix_reports.imbalance import LabelDensity as LabelDensity
from supremix_reports.imbalance import imbalance_intervals as imbalance_intervals
from supremix_reports.many import write_many as write_many
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
from supremix_reports.storage import write_atomic as write_atomic
from supremix_reports.summary import summary_markdown as summary_markdown
from supremix_reports.summary import write_summary as write_summary
from supremix_reports.tables import config_text as config_text
from supremix_reports.tables import has_table as has_table
from supremix_reports.tables import read_table as read_table
from supremix_reports.tables import read_tables as read_tables
from supremix_reports.tables import write_table as write_table

__all__ = [
    "CONFIG_PREFIX",
    "EMBEDDING",
    "SCHEMAS",
    "SCHEMA_VERSION",
    "STATES",
    "Interval",
    "LabelDensity",
    "MethodRun",
    "ReportError",
    "SchemaError",
    "StatisticsError",
    "TableError",
    "best_trial",
    "column_names",
    "comparison_markdown",
    "comparison_rows",
    "comparison_verdict",
    "config_text",
    "embedding_picture",
    "has_table",
    "imbalance_intervals",
    "interval_text",
    "mae_interval",
    "mae_rows",
    "mean_of_bins_interval",
    "meanings",
    "metric_interval",
    "paired_difference",
    "principal_components",
    "ranked",
    "read_table",
    "read_tables",
    "summary_markdown",
    "trials_frame",
    "write_atomic",
    "write_comparison",
    "write_many",
    "write_summary",
    "write_table",
]
