"""The cells of a grid: a specification and a run folder for each dataset and method."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from upath import UPath

from supremix.errors import RunFolderError, SpecError, UnknownNameError
from supremix.runs.folder import RunFolder, read_json
from supremix.runs.grids import GridKind
from supremix.search.checks import parse_point
from supremix.search.request.python import check_several
from supremix.search.spec import SearchSpec, parameter_names
from supremix.storage.retry import storage_errors
from supremix.training import Method
from supremix_datasets import Dataset
from supremix_spaces import Space, load_parameters, parse_overrides

_FOLDER_NAME = re.compile(r"\w[\w.+-]*")


class Cell(NamedTuple):
    """One search of a grid.

    Args:
        spec: Specification of the search; its test seeds are those of the grid.
        dataset: Name of the dataset, as its source describes it.
        method: Name of the method.
        run: Run folder inside that of the grid.
        folder: Folder of all folds of the dataset and method; that of the run where there are none.
    """

    spec: SearchSpec
    dataset: str
    method: str
    run: RunFolder
    folder: UPath


def names_of(spec: SearchSpec) -> tuple[str, str]:
    """Names of a search's dataset, as its source describes it, and of its method."""
    return spec.resolve_dataset().card.name, spec.resolve_method().name


def dataset_name(dataset: str | Dataset) -> str:
    """Name of a dataset that is given by name or as an object."""
    return dataset if isinstance(dataset, str) else dataset.card.name


def method_name(method: str | Method) -> str:
    """Name of a method that is given by name or as an object."""
    return method if isinstance(method, str) else method.name


def new_specs(
    datasets: Sequence[str | Dataset],
    sources: Mapping[str, str] | None,
    methods: Sequence[str | Method],
    options: Mapping[str, Any],
    *,
    lenient: bool,
) -> tuple[SearchSpec, ...]:
    """Every method on every dataset, each checked as a search of its own would be.

    Args:
        datasets: Names of datasets, or objects.
        sources: Folder or address of the images, by the dataset's name.
        methods: Names of methods, or objects.
        options: Other arguments of `Search`.
        lenient: Whether values in the space go to the methods that have the parameter.

    Raises:
        USER_ERRORS: A search cannot be carried out, or there is a source for another dataset.
    """
    check_several(sources, datasets=datasets, methods=methods)
    known = dict(sources or {})
    given = [(dataset, known.pop(dataset_name(dataset), None)) for dataset in datasets]
    if known:
        names = ", ".join(map(dataset_name, datasets))
        raise SpecError(
            f"there are sources for {', '.join(known)}, which are not among the datasets {names}."
        )
    return tuple(
        SearchSpec(dataset=dataset, source=source, method=method, lenient=lenient, **options)
        for dataset, source in given
        for method in methods
    )


def resumed_specs(
    kind: GridKind,
    path: UPath,
    index: Mapping[str, Any],
    *,
    datasets: Sequence[str | Dataset] = (),
    sources: Mapping[str, str] | None = None,
    methods: Sequence[str | Method] = (),
    test_seeds: int | None = None,
    objects: Mapping[str, Any],
) -> tuple[SearchSpec, ...]:
    """Every method on every dataset of a grid that is resumed, and of those that are added.

    Args:
        kind: Kind of the grid.
        path: Its folder.
        index: Content of its index.
        datasets: Datasets to add; objects among them also stand for the names that are there.
        sources: Folder or address of the images of the added datasets, by name.
        methods: Methods to add; objects among them also stand for the names that are there.
        test_seeds: Number of test seeds from now on; None for as many as before.
        objects: Other things that a specification cannot store, and where to run.

    Raises:
        RunFolderError: None of the grid's runs is there.
        SpecError: A source is that of no new dataset, or an object is missing.
    """
    stored = _stored_specs(kind, path, index, datasets, methods, objects)
    first = next(iter(stored.values()))
    seeds = {} if test_seeds is None else {"test_seeds": test_seeds}
    sourced = _with_sources(index, stored, datasets, dict(sources or {}))
    named: dict[str, Any] = {name: name for name in index["methods"]}
    named |= {spec.resolve_method().name: spec.method for spec in stored.values()}
    named |= {method_name(m): m for m in methods if method_name(m) not in named}
    return tuple(
        dataclasses.replace(
            stored.get((name, other), first),
            dataset=dataset,
            source=source,
            method=method,
            **seeds,
        )
        for name, (dataset, source) in sourced.items()
        for other, method in named.items()
    )


def _stored_specs(
    kind: GridKind,
    path: UPath,
    index: Mapping[str, Any],
    datasets: Sequence[str | Dataset],
    methods: Sequence[str | Method],
    objects: Mapping[str, Any],
) -> dict[tuple[str, str], SearchSpec]:
    """The specifications that are there: all, but where the start was killed."""
    data: dict[str, Any] = {dataset_name(d): d for d in datasets if not isinstance(d, str)}
    own: dict[str, Any] = {method_name(m): m for m in methods if not isinstance(m, str)}
    found: dict[tuple[str, str], SearchSpec] = {}
    for dataset in index["datasets"]:
        for method in index["methods"]:
            run = RunFolder(path / kind.run(dataset, method))
            with storage_errors(str(run.path)):
                there = run.spec.is_file()
            if there:
                more = dict(objects)
                more |= {"dataset": data[dataset]} if dataset in data else {}
                more |= {"method": own[method]} if method in own else {}
                spec = SearchSpec.from_dict(read_json(run.spec), **more)
                _check_name(spec, dataset)
                found[dataset, method] = spec
    if not found:
        raise RunFolderError(
            f"{path} names {kind.title} and has none of its runs: it was ended as it began, or "
            "they were deleted. Delete the folder, and start again."
        )
    return found


def _check_name(spec: SearchSpec, dataset: str) -> None:
    now = names_of(spec)[0]
    if now != dataset:
        raise RunFolderError(
            f"the data in {spec.source} have changed: they describe the dataset {now!r}, and the "
            f"run began with {dataset!r}. Put them back as they were, or start a new run."
        )


def _with_sources(
    index: Mapping[str, Any],
    stored: Mapping[tuple[str, str], SearchSpec],
    datasets: Sequence[str | Dataset],
    sources: dict[str, str],
) -> dict[str, tuple[str | Dataset, str | None]]:
    """Datasets with their sources, by name: those that are there, then those that are added."""
    found: dict[str, tuple[str | Dataset, str | None]] = {
        name: (name, index["sources"][name]) for name in index["datasets"]
    }
    found |= {name: (spec.dataset, spec.source) for (name, _), spec in stored.items()}
    first = next(iter(stored.values()))
    for dataset in datasets:
        name = dataset_name(dataset)
        if name not in found:
            source = sources.pop(name, None)
            new = dataclasses.replace(first, dataset=dataset, source=source)
            found.setdefault(names_of(new)[0], (dataset, source))
    if sources:
        raise SpecError(
            f"there are sources for {', '.join(sources)}, which are no new datasets. Those that "
            "are there keep their source."
        )
    return found


def check_specs(specs: Sequence[SearchSpec], *, begun: bool = False) -> None:
    """Check the specifications of a grid, which differ in dataset and method alone.

    Args:
        specs: The specifications.
        begun: Whether the grid is resumed: each run has the space that it began with.

    Raises:
        SpecError: A dataset with a method is there twice, a method cannot have a folder named like
            it, or the space is one method's.
        UnknownNameError: There is a value for a parameter that none of the methods has.
    """
    names = [names_of(spec) for spec in specs]
    twice = next((pair for pair in names if names.count(pair) > 1), None)
    if twice is not None:
        raise SpecError(f"name each dataset and method once; {' with '.join(twice)} is there twice")
    methods = {name: spec for (_, name), spec in zip(names, specs, strict=True)}
    for name in methods:
        if not _FOLDER_NAME.fullmatch(name):
            raise SpecError(
                f"the method {name!r} cannot have a folder of that name: take letters, digits, "
                "dots, plus and minus signs."
            )
    if len(methods) > 1 and isinstance(specs[0].space, Space):
        raise SpecError(
            "a Space is one method's; for several give a file with the values to change, or "
            "overrides."
        )
    if specs[0].lenient and not begun:
        _check_parameters(specs[0], [spec.resolve_method() for spec in methods.values()])


def _check_parameters(spec: SearchSpec, methods: Sequence[Method]) -> None:
    known = {name for method in methods for name in parameter_names(method)}
    given = [*parse_overrides(spec.overrides)]
    given += [name for text in spec.points for name in parse_point(text)]
    if isinstance(spec.space, str):
        given += load_parameters(spec.space)
    for name in given:
        if name not in known:
            raise UnknownNameError("parameter of any of these methods", name, known)
