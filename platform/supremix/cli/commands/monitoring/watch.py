"""`supremix watch`: the status of a run, drawn again and again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live

from supremix.cli.commands.monitoring.status import Run
from supremix.cli.views.search import print_plain
from supremix.cli.views.status import status_view, trials_text

if TYPE_CHECKING:
    from supremix.monitoring.group_view import GroupView
    from supremix.monitoring.run_view import RunView


def watch(
    run: Run,
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="Time between two looks.")
    ] = 2.0,
) -> None:
    """Show how far a run is, until it is over or Ctrl-C is pressed.

    Like `supremix status`, it reads the run folder alone and may be started and ended at any time,
    on any machine that sees the folder. Where nothing can be redrawn it writes a line a change.

    \b
    Examples:
      supremix watch runs/hc18-supremix-20260131-120000
      supremix watch s3://bucket/runs/brains --interval 30
    """
    from supremix.monitoring.inspect import open_view

    watched, console = open_view(run), Console()
    try:
        if console.is_terminal:
            _redraw(watched, console, interval)
        else:
            _print_changes(watched, console, interval)
    except KeyboardInterrupt:
        return  # nothing but the display is interrupted


def _redraw(watched: RunView | GroupView, console: Console, interval: float) -> None:
    status = watched.look()
    with Live(status_view(status), console=console, auto_refresh=False) as live:
        while not status.over:
            time.sleep(interval)
            status = watched.look()
            live.update(status_view(status), refresh=True)


def _print_changes(watched: RunView | GroupView, console: Console, interval: float) -> None:
    shown = ""
    while True:
        status = watched.look()
        line = f"{status.state} · {trials_text(status)} · {status.epochs} epochs"
        if line != shown:
            shown = line
            print_plain(console, line)
        if status.over:
            return
        time.sleep(interval)
