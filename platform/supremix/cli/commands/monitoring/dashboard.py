"""`supremix dashboard`: a run in optuna-dashboard."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from supremix.cli.commands.monitoring.status import Run


def dashboard(
    run: Run,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes one that is free.")] = 8080,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines look, too.")
    ] = "127.0.0.1",
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="Time between two looks at the run.")
    ] = 2.0,
    journal: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Keep Optuna's journal in this new file, for its plots."),
    ] = None,
) -> None:
    """Show a run in optuna-dashboard, in a browser, until Ctrl-C is pressed.

    The trials come from the run's folder and are kept up to date while the search goes on; nothing
    can be changed from the browser. It needs the extra: pip install 'supremix[dashboard]'.

    \b
    Examples:
      supremix dashboard runs/hc18-supremix-20260131-120000
      supremix dashboard s3://bucket/runs/brains --port 9000 --interval 30
    """
    from supremix.monitoring.dashboard import Dashboard

    with Dashboard(run, host=host, port=port, interval=interval, journal=journal) as server:
        Console().print(f"{run} is at {server.address} (Ctrl-C ends it)", soft_wrap=True)
        try:
            server.serve()
        except KeyboardInterrupt:
            return  # the way to end it
