"""`supremix benchmark`: methods on datasets, searched with one budget and tested with seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from supremix.cli.parsing.dispatch import (
    METHODS,
    dataset_names,
    is_started,
    method_names,
    outside_cohorts,
    request_values,
    sources,
)
from supremix.cli.parsing.signature import check_resumable, given_on_command_line, takes_options_of
from supremix.cli.views.benchmark import show_benchmark, with_report
from supremix.cli.views.progress import Display, ProgressConsole
from supremix.search.request.declaration import MACHINE
from supremix.search.request.option import BENCHMARK

if TYPE_CHECKING:
    from supremix import Benchmark


def _new(given: dict[str, Any], display: Display | None = None) -> Benchmark:
    import supremix

    values = request_values(given)
    datasets = dataset_names(values.pop("dataset"))
    methods = method_names(values.pop("method") or METHODS)
    named = sources(values.pop("source"), datasets)
    external = outside_cohorts(values.pop("external"))
    return supremix.Benchmark(
        datasets, named, methods, external=external, progress=display, **values
    )


@takes_options_of(BENCHMARK, check=_new)
def benchmark(context: typer.Context, **given: Any) -> None:
    """Compare methods on datasets: a search each, and the best tested with several seeds.

    Every method is searched on every dataset with the same budget. The best hyperparameters are
    retrained on training and validation data with the same seeds for all methods, and evaluated on
    the test split. An interrupted benchmark is continued with --resume, and what is added later
    costs only what is new. With --external all models are measured on outside cohorts, too. Ends
    with a report.

    \b
    Examples:
      supremix benchmark --dataset ukb-t1,hc18 --source hc18=path/to/hc18 --trials 20
      supremix benchmark --dataset hc18 --source path/to/hc18 --method supremix,rnc,l1 \\
          --trials 30 --test-seeds 5 --out runs/heads
      supremix benchmark --dataset openbhb --source path/to/openbhb --trials 20 \\
          --external ixi=path/to/ixi,table=our-hospital
      supremix benchmark --resume runs/heads --method c-mixup --test-seeds 10
    """
    run, again = given["resume"], False
    if run is not None:
        check_resumable(context, BENCHMARK)
    elif given["or_resume"] and is_started(given["out"], benchmark=True):
        run, again = given["out"], True
    title = f"benchmark on {given['dataset']}" if run is None else f"resuming {run}"
    with Display(ProgressConsole(), title, quiet=given["quiet"]) as display:
        if run is None:
            prepared = _new(given, display)
        else:
            seeded = "test_seeds" in given_on_command_line(context)
            prepared = _resumed(run, given, display, again=again, seeded=seeded)
        result = prepared.run()
        if given["report"]:
            with_report(result, display)
    show_benchmark(result, Console())
    if result.failures or result.external_failures:
        raise typer.Exit(1)


def _resumed(
    run: str, given: dict[str, Any], display: Display, *, again: bool, seeded: bool
) -> Benchmark:
    """The benchmark that continues a run."""
    import supremix

    # With `again` the command is the whole one, repeated: the datasets that it names may be known,
    # and without an address it means this machine.
    if given["source"] and not given["dataset"]:
        raise typer.BadParameter("name the new datasets too, by --dataset.", param_hint="--source")
    datasets = dataset_names(given["dataset"])
    known = supremix.BenchmarkResult(run).datasets if again else ()
    named = sources(given["source"], datasets)
    return supremix.Benchmark.resume(
        run,
        datasets=datasets,
        sources={name: source for name, source in named.items() if name not in known},
        methods=method_names(given["method"]),
        test_seeds=given["test_seeds"] if seeded else None,
        reference=given["reference"],
        external=outside_cohorts(given["external"]),
        progress=display,
        **{name: given[name] for name in MACHINE if given[name] or again},
    )
