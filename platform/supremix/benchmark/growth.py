"""Which searches a benchmark consists of once it is resumed, with what was added to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from upath import UPath

from supremix.benchmark.result import cell_folder, cells_of
from supremix.errors import RunFolderError, SpecError
from supremix.runs.folder import RunFolder
from supremix.search.spec import SearchSpec
from supremix.storage.retry import storage_errors
from supremix.training import Method
from supremix_datasets import Dataset


def stored_specs(
    path: UPath,
    content: Mapping[str, Any],
    datasets: Sequence[str | Dataset],
    methods: Sequence[str | Method],
    objects: Mapping[str, Any],
) -> list[SearchSpec]:
    """The searches that are there, with what of them could not be stored.

    Args:
        path: Folder of the benchmark.
        content: Its index.
        datasets: That were named; objects among them take the place of names.
        methods: The same.
        objects: Other things that a specification cannot store, for every search.

    Raises:
        RunFolderError: None is there.
    """
    own: dict[str, Any] = {m.name: {"method": m} for m in methods if not isinstance(m, str)}
    data: dict[str, Any] = {name_of(d): {"dataset": d} for d in datasets if not isinstance(d, str)}
    found: list[SearchSpec] = []
    for dataset, method in cells_of(content):
        run = RunFolder(cell_folder(path, dataset, method))
        with storage_errors(str(run.path)):
            there = run.spec.is_file()
        if there:
            more = {**objects, **own.get(method, {}), **data.get(dataset, {})}
            found.append(SearchSpec.from_dict(run.read_spec(), **more))
    if not found:
        raise RunFolderError(
            f"{path} names a benchmark and has none of its runs: it was ended as it began, or they "
            "were deleted. Delete the folder, and start anew."
        )
    return found


def grown_specs(
    specs: Sequence[SearchSpec],
    content: Mapping[str, Any],
    datasets: Sequence[str | Dataset],
    sources: dict[str, str],
    methods: Sequence[str | Method],
    test_seeds: int | None,
) -> tuple[SearchSpec, ...]:
    """Every method on every dataset: the searches that are there, and those that are not.

    Args:
        specs: Of those that are there.
        content: The benchmark's index.
        datasets: More of them.
        sources: Of those, by name.
        methods: More of them.
        test_seeds: That many from now on; None for as many as before.

    Raises:
        SpecError: It has been judged with more seeds, or a source is that of no new dataset.
    """
    seeds = content["test_seeds"] if test_seeds is None else test_seeds
    if seeds < content["test_seeds"]:
        raise SpecError(
            f"the benchmark has been judged with {content['test_seeds']} seeds, and those stay; "
            f"got test_seeds={seeds}."
        )
    known = {cell_of(spec): spec for spec in specs}
    of: dict[str, tuple[Any, str | None]] = {
        name: (name, content["sources"][name]) for name in content["datasets"]
    }
    of |= {cell_of(spec)[0]: (spec.dataset, spec.source) for spec in specs}
    for one in datasets:
        source = None if name_of(one) in of else sources.pop(name_of(one), None)
        new = dataclasses.replace(specs[0], dataset=one, source=source)
        if name_of(one) not in of:
            of.setdefault(cell_of(new)[0], (one, source))
    if sources:
        raise SpecError(
            f"there are sources for {', '.join(sources)}, which are no new datasets. Those that "
            "are there keep their source."
        )
    kinds: dict[str, Any] = {name: name for name in content["methods"]}
    kinds |= {spec.resolve_method().name: spec.method for spec in specs}
    kinds |= {_known(m): m for m in methods if _known(m) not in kinds}
    return tuple(
        dataclasses.replace(
            known.get((name, kind), specs[0]),
            dataset=dataset,
            source=source,
            method=method,
            test_seeds=seeds,
        )
        for name, (dataset, source) in of.items()
        for kind, method in kinds.items()
    )


def _known(method: str | Method) -> str:
    return method if isinstance(method, str) else method.name


def cell_of(spec: SearchSpec) -> tuple[str, str]:
    """Names of a search's dataset, as its source describes it, and of its method."""
    return spec.resolve_dataset().card.name, spec.resolve_method().name


def name_of(dataset: str | Dataset) -> str:
    """Name of a dataset, whether it was named or given."""
    return dataset if isinstance(dataset, str) else dataset.card.name
