"""`supremix search`: the main command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from supremix.cli.parsing.dispatch import is_started, prolonged_to, resumed, searched
from supremix.cli.parsing.signature import check_resumable, takes_options_of
from supremix.cli.views.benchmark import show_benchmark, with_report
from supremix.cli.views.comparison import show_comparison
from supremix.cli.views.cross_validation import show_cross_validation
from supremix.cli.views.multi_dataset import show_multi_dataset
from supremix.cli.views.progress import Display, ProgressConsole
from supremix.cli.views.search import show_result
from supremix.search.request.declaration import MACHINE
from supremix.search.request.option import SEARCH

if TYPE_CHECKING:
    from supremix import (
        BenchmarkResult,
        ComparisonResult,
        CrossValidationResult,
        MultiDatasetResult,
        Result,
    )


@takes_options_of(SEARCH, check=lambda given: searched(given)())
def search(context: typer.Context, **given: Any) -> None:
    """Search for the hyperparameters with the lowest error on one dataset.

    Each trial trains one configuration on the training split; its error on the validation split
    guides the search, and the test split is used once, at the end. An interrupted or killed search
    is continued with --resume. The options
    may lie in a file, which --dry-run writes.

    \b
    Examples:
      supremix search --dataset ukb-t1 --trials 8 --epochs 8
      supremix search --dataset hc18 --source path/to/hc18 --time 30m
      supremix search --dataset hc18 --source path/to/hc18 --method l1 --time 1h
      supremix search --dataset hc18 --source path/to/hc18 --method supremix,l1 --trials 12
      supremix search --dataset ukb-t1 --trials 16 \\
          --set temperature=0.05..1.0:log --set window=3,5
      supremix search --dataset ukb-t1 --time 8h \\
          --address auto --workers 2 --gpus-per-worker 1
      supremix search --dataset hc18 --source path/to/hc18 --folds 5
      supremix search --dataset ukb-t1,hc18 --source hc18=path/to/hc18 --trials 40
      supremix search run.toml --trials 40
      supremix search --resume runs/hc18-supremix-20260131-120000
      supremix search --resume runs/hc18-supremix-20260131-120000 --epochs 400
    """
    quiet, resume = given["quiet"], given["resume"]
    machine = {name: given[name] for name in MACHINE}
    if resume is not None:
        check_resumable(context, SEARCH)
        known = {name: v for name, v in machine.items() if v is not None}
        if given["epochs"] is not None:
            known["epochs"] = prolonged_to(resume, given["epochs"])
        _continue(resume, quiet, known)
    elif given["or_resume"] and is_started(given["out"]):
        # The command is the whole one: without --address it means this machine.
        _continue(given["out"], quiet, machine)
    else:
        prepared, title = searched(given), f"{given['method']} on {given['dataset']}"
        with Display(ProgressConsole(), title, quiet=quiet) as display:
            result = prepared(progress=display).run()
        _show(result)


def _continue(run: str, quiet: bool, machine: Mapping[str, Any]) -> None:
    import supremix

    with Display(ProgressConsole(), f"resuming {run}", quiet=quiet) as display:
        result = resumed(run)(progress=display, **machine).run()
        if isinstance(result, supremix.BenchmarkResult):
            with_report(result, display)
    _show(result)


def _show(
    result: Result
    | ComparisonResult
    | CrossValidationResult
    | MultiDatasetResult
    | BenchmarkResult,
) -> None:
    """Show a result; a method or dataset without one makes the command fail."""
    from supremix import (
        BenchmarkResult,
        ComparisonResult,
        CrossValidationResult,
        MultiDatasetResult,
    )

    if isinstance(result, CrossValidationResult):
        show_cross_validation(result, Console())
        return
    if isinstance(result, BenchmarkResult):
        show_benchmark(result, Console())
    elif isinstance(result, ComparisonResult):
        show_comparison(result, Console())
    elif isinstance(result, MultiDatasetResult):
        show_multi_dataset(result, Console())
    else:
        show_result(result, Console())
        return
    if result.failures:
        raise typer.Exit(1)
