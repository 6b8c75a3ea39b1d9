"""Searching several datasets at once: `MultiDatasetSearch`, `MultiDatasetResult`."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from upath import UPath

from supremix.benchmark.many_driver import run_many
from supremix.errors import USER_ERRORS, RunFolderError, SearchInterrupted, SpecError
from supremix.progress.progress import Listener, Progress
from supremix.runs.folder import (
    RunFolder,
    check_new,
    new_run_folder,
    read_json,
    write_json,
)
from supremix.runs.grids import MULTI_DATASET
from supremix.runs.result import Result
from supremix.search.search import Search
from supremix.search.spec import SearchSpec
from supremix.storage.paths import Address, discard_tree, to_path
from supremix.training import Method
from supremix.tuning.ledger.ledger import read_events
from supremix_datasets import Dataset
from supremix_reports import read_table

OBJECTIVES = ("per-dataset", "joint")


class MultiDatasetSearch:
    """One search over several datasets, with the same worker groups.

    With the objective ``"per-dataset"`` each has a study of its own, an ordinary run in a folder of
    its own, and learns from those before it and from earlier searches beside it. With ``"joint"``
    one study looks for the settings that are best for all: a trial is trained on one dataset after
    the other, those with the least to compute first, and is given up as soon as it falls behind;
    its error is the geometric mean of the datasets' errors, each divided by that of predicting the
    training labels' median. Settings are carried over by their place in their range.

    Args:
        datasets: Names of datasets, or `Dataset` of your own; at least two.
        sources: By a dataset's name the folder or address of its images; datasets that are not in
            there have phantoms.
        method: As for `Search`.
        objective: ``"per-dataset"`` or ``"joint"``.
        warm_start: As for `Search`, with the objective ``"per-dataset"``; on where it is left out.
        out: Folder of the whole, or its fsspec address; None for a new one below ``runs/``.
        progress: Called with a `Progress` at every step; its `part` names the dataset.
        options: The other arguments of `Search`, for every dataset. `trials`, `time` and
            `gpu_hours` are the budget of each; of all together with a joint objective.

    Raises:
        USER_ERRORS: Of `supremix.errors`: the request cannot be carried out.
    """

    def __init__(
        self,
        datasets: Sequence[str | Dataset],
        sources: Mapping[str, str] | None = None,
        method: str | Method = "supremix",
        *,
        objective: str = "per-dataset",
        warm_start: bool | None = None,
        out: Address | None = None,
        progress: Listener | None = None,
        **options: Any,
    ) -> None:
        if objective not in OBJECTIVES:
            raise SpecError(f"an objective is {' or '.join(OBJECTIVES)}; got {objective!r}.")
        learns = objective == "per-dataset" if warm_start is None else warm_start
        if learns and objective == "joint":
            raise SpecError("a joint objective starts from nothing else; leave warm_start out.")
        known = dict(sources or {})
        # Each is checked as a search of its own would be; the folder is not needed for that.
        searches = [
            Search(one, known.pop(_name(one), None), method, out=".", warm_start=learns, **options)
            for one in datasets
        ]
        self.specs = tuple(one.spec for one in searches)
        self.objective = objective
        _check(self.specs, known)
        label = f"{len(self.specs)}-datasets" if objective == "per-dataset" else "joint"
        name = self.specs[0].resolve_method().name
        self.path = to_path(new_run_folder(label, name) if out is None else out)
        self._listen: Listener = progress or _silent
        self._begun = False

    @classmethod
    def resume(
        cls, run: Address, *, progress: Listener | None = None, **objects: Any
    ) -> MultiDatasetSearch:
        """A search that goes on where the one in `run` ended; what is concluded stays.

        Args:
            run: Folder of the whole.
            progress: As for `MultiDatasetSearch`.
            objects: Objects of your own that it was started with, and where to run, as for
                `Search.resume`.

        Raises:
            RunFolderError: `run` is not the folder of such a search.
            SpecError: As for `Search.resume`.
        """
        path = to_path(run)
        content = _read(path)
        search = cls.__new__(cls)
        vars(search).update(
            specs=tuple(
                SearchSpec.from_dict(RunFolder(path / name).read_spec(), **objects)
                for name in content["datasets"]
            ),
            objective=content["objective"],
            path=path,
            _listen=progress or _silent,
            _begun=True,
        )
        return search

    def run(self) -> MultiDatasetResult:
        """Search; returns when every dataset's search is concluded.

        Raises:
            USER_ERRORS: See `supremix.errors`. A dataset that comes to no result does not end the
                search: the table has the reason.
        """
        whole, fresh = RunFolder(self.path), not self._begun
        runs = [RunFolder(self.path / _name(spec.dataset)) for spec in self.specs]
        if fresh:
            self._create(runs)
        try:
            run_many(whole, self.specs, runs, self.objective, self._listen)
        except SearchInterrupted:
            raise
        except USER_ERRORS:
            # A request that was refused leaves no folder in the way of the corrected one.
            if fresh and not any(read_events(run.ledger) for run in (whole, *runs)):
                discard_tree(self.path)
                self._begun = False
            raise
        return MultiDatasetResult(self.path)

    def _create(self, runs: Sequence[RunFolder]) -> None:
        check_new(self.path)
        for run, spec in zip(runs, self.specs, strict=True):
            run.create(spec.to_dict())
        names = [run.path.name for run in runs]
        # Last, so that a folder with it is whole.
        write_json(
            self.path / MULTI_DATASET.index, {"datasets": names, "objective": self.objective}
        )
        self._begun = True


class MultiDatasetResult:
    """What a search over several datasets found, read from its folder.

    Args:
        path: Folder of the whole, or its fsspec address.

    Raises:
        RunFolderError: The folder is not that of such a search.
    """

    def __init__(self, path: Address) -> None:
        self.path = to_path(path)
        content = _read(self.path)
        self.datasets: tuple[str, ...] = tuple(content["datasets"])
        self.objective: str = content["objective"]

    @functools.cached_property
    def table(self) -> pl.DataFrame:
        """A row a dataset; the columns are those of `comparison.parquet`."""
        return read_table(str(self.path), "comparison")

    @functools.cached_property
    def mae(self) -> pl.DataFrame:
        """A row a dataset, split and metric: the table `mae` of all datasets."""
        return read_table(str(self.path), "mae")

    @functools.cached_property
    def trials(self) -> pl.DataFrame | None:
        """With a joint objective a row a trial, its error the geometric mean; else None."""
        return read_table(str(self.path), "trials") if self.objective == "joint" else None

    @property
    def failures(self) -> dict[str, str]:
        """The datasets that came to no result, and why."""
        lacking = self.table.filter(pl.col("reason").is_not_null())
        return dict(lacking.select("dataset", "reason").iter_rows())

    @property
    def results(self) -> dict[str, Result]:
        """What was found on each dataset that came to a result."""
        return {
            name: Result(self.path / name) for name in self.datasets if name not in self.failures
        }


def _check(specs: Sequence[SearchSpec], unused: Mapping[str, str]) -> None:
    names = [_name(spec.dataset) for spec in specs]
    if len(set(names)) < max(2, len(names)):
        raise SpecError(
            "a search over several datasets needs at least two, each once; got "
            f"{', '.join(names) or 'none'}."
        )
    if unused:
        raise SpecError(
            f"there are sources for {', '.join(unused)}, which are not among the datasets "
            f"{', '.join(names)}."
        )


def _name(dataset: str | Dataset) -> str:
    return dataset if isinstance(dataset, str) else dataset.card.name


def _read(folder: UPath) -> dict[str, Any]:
    if not MULTI_DATASET.is_in(folder):
        raise RunFolderError(
            f"{folder} has no {MULTI_DATASET.index}, so it is not the folder of a search over "
            "several datasets. Name the folder that 'supremix search' printed."
        )
    return read_json(folder / MULTI_DATASET.index)


def _silent(progress: Progress) -> None:
    """For those who do not want to know."""
