from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from supremix_datasets import (
    Dataset,
    Decoded,
    DecodeError,
    Sample,
    Scan,
    Store,
    TooFewSamplesError,
    get,
    prepare,
)

COUNT = 61
BAD = ("7", "40")


@dataclass(frozen=True)
class Clips:
    """Videos of 1 to 9 frames made from their number; writes down what it decodes."""

    log: str
    version: int = 1

    def scan(self, source: str) -> Scan:
        samples = [
            Sample(id=str(n), group=str(n), target=float(n), address=str(n)) for n in range(COUNT)
        ]
        return Scan(samples=tuple(samples))

    def decode(self, address: str) -> Decoded:
        with Path(self.log).open("a") as log:
            log.write(address + "\n")
        if address in BAD:
            raise DecodeError("not a video")
        rng = np.random.default_rng(int(address))
        return Decoded(rng.integers(0, 255, (1 + int(address) % 9, 12, 10), dtype=np.uint8))

    def __repr__(self) -> str:
        return "Clips()"  # where it logs is no part of what it reads


@pytest.fixture
def videos(tmp_path: Path) -> Dataset:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("x")
    card = replace(
        get("hc18").card,
        name="clips",
        covariates=(),
        label_range=(0, 1000),
        target_transform="none",
        shape=(8, 12, 10),
        period=1,
        augmentation=replace(get("hc18").card.augmentation, flip_axes=(1,)),
    )
    return Dataset(card=card, reader=Clips(str(tmp_path / "log")))


def decoded(tmp_path: Path) -> list[str]:
    log = tmp_path / "log"
    return log.read_text().split() if log.exists() else []


def same_files(one: Store, two: Store) -> bool:
    names = ("images.bin", "index.parquet", "quarantine.parquet")
    return all(
        (Path(one.path) / n).read_bytes() == (Path(two.path) / n).read_bytes() for n in names
    )


class Dying:
    """A mapper whose process is killed after some chunks."""

    def __init__(self, chunks: int) -> None:
        self.left = chunks

    def __call__(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        for item in items:
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self.left -= 1
            yield function(item)


def _prepare_and_die(dataset: Dataset, source: str, cache: str, chunks: int) -> None:
    prepare(dataset, source, cache=cache, mapper=Dying(chunks))


def test_a_killed_preparation_goes_on_where_it_was(videos: Dataset, tmp_path: Path) -> None:
    source = tmp_path / "source"
    whole = prepare(videos, source, cache=tmp_path / "undisturbed")
    (tmp_path / "log").unlink()
    context = multiprocessing.get_context("spawn")
    arguments = (videos, str(source), str(tmp_path / "killed"))
    for chunks in (3, 2):
        process = context.Process(target=_prepare_and_die, args=(*arguments, chunks))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert not list((tmp_path / "killed" / "stores").iterdir())
    steps: list[int] = []
    store = prepare(
        videos, source, cache=tmp_path / "killed", progress=lambda done, _: steps.append(done)
    )
    # each file once: what was noted before a kill is not decoded after it
    assert decoded(tmp_path) == [str(n) for n in range(COUNT)]
    assert steps == [40, 48, 56, 61]
    assert store.manifest["files"] == whole.manifest["files"]
    assert same_files(store, whole)
    assert store.quarantine["id"].to_list() == list(BAD)
    assert not list((tmp_path / "killed" / "builds").iterdir())


def interrupted(videos: Dataset, tmp_path: Path) -> Path:
    """The folder of a build that broke off after five chunks."""

    def breaking(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        for number, item in enumerate(items):
            if number == 5:
                raise ConnectionError("the power is gone")
            yield function(item)

    with pytest.raises(ConnectionError, match="the power is gone"):
        prepare(videos, tmp_path / "source", cache=tmp_path / "c", mapper=breaking)
    (draft,) = (tmp_path / "c" / "builds").iterdir()
    return draft


@pytest.mark.parametrize("damage", ["half a line", "no json", "images cut", "images ahead"])
def test_what_a_kill_tore_is_done_again(videos: Dataset, tmp_path: Path, damage: str) -> None:
    whole = prepare(videos, tmp_path / "source", cache=tmp_path / "undisturbed")
    draft = interrupted(videos, tmp_path)
    (tmp_path / "log").unlink()
    journal, images = draft / "journal.jsonl", draft / "images.bin"
    lines = journal.read_bytes().splitlines(keepends=True)
    first = 40
    if damage == "half a line":
        journal.write_bytes(b"".join(lines)[:-20])
        first = 32
    elif damage == "no json":
        journal.write_bytes(b"".join([*lines[:3], b"\0" * 40 + b"\n", lines[4]]))
        first = 24
    elif damage == "images cut":
        with images.open("r+b") as file:
            file.truncate(json.loads(lines[2])["end"] - 1)
        first = 16
    else:
        with images.open("ab") as file:
            file.write(b"\xff" * 1000)
    store = prepare(videos, tmp_path / "source", cache=tmp_path / "c")
    assert decoded(tmp_path) == [str(n) for n in range(first, COUNT)]
    assert same_files(store, whole)


def test_videos_keep_all_their_frames_in_order(videos: Dataset, tmp_path: Path) -> None:
    store = prepare(videos, tmp_path / "source", cache=tmp_path / "c")
    kept = [n for n in range(COUNT) if str(n) not in BAD]
    assert store.lengths.tolist() == [1 + n % 9 for n in kept]
    assert store.images.shape == (sum(store.lengths), 1, 12, 10)
    for position, number in enumerate(kept):
        rows = slice(store.rows[position], store.rows[position] + store.lengths[position])
        expected = videos.reader.decode(str(number)).pixels
        np.testing.assert_array_equal(store.images[rows, 0], expected)


def test_refused_for_too_few_leaves_nothing_to_go_on_with(videos: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TooFewSamplesError, match="only 59 of 61"):
        prepare(videos, tmp_path / "source", cache=tmp_path / "c", min_fraction=0.99)
    assert not list((tmp_path / "c" / "stores").iterdir())
    assert not list((tmp_path / "c" / "builds").iterdir())


def _prepare(dataset: Dataset, source: str, cache: str, started: Any) -> None:
    started.set()
    prepare(dataset, source, cache=cache)


def test_who_comes_second_waits_and_decodes_nothing(videos: Dataset, tmp_path: Path) -> None:
    whole = prepare(videos, tmp_path / "source", cache=tmp_path / "undisturbed")
    (tmp_path / "log").unlink()
    cache, context = tmp_path / "c", multiprocessing.get_context("spawn")
    (cache / "locks").mkdir(parents=True)
    started = context.Event()
    name = Path(whole.path).name
    with FileLock(cache / "locks" / f"{name}.lock"):
        arguments = (videos, str(tmp_path / "source"), str(cache), started)
        second = context.Process(target=_prepare, args=arguments)
        second.start()
        started.wait()
        (cache / "stores").mkdir(exist_ok=True)
        Path(whole.path).rename(cache / "stores" / name)
    second.join()
    assert second.exitcode == 0
    assert decoded(tmp_path) == []
