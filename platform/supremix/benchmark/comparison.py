"""Comparing methods on one dataset: `Comparison`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from supremix.benchmark.cells import dataset_name, new_specs, resumed_specs
from supremix.benchmark.driver import run_grid
from supremix.benchmark.grid import Grid
from supremix.benchmark.result import ComparisonResult, read_index
from supremix.errors import SpecError
from supremix.progress.progress import Listener
from supremix.runs.folder import new_run_folder
from supremix.runs.grids import COMPARISON
from supremix.search.request.keywords import SearchKeywords
from supremix.search.request.python import checked, takes_options
from supremix.storage.paths import Address, to_path
from supremix.training import Method
from supremix_datasets import Dataset
from supremix_reports import MethodRun, write_comparison


@takes_options("search")
class Comparison(Grid):
    """Searches of several methods on the same images, split, seed, encoder and budget each.

    The methods are searched one after the other on the same worker groups. Each has a run folder of
    its own, named like it, inside that of the comparison; what works on a run works on those.
    `trials`, `time` and `gpu_hours` are the budget of each method. Values in `overrides` and in a
    file given as `space` go to the methods that have the hyperparameter.

    Args:
        dataset: Name of a dataset, or a `Dataset` of your own, as for `Search`.
        source: Folder or address of its images, as for `Search`.
        methods: Names of methods, or objects of your own; at least two.
        out: Folder of the comparison, or its fsspec address; None for a new one below ``runs/``.
        progress: Function that is called with a `Progress` at every step.
        **options: The options of each method's search.

    Raises:
        USER_ERRORS: Of `supremix.errors`: the request cannot be carried out.
    """

    kind = COMPARISON
    sharing = "in turn"

    def __init__(
        self,
        dataset: str | Dataset,
        source: str | None = None,
        methods: Sequence[str | Method] = (),
        *,
        out: Address | None = None,
        progress: Listener | None = None,
        **options: Unpack[SearchKeywords],
    ) -> None:
        given = checked(Comparison, options)
        sources = {} if source is None else {dataset_name(dataset): source}
        specs = new_specs([dataset], sources, methods, given, lenient=True)
        if len(specs) < 2:
            raise SpecError(f"a comparison needs at least two methods; got {len(specs)}.")
        name = specs[0].resolve_dataset().card.name
        folder = new_run_folder(name, "comparison") if out is None else out
        super().__init__(specs, folder, progress)

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
            progress: Function that is called with a `Progress` at every step.
            objects: Other such objects, and where to run, as for `Search.resume`.

        Raises:
            RunFolderError: `run` is not the folder of a comparison.
            SpecError: As for `Search.resume`.
        """
        path = to_path(run)
        index = read_index(cls.kind, path)
        own = [method for method in methods if method.name in index["methods"]]
        comparison = cls.__new__(cls)
        specs = resumed_specs(cls.kind, path, index, methods=own, objects=objects)
        Grid.__init__(comparison, specs, path, progress, begun=True)
        return comparison

    def run(self) -> ComparisonResult:
        """Search with every method; returns when all are concluded and compared.

        Raises:
            USER_ERRORS: See `supremix.errors`. A method without a result does not end the
                comparison: the table has the reason.
        """
        run_grid(self)
        return ComparisonResult(self.path)

    def write_tables(self, runs: Sequence[MethodRun]) -> None:
        """Write the table of methods, and the page with it."""
        write_comparison(str(self.path), runs, self.shared_request())
