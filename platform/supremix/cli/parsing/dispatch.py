"""What a command line of `search` stands for: one search, several, or one that was begun."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from supremix import Benchmark, Comparison, MultiDatasetSearch, Search

SearchSession = Callable[..., "Search | Comparison | MultiDatasetSearch | Benchmark"]


def asked(
    dataset: str, source: str | None, method: str, objective: str, warm_start: bool | None
) -> SearchSession:
    """A search, a comparison of methods, or a search over several datasets; its first arguments."""
    import supremix

    datasets = listed(dataset, "--dataset", "hc18,ukb-t1")
    methods = listed(method, "--method", "supremix,rnc,l1")
    if len(datasets) > 1 and len(methods) > 1:
        raise typer.BadParameter(
            "several datasets are searched with one method, and several methods are compared on "
            "one dataset; several methods on several datasets are a benchmark: supremix benchmark.",
            param_hint="--method",
        )
    if len(datasets) > 1:
        return functools.partial(
            supremix.MultiDatasetSearch,
            datasets,
            sources(source, datasets),
            methods[0],
            objective=objective,
            warm_start=warm_start,
        )
    if objective != "per-dataset":
        raise typer.BadParameter("an objective is for several datasets.", param_hint="--objective")
    more = {"dataset": dataset, "source": source, "warm_start": bool(warm_start)}
    if len(methods) > 1:
        return functools.partial(supremix.Comparison, methods=methods, **more)
    return functools.partial(supremix.Search, method=methods[0], **more)


def listed(text: str, option: str, example: str) -> list[str]:
    """Names with commas between them.

    Raises:
        typer.BadParameter: There is a comma too many.
    """
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise typer.BadParameter(
            f"{text!r} has a comma too many; write it like {example}.", param_hint=option
        )
    return names


def sources(text: str | None, datasets: Sequence[str]) -> dict[str, str]:
    """Folders of several datasets, written ``hc18=path,ukb-t1=path``.

    Raises:
        typer.BadParameter: They are written otherwise.
    """
    if text is None or text == "phantom":
        return dict.fromkeys(datasets, "phantom") if text else {}
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(name.strip() and folder.strip() for name, _, folder in pairs):
        raise typer.BadParameter(
            f"write {','.join(f'{name}=FOLDER' for name in datasets)}; those left out have "
            f"phantoms. Found {text!r}.",
            param_hint="--source",
        )
    return {name.strip(): folder.strip() for name, _, folder in pairs}


def begun(out: str | None) -> bool:
    """Whether there is a run to go on with in the folder that --out names."""
    from supremix.runs.folder import RunFolder
    from supremix.runs.grids import grid_kind

    if out is None:
        raise typer.BadParameter(
            "name the run folder with --out, so that the next start finds it.",
            param_hint="--or-resume",
        )
    return grid_kind(out) is not None or RunFolder(out).spec.is_file()


def resumed(run: str) -> SearchSession:
    """What goes on with a run, whatever kind of search it is."""
    import supremix
    from supremix.runs.grids import grid_kind

    kind = grid_kind(run)
    found = supremix.Search if kind is None else getattr(supremix, kind.interface)
    return functools.partial(found.resume, run)
