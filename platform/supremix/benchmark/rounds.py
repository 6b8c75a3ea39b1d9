"""Several methods searched one after the other on the same ground, by the same worker groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from upath import UPath

from supremix.benchmark.shared_session import part_of, together
from supremix.cluster import Executor
from supremix.errors import USER_ERRORS, SearchFailedError, SpecError
from supremix.progress.progress import Listener
from supremix.runs.folder import RunFolder
from supremix.search.driver import search, started_executor, telling
from supremix.search.final_evaluation import write_tables
from supremix.search.prepare import PreparedSearch, Resources, find_resources, prepare_search
from supremix.search.session import SearchSession
from supremix.search.spec import SearchSpec
from supremix.storage.retry import with_retries
from supremix.tuning.ledger.ledger import Ledger
from supremix_reports import MethodRun, write_comparison


def run_comparison(
    folder: UPath, specs: Sequence[SearchSpec], runs: Sequence[RunFolder], listen: Listener
) -> None:
    """Run or go on with the searches of a comparison, and write what follows from them together.

    Args:
        folder: Of the comparison.
        specs: A search a method; they differ in the method alone.
        runs: Their folders, created.
        listen: Told of every step.

    Raises:
        USER_ERRORS: Something is wrong with one of the searches; nothing was trained.
        SearchFailedError: No method came to a result.
        SearchInterrupted: Ctrl-C or SIGTERM; the comparison can be resumed.
    """
    names = specs[0].resolve_dataset().card.name
    with together(folder, runs, specs[0], names, listen) as held:
        ground = find_resources(specs[0], held.listen)
        rounds = [
            _prepare(spec, run, ground, _part_of(held.listen, spec, number, len(specs)))
            for number, (spec, run) in enumerate(zip(specs, runs, strict=True), start=1)
        ]
        _Rounds(folder, rounds, held.check).run(ground, held.listen)


def _prepare(
    spec: SearchSpec, run: RunFolder, ground: Resources, listen: Listener
) -> PreparedSearch:
    try:
        return prepare_search(spec, run, ground, listen, run.path.parent)
    except USER_ERRORS as error:
        raise SpecError(f"method {spec.resolve_method().name}: {error}") from error


def _part_of(listen: Listener, spec: SearchSpec, number: int, count: int) -> Listener:
    return part_of(listen, f"{spec.resolve_method().name} ({number} of {count})")


class _Rounds:
    """The searches of a comparison, and why some of them came to nothing."""

    def __init__(
        self, folder: UPath, settings: Sequence[PreparedSearch], check: Callable[[], None]
    ) -> None:
        self._folder, self._settings, self._check = folder, settings, check
        self._reasons: dict[str, str] = {}

    def run(self, ground: Resources, listen: Listener) -> None:
        pending = [setting for setting in self._settings if not _concluded(setting)]
        while pending:
            with started_executor(ground.plan, listen) as executor:
                # A method that came to nothing may have taken the worker groups with it: new ones
                # then.
                while pending and self._search(pending.pop(0), executor):
                    self._write()
        self._write()
        if len(self._reasons) == len(self._settings):
            reasons = "; ".join(f"{name}: {why}" for name, why in self._reasons.items())
            raise SearchFailedError(f"no method came to a result. {reasons}")

    def _search(self, setting: PreparedSearch, executor: Executor) -> bool:
        tell = telling(setting.listen)
        with Ledger(setting.run.ledger, tell=tell, guard=self._check) as ledger:
            try:
                search(setting, ledger, executor)
            except SearchFailedError as error:
                self._reasons[_name(setting)] = str(error)
        return _name(setting) not in self._reasons

    def _write(self) -> None:
        self._check()
        with_retries(self._write_once, str(self._folder))

    def _write_once(self) -> None:
        folder, shared = str(self._folder), self._settings[0]
        runs = [
            MethodRun.read(
                folder,
                dataset=setting.store.card.name,
                method=_name(setting),
                run=setting.run.path.name,
                unit=setting.store.card.unit,
                reason=self._reasons.get(_name(setting)),
            )
            for setting in self._settings
        ]
        spec = {**shared.spec.to_dict(), "method": ", ".join(map(_name, self._settings))}
        write_comparison(folder, runs, spec)


def _name(setting: PreparedSearch) -> str:
    return setting.spec.resolve_method().name


def _concluded(setting: PreparedSearch) -> bool:
    """Whether there is nothing left to do for a search; its tables are written if they are not."""
    with Ledger(setting.run.ledger) as ledger:
        work = SearchSession(setting.run, ledger, [setting])
        if work.concluded:
            write_tables(work)
        return work.concluded
