"""Methods on several datasets, with several seeds each: `Benchmark`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Unpack

from supremix.benchmark.cells import new_specs, resumed_specs
from supremix.benchmark.driver import run_grid
from supremix.benchmark.external import (
    Fitting,
    Sources,
    evaluate_cells,
    outside_sources,
    read_cohorts,
)
from supremix.benchmark.grid import Grid
from supremix.benchmark.result import BenchmarkResult, read_index
from supremix.errors import SpecError
from supremix.progress.progress import Listener
from supremix.runs.folder import new_run_folder
from supremix.runs.grids import BENCHMARK
from supremix.search.request.keywords import SearchKeywords
from supremix.search.request.python import checked, takes_options
from supremix.search.shared_session import SharedSession
from supremix.storage.paths import Address, to_path
from supremix.training import Method
from supremix.tuning.study.scheduler import overlapping_studies
from supremix_datasets import Dataset
from supremix_reports import MethodRun, write_benchmark


@takes_options("benchmark")
class Benchmark(Grid):
    """Searches of several methods on several datasets; the best of each tested with several seeds.

    Each dataset and method has a search of its own under the same budget. Its best hyperparameters
    are retrained on training and validation data with `test_seeds` seeds, the same for all, and
    each of these models is tested once on the test split. Each search is an ordinary run in the
    folder ``<dataset>/<method>`` of the benchmark, and none learns from another, so that
    what is added later comes out as if it had been there from the start. Values in `overrides` and
    in a file given as `space` go to the methods that have the hyperparameter. With one of
    `test_seeds` no significance is claimed.

    Args:
        datasets: Names of datasets, or `Dataset` objects of your own.
        sources: Folder or address of the images, by the dataset's name; datasets that are not in
            there have phantoms.
        methods: Names of methods, or objects of your own.
        reference: Method that the others are compared with; None for ``"l1"`` where it is one of
            them, else the last of them.
        external: Outside cohorts that all models are measured on in the end: by the name of the
            dataset that reads it (``"table"`` for your own) the folder or address; several of one
            name as a list of pairs. See docs/benchmark.md.
        out: Folder of the benchmark, or its fsspec address; None for a new one below ``runs/``.
        progress: Called with a `Progress` at every step; its `part` names dataset and method.
        **options: The options of every search.

    Raises:
        USER_ERRORS: Of `supremix.errors`: the request cannot be carried out.
    """

    kind = BENCHMARK
    sharing = "in parallel"
    fitting: Fitting = MappingProxyType({})
    """By dataset the outside cohorts that its models are measured on, once they are read."""

    def __init__(
        self,
        datasets: Sequence[str | Dataset],
        sources: Mapping[str, str] | None = None,
        methods: Sequence[str | Method] = (),
        *,
        reference: str | None = None,
        external: Sources | None = None,
        out: Address | None = None,
        progress: Listener | None = None,
        **options: Unpack[SearchKeywords],
    ) -> None:
        shared = checked(Benchmark, _own_options(options))
        specs = new_specs(datasets, sources, methods, shared, lenient=True)
        if not specs:
            raise SpecError("a benchmark needs at least one dataset and one method; got none.")
        size = f"{len(datasets)}x{len(methods)}"
        folder = new_run_folder("benchmark", size) if out is None else out
        super().__init__(specs, folder, progress)
        self.named_reference = _checked(reference, self.methods)
        self.external = outside_sources(external)

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
        external: Sources | None = None,
        progress: Listener | None = None,
        **objects: Any,
    ) -> Benchmark:
        """A benchmark that goes on where the one in `run` ended, or grows; what is done stays.

        Args:
            run: Folder of the benchmark.
            datasets: Datasets to add; all methods are searched on them.
            sources: Folder or address of their images, as for `Benchmark`.
            methods: Methods to add; they are searched on all datasets. Also methods of your own
                that it was started with and that cannot be imported.
            test_seeds: Number of test seeds from now on, None for as many as before; not fewer.
            reference: Name of the reference method from now on, None for the one before.
            external: Outside cohorts to add, as for `Benchmark`.
            progress: Function that is called with a `Progress` at every step.
            objects: Other such objects, and where to run, as for `Search.resume`.

        Raises:
            RunFolderError: `run` is not the folder of a benchmark.
            SpecError: It cannot grow like that.
        """
        path = to_path(run)
        index = read_index(cls.kind, path)
        benchmark = cls.__new__(cls)
        specs = resumed_specs(
            cls.kind,
            path,
            index,
            datasets=datasets,
            sources=sources,
            methods=methods,
            test_seeds=_more_seeds(index["test_seeds"], test_seeds),
            objects=objects,
        )
        Grid.__init__(benchmark, specs, path, progress, begun=True)
        named = index["named"] if reference is None else reference
        benchmark.named_reference = _checked(named, benchmark.methods)
        before = outside_sources(index.get("external"))
        benchmark.external = outside_sources([*before, *outside_sources(external)])
        return benchmark

    @property
    def reference(self) -> str:
        """Name of the method that the others are compared with."""
        if self.named_reference is not None:
            return self.named_reference
        return "l1" if "l1" in self.methods else self.methods[-1]

    def run(self) -> BenchmarkResult:
        """Search and test; returns when every method is tested on every dataset.

        Raises:
            USER_ERRORS: See `supremix.errors`. A search without a result does not end the
                benchmark: the table has the reason. Outside cohorts are read before anything is
                trained; models that cannot be measured on one do not end the benchmark either.
        """
        self.fitting = read_cohorts(self.external, self.specs, self.listen)
        run_grid(self)
        return BenchmarkResult(self.path)

    def concurrent_studies(self, worker_groups: int) -> int:
        """A number that is the same whenever a search is added, and so are its trials then."""
        return overlapping_studies(worker_groups)

    def write_tables(self, runs: Sequence[MethodRun]) -> None:
        """Write the tables of searches and of gains over the reference."""
        write_benchmark(str(self.path), runs, reference=self.reference)

    def conclude(self, session: SharedSession) -> None:
        """Measure all models on the outside cohorts, and compare the methods there."""
        if any(self.fitting.values()):
            evaluate_cells(self.path, self.cells, self.fitting, session, reference=self.reference)

    def more_index(self) -> dict[str, Any]:
        """Test seeds, reference and outside cohorts."""
        return {
            "test_seeds": self.specs[0].test_seeds,
            "reference": self.reference,
            "named": self.named_reference,
            "external": self.external,
        }


def _checked(reference: str | None, methods: Sequence[str]) -> str | None:
    if reference is not None and reference not in methods:
        raise SpecError(
            f"the reference has to be one of the methods {', '.join(methods)}; got {reference!r}."
        )
    return reference


def _more_seeds(before: int, test_seeds: int | None) -> int:
    if test_seeds is not None and test_seeds < before:
        raise SpecError(
            f"the benchmark has been tested with {before} seeds, and those stay; got "
            f"test_seeds={test_seeds}."
        )
    return before if test_seeds is None else test_seeds


def _own_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those of a single search, which have to be at their defaults."""
    if options.get("warm_start"):
        raise SpecError(
            "the searches of a benchmark do not learn from each other, so that one that is added "
            "later comes out the same; leave warm_start out."
        )
    if not options.get("test", True):
        raise SpecError("a benchmark tests its methods on the test split; leave test out.")
    return {name: options[name] for name in options if name not in ("warm_start", "test")}
