from supremix_reports.catalog.collection import Collection as Collection
from supremix_reports.catalog.collection import Run as Run
from supremix_reports.catalog.collection import collect as collect
from supremix_reports.catalog.collection import to_pandas as to_pandas
from supremix_reports.catalog.discovery import Problem as Problem
from supremix_reports.catalog.sql import Catalog as Catalog
from supremix_reports.catalog.sql import results as results
from supremix_reports.errors import QueryError as QueryError
from supremix_reports.errors import ReportError as ReportError
from supremix_reports.errors import SchemaError as SchemaError
from supremix_reports.errors import StatisticsError as StatisticsError
from supremix_reports.errors import TableError as TableError
from supremix_reports.evaluation.page import Evaluated as Evaluated
from supremix_reports.evaluation.page import write_evaluation as write_evaluation
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
from supremix_reports.statistics.comparing.comparisons import average_gain as average_gain
from supremix_reports.statistics.comparing.comparisons import compare_methods as compare_methods
from supremix_reports.statistics.comparing.defaults import defaults_row as defaults_row
from supremix_reports.statistics.comparing.ranks import Ranks as Ranks
from supremix_reports.statistics.comparing.ranks import nemenyi_difference as nemenyi_difference
from supremix_reports.statistics.comparing.ranks import rank_methods as rank_methods
from supremix_reports.statistics.conformal.bias_correction import TRAP as TRAP
from supremix_reports.statistics.conformal.bias_correction import BiasLine as BiasLine
from supremix_reports.statistics.conformal.bias_correction import (
    correction_table as correction_table,
)
from supremix_reports.statistics.conformal.calibration import Calibration as Calibration
from supremix_reports.statistics.conformal.calibration import LabelScale as LabelScale
from supremix_reports.statistics.conformal.coverage import (
    fold_interval_rows as fold_interval_rows,
)
from supremix_reports.statistics.conformal.coverage import interval_rows as interval_rows
from supremix_reports.statistics.conformal.intervals import (
    prediction_intervals as prediction_intervals,
)
from supremix_reports.statistics.learning_curves.convergence import Convergence as Convergence
from supremix_reports.statistics.learning_curves.convergence import (
    best_convergence as best_convergence,
)
from supremix_reports.statistics.learning_curves.convergence import convergence as convergence
from supremix_reports.statistics.learning_curves.power_law import Forecast as Forecast
from supremix_reports.statistics.learning_curves.power_law import (
    power_law_forecast as power_law_forecast,
)
from supremix_reports.statistics.measures.agreement import CALIBRATION as CALIBRATION
from supremix_reports.statistics.measures.agreement import (
    calibration_intervals as calibration_intervals,
)
from supremix_reports.statistics.measures.best_error import BestError as BestError
from supremix_reports.statistics.measures.best_error import best_error as best_error
from supremix_reports.statistics.measures.best_error import read_best_error as read_best_error
from supremix_reports.statistics.measures.imbalance import LabelDensity as LabelDensity
from supremix_reports.statistics.measures.imbalance import (
    imbalance_intervals as imbalance_intervals,
)
from supremix_reports.statistics.measures.mae import calibration_rows as calibration_rows
from supremix_reports.statistics.measures.mae import mae_rows as mae_rows
from supremix_reports.statistics.measures.skill import skill_interval as skill_interval
from supremix_reports.statistics.resampling.intervals import Interval as Interval
from supremix_reports.statistics.resampling.intervals import mae_interval as mae_interval
from supremix_reports.statistics.resampling.intervals import (
    mean_of_bins_interval as mean_of_bins_interval,
)
from supremix_reports.statistics.resampling.intervals import metric_interval as metric_interval
from supremix_reports.statistics.resampling.intervals import paired_difference as paired_difference
from supremix_reports.statistics.resampling.intervals import seeds_interval as seeds_interval
from supremix_reports.summaries.benchmark import write_benchmark as write_benchmark
from supremix_reports.summaries.comparison import MethodRun as MethodRun
from supremix_reports.summaries.comparison import comparison_rows as comparison_rows
from supremix_reports.summaries.comparison import write_comparison as write_comparison
from supremix_reports.summaries.comparison_page import (
    comparison_markdown as comparison_markdown,
)
from supremix_reports.summaries.convergence import (
    convergence_sentence as convergence_sentence,
)
from supremix_reports.summaries.coverage import coverage_sentence as coverage_sentence
from supremix_reports.summaries.coverage import coverage_warnings as coverage_warnings
from supremix_reports.summaries.coverage import interval_words as interval_words
from supremix_reports.summaries.error_rows import SKILL_NOTE as SKILL_NOTE
from supremix_reports.summaries.error_rows import error_rows as error_rows
from supremix_reports.summaries.error_rows import interval_text as interval_text
from supremix_reports.summaries.error_rows import null_rows as null_rows
from supremix_reports.summaries.error_rows import training_cells as training_cells
from supremix_reports.summaries.external import OutsideResult as OutsideResult
from supremix_reports.summaries.external import write_external as write_external
from supremix_reports.summaries.folds import FoldRun as FoldRun
from supremix_reports.summaries.folds import folds_table as folds_table
from supremix_reports.summaries.folds import selection_sentence as selection_sentence
from supremix_reports.summaries.folds import write_folds as write_folds
from supremix_reports.summaries.multi_dataset import write_multi_dataset as write_multi_dataset
from supremix_reports.summaries.summary import summary_markdown as summary_markdown
from supremix_reports.summaries.summary import write_summary as write_summary
from supremix_reports.summaries.verdicts import comparison_verdict as comparison_verdict
from supremix_reports.summaries.verdicts import defaults_sentence as defaults_sentence
from supremix_reports.summaries.verdicts import skill_sentences as skill_sentences
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
from supremix_reports.tables.tables import read_file as read_file
from supremix_reports.tables.tables import read_table as read_table
from supremix_reports.tables.tables import read_tables as read_tables
from supremix_reports.tables.tables import to_parquet as to_parquet
from supremix_reports.tables.tables import write_table as write_table
