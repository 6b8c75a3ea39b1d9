"""From the options of a command line to the request that they describe, or the run to continue."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from supremix import Benchmark, Comparison, CrossValidation, MultiDatasetSearch, Search

Prepared = Callable[..., "Search | Comparison | CrossValidation | MultiDatasetSearch | Benchmark"]

METHODS = "supremix,rnc,l1"
"""What a benchmark compares unless it is given methods."""


def searched(given: Mapping[str, Any]) -> Prepared:
    """The search, comparison of methods, or search over several datasets that options describe.

    Raises:
        typer.BadParameter: They describe none of these.
    """
    import supremix

    values = request_values(given)
    dataset, source, method, objective = (
        values.pop(name) for name in ("dataset", "source", "method", "objective")
    )
    datasets, methods = dataset_names(dataset), method_names(method)
    if len(datasets) > 1 and len(methods) > 1:
        raise typer.BadParameter(
            "several datasets are searched with one method, and several methods are compared on "
            "one dataset; several methods on several datasets are a benchmark: supremix benchmark.",
            param_hint="--method",
        )
    if len(datasets) > 1:
        kind, named = supremix.MultiDatasetSearch, sources(source, datasets)
        return functools.partial(kind, datasets, named, methods[0], objective=objective, **values)
    if objective != "per-dataset":
        raise typer.BadParameter("an objective is for several datasets.", param_hint="--objective")
    values |= {"dataset": dataset, "source": source}
    if len(methods) > 1:
        return functools.partial(supremix.Comparison, methods=methods, **values)
    single = supremix.Search if values["folds"] is None else supremix.CrossValidation
    return functools.partial(single, method=methods[0], **values)


def request_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a request among those of a command.

    Raises:
        typer.BadParameter: No dataset is named.
    """
    if given["dataset"] is None:
        resumable = ", or a run folder to --resume" if "resume" in given else ""
        raise typer.BadParameter(
            f"name a dataset (see `supremix datasets`){resumable}.", param_hint="--dataset"
        )
    left_out = ("resume", "or_resume", "quiet", "report", "as_json")
    values = {name: value for name, value in given.items() if name not in left_out}
    for name in values.keys() & {"overrides", "points"}:
        values[name] = tuple(values[name] or ())
    return values


def dataset_names(text: str | None) -> list[str]:
    """The names of `--dataset`; none where it is left out."""
    return names_of(text, "--dataset", "hc18,ukb-t1")


def method_names(text: str | None) -> list[str]:
    """The names of `--method`; none where it is left out."""
    return names_of(text, "--method", METHODS)


def names_of(text: str | None, option: str, example: str) -> list[str]:
    """Names that are separated by commas.

    Raises:
        typer.BadParameter: There is a comma too many.
    """
    names = [name.strip() for name in text.split(",")] if text else []
    if not all(names):
        raise typer.BadParameter(
            f"{text!r} has a comma too many; write it like {example}.", param_hint=option
        )
    return names


def sources(text: str | None, datasets: Sequence[str]) -> dict[str, str]:
    """Folders by dataset, written ``hc18=path,ukb-t1=path``; a folder alone for the only dataset.

    Raises:
        typer.BadParameter: They are written in another way.
    """
    if text is None or text == "phantom":
        return dict.fromkeys(datasets, "phantom") if text else {}
    if len(datasets) == 1 and not text.startswith(f"{datasets[0]}="):
        return {datasets[0]: text}
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(name.strip() and folder.strip() for name, _, folder in pairs):
        raise typer.BadParameter(
            f"write {','.join(f'{name}=FOLDER' for name in datasets)}; those left out have "
            f"phantoms. Found {text!r}.",
            param_hint="--source",
        )
    return {name.strip(): folder.strip() for name, _, folder in pairs}


def outside_cohorts(text: str | None) -> list[tuple[str, str]]:
    """Names and folders of `--external`, written ``ixi=path,table=other``.

    Raises:
        typer.BadParameter: They are written in another way.
    """
    pairs = [pair.partition("=") for pair in text.split(",")] if text else []
    if not all(name.strip() and folder.strip() for name, _, folder in pairs):
        raise typer.BadParameter(
            f"write NAME=FOLDER,NAME=FOLDER, each with the name of a dataset, such as "
            f"table=other-hospital. Found {text!r}.",
            param_hint="--external",
        )
    return [(name.strip(), folder.strip()) for name, _, folder in pairs]


def is_started(out: str | None, *, benchmark: bool = False) -> bool:
    """Whether the folder that --out names holds a run to continue; with `benchmark`, one of those.

    Raises:
        typer.BadParameter: No folder is named.
    """
    from supremix.runs.folder import RunFolder
    from supremix.runs.grids import BENCHMARK, grid_kind

    if out is None:
        raise typer.BadParameter(
            "name the run folder with --out, so that the next start finds it.",
            param_hint="--or-resume",
        )
    kind = grid_kind(out)
    if benchmark:
        return kind is BENCHMARK
    return kind is not None or RunFolder(out).spec.is_file()


def resumed(run: str) -> Prepared:
    """The function that continues a run, for any kind of search."""
    import supremix
    from supremix.runs.grids import grid_kind

    kind = grid_kind(run)
    found = supremix.Search if kind is None else getattr(supremix, kind.interface)
    return functools.partial(found.resume, run)


def prolonged_to(run: str, epochs: int) -> int:
    """The epochs that the trials of a run are prolonged to.

    Raises:
        typer.BadParameter: The run is not the search of one method on one dataset.
    """
    from supremix.runs.grids import grid_kind

    if grid_kind(run) is not None:
        raise typer.BadParameter(
            "only the trials of a search of one method on one dataset can be prolonged; give "
            "--resume the folder of one search.",
            param_hint="--epochs",
        )
    return epochs
