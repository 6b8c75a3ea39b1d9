"""Comparing methods on one dataset: `Comparison`, `ComparisonResult`."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence
from typing import Any

import polars as pl
from upath import UPath

from supremix.benchmark.rounds import run_comparison
from supremix.errors import (
    USER_ERRORS,
    RunFolderError,
    SearchInterrupted,
    SpecError,
    UnknownNameError,
)
from supremix.progress.progress import Listener, Progress
from supremix.runs.folder import (
    RunFolder,
    check_new,
    new_run_folder,
    read_json,
    write_json,
)
from supremix.runs.grids import COMPARISON
from supremix.runs.result import Result
from supremix.search.search import Search
from supremix.search.spec import SearchSpec, parameter_names
from supremix.storage.paths import Address, discard_tree, to_path
from supremix.storage.retry import storage_errors
from supremix.training import Method
from supremix.tuning.ledger.ledger import read_events
from supremix_datasets import Dataset
from supremix_reports import comparison_verdict, read_table
from supremix_spaces import Space, load_parameters, parse_overrides

_FOLDER_NAME = re.compile(r"\w[\w.+-]*")


class Comparison:
    """Searches of several methods on the same images, split, seed, encoder and budget each.

    The methods are searched one after the other on the same worker groups. Each has a run folder of
    its own, named like it, inside that of the comparison; what works on a run works on those.

    Args:
        dataset: As for `Search`.
        source: As for `Search`.
        methods: Names of methods, or objects of your own; at least two.
        out: Folder of the comparison, or its fsspec address; None for a new one below ``runs/``.
        progress: Called with a `Progress` at every step.
        options: The other arguments of `Search`, for every method. `trials` and `time` are the
            budget of each. Values in `overrides` and in a file given as `space` go to the methods
            that have the parameter.

    Raises:
        USER_ERRORS: Of `supremix.errors`: the request cannot be carried out.
    """

    def __init__(
        self,
        dataset: str | Dataset,
        source: str | None = None,
        methods: Sequence[str | Method] = (),
        *,
        out: Address | None = None,
        progress: Listener | None = None,
        **options: Any,
    ) -> None:
        # Each is checked as a search of its own would be; the folder is not needed for that.
        searches = [Search(dataset, source, method, out=".", **options) for method in methods]
        self.specs = tuple(dataclasses.replace(one.spec, lenient=True) for one in searches)
        _check(self.specs)
        name = self.specs[0].resolve_dataset().card.name
        self.path = new_run_folder(name, "comparison") if out is None else to_path(out)
        self._listen: Listener = progress or _silent
        self._begun = False

    @classmethod
    def resume(
        cls,
        run: Address,
        methods: Sequence[Method] = (),
        *,
        progress: Listener | None = None,
        **objects: Any,
    ) -> Comparison:
        """A comparison that goes on where the one in `run` ended; what is concluded stays.

        Args:
            run: Folder of the comparison.
            methods: Methods of your own that it was started with and that cannot be imported.
            progress: As for `Comparison`.
            objects: Other such objects, and where to run, as for `Search.resume`.

        Raises:
            RunFolderError: `run` is not the folder of a comparison.
            SpecError: As for `Search.resume`.
        """
        path = to_path(run)
        own: dict[str, dict[str, Any]] = {method.name: {"method": method} for method in methods}
        comparison = cls.__new__(cls)
        vars(comparison).update(
            specs=tuple(
                SearchSpec.from_dict(
                    RunFolder(path / name).read_spec(), **objects, **own.get(name, {})
                )
                for name in _read_methods(path)
            ),
            path=path,
            _listen=progress or _silent,
            _begun=True,
        )
        return comparison

    def run(self) -> ComparisonResult:
        """Search with every method; returns when all are concluded and compared.

        Raises:
            USER_ERRORS: See `supremix.errors`. A method that comes to no result does not end the
                comparison: the table has the reason.
        """
        runs = [RunFolder(self.path / spec.resolve_method().name) for spec in self.specs]
        fresh = not self._begun
        if fresh:
            self._create(runs)
        try:
            run_comparison(self.path, self.specs, runs, self._listen)
        except SearchInterrupted:
            raise
        except USER_ERRORS:
            # A request that was refused leaves no folder in the way of the corrected one.
            if fresh and not any(read_events(run.ledger) for run in runs):
                with storage_errors(str(self.path)):
                    discard_tree(self.path)
                self._begun = False
            raise
        return ComparisonResult(self.path)

    def _create(self, runs: Sequence[RunFolder]) -> None:
        check_new(self.path)
        for run, spec in zip(runs, self.specs, strict=True):
            run.create(spec.to_dict())
        # Last, so that a folder with it is whole.
        write_json(self.path / COMPARISON.index, {"methods": [run.path.name for run in runs]})
        self._begun = True


class ComparisonResult:
    """What a comparison found, read from its folder.

    Args:
        path: Folder of the comparison.

    Raises:
        RunFolderError: The folder is not that of a comparison.
    """

    def __init__(self, path: Address) -> None:
        self.path = to_path(path)
        self.methods = _read_methods(self.path)

    @functools.cached_property
    def table(self) -> pl.DataFrame:
        """A row a method, least test error first; the columns are those of `comparison.parquet`."""
        return read_table(str(self.path), "comparison")

    @functools.cached_property
    def measures(self) -> pl.DataFrame:
        """A row a method, split and metric: the table `mae` of all methods."""
        return read_table(str(self.path), "mae")

    @property
    def verdict(self) -> str:
        """Whether a winner is shown, in plain sentences."""
        return comparison_verdict(self.table.to_dicts())

    @property
    def failures(self) -> dict[str, str]:
        """The methods that came to no result, and why."""
        lacking = self.table.filter(pl.col("reason").is_not_null())
        return dict(lacking.select("method", "reason").iter_rows())

    @property
    def results(self) -> dict[str, Result]:
        """What each method's own search found, of those that came to a result."""
        return {
            method: Result(self.path / method)
            for method in self.methods
            if method not in self.failures
        }


def _check(specs: Sequence[SearchSpec]) -> None:
    names = [spec.resolve_method().name for spec in specs]
    if len(set(names)) < max(2, len(names)):
        raise SpecError(
            f"a comparison needs at least two methods, each once; got {', '.join(names) or 'none'}."
        )
    check_methods(specs)


def check_methods(specs: Sequence[SearchSpec]) -> None:
    """Check searches that differ in their method alone.

    Raises:
        SpecError: A method cannot have a folder named like it, or the space is one method's.
        UnknownNameError: There is a value for a parameter that none of the methods has.
    """
    for name in (spec.resolve_method().name for spec in specs):
        if not _FOLDER_NAME.fullmatch(name):
            raise SpecError(
                f"the method {name!r} cannot have a folder of that name: take letters, digits, "
                "dots, plus and minus signs."
            )
    if len(specs) > 1 and isinstance(specs[0].space, Space):
        raise SpecError(
            "a Space is one method's; for several give a file with the values to change, or "
            "overrides."
        )
    _check_parameters(specs)


def _check_parameters(specs: Sequence[SearchSpec]) -> None:
    space = specs[0].space
    known = {name for spec in specs for name in parameter_names(spec.resolve_method())}
    given = [*parse_overrides(specs[0].overrides)]
    given += [] if space is None else load_parameters(str(space))
    for name in given:
        if name not in known:
            raise UnknownNameError("parameter of any of these methods", name, known)


def _read_methods(folder: UPath) -> tuple[str, ...]:
    if not COMPARISON.is_in(folder):
        raise RunFolderError(
            f"{folder} has no {COMPARISON.index}, so it is not the folder of a comparison. Name "
            "the folder that 'supremix search' printed."
        )
    return tuple(read_json(folder / COMPARISON.index)["methods"])


def _silent(progress: Progress) -> None:
    """For those who do not want to know."""
