"""Two thousand videos, prepared by a command that is killed in the middle."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest
from live_support import Driver, wait_until

from supremix_datasets import Store
from supremix_datasets.stores.build import CHUNK

pytestmark = [pytest.mark.slow, pytest.mark.long]

VIDEOS = 2000
SHAPE = "16,56,56"


def run(name: str, folder: Path, *words: str) -> Driver:
    return Driver(folder / name, cache=folder / f"cache-{name}", command=words)


def finish(driver: Driver) -> str:
    assert driver.process.wait() == 0, driver.errors.read_text()
    driver.wait_for_processes_to_end()
    return driver.errors.read_text()


def the_store(folder: Path, name: str) -> Store:
    (path,) = (folder / f"cache-{name}" / "stores").iterdir()
    return Store.open(path)


def test_two_thousand_videos_killed_in_the_middle(tmp_path: Path) -> None:
    source = tmp_path / "echo"
    phantoms = ("phantom", "echonet-dynamic", "--out", str(source), "--n", str(VIDEOS))
    finish(run("phantoms", tmp_path, *phantoms))
    words = ("prepare", "--dataset", "echonet-dynamic", "--source", str(source), "--shape", SHAPE)
    finish(run("whole", tmp_path, *words))

    killed = run("killed", tmp_path, *words)
    builds = tmp_path / "cache-killed" / "builds"

    def noted() -> list[str]:
        journals = [path.read_text() for path in builds.glob("*/journal.jsonl")]
        return [line for journal in journals for line in journal.splitlines(keepends=True)]

    wait_until(lambda: len(noted()) >= VIDEOS // CHUNK // 2, "half of the videos")
    killed.signal_group(signal.SIGKILL)
    killed.process.wait()
    killed.wait_for_processes_to_end()
    before = [line for line in noted() if line.endswith("\n")]
    assert len(before) < VIDEOS // CHUNK
    assert not list((tmp_path / "cache-killed" / "stores").iterdir())

    output = finish(run("killed", tmp_path, *words))
    first = int(re.search(r"preparing images (\d+) of", output)[1])  # type: ignore[index]
    assert first >= len(before) * CHUNK > VIDEOS // 2 - CHUNK
    whole, store = the_store(tmp_path, "whole"), the_store(tmp_path, "killed")
    assert store.key == whole.key
    assert store.manifest["files"] == whole.manifest["files"]
    assert len(store) == VIDEOS
    assert not list(builds.iterdir())
    assert sum(len(json.loads(line)["kept"]) for line in before) == len(before) * CHUNK
