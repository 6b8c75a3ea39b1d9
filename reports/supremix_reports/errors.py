"""What can go wrong with result tables.

ReportError
├── SchemaError       rows or a file that do not fit the schema
├── TableError        a table that is not there, or is none
├── QueryError        a question to a results store that has no answer
├── StatisticsError   numbers from which nothing can be computed
└── PlotError         a figure that cannot be drawn from what there is
"""

from __future__ import annotations


class ReportError(Exception):
    """Base of the errors of this package; the message says what to change."""


class SchemaError(ReportError):
    """Rows, or a file, that do not fit the schema of their table."""


class TableError(ReportError):
    """A table that does not exist or cannot be read."""


class QueryError(ReportError):
    """A question to a results store that it cannot answer."""


class StatisticsError(ReportError):
    """Numbers from which the statistic asked for cannot be computed."""


class PlotError(ReportError):
    """A figure that cannot be drawn from what there is; the message is for a report's reader."""
