"""`supremix plan`: what the search of the same command line will take."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console

from supremix.cli.parsing.dispatch import dataset_names, method_names, request_values, sources
from supremix.cli.parsing.signature import given_on_command_line, takes_options_of
from supremix.cli.views.progress import Display, ProgressConsole
from supremix.search.request.option import PLAN


@takes_options_of(PLAN)
def plan(context: typer.Context, **given: Any) -> None:
    """Estimate what a search will take before it starts: trials, hours, memory, storage.

    Takes the options of `supremix search`. The images are prepared if they are not yet, and a few
    epochs are trained on one worker group to measure their cost. What does not fit is listed with
    what to do about it. No search is started and no run folder is made. Ends with code 1 where
    something does not fit.

    \b
    Examples:
      supremix plan --dataset ukb-t1 --trials 32
      supremix plan --dataset hc18 --source path/to/hc18 --method supremix,l1 --time 8h
      supremix plan --dataset ukb-t1 --trials 500 --address auto --gpus-per-worker 0.5 --json
    """
    import supremix

    values = _plan_values(given, given_on_command_line(context))
    title = f"planning {given['method']} on {given['dataset']}"
    with Display(ProgressConsole(), title, quiet=given["quiet"]) as display:
        found = supremix.plan(progress=display, **values)
    if given["as_json"]:
        typer.echo(json.dumps(found.to_dict(), indent=2))
    else:
        from supremix.cli.views.plan import lines

        console = Console()
        for line in lines(found):
            console.print(line, soft_wrap=True, highlight=False, markup=False)
    if not found.fits:
        raise typer.Exit(1)


def _plan_values(given: dict[str, Any], written: set[str]) -> dict[str, Any]:
    """The arguments of `supremix.plan`: those the user wrote, as a search's defaults may differ."""
    values = request_values(given)
    datasets, methods = dataset_names(values["dataset"]), method_names(values["method"])
    named: dict[str, Any] = {
        "dataset": datasets if len(datasets) > 1 else datasets[0],
        "source": sources(values["source"], datasets) if len(datasets) > 1 else values["source"],
        "method": methods if len(methods) > 1 else methods[0],
    }
    return {name: value for name, value in values.items() if name in written} | named
