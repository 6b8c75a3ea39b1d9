"""`supremix plan`: what the search of the same command line would take."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from supremix.cli.commands.search import search
from supremix.cli.parsing import options as reading
from supremix.cli.parsing.dispatch import listed, sources
from supremix.cli.views.progress import Display

if TYPE_CHECKING:
    from supremix.planning.plan import Plan

LEFT_OUT = {"context", "resume", "or_resume"}
"""Parameters of the search that a plan has not: they are about a run that is there already."""

PLAN = "Plan"

Json = Annotated[bool, typer.Option("--json", help="Print the plan as JSON.", rich_help_panel=PLAN)]


def like_search(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `supremix search`, but for a few, beside its own ``json``."""
    taken = [
        parameter
        for parameter in inspect.signature(search, eval_str=True).parameters.values()
        if parameter.name not in LEFT_OUT
    ]
    own = inspect.Parameter(
        "as_json", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=False, annotation=Json
    )
    vars(command)["__signature__"] = inspect.Signature([*taken, own])
    return command


@like_search
def plan(**given: Any) -> None:
    """Tell what a search will take before it starts: trials, hours, GPU hours, memory, storage.

    Takes the options of `supremix search`. The images are prepared if they are not, and a few
    epochs are trained on one worker group, to see what they cost; then it is all reckoned up, and
    what does not fit is named with what to do. No search is started and no run folder made. Ends
    with code 1 where something does not fit.

    \b
    Examples:
      supremix plan --dataset ukb-t1 --trials 32
      supremix plan --dataset hc18 --source path/to/hc18 --method supremix,l1 --time 8h
      supremix plan --dataset ukb-t1 --trials 500 --address auto --gpus-per-worker 0.5 --json
    """
    import supremix

    as_json, quiet = given.pop("as_json"), given.pop("quiet")
    request = as_arguments(given)
    title = f"planning {given['method']} on {given['dataset']}"
    with Display(Console(stderr=True), title, quiet=quiet) as display:
        found = supremix.plan(progress=display, **request)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
    else:
        show_plan(found, Console())
    if not found.fits:
        raise typer.Exit(1)


def as_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """The options of a command line as arguments of `supremix.plan`.

    Raises:
        typer.BadParameter: One of them cannot be read.
    """
    values = dict(given)
    if values["dataset"] is None:
        raise typer.BadParameter(
            "name a dataset (see `supremix datasets`).", param_hint="--dataset"
        )
    datasets = listed(values["dataset"], "--dataset", "hc18,ukb-t1")
    methods = listed(values["method"], "--method", "supremix,rnc,l1")
    if len(datasets) > 1:
        values["source"] = sources(values["source"], datasets)
    values["dataset"] = datasets if len(datasets) > 1 else datasets[0]
    values["method"] = methods if len(methods) > 1 else methods[0]
    if values.get("warm_start") is None:
        values.pop("warm_start", None)
    values["shape"] = reading.read_shape(values["shape"])
    values["overrides"] = tuple(values["overrides"] or ())
    return values


def show_plan(found: Plan, console: Console) -> None:
    """Print a plan: machine, a block a search, the sum, and what does not fit."""
    from supremix.cli.views.plan import lines

    for line in lines(found):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
