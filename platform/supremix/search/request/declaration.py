"""The request: all options together, and which of them a command takes.

From here come the command line, the keyword arguments of `Search`, `Comparison`, `Benchmark`,
`MultiDatasetSearch`, `joint` and `plan` with their documentation, the check of legal values, and
docs/options.md. Nothing heavy is imported, so that ``--help`` need not wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from supremix.search.request.cluster import ClusterOptions
from supremix.search.request.commands import COMMAND_OPTIONS
from supremix.search.request.data import DataOptions
from supremix.search.request.option import Command, Option, declared, in_order
from supremix.search.request.study import StudyOptions
from supremix.search.request.training import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class Request(ClusterOptions, TrainingOptions, StudyOptions, DataOptions):
    """The options that decide what a search computes, and where it runs."""


OPTIONS = tuple(declared(Request))
"""The options of a specification."""

MACHINE = tuple(one.name for one in OPTIONS if one.resumable)
"""The options that say where a run runs: a resumed run may be given others."""


def request_options(command: Command) -> tuple[Option, ...]:
    """The options of a specification that a command takes, group by group."""
    return in_order(OPTIONS, command)


def command_options(command: Command) -> tuple[Option, ...]:
    """All options of a command, group by group."""
    return in_order((*OPTIONS, *COMMAND_OPTIONS), command)
