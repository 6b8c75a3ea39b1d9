"""Several datasets searched at once, by the same gangs: a study each, or one for all of them."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
from collections.abc import Generator, Sequence

from supremix.announcing import announced
from supremix.cluster import ray_runtime
from supremix.driver import search_all, started_crew, telling
from supremix.errors import USER_ERRORS, SearchFailedError, SearchInterrupted, SpecError
from supremix.locks import Lock, locked
from supremix.progress import Listener, Progress
from supremix.runs import RunFolder
from supremix.search.interrupts import interrupts
from supremix.search.ledger import Ledger
from supremix.setting import Ground, Setting, find_ground, keep_space, prepare_setting
from supremix.spec import SearchSpec
from supremix.standing import RATIO
from supremix.training.persistence import persistently
from supremix.work import Work
from supremix_datasets import Store
from supremix_reports import MethodRun, write_many


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
    try:
        with (
            contextlib.ExitStack() as held,
            ray_runtime(specs[0].address, wheel=specs[0].wheel),
            interrupts.listening(),
            announced(
                specs[0].webhook,
                str(folder.path),
                ", ".join(run.path.name for run in runs),
                listen,
                stall=specs[0].stall,
            ) as told,
        ):
            locks = [held.enter_context(locked(p)) for p in (folder.path, *(r.path for r in runs))]
            tell = _one_at_a_time(told)
            settings = _settings(folder, specs, runs, tell)
            works = held.enter_context(_works(folder, settings, objective, locks, tell))
            with started_crew(settings[0].plan, tell) as crew:
                reasons = {name: str(why) for name, why in search_all(works, crew).items()}
            _write(folder, settings, reasons)
            if len(reasons) == len(works):
                causes = "; ".join(f"{name}: {why}" for name, why in reasons.items())
                raise SearchFailedError(f"no dataset came to a result. {causes}")
    except KeyboardInterrupt as error:
        raise SearchInterrupted(str(folder.path)) from error


def _settings(
    folder: RunFolder, specs: Sequence[SearchSpec], runs: Sequence[RunFolder], listen: Listener
) -> list[Setting]:
    """What each dataset's search stands on, those with the least to compute first.

    The order matters twice: later studies learn from earlier ones, and a joint objective gives bad
    settings up before they see the expensive datasets.
    """
    grounds: list[tuple[SearchSpec, RunFolder, Ground]] = []
    for spec, run in zip(specs, runs, strict=True):
        with _named(spec):
            grounds.append((spec, run, find_ground(spec, _part_of(listen, spec))))
    grounds.sort(key=lambda one: (_cost(one[2].store), one[2].store.card.name))
    settings: list[Setting] = []
    for spec, run, ground in grounds:
        with _named(spec):
            tell = _part_of(listen, spec)
            settings.append(prepare_setting(spec, run, ground, tell, folder.path))
    return settings


@contextlib.contextmanager
def _works(
    folder: RunFolder,
    settings: Sequence[Setting],
    objective: str,
    locks: Sequence[Lock],
    listen: Listener,
) -> Generator[list[Work]]:
    """The searches: one for each dataset, or one for all of them."""

    def guard() -> None:
        for lock in locks:
            lock.check()

    def opened(run: RunFolder, tell: Listener) -> Ledger:
        return ledgers.enter_context(Ledger(run.ledger, tell=telling(tell), guard=guard))

    with contextlib.ExitStack() as ledgers:
        if objective == "joint":
            _check_references(settings)
            keep_space(folder, settings[0].space)
            whole = [dataclasses.replace(one, listen=listen) for one in settings]
            yield [Work(folder, opened(folder, listen), whole, unit=RATIO)]
        else:
            yield [Work(s.run, opened(s.run, s.listen), [s]) for s in settings]


def _check_references(settings: Sequence[Setting]) -> None:
    for setting in settings:
        if not setting.reference > 0:
            raise SpecError(
                f"the validation labels of {setting.store.card.name} are all the median of the "
                "training labels, so no ratio to that error can be formed. Leave the dataset out, "
                "or search it alone."
            )


def _write(folder: RunFolder, settings: Sequence[Setting], reasons: dict[str, str]) -> None:
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
    persistently(lambda: write_many(str(folder.path), runs, shared), str(folder.path))


def _cost(store: Store) -> int:
    """What an epoch costs, as far as the images tell: their number times their size."""
    return len(store.index) * math.prod(store.card.shape)


@contextlib.contextmanager
def _named(spec: SearchSpec) -> Generator[None]:
    try:
        yield
    except USER_ERRORS as error:
        raise SpecError(f"dataset {spec.resolve_dataset().card.name}: {error}") from error


def _part_of(listen: Listener, spec: SearchSpec) -> Listener:
    part = spec.resolve_dataset().card.name

    def tell(progress: Progress) -> None:
        listen(dataclasses.replace(progress, part=part))

    return tell


def _one_at_a_time(listen: Listener) -> Listener:
    """A listener that several threads may tell."""
    lock = threading.Lock()

    def tell(progress: Progress) -> None:
        with lock:
            listen(progress)

    return tell
