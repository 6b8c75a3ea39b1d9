"""Searching on several datasets at once: `MultiDatasetSearch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from supremix._choices import JOINT_OBJECTIVE, OBJECTIVES, PER_DATASET
from supremix.benchmark.cells import new_specs, resumed_specs
from supremix.benchmark.driver import run_grid
from supremix.benchmark.grid import Grid, Sharing
from supremix.benchmark.result import MultiDatasetResult, read_index
from supremix.errors import SpecError, UnknownNameError
from supremix.progress.progress import Listener
from supremix.runs.folder import new_run_folder
from supremix.runs.grids import MULTI_DATASET
from supremix.search.request.keywords import SearchKeywords
from supremix.search.request.python import checked, takes_options
from supremix.storage.paths import Address, to_path
from supremix.training import Method
from supremix_datasets import Dataset
from supremix_reports import MethodRun, write_multi_dataset


@takes_options("search")
class MultiDatasetSearch(Grid):
    """One search over several datasets, with the same worker groups.

    With the objective ``"per-dataset"`` each has a study of its own, an ordinary run in a folder of
    its own, and learns from those before it and from earlier searches in the same folder. With
    ``"joint"`` one study looks for the hyperparameters that are best for all: a trial is trained on
    one dataset after the other, those with the least to compute first, and is pruned as soon as it
    falls behind; its error is the geometric mean of the datasets' errors, each divided by that of
    predicting the training labels' median. Hyperparameters are carried over by their position in
    their range. `trials`, `time` and `gpu_hours` are the budget of each dataset; with the objective
    ``"joint"`` of all together. `warm_start` is on unless the objective is ``"joint"``, which has
    none.

    Args:
        datasets: Names of datasets, or `Dataset` objects of your own; at least two.
        sources: Folder or address of the images, by the dataset's name; datasets that are not in
            there have phantoms.
        method: Name of a method, or an object of your own, as for `Search`.
        objective: ``"per-dataset"`` or ``"joint"``.
        out: Folder of the search, or its fsspec address; None for a new one below ``runs/``.
        progress: Function that is called with a `Progress` at every step; its `part` names the
            dataset.
        **options: The options of each dataset's search.

    Raises:
        USER_ERRORS: Of `supremix.errors`: the request cannot be carried out.
    """

    kind = MULTI_DATASET

    def __init__(
        self,
        datasets: Sequence[str | Dataset],
        sources: Mapping[str, str] | None = None,
        method: str | Method = "supremix",
        *,
        objective: str = PER_DATASET,
        out: Address | None = None,
        progress: Listener | None = None,
        **options: Unpack[SearchKeywords],
    ) -> None:
        shared = checked(MultiDatasetSearch, options)
        if shared["folds"] is None:
            shared["warm_start"] = _learns(objective, shared["warm_start"])
        elif objective == JOINT_OBJECTIVE:
            raise SpecError(
                "folds are for each dataset alone; with a joint objective there are none. Leave "
                "folds out, or search each dataset (objective='per-dataset')."
            )
        specs = new_specs(datasets, sources, [method], shared, lenient=False)
        if len(specs) < 2:
            raise SpecError(f"a search over several datasets needs at least two; got {len(specs)}.")
        self.sharing = _sharing(objective)
        if out is None:
            label = f"{len(specs)}-datasets" if objective == PER_DATASET else "joint"
            out = new_run_folder(label, specs[0].resolve_method().name)
        super().__init__(specs, out, progress)

    @classmethod
    def resume(
        cls, run: Address, *, progress: Listener | None = None, **objects: Any
    ) -> MultiDatasetSearch:
        """A search that goes on where the one in `run` ended; what is concluded stays.

        Args:
            run: Folder of the search.
            progress: Function that is called with a `Progress` at every step.
            objects: Objects of your own that it was started with, and where to run, as for
                `Search.resume`.

        Raises:
            RunFolderError: `run` is not the folder of such a search.
            SpecError: As for `Search.resume`.
        """
        path = to_path(run)
        index = read_index(cls.kind, path)
        search = cls.__new__(cls)
        search.sharing = _sharing(index["objective"])
        specs = resumed_specs(cls.kind, path, index, objects=objects)
        Grid.__init__(search, specs, path, progress, begun=True)
        return search

    @property
    def objective(self) -> str:
        """The objective, ``"per-dataset"`` or ``"joint"``."""
        return JOINT_OBJECTIVE if self.sharing == "joint objective" else PER_DATASET

    def run(self) -> MultiDatasetResult:
        """Search; returns when every dataset's search is concluded.

        Raises:
            USER_ERRORS: See `supremix.errors`. A dataset without a result does not end the
                search: the table has the reason.
        """
        run_grid(self)
        return MultiDatasetResult(self.path)

    def write_tables(self, runs: Sequence[MethodRun]) -> None:
        """Write the table of datasets, and the page with it."""
        write_multi_dataset(str(self.path), runs, self.shared_request())

    def more_index(self) -> dict[str, Any]:
        """The objective."""
        return {"objective": self.objective}


def _sharing(objective: str) -> Sharing:
    return "joint objective" if objective == JOINT_OBJECTIVE else "in parallel"


def _learns(objective: str, warm_start: bool | None) -> bool:
    if objective not in OBJECTIVES:
        raise UnknownNameError("objective", objective, OBJECTIVES)
    if warm_start and objective == JOINT_OBJECTIVE:
        raise SpecError("a joint objective starts from nothing else; leave warm_start out.")
    return objective == PER_DATASET if warm_start is None else warm_start
