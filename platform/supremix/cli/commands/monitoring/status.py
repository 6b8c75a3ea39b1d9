"""`supremix status`: how far a run is."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from supremix.cli.parsing.completion import complete_runs, find_run
from supremix.cli.views.status import status_view
from supremix.cli.views.trial import trial_view

if TYPE_CHECKING:
    from supremix.monitoring.status import Status

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        autocompletion=complete_runs,
        callback=find_run,
        help="Folder of a search, a comparison of methods, or a search on several datasets; on "
        "disk or at any fsspec address.",
    ),
]


def status(
    run: Run,
    trial: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="Show one trial: its hyperparameters, curve and log."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, for scripts.")
    ] = False,
) -> None:
    """Show how far a run is: trials, the best so far, worker groups, budget, failures.

    Everything is read from the run folder, so it works from any shell, on any machine that sees
    the folder, and also while the search itself is down.

    \b
    Examples:
      supremix status runs/hc18-supremix-20260131-120000
      supremix status s3://bucket/runs/brains --json
      supremix status runs/hc18-supremix-20260131-120000 --trial 12
    """
    import supremix
    from supremix.monitoring.inspect import read_trial

    if trial is not None:
        found_trial = read_trial(run, trial)
        if as_json:
            typer.echo(_as_json(dataclasses.asdict(found_trial)))
        else:
            Console().print(trial_view(found_trial))
        return
    found = supremix.status(run)
    if as_json:
        typer.echo(_as_json(content(found)))
    else:
        Console().print(status_view(found))


def content(found: Status) -> dict[str, Any]:
    """A status as plain values."""
    return {**dataclasses.asdict(found), "over": found.over}


def _as_json(value: Any) -> str:
    return json.dumps(_plain(value), indent=2, allow_nan=False)


def _plain(value: Any) -> Any:
    """The same with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
