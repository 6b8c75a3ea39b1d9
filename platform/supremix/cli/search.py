"""`supremix search`: the main command."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from supremix.cli import options
from supremix.cli.comparison import show_comparison
from supremix.cli.options import BUDGET, DATA, MACHINE, MODEL, RUN, SPACE
from supremix.cli.progress import Display
from supremix.cli.tables import show_result

if TYPE_CHECKING:
    from supremix import Comparison, ComparisonResult, Result, Search

MAY_COME_WITH_RESUME = {"resume", "quiet"}


def search(
    context: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Option(help="Name of the dataset; see `supremix datasets`.", rich_help_panel=DATA),
    ] = None,
    source: options.Source = None,
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
    labels: Annotated[
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
    judge: Annotated[
        bool,
        typer.Option(
            help="At the end, retrain the best settings on training and validation data and "
            "measure them once on the test split.",
            rich_help_panel=BUDGET,
        ),
    ] = True,
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
    init: Annotated[
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
    gangs: Annotated[
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
    address: options.Address = None,
    cache: options.Cache = None,
    stores: options.Stores = None,
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
            help="Finish the search of this run folder, as it was specified.",
            rich_help_panel=RUN,
        ),
    ] = None,
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
      supremix search --resume runs/hc18-supremix-20260131-120000
    """
    if resume is not None:
        _refuse_a_second_specification(context)
        with Display(Console(stderr=True), f"resuming {resume}", quiet=quiet) as display:
            result = _resumed(resume)(progress=display).run()
        _show(result)
        return
    if dataset is None:
        raise typer.BadParameter(
            "name a dataset (see `supremix datasets`), or a run folder to --resume.",
            param_hint="--dataset",
        )
    with Display(Console(stderr=True), f"{method} on {dataset}", quiet=quiet) as display:
        result = _asked(method)(
            dataset=dataset,
            source=source,
            shape=options.read_shape(shape),
            phantoms=phantoms,
            split_seed=split_seed,
            labels=labels,
            space=space,
            overrides=tuple(overrides or ()),
            seed=seed,
            trials=trials,
            time=time,
            epochs=epochs,
            prune=prune,
            grace=grace,
            judge=judge,
            encoder=encoder,
            width=width,
            depth=depth,
            norm=norm,
            init=init,
            precision=precision,
            chunk=chunk,
            workers=workers,
            gangs=gangs,
            cpus_per_worker=cpus_per_worker,
            gpus_per_worker=gpus_per_worker,
            address=address,
            cache=cache,
            stores=stores,
            out=out,
            progress=display,
        ).run()
    _show(result)


def _asked(method: str) -> Callable[..., Search | Comparison]:
    """The search with one method, or the comparison of several with commas between them."""
    import supremix

    names = [name.strip() for name in method.split(",")]
    if not all(names):
        raise typer.BadParameter(
            f"{method!r} has a comma too many; write it like supremix,rnc,l1.",
            param_hint="--method",
        )
    if len(names) > 1:
        return functools.partial(supremix.Comparison, methods=names)
    return functools.partial(supremix.Search, method=names[0])


def _resumed(run: str) -> Callable[..., Search | Comparison]:
    import supremix
    from supremix.runs import is_comparison

    kind = supremix.Comparison if is_comparison(Path(run)) else supremix.Search
    return functools.partial(kind.resume, run)


def _show(result: Result | ComparisonResult) -> None:
    """Show what came out; a method that came to no result makes it a failure."""
    from supremix import ComparisonResult

    if not isinstance(result, ComparisonResult):
        show_result(result, Console())
        return
    show_comparison(result, Console())
    if result.failures:
        raise typer.Exit(1)


def _refuse_a_second_specification(context: typer.Context) -> None:
    """A run keeps to its specification; an option beside --resume would be ignored in silence."""
    for option in context.command.params:
        origin = context.get_parameter_source(option.name or "")
        given = origin is not None and origin.name == "COMMANDLINE"
        if given and option.name not in MAY_COME_WITH_RESUME:
            raise typer.BadParameter(
                "a resumed search keeps to the specification in its run folder; leave out "
                f"{option.opts[0]}.",
                param_hint="--resume",
            )
