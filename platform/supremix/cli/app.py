"""The commands put together, and what becomes of an error."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from supremix.cli.commands.data.check import check
from supremix.cli.commands.data.datasets import datasets, phantom
from supremix.cli.commands.data.prepare import prepare
from supremix.cli.commands.models.evaluate import evaluate
from supremix.cli.commands.models.export import export
from supremix.cli.commands.models.predict import predict
from supremix.cli.commands.monitoring.dashboard import dashboard
from supremix.cli.commands.monitoring.status import status
from supremix.cli.commands.monitoring.watch import watch
from supremix.cli.commands.reports.compare import compare
from supremix.cli.commands.reports.report import report
from supremix.cli.commands.reports.results import results
from supremix.cli.commands.searches.benchmark import benchmark
from supremix.cli.commands.searches.joint import joint
from supremix.cli.commands.searches.plan import plan
from supremix.cli.commands.searches.search import search
from supremix.cli.streams import accept_any_text

FAILED = 1
USER_ERROR = 2
INTERRUPTED = 130

INTRODUCTION = """Find the hyperparameters with the lowest error for a medical-image regression.

\b
Try it, with nothing but this command (brain phantoms, made on the spot):
  supremix search --dataset ukb-t1 --trials 8 --epochs 8
\b
Your own images, half an hour on this machine:
  supremix search --dataset hc18 --source path/to/hc18 --time 30m
\b
Use the model that came out:
  supremix predict runs/NAME image.png --pixel-size 0.14
"""

app = typer.Typer(
    name="supremix",
    help=INTRODUCTION,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _help(command: Callable[..., None]) -> str:
    """A command's docstring with each paragraph on one line, but for the ones marked to stay."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(p if p.startswith("\b") else p.replace("\n", " ") for p in paragraphs)


for command in (
    search,
    benchmark,
    plan,
    joint,
    check,
    prepare,
    predict,
    evaluate,
    export,
    datasets,
    phantom,
    status,
    watch,
    dashboard,
    results,
    report,
    compare,
):
    bare = command in (datasets, results)
    app.command(help=_help(command), no_args_is_help=not bare)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"supremix {version('supremix')}")
        raise typer.Exit


@app.callback()
def _root(  # pyright: ignore[reportUnusedFunction]: typer calls it
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process.

    Args:
        arguments: The words after `supremix`; the process's own when None.

    Raises:
        SystemExit: Always. 0: done; 1: the work failed; 2: something was asked for that cannot
            be done; 130: interrupted. An error of our own making shows its traceback.
    """
    accept_any_text()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # a home without its cache will do
    try:
        app(args=None if arguments is None else list(arguments))
    except KeyboardInterrupt:
        _say("interrupted", "")
        sys.exit(INTERRUPTED)
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        _say("error" if code != INTERRUPTED else "stopped", str(error))
        sys.exit(code)
    sys.exit(0)


def _exit_code(error: Exception) -> int | None:
    """The exit code of an error whose message is meant for the user; None for any other."""
    # Imported only once something went wrong, so that `--help` need not wait for all the rooms.
    from supremix import errors

    if isinstance(error, errors.SearchInterrupted):
        return INTERRUPTED
    if isinstance(error, errors.SearchFailedError):
        return FAILED
    if isinstance(error, errors.TrainingError) and not isinstance(error, errors.REFUSED):
        return FAILED
    return USER_ERROR if isinstance(error, errors.USER_ERRORS) else None


def _say(kind: str, message: str) -> None:
    text = Text(kind, style="bold red")
    Console(stderr=True, soft_wrap=True).print(text.append(f": {message}" if message else ""))
