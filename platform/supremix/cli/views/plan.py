"""A plan on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from supremix.planning.problems import describe_bytes, describe_time

if TYPE_CHECKING:
    from supremix.planning.costs import Range
    from supremix.planning.plan import Plan
    from supremix.planning.study_plan import StudyPlan

NAME = 16
"""Width of what stands before each line."""

ENDS = {
    "trials": "all that are asked for",
    "time": "until the time is used up",
    "gpu_hours": "until the GPU hours are used up",
}


def lines(plan: Plan) -> Iterator[Text]:
    """The lines of a plan: the machine, each search, the sum, what does not fit."""
    worker_groups = plan.worker_groups
    gpus = f" + {worker_groups.gpus:g} GPU" if worker_groups.gpus else ""
    yield _line(
        "machine",
        f"{worker_groups.count} worker group(s) of {worker_groups.workers} worker(s) with "
        f"{worker_groups.cpus:g} CPU{gpus} each, on {plan.nodes} node(s)",
    )
    for study in plan.studies:
        yield Text()
        yield from _study(study, gpus=worker_groups.gpus > 0)
    yield Text()
    if len(plan.studies) > 1:
        yield Text("all together", style="bold")
    yield from _sum(plan)
    yield Text()
    if plan.fits:
        yield Text("all of it fits", style="bold green")
        return
    yield Text("what does not fit", style="bold red")
    for problem in plan.problems:
        yield Text(f"- {problem}")


def _study(study: StudyPlan, *, gpus: bool) -> Iterator[Text]:
    yield Text(f"{study.method} on {study.dataset}", style="bold")
    if study.folds > 1:
        yield _line("folds", f"{study.folds} in all, each with a search; below is that of one")
    yield _line("trials", f"{study.trials}, {ENDS[study.ends_by]}")
    yield _line("a whole trial", str(study.trial))
    epochs = study.epochs
    yield _line(
        "epochs",
        f"about {epochs.likely:.0f}, {epochs.likely / study.trials:.1f} a trial; at most "
        f"{study.trial.epochs * study.trials}",
    )
    for stage in study.stages:
        yield _line(
            "an epoch",
            f"{stage.seconds:.2f} s of {stage.stage} on {stage.dataset}, batch {stage.batch}",
        )
    yield _line("trials' time", _times(study.search))
    if study.replicates:
        times = _times(study.replicate_seconds)
        yield _line(
            "new seeds", f"{study.replicates} training(s) of the best and the defaults, {times}"
        )
    if study.final_seconds.likely:
        yield _line("final model", _times(study.final_seconds))
    if study.folds > 1:
        yield _line("all folds", _times(study.seconds))
    yield _line(
        "storage",
        f"images {describe_bytes(study.store)}, checkpoints {describe_bytes(study.checkpoints)}, "
        f"ledger, tables and logs {describe_bytes(study.records)}, models "
        f"{describe_bytes(study.model)}",
    )
    on_gpu = f", {describe_bytes(study.device)} of GPU memory" if gpus else ""
    yield _line("a worker", f"{describe_bytes(study.resident)} of memory at most{on_gpu}")
    for effort in study.efforts:
        yield _line(
            f"effort {effort.name}",
            f"{effort.trials} trials of {effort.trial}; {describe_time(effort.trial_seconds)} "
            f"each, {describe_time(effort.seconds)} in all if none is stopped early",
        )


def _sum(plan: Plan) -> Iterator[Text]:
    yield _line("wall time", _times(plan.seconds))
    if plan.worker_groups.gpus > 0:
        yield _line("GPU hours", _hours(plan.gpu_hours))
    else:
        yield _line("GPU hours", f"0; CPU hours {_hours(plan.cpu_hours)}")
    free = "" if plan.free is None else f" of {describe_bytes(plan.free)} that are free"
    yield _line("run folder", f"{describe_bytes(plan.storage)}{free}")


def _line(name: str, text: str) -> Text:
    return Text(f"  {name:<{NAME}}").append(text)


def _times(seconds: Range) -> str:
    if seconds.low == seconds.high:
        return describe_time(seconds.likely)
    low, likely, high = map(describe_time, (seconds.low, seconds.likely, seconds.high))
    return f"about {likely} ({low} to {high})"


def _hours(hours: Range) -> str:
    return f"about {hours.likely:.2g} ({hours.low:.2g} to {hours.high:.2g})"
