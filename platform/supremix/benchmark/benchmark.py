"""Methods on several datasets, with several seeds each: `Benchmark`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from upath import UPath

from supremix.benchmark.comparison import check_methods
from supremix.benchmark.driver import run_benchmark
from supremix.benchmark.growth import cell_of, grown_specs, name_of, stored_specs
from supremix.benchmark.result import BenchmarkResult, cell_folder, cells_of, read_index
from supremix.errors import USER_ERRORS, SearchInterrupted, SpecError
from supremix.progress.progress import Listener, Progress
from supremix.runs.folder import (
    RunFolder,
    check_new,
    new_run_folder,
    write_json,
)
from supremix.runs.grids import BENCHMARK
from supremix.search.search import Search
from supremix.search.spec import SearchSpec
from supremix.storage.paths import Address, children, discard_tree, is_local, to_path
from supremix.storage.retry import storage_errors
from supremix.training import Method
from supremix.tuning.ledger.ledger import read_events
from supremix_datasets import Dataset

TEST_SEEDS = 3
"""Seeds with which the best settings are judged where nobody says else."""


class Benchmark:
    """Searches of several methods on several datasets, and their best settings judged with seeds.

    For each dataset and method there is a search of its own under the same budget; its best
    settings are retrained on training and validation data with `test_seeds` seeds, the same for
    all, and each of these models is judged once on the test split. Each search is an ordinary run
    in the folder ``<dataset>/<method>`` of the benchmark, and none learns from another, so that
    what is added later comes out as if it had been there from the start.

    Args:
        datasets: Names of datasets, or `Dataset` of your own.
        sources: By a dataset's name the folder or address of its images; datasets that are not in
            there have phantoms.
        methods: Names of methods, or objects of your own.
        test_seeds: Seeds with which the best settings are judged, at least 1; no significance is
            claimed with one.
        reference: Method that the others are compared with; None for ``"l1"`` where it is one of
            them, else the last of them.
        out: Folder of the benchmark, or its fsspec address; None for a new one below ``runs/``.
        progress: Called with a `Progress` at every step; its `part` names dataset and method.
        options: The other arguments of `Search`, for every one; `trials`, `time` and `gpu_hours`
            are the budget of each. Values in `overrides` and in a file given as `space` go to the
            methods that have the parameter.

    Raises:
        USER_ERRORS: Of `supremix.errors`: the request cannot be carried out.
    """

    def __init__(
        self,
        datasets: Sequence[str | Dataset],
        sources: Mapping[str, str] | None = None,
        methods: Sequence[str | Method] = (),
        *,
        test_seeds: int = TEST_SEEDS,
        reference: str | None = None,
        out: Address | None = None,
        progress: Listener | None = None,
        **options: Any,
    ) -> None:
        _check_options(options)
        known = dict(sources or {})
        given = [(one, known.pop(name_of(one), None)) for one in datasets]
        if known:
            raise SpecError(
                f"there are sources for {', '.join(known)}, which are not among the datasets."
            )
        # Each is checked as a search of its own would be; the folder is not needed for that.
        self.specs = tuple(
            dataclasses.replace(
                Search(one, source, method, out=".", test_seeds=test_seeds, **options).spec,
                lenient=True,
            )
            for one, source in given
            for method in methods
        )
        _check(self.specs)
        self._named = reference
        _check_reference(reference, self.methods)
        self.path = to_path(new_run_folder("benchmark", _size(self)) if out is None else out)
        self._listen: Listener = progress or _silent
        self._begun = False

    @classmethod
    def resume(
        cls,
        run: Address,
        *,
        datasets: Sequence[str | Dataset] = (),
        sources: Mapping[str, str] | None = None,
        methods: Sequence[str | Method] = (),
        test_seeds: int | None = None,
        reference: str | None = None,
        progress: Listener | None = None,
        **objects: Any,
    ) -> Benchmark:
        """A benchmark that goes on where the one in `run` ended, or grows; what is done stays.

        Args:
            run: Folder of the benchmark.
            datasets: More of them; all methods are searched on them.
            sources: Of those, as for `Benchmark`.
            methods: More of them; they are searched on all datasets. Also methods of your own that
                it was started with and that cannot be imported.
            test_seeds: That many from now on, None for as many as before; not fewer.
            reference: From now on, None for as before.
            progress: As for `Benchmark`.
            objects: Other such objects, and where to run, as for `Search.resume`.

        Raises:
            RunFolderError: `run` is not the folder of a benchmark.
            SpecError: It cannot grow like that.
        """
        path = to_path(run)
        content = read_index(path)
        specs = stored_specs(path, content, datasets, methods, objects)
        named = content["named"] if reference is None else reference
        benchmark = cls.__new__(cls)
        vars(benchmark).update(
            specs=grown_specs(specs, content, datasets, dict(sources or {}), methods, test_seeds),
            _named=named,
            path=path,
            _listen=progress or _silent,
            _begun=True,
        )
        _check(benchmark.specs)
        _check_reference(named, benchmark.methods)
        return benchmark

    @property
    def reference(self) -> str:
        """Name of the method that the others are compared with."""
        if self._named is not None:
            return self._named
        return "l1" if "l1" in self.methods else self.methods[-1]

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets."""
        return tuple(dict.fromkeys(cell_of(spec)[0] for spec in self.specs))

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods."""
        return tuple(dict.fromkeys(spec.resolve_method().name for spec in self.specs))

    def run(self) -> BenchmarkResult:
        """Search and judge; returns when every method is judged on every dataset.

        Raises:
            USER_ERRORS: See `supremix.errors`. A search that comes to no result does not end the
                benchmark: the table has the reason.
        """
        runs = [RunFolder(cell_folder(self.path, *cell_of(spec))) for spec in self.specs]
        fresh, made = not self._begun, list[RunFolder]()
        if fresh:
            check_new(self.path)
        try:
            if fresh:  # first of all, so that a start that is killed can be gone on with
                self._write()
            made.extend(self._create(runs))
            run_benchmark(self.path, self.specs, runs, self.reference, self._listen, self._grow)
        except SearchInterrupted:
            raise
        except USER_ERRORS:
            self._withdraw(made, whole=fresh)
            raise
        return BenchmarkResult(self.path)

    def _create(self, runs: Sequence[RunFolder]) -> Iterator[RunFolder]:
        """Make the folders that are missing, and tell which."""
        for run, spec in zip(runs, self.specs, strict=True):
            with storage_errors(str(run.path)):
                known = run.spec.is_file()
            if not known:
                run.create(spec.to_dict())
                yield run
        self._begun = True

    def _grow(self, runs: Sequence[RunFolder]) -> None:
        """Write down what the benchmark is from now on; called once no other driver can be at it.

        Args:
            runs: Of the searches, in their order.
        """
        for run, spec in zip(runs, self.specs, strict=True):
            if run.read_spec()["test_seeds"] != spec.test_seeds:
                write_json(run.spec, spec.to_dict())
        self._write()

    def _write(self) -> None:
        content = {
            "datasets": list(self.datasets),
            "sources": {cell_of(spec)[0]: spec.source for spec in self.specs},
            "methods": list(self.methods),
            "test_seeds": self.specs[0].test_seeds,
            "reference": self.reference,
            "named": self._named,
        }
        write_json(self.path / BENCHMARK.index, content)

    def _withdraw(self, made: Sequence[RunFolder], *, whole: bool) -> None:
        """A request that was refused leaves no folder in the way of the corrected one."""
        idle = [run for run in made if not read_events(run.ledger)]
        if whole and len(idle) == len(made):
            with storage_errors(str(self.path)):
                discard_tree(self.path)
            self._begun = False
            return
        named = {cell_folder(self.path, *cell) for cell in cells_of(read_index(self.path))}
        for run in idle:
            if run.path not in named:
                run.remove()
                _discard_empty(run.path.parent)


def _discard_empty(folder: UPath) -> None:
    with storage_errors(str(folder)):
        if is_local(folder) and next(children(folder), None) is None:
            discard_tree(folder)


def _check_options(options: Mapping[str, Any]) -> None:
    if options.get("warm_start"):
        raise SpecError(
            "the searches of a benchmark do not learn from each other, so that one that is added "
            "later comes out the same; leave warm_start out."
        )
    if not options.get("test", True):
        raise SpecError("a benchmark judges its methods on the test split; leave test out.")


def _check(specs: Sequence[SearchSpec]) -> None:
    if not specs:
        raise SpecError("a benchmark needs at least one dataset and one method; got none.")
    cells = [cell_of(spec) for spec in specs]
    if len(set(cells)) < len(cells):
        twice = next(cell for cell in cells if cells.count(cell) > 1)
        raise SpecError(f"name each dataset and method once; {' with '.join(twice)} is there twice")
    check_methods([s for s, cell in zip(specs, cells, strict=True) if cell[0] == cells[0][0]])


def _check_reference(name: str | None, methods: Sequence[str]) -> None:
    if name is not None and name not in methods:
        raise SpecError(
            f"the reference has to be one of the methods {', '.join(methods)}; got {name!r}."
        )


def _size(benchmark: Benchmark) -> str:
    return f"{len(benchmark.datasets)}x{len(benchmark.methods)}"


def _silent(progress: Progress) -> None:
    """For those who do not want to know."""
