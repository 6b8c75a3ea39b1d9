"""A grid of searches and its folder: created, resumed, grown, withdrawn where it is refused."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Generator, Iterator, Sequence
from typing import Any, ClassVar, Literal

from supremix._display import Displayed
from supremix.benchmark.cells import Cell, check_specs, names_of
from supremix.benchmark.result import read_index
from supremix.progress.progress import Listener, silent
from supremix.runs.folder import RunFolder, check_new, removed_if_refused, write_json
from supremix.runs.grids import GridKind
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
        specs: A specification for each search.
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
        self.listen: Listener = listen or silent
        self._begun = begun
        names = [names_of(spec) for spec in specs]
        self.cells = tuple(
            Cell(spec, dataset, method, RunFolder(self.path / self.kind.run(dataset, method)))
            for spec, (dataset, method) in zip(specs, names, strict=True)
        )

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
        fresh, made = not self._begun, list[RunFolder]()
        if fresh:
            check_new(self.path)
        with removed_if_refused(lambda: self._withdraw(made, with_folder=fresh)):
            if fresh:
                self._write_index()
            made.extend(self._create_runs())
            self._begun = True
            yield

    def _create_runs(self) -> Iterator[RunFolder]:
        """Create the run folders that are missing; yields them."""
        for cell in self.cells:
            with storage_errors(str(cell.run.path)):
                known = cell.run.spec.is_file()
            if not known:
                cell.run.create(cell.spec.to_dict())
                yield cell.run

    def save(self) -> None:
        """Write down what the grid has grown to, once this process has it for itself."""
        for cell in self.cells:
            if cell.run.read_spec()["test_seeds"] != cell.spec.test_seeds:
                write_json(cell.run.spec, cell.spec.to_dict())
        self._write_index()

    def _write_index(self) -> None:
        content = {
            "datasets": list(self.datasets),
            "sources": {cell.dataset: cell.spec.source for cell in self.cells},
            "methods": list(self.methods),
            **self.more_index(),
        }
        write_json(self.path / self.kind.index, content)

    def _withdraw(self, made: Sequence[RunFolder], *, with_folder: bool) -> None:
        """Remove the runs that were created for nothing, with the grid's folder if they are all."""
        idle = [run for run in made if not read_events(run.ledger)]
        begun = len(idle) < len(made) or read_events(RunFolder(self.path).ledger)
        if with_folder and not begun:
            with storage_errors(str(self.path)):
                discard_tree(self.path)
            self._begun = False
            return
        named = {self.path / run for run in self.kind.run_names(read_index(self.kind, self.path))}
        for run in idle:
            if run.path not in named:
                run.remove()
                parent = run.path.parent
                with storage_errors(str(parent)):
                    if is_local(parent) and next(children(parent), None) is None:
                        discard_tree(parent)
