"""The folds of one method on one dataset: `CrossValidation`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from supremix.benchmark.cells import dataset_name, new_specs, resumed_specs
from supremix.benchmark.driver import run_grid
from supremix.benchmark.grid import Grid
from supremix.benchmark.result import CrossValidationResult, read_index
from supremix.errors import SpecError
from supremix.progress.progress import Listener
from supremix.runs.folder import new_run_folder
from supremix.runs.grids import FOLDS
from supremix.search.request.keywords import SearchKeywords
from supremix.search.request.python import checked, takes_options
from supremix.storage.paths import Address, to_path
from supremix.training import Method
from supremix_datasets import Dataset
from supremix_reports import MethodRun


@takes_options("search")
class CrossValidation(Grid):
    """Nested cross-validation by patient: a search in each fold, predictions out of fold pooled.

    Each fold has a search of its own, an ordinary run in the folder ``fold-0``, ``fold-1`` … of the
    cross-validation, whose test split is the fold; training and validation are dealt of the other
    patients. The predictions for all patients are pooled in one table, with errors and their
    intervals, and the models of the folds are an ensemble that `load`, `predict` and `evaluate`
    take by the folder. `trials`, `time` and `gpu_hours` are the budget of each fold.

    Args:
        dataset: Name of a dataset, or a `Dataset` of your own, as for `Search`.
        source: Folder or address of its images, as for `Search`.
        method: Name of a method, or an object of your own, as for `Search`.
        out: Folder of the cross-validation, or its fsspec address; None for a new one below
            ``runs/``.
        progress: Called with a `Progress` at every step; its `part` names the fold.
        **options: The options of each fold's search, `folds` among them.

    Raises:
        USER_ERRORS: Of `supremix.errors`: the request cannot be carried out.
    """

    kind = FOLDS
    sharing = "in parallel"

    def __init__(
        self,
        dataset: str | Dataset,
        source: str | None = None,
        method: str | Method = "supremix",
        *,
        out: Address | None = None,
        progress: Listener | None = None,
        **options: Unpack[SearchKeywords],
    ) -> None:
        given = checked(CrossValidation, options)
        if given["folds"] is None:
            raise SpecError("a cross-validation needs folds: give their number, such as folds=5.")
        sources = {} if source is None else {dataset_name(dataset): str(source)}
        specs = new_specs([dataset], sources, [method], given, lenient=False)
        names = specs[0].resolve_dataset().card.name, specs[0].resolve_method().name
        super().__init__(specs, new_run_folder(*names) if out is None else out, progress)

    @classmethod
    def resume(
        cls, run: Address, *, progress: Listener | None = None, **objects: Any
    ) -> CrossValidation:
        """A cross-validation that goes on where the one in `run` ended; what is concluded stays.

        Args:
            run: Folder of the cross-validation.
            progress: Called with a `Progress` at every step.
            objects: Objects of your own that it was started with, and where to run, as for
                `Search.resume`.

        Raises:
            RunFolderError: `run` is not the folder of a cross-validation.
            SpecError: As for `Search.resume`.
        """
        path = to_path(run)
        specs = resumed_specs(cls.kind, path, read_index(cls.kind, path), objects=objects)
        found = cls.__new__(cls)
        Grid.__init__(found, specs, path, progress, begun=True)
        return found

    def run(self) -> CrossValidationResult:
        """Search in every fold; returns when all are tested and their predictions are pooled.

        Raises:
            USER_ERRORS: See `supremix.errors`.
        """
        run_grid(self)
        return CrossValidationResult(self.path)

    def write_tables(self, runs: Sequence[MethodRun]) -> None:
        """The pooled tables are all there are."""
