"""`supremix search`: the main command."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from supremix.cli.parsing import options
from supremix.cli.parsing.dispatch import asked, begun, resumed
from supremix.cli.parsing.options import BUDGET, DATA, MACHINE, MODEL, RUN, SPACE
from supremix.cli.views.benchmark import show_benchmark, with_report
from supremix.cli.views.comparison import show_comparison
from supremix.cli.views.multi_dataset import show_multi_dataset
from supremix.cli.views.progress import Display
from supremix.cli.views.search import show_result

if TYPE_CHECKING:
    from supremix import (
        BenchmarkResult,
        ComparisonResult,
        MultiDatasetResult,
        Result,
    )

MAY_COME_WITH_RESUME = {"resume", "quiet", "address", "wheel", "cache"}


def search(
    context: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Name of the dataset; see `supremix datasets`. Several, with commas between them, "
            "are searched at once by the same worker groups.",
            rich_help_panel=DATA,
        ),
    ] = None,
    source: options.Source = None,
    objective: Annotated[
        str,
        typer.Option(
            help="Of several datasets: 'per-dataset' finds each its own best settings; 'joint' "
            "finds the ones that are best for all.",
            rich_help_panel=SPACE,
        ),
    ] = "per-dataset",
    shape: options.Shape = None,
    phantoms: Annotated[
        int | None, typer.Option(help="Number of phantoms to make up.", rich_help_panel=DATA)
    ] = None,
    split_seed: Annotated[
        int,
        typer.Option(
            help="Of the split into training, validation and test, where there is no official "
            "one; the same for all searches that are to be compared.",
            rich_help_panel=DATA,
        ),
    ] = 0,
    label_fraction: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Share of the training patients whose labels are used, above 0 and at most 1.",
            rich_help_panel=DATA,
        ),
    ] = 1.0,
    method: Annotated[
        str,
        typer.Option(
            help="How a trial trains: 'supremix' (contrastive pretraining, then regression), "
            "'l1' (end to end), or another of docs/methods.md. Several, with commas between them, "
            "are compared: one after the other on the same images, split, seed and budget each.",
            rich_help_panel=SPACE,
        ),
    ] = "supremix",
    space: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="TOML or JSON file with values to search, in place of the method's own.",
            rich_help_panel=SPACE,
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUES",
            help="Change one setting's values: NAME=0.1 (fixed), NAME=0.05..1.0 (range; end it "
            "with :log for a logarithmic one), NAME=16,32,64 (choice). Repeat for more.",
            rich_help_panel=SPACE,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Same seed and machine, same numbers.", rich_help_panel=SPACE)
    ] = 0,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Number of trials (of each method); give this, --time or both.",
            rich_help_panel=BUDGET,
        ),
    ] = None,
    time: options.Time = None,
    gpu_hours: Annotated[
        float | None,
        typer.Option(
            help="Hours that GPUs train, added up over all of them.", rich_help_panel=BUDGET
        ),
    ] = None,
    epochs: Annotated[
        int, typer.Option(help="Epochs of a whole trial, both stages.", rich_help_panel=BUDGET)
    ] = 60,
    prune: Annotated[
        bool, typer.Option(help="Stop trials early that fall behind.", rich_help_panel=BUDGET)
    ] = True,
    grace: Annotated[
        int | None,
        typer.Option(help="Epochs before a trial may be stopped.", rich_help_panel=BUDGET),
    ] = None,
    finalists: Annotated[
        int,
        typer.Option(
            help="Best settings that are trained anew at the end, before one is named best.",
            rich_help_panel=BUDGET,
        ),
    ] = 3,
    confirm_seeds: Annotated[
        int,
        typer.Option(
            help="New seeds each of them is trained with; 0 names the luckiest trial best.",
            rich_help_panel=BUDGET,
        ),
    ] = 2,
    warm_start: Annotated[
        bool | None,
        typer.Option(
            "--warm-start/--no-warm-start",
            help="Start from what earlier searches of the method found, whose run folders lie "
            "beside this one's; by default with several datasets only.",
            rich_help_panel=SPACE,
        ),
    ] = None,
    test: Annotated[
        bool,
        typer.Option(
            help="At the end, retrain the best settings on training and validation data and "
            "measure them once on the test split.",
            rich_help_panel=BUDGET,
        ),
    ] = True,
    test_seeds: Annotated[
        int,
        typer.Option(
            help="Seeds with which they are retrained for that: --seed and those after it.",
            rich_help_panel=BUDGET,
        ),
    ] = 1,
    encoder: Annotated[
        str,
        typer.Option(help="Network, from MONAI, e.g. resnet or densenet.", rich_help_panel=MODEL),
    ] = "resnet",
    width: Annotated[
        int | None,
        typer.Option(help="Channels after the encoder's first layer.", rich_help_panel=MODEL),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            help="Encoder depth, as a multiple of the family's smallest.", rich_help_panel=MODEL
        ),
    ] = None,
    pretrained: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Run (or model) of an earlier search, of another dataset say, whose encoder the "
            "trials set out from; same encoder, width, depth and image dimensions.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    norm: Annotated[
        str | None,
        typer.Option(
            help="Normalisation of the encoder: batch, group or instance.", rich_help_panel=MODEL
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="auto, fp32, bf16 or fp16; auto is bf16 on a GPU, fp32 on a CPU.",
            rich_help_panel=MODEL,
        ),
    ] = "auto",
    chunk: Annotated[
        int | None,
        typer.Option(
            help="Images a forward pass of the contrastive pretraining takes on each worker: for "
            "batches whose activations do not fit its memory, at the price of a second forward "
            "pass. Wants --norm group.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Workers that share one trial.", rich_help_panel=MACHINE)
    ] = 1,
    concurrent_trials: Annotated[
        int | None,
        typer.Option(
            help="Trials at the same time; by default as many as fit.", rich_help_panel=MACHINE
        ),
    ] = None,
    cpus_per_worker: Annotated[
        float | None, typer.Option(help="CPUs of one worker.", rich_help_panel=MACHINE)
    ] = None,
    gpus_per_worker: Annotated[
        float | None,
        typer.Option(
            help="GPUs of one worker; 0.5 puts two on one GPU, 0 trains on CPUs.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    epoch_limit: Annotated[
        float | None,
        typer.Option(
            parser=options.read_time,
            metavar="TIME",
            help="Time an epoch may take before its workers are taken to hang, e.g. 30m; by "
            "default twenty times the trial's longest one, at least 10m.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    address: options.Address = None,
    wheel: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Wheel of supremix that the cluster's nodes shall work with, where it is not "
            "installed on them.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    cache: options.Cache = None,
    stores: options.Stores = None,
    tensorboard: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Log the trials for TensorBoard.", rich_help_panel=RUN),
    ] = None,
    mlflow: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Log the trials to this MLflow server.", rich_help_panel=RUN
        ),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Tell this address when the search ends or stalls.",
            rich_help_panel=RUN,
        ),
    ] = None,
    stall: Annotated[
        float | None,
        typer.Option(
            parser=options.read_time,
            metavar="TIME",
            help="Time without an epoch after which it counts as stalled; by default 20 times "
            "the longest epoch so far, at least 10 minutes.",
            rich_help_panel=RUN,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Run folder to write; by default runs/DATASET-METHOD-TIME, or "
            "runs/DATASET-comparison-TIME with a run folder for each method.",
            rich_help_panel=RUN,
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Finish the search of this run folder, as it was specified; beside it stand "
            "--address, --wheel and --cache where those are others now, and nothing else.",
            rich_help_panel=RUN,
        ),
    ] = None,
    or_resume: Annotated[
        bool,
        typer.Option(
            "--or-resume",
            help="Start the search in --out, or go on with it where it was begun there: one "
            "command for a job that may be started again. Of a search that goes on, --address, "
            "--wheel and --cache are taken as they are now, all else as it was.",
            rich_help_panel=RUN,
        ),
    ] = False,
    quiet: options.Quiet = False,
) -> None:
    """Search for the training settings with the lowest error on one dataset.

    Each trial trains one configuration on the training split; its error on the validation split
    guides the search, and the test split is looked at once, at the end. Interrupted or killed, a
    search goes on with --resume.

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
      supremix search --dataset ukb-t1,hc18 --source hc18=path/to/hc18 --trials 40
      supremix search --resume runs/hc18-supremix-20260131-120000
    """
    place = {"address": address, "wheel": wheel, "cache": cache}
    if resume is not None:
        refuse_a_second_specification(context, MAY_COME_WITH_RESUME)
        _go_on(resume, quiet, {name: value for name, value in place.items() if value is not None})
        return
    if or_resume and begun(out):
        # The whole command stands there again: without --address it means this machine.
        _go_on(str(out), quiet, place)
        return
    if dataset is None:
        raise typer.BadParameter(
            "name a dataset (see `supremix datasets`), or a run folder to --resume.",
            param_hint="--dataset",
        )
    with Display(Console(stderr=True), f"{method} on {dataset}", quiet=quiet) as display:
        result = asked(dataset, source, method, objective, warm_start)(
            shape=options.read_shape(shape),
            phantoms=phantoms,
            split_seed=split_seed,
            label_fraction=label_fraction,
            space=space,
            overrides=tuple(overrides or ()),
            seed=seed,
            trials=trials,
            time=time,
            gpu_hours=gpu_hours,
            epochs=epochs,
            prune=prune,
            grace=grace,
            finalists=finalists,
            confirm_seeds=confirm_seeds,
            test=test,
            test_seeds=test_seeds,
            encoder=encoder,
            width=width,
            depth=depth,
            norm=norm,
            pretrained=pretrained,
            precision=precision,
            chunk=chunk,
            workers=workers,
            concurrent_trials=concurrent_trials,
            cpus_per_worker=cpus_per_worker,
            gpus_per_worker=gpus_per_worker,
            epoch_limit=epoch_limit,
            address=address,
            wheel=wheel,
            cache=cache,
            stores=stores,
            tensorboard=tensorboard,
            mlflow=mlflow,
            webhook=webhook,
            stall=stall,
            out=out,
            progress=display,
        ).run()
    _show(result)


def _go_on(run: str, quiet: bool, place: Mapping[str, str | None]) -> None:
    import supremix

    with Display(Console(stderr=True), f"resuming {run}", quiet=quiet) as display:
        result = resumed(run)(progress=display, **place).run()
        if isinstance(result, supremix.BenchmarkResult):
            with_report(result, display)
    _show(result)


def _show(result: Result | ComparisonResult | MultiDatasetResult | BenchmarkResult) -> None:
    """Show what came out; a method or a dataset that came to no result makes it a failure."""
    from supremix import BenchmarkResult, ComparisonResult, MultiDatasetResult

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


def refuse_a_second_specification(context: typer.Context, allowed: Collection[str]) -> None:
    """A run keeps to its specification: most options beside --resume would be ignored.

    Args:
        context: Of the command.
        allowed: Names of the parameters that may stand beside it.

    Raises:
        typer.BadParameter: Another one does.
    """
    for option in context.command.params:
        origin = context.get_parameter_source(option.name or "")
        given = origin is not None and origin.name == "COMMANDLINE"
        if given and option.name not in allowed:
            raise typer.BadParameter(
                "a resumed search keeps to the specification in its run folder; leave out "
                f"{option.opts[0]}.",
                param_hint="--resume",
            )
