"""A grid of searches and its folder: created, resumed, grown, withdrawn where it is refused."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Generator, Iterator, Sequence
from typing import Any, ClassVar, Literal

from upath import UPath

from supremix._display import Displayed
from supremix.benchmark.cells import Cell, check_specs, names_of
from supremix.benchmark.folds import fold_folder, fold_specs
from supremix.benchmark.result import read_index
from supremix.progress.notebook import default_listener
from supremix.progress.progress import Listener
from supremix.runs.folder import (
    RunFolder,
    check_new,
    read_json,
    removed_if_refused,
    write_json,
    write_json_once,
)
from supremix.runs.grids import FOLDS, GridKind
from supremix.search.shared_session import SharedSession
from supremix.search.spec import SearchSpec
from supremix.storage.paths import Address, children, discard_tree, is_local, to_path
from supremix.storage.retry import storage_errors
from supremix.tuning.ledger.ledger import read_events
from supremix_reports import MethodRun

Sharing = Literal["in turn", "in parallel", "joint objective"]
"""How the searches of a grid share the worker groups: each has them all when its turn comes,
several studies are worked on at the same time, or there is one study for all datasets."""


class Grid(Displayed):
    """Searches in one folder on the same worker groups, one for each dataset and method.

    The index, a file in the folder, names datasets and methods. It is written first of all, so
    that a start that is killed can be resumed, and again when the grid has grown.

    Args:
        specs: A specification for each dataset and method; with folds there is a search in each.
        path: Folder of the grid, or its fsspec address.
        listen: Function that is called with a `Progress` at every step; None for none.
        begun: Whether the grid is resumed.

    Raises:
        USER_ERRORS: The specifications make no grid.
    """

    kind: ClassVar[GridKind]
    sharing: Sharing

    def __init__(
        self,
        specs: Sequence[SearchSpec],
        path: Address,
        listen: Listener | None,
        *,
        begun: bool = False,
    ) -> None:
        check_specs(specs, begun=begun)
        self.specs, self.path = tuple(specs), to_path(path)
        self.listen: Listener = listen or default_listener("searching")
        self._begun = begun
        self.cells = tuple(cell for spec in specs for cell in self._cells(spec))

    def _cells(self, spec: SearchSpec) -> Iterator[Cell]:
        """The search of a specification, or that in each of its folds."""
        dataset, method = names_of(spec)
        folder = _below(self.path, self.kind.run(dataset, method))
        for one in fold_specs(spec):
            yield Cell(one, dataset, method, RunFolder(_below(folder, fold_folder(one))), folder)

    @property
    def wholes(self) -> dict[UPath, SearchSpec]:
        """By folder the specification of all folds of a dataset and method; none without folds."""
        if self.specs[0].folds is None:
            return {}
        folders = dict.fromkeys(cell.folder for cell in self.cells)
        return dict(zip(folders, self.specs, strict=True))

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets."""
        return tuple(dict.fromkeys(cell.dataset for cell in self.cells))

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods."""
        return tuple(dict.fromkeys(cell.method for cell in self.cells))

    def facts(self) -> dict[str, str]:
        """What is searched, and where."""
        names = {"dataset": ", ".join(self.datasets), "method": ", ".join(self.methods)}
        shared = self.specs[0].facts() | names
        if len(self.datasets) > 1:
            shared.pop("source", None)
        return {**shared, "folder": str(self.path)}

    def concurrent_studies(self, worker_groups: int) -> int | None:
        """Number of studies that run in parallel; None for one that suits their number."""
        return None

    @abstractmethod
    def write_tables(self, runs: Sequence[MethodRun]) -> None:
        """Write the tables that follow from all searches."""

    def conclude(self, session: SharedSession) -> None:
        """Do what follows from the models of all searches, once these are concluded.

        Args:
            session: The session that the searches ran in.
        """

    def more_index(self) -> dict[str, Any]:
        """Other content of the index than datasets, their sources, and methods."""
        return {}

    def shared_request(self) -> dict[str, Any]:
        """The part of the request that the searches share, for a page of results."""
        names = {"dataset": ", ".join(self.datasets), "method": ", ".join(self.methods)}
        shared = self.specs[0].to_dict() | names
        if len(self.datasets) > 1:
            del shared["source"]
        return shared

    @contextlib.contextmanager
    def created(self) -> Generator[None]:
        """Create what is missing of the folder; remove it again where the request is refused."""
        fresh, made = not self._begun, list[Cell]()
        if fresh:
            check_new(self.path)
        with removed_if_refused(lambda: self._withdraw(made, with_folder=fresh)):
            if fresh:
                self._write_index()
            made.extend(self._create_runs())
            self._begun = True
            yield

    def _create_runs(self) -> Iterator[Cell]:
        """Create the run folders that are missing; yields their cells."""
        for folder, spec in self.wholes.items():
            write_json_once(RunFolder(folder).spec, spec.to_dict())
            write_json_once(folder / FOLDS.index, self._index(folder))
        for cell in self.cells:
            with storage_errors(str(cell.run.path)):
                known = cell.run.spec.is_file()
            if not known:
                cell.run.create(cell.spec.to_dict())
                yield cell

    def save(self) -> None:
        """Write down what the grid has grown to, once this process has it for itself."""
        specs = {RunFolder(folder).spec: spec for folder, spec in self.wholes.items()}
        specs |= {cell.run.spec: cell.spec for cell in self.cells}
        for path, spec in specs.items():
            if read_json(path)["test_seeds"] != spec.test_seeds:
                write_json(path, spec.to_dict())
        self._write_index()

    def _write_index(self) -> None:
        write_json(self.path / self.kind.index, self._index(self.path) | self.more_index())

    def _index(self, folder: UPath) -> dict[str, Any]:
        """What the index in a folder says of the runs in it."""
        cells = [cell for cell in self.cells if folder in (self.path, cell.folder)]
        content: dict[str, Any] = {
            "datasets": list(dict.fromkeys(cell.dataset for cell in cells)),
            "sources": {cell.dataset: cell.spec.source for cell in cells},
            "methods": list(dict.fromkeys(cell.method for cell in cells)),
        }
        if self.wholes:
            paths = [str(cell.run.path).removeprefix(f"{folder}/") for cell in cells]
            content["runs"] = paths
        return content

    def _withdraw(self, made: Sequence[Cell], *, with_folder: bool) -> None:
        """Remove the runs that were created for nothing, with the grid's folder if they are all."""
        idle = [cell for cell in made if not read_events(cell.run.ledger)]
        begun = len(idle) < len(made) or read_events(RunFolder(self.path).ledger)
        if with_folder and not begun:
            with storage_errors(str(self.path)):
                discard_tree(self.path)
            self._begun = False
            return
        named = {self.path / run for run in self.kind.run_names(read_index(self.kind, self.path))}
        for folder in {cell.folder for cell in idle if cell.run.path not in named}:
            with storage_errors(str(folder)):
                discard_tree(folder)
                parent = folder.parent
                if is_local(parent) and next(children(parent), None) is None:
                    discard_tree(parent)


def _below(folder: UPath, name: str) -> UPath:
    return folder / name if name else folder
