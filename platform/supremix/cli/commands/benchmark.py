"""`supremix benchmark`: methods on datasets, searched under one budget and judged with seeds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from supremix.cli.commands.search import refuse_a_second_specification, search
from supremix.cli.parsing.dispatch import listed, sources
from supremix.cli.parsing.options import BUDGET, RUN, SPACE, read_shape
from supremix.cli.views.benchmark import show_benchmark, with_report
from supremix.cli.views.progress import Display

if TYPE_CHECKING:
    from supremix.benchmark.benchmark import Benchmark

METHODS = "supremix,rnc,l1"

REPLACED = {"method", "test_seeds", "resume", "or_resume"}
LEFT_OUT = {"context", "objective", "warm_start", "test"}

MAY_COME_WITH_RESUME = {
    "resume", "quiet", "address", "wheel", "cache", "dataset", "source", "method", "test_seeds",
    "reference", "report",
}  # fmt: skip

Method = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help=f"Methods, with commas between them; see docs/methods.md. By default {METHODS}. "
        "With --resume: those to add.",
        rich_help_panel=SPACE,
    ),
]
TestSeeds = Annotated[
    int | None,
    typer.Option(
        help="Seeds with which the best settings are retrained and judged on the test split, the "
        "same for all methods; 3 by default. With --resume: that many from now on.",
        rich_help_panel=BUDGET,
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        metavar="METHOD",
        help="Method that the others are compared with; by default l1, where it is one of them, "
        "else the last.",
        rich_help_panel=SPACE,
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        metavar="RUN",
        help="Finish the benchmark of this folder, or let it grow: beside it stand --method, "
        "--dataset (with --source) and --test-seeds for what is to be added, --reference, and "
        "--address, --wheel and --cache where those are others now.",
        rich_help_panel=RUN,
    ),
]
OrResume = Annotated[
    bool,
    typer.Option(
        "--or-resume",
        help="Start the benchmark in --out, or go on with it where it was begun there, with what "
        "--method, --dataset and --test-seeds name beyond what it has.",
        rich_help_panel=RUN,
    ),
]
Report = Annotated[
    bool,
    typer.Option(help="Write the report at the end, into RUN/report.", rich_help_panel=RUN),
]


def _like_search(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `supremix search` that a benchmark shares, and its own."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    shared = [
        parameter
        for parameter in inspect.signature(search, eval_str=True).parameters.values()
        if parameter.name not in LEFT_OUT | REPLACED
    ]
    own = [
        inspect.Parameter(name, kind, default=default, annotation=annotation)
        for name, default, annotation in (
            ("method", None, Method),
            ("test_seeds", None, TestSeeds),
            ("reference", None, Reference),
            ("resume", None, Resume),
            ("or_resume", False, OrResume),
            ("report", True, Report),
        )
    ]
    context = inspect.Parameter("context", kind, annotation=typer.Context)
    vars(command)["__signature__"] = inspect.Signature([context, *shared, *own])
    return command


@_like_search
def benchmark(context: typer.Context, **given: Any) -> None:
    """Compare methods on datasets: a search each, the best settings judged with several seeds.

    Every method is searched on every dataset under the same budget (--trials, --time or
    --gpu-hours is that of each search). The best settings are retrained on training and validation
    data with the same seeds for all, and judged on the test split. What is interrupted goes on
    with --resume, and what is added later costs only what is new. Ends with a report.

    \b
    Examples:
      supremix benchmark --dataset ukb-t1,hc18 --source hc18=path/to/hc18 --trials 20
      supremix benchmark --dataset hc18 --source path/to/hc18 --method supremix,rnc,l1 \\
          --trials 30 --test-seeds 5 --out runs/heads
      supremix benchmark --resume runs/heads --method c-mixup --test-seeds 10
    """
    quiet, report = given.pop("quiet"), given.pop("report")
    resume, again, out = given.pop("resume"), given.pop("or_resume"), given["out"]
    if resume is not None:
        refuse_a_second_specification(context, MAY_COME_WITH_RESUME)
    elif again and _begun(out):
        resume = str(out)
    title = f"resuming {resume}" if resume else f"benchmark on {given['dataset']}"
    with Display(Console(stderr=True), title, quiet=quiet) as display:
        asked = _resumed(resume, given, display, again) if resume else _asked(given, display)
        result = asked.run()
        if report:
            with_report(result, display)
    show_benchmark(result, Console())
    if result.failures:
        raise typer.Exit(1)


def _begun(out: str | None) -> bool:
    from supremix.runs.grids import BENCHMARK

    if out is None:
        raise typer.BadParameter(
            "name the folder with --out, so that the next start finds it.", param_hint="--or-resume"
        )
    return BENCHMARK.is_in(out)


def _asked(given: dict[str, Any], display: Display) -> Benchmark:
    import supremix

    values = dict(given)
    if values["dataset"] is None:
        raise typer.BadParameter(
            "name datasets (see `supremix datasets`), or a benchmark to --resume.",
            param_hint="--dataset",
        )
    datasets = listed(values.pop("dataset"), "--dataset", "hc18,ukb-t1")
    methods = listed(values.pop("method") or METHODS, "--method", METHODS)
    seeds = values.pop("test_seeds")
    values["shape"] = read_shape(values["shape"])
    values["overrides"] = tuple(values["overrides"] or ())
    return supremix.Benchmark(
        datasets,
        _sources(values.pop("source"), datasets),
        methods,
        progress=display,
        **({} if seeds is None else {"test_seeds": seeds}),
        **values,
    )


def _resumed(run: str, given: dict[str, Any], display: Display, again: bool) -> Benchmark:
    """What goes on with a benchmark.

    Args:
        run: Its folder.
        given: The options.
        display: Shows how far it is.
        again: Whether the whole command stands there again: what it names may be known, and without
            an address it means this machine.
    """
    import supremix

    if given["source"] and not given["dataset"]:
        raise typer.BadParameter("name the new datasets too, by --dataset.", param_hint="--source")
    datasets = listed(given["dataset"], "--dataset", "hc18") if given["dataset"] else []
    methods = listed(given["method"], "--method", METHODS) if given["method"] else []
    places = {name: given[name] for name in ("address", "wheel", "cache") if given[name] or again}
    known = supremix.BenchmarkResult(run).datasets if again else ()
    named = _sources(given["source"], datasets)
    new = {name: source for name, source in named.items() if name not in known}
    return supremix.Benchmark.resume(
        run,
        datasets=datasets,
        sources=new,
        methods=methods,
        test_seeds=given["test_seeds"],
        reference=given["reference"],
        progress=display,
        **places,
    )


def _sources(text: str | None, datasets: Sequence[str]) -> dict[str, str]:
    """Where the images are: a folder for the only dataset, or NAME=FOLDER for each."""
    if len(datasets) == 1 and text is not None and not text.startswith(f"{datasets[0]}="):
        return {datasets[0]: text}
    return sources(text, datasets)
