"""Several datasets searched at once, by the same groups: a study each, or one for all of them."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Generator, Sequence

from upath import UPath

from supremix.benchmark.shared_session import SharedSession, part_of, together
from supremix.errors import USER_ERRORS, SearchFailedError, SpecError
from supremix.progress.progress import Listener
from supremix.runs.folder import RunFolder
from supremix.runs.grids import JOINT_OBJECTIVE, RATIO
from supremix.search.driver import search_all, started_executor
from supremix.search.prepare import (
    PreparedSearch,
    Resources,
    find_resources,
    keep_space,
    prepare_search,
)
from supremix.search.session import SearchSession
from supremix.search.spec import SearchSpec
from supremix.storage.retry import with_retries
from supremix_datasets import Store
from supremix_reports import MethodRun, write_multi_dataset


def run_many(
    folder: RunFolder,
    specs: Sequence[SearchSpec],
    runs: Sequence[RunFolder],
    objective: str,
    listen: Listener,
) -> None:
    """Run or go on with a search over several datasets.

    Args:
        folder: Of the whole.
        specs: A search a dataset; they differ in dataset and source alone.
        runs: Their folders, created.
        objective: ``"per-dataset"`` or ``"joint"``.
        listen: Told of every step.

    Raises:
        USER_ERRORS: Something is wrong with one of the searches; nothing was trained.
        SearchFailedError: No dataset came to a result.
        SearchInterrupted: Ctrl-C or SIGTERM; the search can be resumed.
    """
    names = ", ".join(run.path.name for run in runs)
    with together(folder.path, runs, specs[0], names, listen) as held:
        settings = prepare_all(specs, runs, held.listen, folder.path)
        works = _works(folder, settings, objective, held)
        with started_executor(settings[0].plan, held.listen) as executor:
            reasons = {name: str(why) for name, why in search_all(works, executor).items()}
        _write(folder, settings, reasons)
        if len(reasons) == len(works):
            causes = "; ".join(f"{name}: {why}" for name, why in reasons.items())
            raise SearchFailedError(f"no dataset came to a result. {causes}")


def prepare_all(
    specs: Sequence[SearchSpec], runs: Sequence[RunFolder], listen: Listener, whole: UPath
) -> list[PreparedSearch]:
    """What the searches stand on, those on datasets with the least to compute first.

    The order matters: later studies learn from earlier ones, and a joint objective gives bad
    settings up before they see the expensive datasets.

    Args:
        specs: A search each; those on one dataset stand on the same ground.
        runs: Their folders.
        listen: Told of every step.
        whole: Folder of the whole.

    Raises:
        USER_ERRORS: One of them cannot be carried out; nothing was trained.
    """
    grounds: dict[str, Resources] = {}
    for spec in specs:
        name = dataset_name(spec)
        if name not in grounds:
            with _named(name):
                grounds[name] = find_resources(spec, part_of(listen, name))
    pairs = sorted(
        zip(specs, runs, strict=True), key=lambda pair: _cost(grounds[dataset_name(pair[0])].store)
    )
    settings: list[PreparedSearch] = []
    for spec, run in pairs:
        name = dataset_name(spec)
        with _named(name if run.path.name == name else f"{run.path.name} on {name}"):
            tell = part_of(listen, str(run.path).removeprefix(str(whole)).strip("/"))
            settings.append(prepare_search(spec, run, grounds[name], tell, whole))
    return settings


def _works(
    folder: RunFolder, settings: Sequence[PreparedSearch], objective: str, held: SharedSession
) -> list[SearchSession]:
    """The searches: one for each dataset, or one for all of them."""
    if objective != JOINT_OBJECTIVE:
        return [SearchSession(s.run, held.ledger(s.run, s.listen), [s]) for s in settings]
    _check_references(settings)
    keep_space(folder, settings[0].space)
    whole = [dataclasses.replace(one, listen=held.listen) for one in settings]
    return [SearchSession(folder, held.ledger(folder, held.listen), whole, unit=RATIO)]


def _check_references(settings: Sequence[PreparedSearch]) -> None:
    for setting in settings:
        if not setting.reference > 0:
            raise SpecError(
                f"the validation labels of {setting.store.card.name} are all the median of the "
                "training labels, so no ratio to that error can be formed. Leave the dataset out, "
                "or search it alone."
            )


def _write(folder: RunFolder, settings: Sequence[PreparedSearch], reasons: dict[str, str]) -> None:
    """Write what follows from all of them together."""
    everyone = reasons.get(folder.name)
    runs = [
        MethodRun.read(
            str(folder.path),
            dataset=setting.store.card.name,
            method=setting.spec.resolve_method().name,
            run=setting.run.path.name,
            unit=setting.store.card.unit,
            reason=everyone or reasons.get(setting.run.name),
        )
        for setting in settings
    ]
    shared = {**settings[0].spec.to_dict(), "dataset": ", ".join(run.dataset for run in runs)}
    shared.pop("source")
    with_retries(lambda: write_multi_dataset(str(folder.path), runs, shared), str(folder.path))


def dataset_name(spec: SearchSpec) -> str:
    """Name of a search's dataset."""
    return spec.resolve_dataset().card.name


def _cost(store: Store) -> tuple[int, str]:
    """What an epoch costs, as far as the images tell: their number times their size."""
    return len(store.index) * math.prod(store.card.shape), store.card.name


@contextlib.contextmanager
def _named(name: str) -> Generator[None]:
    try:
        yield
    except USER_ERRORS as error:
        raise SpecError(f"dataset {name}: {error}") from error
