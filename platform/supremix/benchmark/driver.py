"""The driver of a grid: from its creation to the tables that follow from all its searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from upath import UPath

from supremix.benchmark.folds import is_first, with_hyperparameters, write_pooled
from supremix.benchmark.grid import Grid
from supremix.benchmark.preparation import prepare_searches
from supremix.cluster import Executor
from supremix.errors import SearchFailedError, SearchInterrupted, SpecError
from supremix.progress.progress import Progress
from supremix.runs.folder import RunFolder
from supremix.runs.grids import RATIO
from supremix.search.driver import search_all, started_executor
from supremix.search.final_evaluation import write_tables
from supremix.search.prepare import PreparedSearch, check_pretrained, keep_space
from supremix.search.session import SearchSession
from supremix.search.shared_session import SharedSession, shared_session
from supremix.storage.retry import with_retries
from supremix_reports import MethodRun


def run_grid(grid: Grid) -> None:
    """Create a grid, or resume it, and run its searches until all are concluded.

    Args:
        grid: The searches, in the order in which they begin where they cost the same.

    Raises:
        USER_ERRORS: Something is wrong with one of the searches; nothing was trained.
        SearchFailedError: No search has a result. One without, while others have one, does not
            end the grid: the tables have the reason.
        SearchInterrupted: Ctrl-C or SIGTERM; the grid can be resumed.
    """
    with grid.created():
        run_searches(grid)


def run_searches(grid: Grid) -> None:
    """Run the searches of a grid whose folders are there; raises what `run_grid` does."""
    runs, names = [cell.run for cell in grid.cells], ", ".join(grid.datasets)
    interrupted = SearchInterrupted(str(grid.path), grid.kind.command)
    for cell in grid.cells:
        check_pretrained(cell.spec, cell.run)
    with shared_session(
        grid.path, runs, grid.specs[0], names, grid.listen, interrupted=interrupted
    ) as session:
        prepared = prepare_searches(grid, session.listen)
        grid.save()
        GridDriver(grid, prepared, session).run()


class GridDriver:
    """Runs the prepared searches of a grid, and writes what follows from all of them."""

    def __init__(
        self, grid: Grid, prepared: Sequence[PreparedSearch], session: SharedSession
    ) -> None:
        self._grid, self._prepared, self._session = grid, prepared, session
        self._searches = self._open()
        self._reasons: dict[str, str] = {}

    def _open(self) -> list[SearchSession]:
        """A search for each cell, or one for all of them."""
        session = self._session
        if self._grid.sharing != "joint objective":
            return [
                SearchSession(one.run, session.ledger(one.run, one.listen), [one])
                for one in self._prepared
            ]
        _check_references(self._prepared)
        run = RunFolder(self._grid.path)
        keep_space(run, self._prepared[0].space)
        ledger = session.ledger(run, session.listen)
        return [SearchSession(run, ledger, self._prepared, unit=RATIO)]

    def run(self) -> None:
        """Run the searches that are not concluded.

        Raises:
            SearchFailedError: None has a result.
        """
        self._warn()
        batches = self._batches()
        while batches:
            with started_executor(self._prepared[0].plan, self._session.listen) as executor:
                # A search that fails may have taken the worker groups with it: new ones then.
                while batches and self._search(batches.pop(0), executor):
                    pass
        self._write()
        every = len(self._reasons) == len(self._searches)
        if every or self._no_whole():
            what = "no search has a result" if every else "no method has a result in every fold"
            causes = "; ".join(f"{name}: {why}" for name, why in self._reasons.items())
            raise SearchFailedError(f"{what}. {causes}")
        self._grid.conclude(self._session)

    def _no_whole(self) -> bool:
        """Whether each method lacks a fold, so that nothing is pooled."""
        wholes = self._wholes(self._searches).values() if self._grid.wholes else ()
        return bool(wholes) and not any(all(s.is_evaluated for s in own) for own in wholes)

    def _warn(self) -> None:
        """Say what a cross-validation makes of official splits."""
        stores = {one.store.card.name: one.store for one in self._prepared if self._grid.wholes}
        for name, store in stores.items():
            if store.index["split"].count():
                text = f"{name}: its official split does not count in a cross-validation"
                self._session.listen(Progress(message=text, warning=True))

    def _batches(self) -> list[list[SearchSession]]:
        """The searches still to run, those that run in parallel in one list."""
        every = self._searches
        pending = [search for search in every if not search.is_evaluated]
        done = len(every) - len(pending)
        self._session.listen(Progress(message=f"{done} of {len(every)} searches done"))
        for search in [one for one in every if one not in pending]:
            write_tables(self._with_hyperparameters(search) or search)
        if self._grid.sharing == "in turn":
            return [
                batch for own in self._wholes(pending).values() for batch in self._in_order(own)
            ]
        # With warm starts later studies learn from all earlier ones, the concluded ones as well.
        batch = every if pending and every[0].spec.warm_start else pending
        return self._in_order(batch)

    def _in_order(self, batch: list[SearchSession]) -> list[list[SearchSession]]:
        """Where hyperparameters are searched once, the first folds before those that take them."""
        if not batch or not batch[0].spec.search_once:
            return [batch] if batch else []
        parts = [[one for one in batch if is_first(one.spec) is first] for first in (True, False)]
        return [part for part in parts if part]

    def _wholes(self, searches: Sequence[SearchSession]) -> dict[UPath, list[SearchSession]]:
        """Searches by the folder of their dataset and method: one, or those of its folds."""
        folders = {str(cell.run.path): cell.folder for cell in self._grid.cells}
        found: dict[UPath, list[SearchSession]] = {}
        for one in searches:
            found.setdefault(folders[str(one.run.path)], []).append(one)
        return found

    def _with_hyperparameters(self, search: SearchSession) -> SearchSession | None:
        """The search, with the hyperparameters of the first fold where these are searched once."""
        if not search.spec.search_once or is_first(search.spec):
            return search
        whole = next(own for own in self._wholes(self._searches).values() if search in own)
        first = next(one for one in whole if is_first(one.spec))
        if first.best is None or not first.is_validated:
            self._reasons[search.run.name] = f"the search in {first.run.name} has no result"
            return None
        one = with_hyperparameters(search.first, first.best.config)
        found = SearchSession(search.run, search.ledger, [one])
        self._searches[self._searches.index(search)] = found
        return found

    def _search(self, batch: list[SearchSession], executor: Executor) -> bool:
        """Run searches in parallel; returns whether all have a result."""
        batch = [one for search in batch if (one := self._with_hyperparameters(search))]
        studies = self._grid.concurrent_studies(executor.plan.count)
        failures = search_all(batch, executor, studies) if batch else {}
        self._reasons |= {name: str(error) for name, error in failures.items()}
        self._write()
        return not failures

    def _write(self) -> None:
        self._session.check()
        reason = self._reasons.get(self._grid.path.name)
        runs: list[MethodRun] = []
        if self._grid.sharing == "joint objective":
            runs = [_method_run(self._grid, [one], reason, self._reasons) for one in self._prepared]
        for folder, own in {} if runs else self._wholes(self._searches).items():
            prepared = [one.first for one in own]
            if folder in self._grid.wholes and all(one.is_evaluated for one in own):
                spec = self._grid.wholes[folder]
                with_retries(
                    lambda f=folder, s=spec, p=prepared: write_pooled(f, s, p), str(folder)
                )
            runs.append(_method_run(self._grid, prepared, reason, self._reasons))
        with_retries(lambda: self._grid.write_tables(runs), str(self._grid.path))


def _method_run(
    grid: Grid,
    searches: Sequence[PreparedSearch],
    grid_reason: str | None,
    reasons: Mapping[str, str],
) -> MethodRun:
    """The results of a dataset and method, from one search or from those of all its folds."""
    one, names = searches[0], [search.run.name for search in searches]
    reason = next((reasons[name] for name in names if name in reasons), None)
    dataset, method = one.store.card.name, one.spec.resolve_method().name
    return MethodRun.read(
        str(grid.path),
        dataset=dataset,
        method=method,
        run=grid.kind.run(dataset, method),
        unit=one.store.card.unit,
        reason=grid_reason or reason,
    )


def _check_references(prepared: Sequence[PreparedSearch]) -> None:
    for one in prepared:
        if not one.reference > 0:
            raise SpecError(
                f"the validation labels of {one.store.card.name} are all the median of the "
                "training labels, so no ratio to that error can be formed. Leave the dataset out, "
                "or search it alone."
            )
