"""The searches of a benchmark, run by the same worker groups, and what follows from all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from upath import UPath

from supremix.benchmark.many_driver import dataset_name, prepare_all
from supremix.benchmark.shared_session import together
from supremix.errors import SearchFailedError
from supremix.progress.progress import Listener, Progress
from supremix.runs.folder import RunFolder
from supremix.search.driver import search_all, started_executor
from supremix.search.final_evaluation import write_tables
from supremix.search.session import SearchSession
from supremix.search.spec import SearchSpec
from supremix.storage.retry import with_retries
from supremix.tuning.study.scheduler import overlapping_studies
from supremix_reports import MethodRun, write_benchmark


def run_benchmark(
    folder: UPath,
    specs: Sequence[SearchSpec],
    runs: Sequence[RunFolder],
    reference: str,
    listen: Listener,
    grow: Callable[[Sequence[RunFolder]], None],
) -> None:
    """Run or go on with the searches of a benchmark, and write what follows from them together.

    Args:
        folder: Of the benchmark.
        specs: A search for each dataset and method; they differ in those alone.
        runs: Their folders, created.
        reference: Name of the method that the others are compared with.
        listen: Told of every step.
        grow: Writes down what the benchmark is from now on; called with its runs as soon as they
            are held by this process alone and known to be possible.

    Raises:
        USER_ERRORS: Something is wrong with one of the searches; nothing was trained.
        SearchFailedError: None came to a result.
        SearchInterrupted: Ctrl-C or SIGTERM; the benchmark can be resumed.
    """
    names = ", ".join(dict.fromkeys(map(dataset_name, specs)))
    with together(folder, runs, specs[0], names, listen) as held:
        settings = prepare_all(specs, runs, held.listen, folder)
        grow(runs)
        works = [SearchSession(s.run, held.ledger(s.run, s.listen), [s]) for s in settings]
        pending = [work for work in works if not work.concluded]
        held.listen(Progress(message=f"{len(works) - len(pending)} of {len(works)} searches done"))
        for work in works:
            if work.concluded:
                write_tables(work)
        reasons: dict[str, str] = {}
        if pending:
            plan = settings[0].plan
            with started_executor(plan, held.listen) as executor:
                failures = search_all(pending, executor, overlapping_studies(plan.count))
            reasons = {name: str(error) for name, error in failures.items()}
        held.check()
        with_retries(lambda: _write(folder, works, reasons, reference), str(folder))
    if len(reasons) == len(works):
        causes = "; ".join(f"{name}: {why}" for name, why in reasons.items())
        raise SearchFailedError(f"no search of the benchmark came to a result. {causes}")


def _write(
    folder: UPath, works: Sequence[SearchSession], reasons: dict[str, str], reference: str
) -> None:
    runs = [
        MethodRun.read(
            str(folder),
            dataset=work.setting.store.card.name,
            method=work.spec.resolve_method().name,
            run=f"{work.run.path.parent.name}/{work.run.path.name}",
            unit=work.unit,
            reason=reasons.get(work.run.name),
        )
        for work in works
    ]
    write_benchmark(str(folder), runs, reference=reference)
