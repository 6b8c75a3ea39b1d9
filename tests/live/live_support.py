"""What the tests of this folder share: tiny data, drivers in processes of their own, checks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import ray
from PIL import Image
from polars.testing import assert_frame_equal
from ray.util import placement_group_table

from supremix.cluster.ray_private import COORDINATOR, living_actors
from supremix.runs.folder import RunFolder
from supremix.search.prolonging import MOST, REDUCTION
from supremix.storage.paths import children, to_path
from supremix.tuning.ledger.ledger import read_events
from supremix.tuning.ledger.records import prolonged_trials, read_records
from supremix_reports import read_table

TABLE = "training_set_pixel_size_and_HC.csv"
HEADER = "filename,pixel size(mm),head circumference (mm)"
HEADS = 60
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
# A shell's background jobs, such as a test run may be, ignore Ctrl-C unless they ask for it.
MAIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from supremix.cli import main
main()
"""

TINY: dict[str, Any] = {
    "dataset": "hc18",
    "shape": (16, 24),
    "width": 4,
    "epochs": 3,
    "concurrent_trials": 1,
    "cpus_per_worker": 1,
    "seed": 5,
    "finalists": 1,
    "confirm_seeds": 1,
}
"""Arguments of `Search` for trials of a fraction of a second."""


def draw_head(semi_axis: float, rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.indices((32, 48))
    distance = np.hypot((rows - 16) / 0.7, columns - 24)
    ring = 150 * (abs(distance - semi_axis) < 1.5)
    return (ring + rng.uniform(20, 60, (32, 48))).astype(np.uint8)


def write_heads(folder: Path, count: int = HEADS) -> Path:
    """Rings in noise, named and listed as the official download does."""
    pictures = folder / "training_set"
    pictures.mkdir(parents=True)
    rng = np.random.default_rng(11)
    lines = [HEADER]
    for number in range(count):
        semi_axis, pixel_size = rng.uniform(5, 20), rng.uniform(0.8, 1.2)
        name = f"{number:03d}_HC.png"
        Image.fromarray(draw_head(semi_axis, rng)).save(pictures / name)
        lines.append(f"{name},{pixel_size:.4f},{5.4 * semi_axis * pixel_size:.3f}")
    (folder / TABLE).write_text("\n".join(lines) + "\n")
    return folder


class Driver:
    """`supremix` in a process of its own, whose descendants have a mark in their environment."""

    def __init__(
        self, run: Path, *arguments: str, cache: Path, command: tuple[str, ...] | None = None
    ) -> None:
        words = ("search", "--out", str(run)) if command is None else command
        self.run, self.mark = run, f"SUPREMIX_LIVE_MARK={uuid.uuid4().hex}"
        name, value = self.mark.split("=")
        environment = {**os.environ, name: value, "SUPREMIX_CACHE": str(cache)}
        self.errors = run.with_suffix(".txt")
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", MAIN, *words, *arguments],
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )

    def wait_for_epochs(self, number: int) -> None:
        """Wait until the ledger has so many epochs, which is long before the search is done."""

        def enough() -> bool:
            assert self.process.poll() is None, self.errors.read_text()
            return sum(e["event"] == "epoch" for e in events_of(self.run)) >= number

        wait_until(enough, f"{number} epochs in the ledger")

    def left(self) -> list[str]:
        """Command lines of the living processes that descend from this driver, and its own."""
        return [_command(folder) for folder in Path("/proc").glob("[0-9]*") if self._ours(folder)]

    def _ours(self, folder: Path) -> bool:
        try:
            return self.mark.encode() in (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # ended meanwhile, or another user's
            return False

    def wait_for_processes_to_end(self) -> None:
        wait_for_none(self.left, "processes of the driver", 120)

    def wait_for_workers_to_end(self) -> None:
        """Wait for all but two agents of Ray, which may outlive a killed raylet by a minute."""

        def others() -> list[str]:
            return [name for name in self.left() if not name.startswith(AGENTS)]

        wait_for_none(others, "processes of the driver")

    def signal_group(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def _command(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return folder.name


def text_of(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def events_of(run: Path) -> list[dict[str, Any]]:
    return read_events(run / "ledger.jsonl")


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s without success for {what}"
        time.sleep(0.02)


def wait_for_none(find: Callable[[], list[str]], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while found := find():
        assert time.monotonic() < deadline, f"{what} left after {seconds:g} s: {found}"
        time.sleep(0.05)


def tables_of(run: Path) -> dict[str, pl.DataFrame]:
    """A run's tables without what no two runs share: their name and their times."""
    order = {
        "trials": ["trial"],
        "curves": ["trial", "epoch"],
        "measures": ["trial", "epoch", "measure"],
        "predictions": ["split", "id"],
        "mae": ["split", "metric"],
    }
    return {
        name: read_table(str(run), name).drop("run", "seconds", strict=False).sort(columns)
        for name, columns in order.items()
    }


def assert_same_tables(run: Path, other: Path) -> None:
    """To the bit."""
    tables, others = tables_of(run), tables_of(other)
    for name, table in tables.items():
        assert table.height > 0
        assert_frame_equal(table, others[name], check_exact=True)


def assert_nothing_left(cpus: float = 2) -> None:
    """No actor and no placement group is left in the Ray of this process, and all CPUs are free.

    All but one: Ray keeps one coordinator per cluster for the next use of Ray Train or Ray Data.
    """

    def actors() -> list[str]:
        return [name for name, _ in living_actors() if name != COORDINATOR]

    def groups() -> list[str]:
        table = placement_group_table()
        return [g["state"] for g in table.values() if g["state"] != "REMOVED"]

    wait_for_none(actors, "actors")
    wait_for_none(groups, "placement groups")
    wait_until(lambda: ray.available_resources().get("CPU") == cpus, "all CPUs to be free", 30)


def assert_prolongable_alone(run: str) -> None:
    """No checkpoints are left but of the trials that deserve more epochs."""
    records = read_records(read_events(RunFolder(run).ledger)).values()
    kept = {f"{record.number:05d}" for record in prolonged_trials(records, REDUCTION, MOST)}
    files = list(children(to_path(f"{run}/checkpoints")))
    assert {file.name.split(".")[0] for file in files} == kept
