"""The preparation of a grid's searches, those on the cheapest datasets first."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Sequence

from supremix.benchmark.cells import Cell
from supremix.benchmark.folds import fold_folder, fold_resources
from supremix.benchmark.grid import Grid
from supremix.errors import USER_ERRORS, SpecError
from supremix.progress.progress import Listener
from supremix.search.prepare import (
    PreparedSearch,
    Resources,
    find_resources,
    kept_identity,
    prepare_search,
)
from supremix.search.settling import settle_lengths
from supremix.search.shared_session import named_part
from supremix.tuning.study.scheduler import concurrent_studies


def prepare_searches(grid: Grid, listen: Listener) -> list[PreparedSearch]:
    """Prepare the searches of a grid, those on datasets with the least to compute first.

    Raises:
        USER_ERRORS: One of them cannot be carried out; nothing was trained.
    """
    # The order matters: later studies learn from earlier ones, and a joint objective prunes bad
    # trials before they reach the expensive datasets.
    resources: dict[str, Resources] = {}
    for cell in grid.cells:
        if cell.dataset not in resources:
            with _named(f"dataset {cell.dataset}" if len(grid.datasets) > 1 else ""):
                tell = named_part(listen, cell.dataset) if len(grid.datasets) > 1 else listen
                runs = (one.run for one in grid.cells if one.dataset == cell.dataset)
                begun = next(filter(None, map(kept_identity, runs)), None)
                resources[cell.dataset] = find_resources(cell.spec, tell, begun)

    def epoch_cost(cell: Cell) -> tuple[int, str]:
        """Estimated by the images' number times their size."""
        store = resources[cell.dataset].store
        return len(store.index) * math.prod(store.card.shape), store.card.name

    cells = sorted(grid.cells, key=epoch_cost)
    found: list[PreparedSearch] = []
    for cell, part in zip(cells, _parts(grid, cells), strict=True):
        method = f"method {cell.method}" if len(grid.methods) > 1 else ""
        dataset = f"dataset {cell.dataset}" if len(grid.datasets) > 1 else ""
        with _named(" on ".join(filter(None, (method, dataset)))):
            tell = listen if grid.sharing == "joint objective" else named_part(listen, part)
            own = fold_resources(cell.spec, resources[cell.dataset])
            found.append(prepare_search(cell.spec, cell.run, own, tell, grid.path))
    studies = [found] if grid.sharing == "joint objective" else [[one] for one in found]
    share = 1 if grid.sharing == "joint objective" else _concurrent(grid, found[0].plan.count)
    return [one for study in settle_lengths(studies, share=share) for one in study]


def _concurrent(grid: Grid, worker_groups: int) -> int:
    """Number of studies of a grid that share the worker groups at the same time."""
    in_turn = len(grid.specs) if grid.sharing == "in turn" else 1
    number, warm_start = len(grid.cells) // in_turn, bool(grid.specs[0].warm_start)
    suited = concurrent_studies(worker_groups, number, warm_start=warm_start)
    return min(number, grid.concurrent_studies(worker_groups) or suited)


def _parts(grid: Grid, cells: Sequence[Cell]) -> list[str]:
    """Names of the searches in what is shown of their progress."""
    names = [
        "/".join(filter(None, (grid.kind.run(one.dataset, one.method), fold_folder(one.spec))))
        for one in cells
    ]
    if grid.sharing != "in turn":
        return names
    return [f"{name} ({number} of {len(names)})" for number, name in enumerate(names, start=1)]


@contextlib.contextmanager
def _named(search: str) -> Generator[None]:
    """Name the search that cannot be carried out, where there are several."""
    try:
        yield
    except USER_ERRORS as error:
        raise (SpecError(f"{search}: {error}") if search else error) from error
