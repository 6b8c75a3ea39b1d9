"""The status of a run on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from supremix.cli.parsing.values import format_value
from supremix.cli.views.search import line_table
from supremix.progress.words import format_duration

if TYPE_CHECKING:
    from supremix.monitoring.status import Finalist, RunningTrial, Status

COLOURS = {
    "running": "green",
    "concluded": "bold green",
    "stalled": "bold yellow",
    "interrupted": "yellow",
    "failed": "bold red",
}
ROWS = 16
"""Running trials that are shown one by one."""


def status_view(status: Status) -> RenderableType:
    """The status of a run to print: trials, budget, finalists, failures, the best so far."""
    head = Text(f"{status.run}  ", style="bold").append(status.state, style=COLOURS[status.state])
    what = filter(None, (status.dataset, status.method, status.objective))
    head.append(f"  {' · '.join(what)}", style="default")
    blocks: list[RenderableType] = [head, _facts(status)]
    if status.parts:
        blocks += [Text(), _parts(status)]
    for part in status.parts or (status,):
        blocks += _details(part, _part_name(status, part) if status.parts else "")
    return Group(*blocks)


def _facts(status: Status) -> Table:
    table, silence = Table(box=None, show_header=False, pad_edge=False), status.silence
    for name, value in (
        ("trials", trials_text(status)),
        ("best", "" if status.parts else best_text(status)),
        ("out of fold", pooled_text(status)),
        ("worker groups", worker_groups_text(status)),
        ("used", used_text(status)),
        ("last event", "none yet" if silence is None else f"{format_duration(silence)} ago"),
    ):
        if value:
            table.add_row(Text(name, style="dim"), Text(value))
    return table


def trials_text(status: Status) -> str:
    """The number of trials, and their states."""
    count = sum(status.trials.values())
    limit = status.limits.get("trials")
    of = f" of {limit:g}" if limit else ""
    if limit and count > limit:  # the finalists are retrained when the trials are done
        of = f" ({limit:g} asked for, then the finalists)"
    ends = ", ".join(f"{number} {state}" for state, number in status.trials.items())
    return f"{count}{of}: {ends}" if count else f"none yet{of and f', {limit:g} to come'}"


def best_text(status: Status) -> str:
    """The error of the best hyperparameters, what it was measured on, and their trial."""
    if status.best_trial is None:
        return "no trial finished yet"
    text = f"{_error(status.best_error)} {status.unit}".strip()
    return f"{text} ({status.best_basis}; trial {status.best_trial})"


def pooled_text(status: Status) -> str:
    """The error out of fold of a cross-validation that is over; else empty."""
    if not status.parts or status.best_error is None:
        return ""
    return f"{_error(status.best_error)} {status.unit} ({status.best_basis})"


def worker_groups_text(status: Status) -> str:
    """The number of worker groups that have work, and the share of time that they are used."""
    if not status.worker_groups:
        return "none has started yet"
    parts = [f"{status.busy} of {status.worker_groups} busy"]
    if status.busy_share is not None:
        parts.append(f"{status.busy_share:.0%} of the time so far")
    pace = status.epochs_per_hour
    parts.append(f"{status.epochs} epochs" + ("" if pace is None else f", {pace:.0f} an hour"))
    return " · ".join(parts)


def used_text(status: Status) -> str:
    """Time and GPU hours, of what the budget has, and what is left."""
    time, hours = status.limits.get("time"), status.limits.get("gpu_hours")
    parts = [format_duration(status.seconds) + (f" of {format_duration(time)}" if time else "")]
    if hours or status.gpu_hours:
        parts.append(f"{status.gpu_hours:.2f}{f' of {hours:g}' if hours else ''} GPU hours")
    if status.left is not None and not status.over:
        parts.append(f"about {format_duration(status.left)} left")
    return " · ".join(parts)


def _part_name(status: Status, part: Status) -> str:
    """Where a part's folder lies in that of the grid."""
    return part.run.removeprefix(status.run).strip("/")


def _parts(status: Status) -> Table:
    head = ("run", "state", "trials", "running", "best", "measured on", "epochs", "time")
    table = _columns(*head)
    for part in status.parts:
        best = "-" if part.best_trial is None else f"{_error(part.best_error)} {part.unit}"
        table.add_row(
            _part_name(status, part),
            Text(part.state, style=COLOURS[part.state]),
            str(sum(part.trials.values())),
            str(part.trials.get("running", 0)),
            best,
            part.best_basis.partition(",")[0],
            str(part.epochs),
            format_duration(part.seconds),
        )
    return table


def _details(status: Status, part: str) -> list[RenderableType]:
    blocks: list[RenderableType] = []
    name = f" of {part}" if part else ""
    if status.running and not status.over:
        blocks += [Text(f"\nrunning trials{name}", style="bold"), _running(status.running)]
    if status.finalists:
        blocks += [Text(f"\nfinalists{name}", style="bold"), _finalists(status.finalists)]
    if status.failures:
        blocks.append(Text(f"\nlast failures{name}", style="bold"))
        blocks += [Text(f"trial {number}: {why}", style="red") for number, why in status.failures]
    if status.best_config and not part:
        values = ", ".join(f"{k}={format_value(v)}" for k, v in status.best_config.items())
        blocks += [Text("\nbest hyperparameters", style="bold"), Text(values)]
    return blocks


def _running(trials: tuple[RunningTrial, ...]) -> RenderableType:
    table = _columns("trial", "epoch", "error", "stage", "")
    for trial in trials[:ROWS]:
        total = "" if trial.total is None else f"/{trial.total}"
        replicate = "" if trial.replicate_of is None else f"trial {trial.replicate_of}, new seed"
        note = " ".join(filter(None, (replicate, trial.dataset)))
        error = _error(trial.error)
        table.add_row(str(trial.number), f"{trial.epoch}{total}", error, trial.stage, note)
    if len(trials) <= ROWS:
        return table
    return Group(table, Text(f"and {len(trials) - ROWS} more", style="dim"))


def _finalists(finalists: tuple[Finalist, ...]) -> Table:
    table = _columns("trial", "error of a single training", "mean over new seeds", "seeds done")
    for one in finalists:
        done = f"{len(one.errors)} of {len(one.confirming)}"
        table.add_row(str(one.trial), _error(one.error), _error(one.mean), done)
    return table


def _columns(*headings: str) -> Table:
    table = line_table(*headings)
    table.header_style = "dim"
    return table


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
