"""A trial that can be held and made to fail from outside, and worker groups for it."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import ray
from live_support import wait_until
from polars.testing import assert_frame_equal
from torch import Tensor

from supremix.cluster import Executor, WorkerRequest, WorkerResult
from supremix.cluster.members import Member
from supremix.models import EncoderSpec
from supremix.training import Method, Stage, Task, fit, get_method
from supremix_datasets.cards.card import Card
from supremix_datasets.stores.prepare import prepare

EPOCHS = 4
CONFIG: dict[str, Any] = {"lr": 1e-3, "batch_size": 16}


def controlled_method(folder: str) -> Method:
    """The method l1, controlled at every training step by files in a folder.

    ``hold``: wait while it is there, having written ``held-PID``. ``memory``: find no memory.
    ``nan``: make the loss NaN. Each step adds a letter to ``steps``.
    """
    from dataclasses import replace

    plain = get_method("l1")

    class Controlled:  # known to nobody by name, so it travels to the workers by value
        name = "l1"
        config = plain.config

        def stages(self, config: Any, *, epochs: int, card: Card) -> tuple[Stage, ...]:
            def loss(predictions: Tensor, targets: Tensor) -> Tensor:
                import os
                import time
                from pathlib import Path

                files = Path(folder)
                with (files / "steps").open("a") as steps:
                    steps.write("x")
                while (files / "hold").exists():
                    (files / f"held-{os.getpid()}").touch()
                    time.sleep(0.01)
                if (files / "memory").exists():
                    raise MemoryError("no more of it")
                spoilt = (files / "nan").exists()
                return known(predictions, targets) * (float("nan") if spoilt else 1.0)

            (stage,) = plain.stages(config, epochs=epochs, card=card)
            known: Any = stage.loss
            return (replace(stage, loss=loss),)

    return Controlled()


@dataclass(frozen=True)
class Subject:
    """One trial: its requests, how to make it fail, and its undisturbed curve."""

    key: str
    folder: Path
    task: Task

    def request(self, epoch: int, **more: Any) -> WorkerRequest:
        checkpoint = str(self.folder / "trial.pt")
        return WorkerRequest(
            key=self.key,
            task=self.task,
            config=CONFIG,
            checkpoint=checkpoint,
            epoch=epoch,
            **more,
        )

    def do(self, deed: str) -> None:
        (self.folder / deed).touch()

    def undo(self, deed: str) -> None:
        (self.folder / deed).unlink()

    def held(self) -> set[int]:
        return {int(path.name.split("-")[1]) for path in self.folder.glob("held-*")}

    def wait_until_held(self, by_other_than: set[int] | None = None) -> set[int]:
        """Wait until a worker is in the middle of a step."""
        known = by_other_than or set()
        wait_until(lambda: self.held() - known, "a worker in the middle of a step")
        return self.held() - known

    def steps(self) -> int:
        return (self.folder / "steps").stat().st_size

    def undisturbed(self) -> pl.DataFrame:
        return curve(fit(self.task, CONFIG).history)


def curve(rows: Any) -> pl.DataFrame:
    """All columns of a trial's rows but the time they took."""
    return pl.DataFrame([{k: v for k, v in r.items() if k != "seconds"} for r in rows])


def make_subject(folder: Path, heads: str, cache: Path, **more: Any) -> Subject:
    folder.mkdir()
    store = prepare("hc18", heads, shape=(16, 24), cache=cache)
    task = Task(
        store=store.path,
        method=controlled_method(str(folder)),
        encoder=EncoderSpec(width=4),
        epochs=EPOCHS,
        seed=3,
        threads=1,
        **more,
    )
    return Subject(f"{folder.name}-{uuid.uuid4().hex[:6]}", folder, task)


class Pending:
    """A request that is under way, as a trial's actor would have it."""

    def __init__(self, executor: Executor, request: WorkerRequest) -> None:
        self.executor, self.reference = executor, executor.pool.execute.remote(request)

    @property
    def done(self) -> bool:
        self.executor.check()
        return bool(ray.wait([self.reference], timeout=0)[0])

    def result(self, seconds: float = 300.0) -> WorkerResult:
        """Wait for it, checking the executor as a driver does."""
        wait_until(lambda: self.done, "a result", seconds)
        return ray.get(self.reference)


def rows(
    executor: Executor, subject: Subject, first: int, last: int = EPOCHS, **more: Any
) -> list[Any]:
    """The rows of some epochs of a trial, requested one after the other."""
    found = []
    for epoch in range(first, last + 1):
        result = Pending(executor, subject.request(epoch, **more)).result()
        assert result.failure is None
        found.append(result.row)
    return found


def release(executor: Executor, subject: Subject) -> None:
    ray.get(executor.pool.release.remote(subject.key))


def members(executor: Executor) -> list[list[Member]]:
    return ray.get(executor.pool.members.remote())


def leases(executor: Executor) -> list[str | None]:
    return ray.get(executor.pool.leases.remote())


def wait_for_worker_groups(executor: Executor, number: int) -> None:
    def there() -> bool:
        executor.check()
        return sum(bool(group) for group in members(executor)) >= number

    wait_until(there, f"{number} worker groups")


def assert_undisturbed(subject: Subject, found: list[Any]) -> None:
    """To the bit."""
    assert_frame_equal(curve(found), subject.undisturbed(), check_exact=True)


@dataclass
class Watch:
    """Measures how long after a fault something worked again, for the table of faults."""

    record: Callable[[str, object], None]
    begun: float = 0.0

    def start(self) -> None:
        self.begun = time.monotonic()

    def stop(self, what: str) -> None:
        seconds = round(time.monotonic() - self.begun, 1)
        self.record(what, seconds)
        sys.stdout.write(f"{what}: {seconds} s\n")


def processes(mark: str, name: str) -> list[int]:
    """Processes with a mark in their environment and a name in their title."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            ours = mark.encode() in (folder / "environ").read_bytes()
            title = (folder / "cmdline").read_bytes()
        except OSError:  # ended meanwhile, or another user's
            continue
        if ours and name.encode() in title:
            found.append(int(folder.name))
    return found


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
