"""The ends of a search: done, failed, interrupted, out of time; nothing is left behind."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from live_support import TINY, Driver, assert_nothing_left, events_of, wait_until
from torch import Tensor, nn

import supremix
from supremix.errors import SearchFailedError, SearchInterrupted
from supremix.progress.progress import Progress
from supremix.training import Method, Stage, get_method
from supremix.tuning.study.budget import Clock
from supremix_datasets import Card, Dataset, Sample, Scan
from supremix_reports import read_table
from supremix_spaces import Choice, Fixed, Float, Space

pytestmark = pytest.mark.slow


def moody_method() -> Method:
    """The method l1 with a parameter ``mood`` that spoils the loss."""
    from supremix._errors import TrainingError

    plain = get_method("l1")

    @dataclass(frozen=True, kw_only=True)
    class Config:
        mood: str = "good"
        lr: float = 1e-3

    class Moody:  # known to nobody by name, so it travels to the workers by value
        name = "moody"
        config = Config

        def stages(self, config: Any, *, epochs: int, card: Card) -> tuple[Stage, ...]:
            def loss(predictions: Tensor, targets: Tensor) -> Tensor:
                if config.mood == "angry" and len(predictions) > 8:  # the first check tries eight
                    raise TrainingError("it is in no mood for this")
                sick = config.mood == "sick"
                return (predictions - targets).abs() * (float("nan") if sick else 1.0)

            own = plain.config(batch_size=16, lr=config.lr)
            (stage,) = plain.stages(own, epochs=epochs, card=card)
            return (replace(stage, loss=loss),)

    return Moody()


def ramps(folder: Path) -> Dataset:
    """A dataset of the user's own: grey ramps in .npy files, the target is their slope."""
    import numpy

    rng = np.random.default_rng(3)
    folder.mkdir()
    for number in range(60):
        slope = rng.uniform(1, 5)
        image = slope * np.arange(16) + rng.uniform(0, 5, (16, 16))
        np.save(folder / f"{number:03d}_{slope:.4f}.npy", image.astype(np.uint8))

    class Reader:
        version = 1

        def __repr__(self) -> str:
            return "Reader()"

        def scan(self, source: str) -> Any:
            samples: list[Sample] = []
            for path in sorted(Path(source).glob("*.npy")):
                number, slope = path.stem.split("_")
                sample = Sample(id=number, group=number, target=float(slope), address=str(path))
                samples.append(sample)
            return Scan(samples=tuple(samples))

        def decode(self, address: str) -> Any:
            return numpy.load(address)

    card = Card(
        name="ramps",
        title="Ramps",
        modality="drawing",
        target="slope",
        unit="grey",
        label_bin=0.1,
        label_scale=0.1,
        window=1.0,
        label_range=(0.0, 10.0),
        shape=(16, 16),
        gain=1 / 64,
    )
    return Dataset(card=card, reader=Reader())


def test_failing_trials_are_noted_and_the_best_of_the_others_is_named(
    tmp_path: Path, local_ray: None
) -> None:
    dataset = ramps(tmp_path / "ramps")
    moods = Choice(("good", "sick", "angry"))
    arguments: dict[str, Any] = {**TINY, "dataset": dataset, "shape": None, "width": None}
    search = supremix.Search(
        **arguments,
        source=str(tmp_path / "ramps"),
        method=moody_method(),
        space=Space({"mood": moods, "lr": Float(1e-4, 1e-2, log=True, default=1e-3)}),
        encoder=lambda spatial_dims, channels: nn.Sequential(
            nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        ),
        trials=9,
        out=tmp_path / "run",
    )
    result = search.run()
    trials = result.trials.filter(pl.col("replicate_of").is_null())
    parts = trials.partition_by("config_mood", as_dict=True)
    by_mood = {key[0]: part for key, part in parts.items()}
    assert set(by_mood) == {"good", "sick", "angry"}
    assert trials.height == 9
    assert set(by_mood["good"]["state"]) <= {"finished", "pruned"}
    assert set(by_mood["sick"]["state"]) == set(by_mood["angry"]["state"]) == {"failed"}
    assert all("NonFiniteLossError" in reason for reason in by_mood["sick"]["reason"])
    assert all("in no mood for this" in reason for reason in by_mood["angry"]["reason"])
    finished = trials.filter(pl.col("state") == "finished").sort("error", "trial")
    assert result.best.trial in {0, *finished["trial"].head(2)}  # the finalist, or the defaults
    assert result.best.config["mood"] == "good"
    assert_nothing_left()


@pytest.mark.long
def test_a_search_whose_trials_all_fail_says_why(
    tmp_path: Path, heads: str, local_ray: None
) -> None:
    search = supremix.Search(
        **TINY,
        source=heads,
        method=moody_method(),
        space=Space({"mood": Fixed("angry"), "lr": Float(1e-4, 1e-2, default=1e-3)}),
        trials=3,
        out=tmp_path / "run",
    )
    with pytest.raises(SearchFailedError, match=r"all 3 trials failed.*in no mood for this"):
        search.run()
    trials = read_table(str(tmp_path / "run"), "trials")
    assert trials["state"].to_list() == ["failed"] * 3
    assert_nothing_left()


def test_an_interrupted_search_leaves_nothing_in_a_ray_that_goes_on(
    tmp_path: Path, heads: str, local_ray: None
) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.message == "searching" and progress.done == 2:
            raise KeyboardInterrupt

    run = tmp_path / "run"
    search = supremix.Search(
        **TINY, source=heads, method="l1", trials=9, out=run, progress=interrupt
    )
    with pytest.raises(SearchInterrupted, match=f"--resume {run}"):
        search.run()
    assert_nothing_left()
    states = read_table(str(run), "trials")["state"]
    assert 2 <= states.len() < 9


@pytest.mark.long
def test_used_up_time_ends_a_search_in_order(
    tmp_path: Path, heads: str, local_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = [0]

    def note(progress: Progress) -> None:
        if progress.message == "searching":
            ended[0] = progress.done

    def now(clock: Clock) -> float:
        return real(clock) + (1e6 if ended[0] >= 3 else 0.0)  # so that no machine is too slow

    real = Clock.now
    monkeypatch.setattr(Clock, "now", now)
    arguments: dict[str, Any] = {**TINY, "method": "l1", "pruner": "none", "time": 1e5}
    search = supremix.Search(source=heads, out=tmp_path / "run", progress=note, **arguments)
    states = search.run().trials.sort("trial")["state"].to_list()
    assert states[:3] == ["finished"] * 3
    # The trial that ran when the time was up, and after it the best one and the defaults, trained
    # with a new seed.
    assert states[3:] in (["finished"] * 2, ["stopped", *["finished"] * 2])
    assert_nothing_left()


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ctrl_c_and_sigterm_end_a_driver_in_order(
    drive: Callable[..., Driver], number: signal.Signals
) -> None:
    driver = drive("run", "--trials", "300")
    driver.wait_for_epochs(4)
    driver.signal_group(number)  # as a terminal does, and ``timeout`` and some batch systems
    wait_until(lambda: driver.process.poll() is not None, "the driver to end")
    said = driver.errors.read_text()
    assert driver.process.returncode == 130, said
    assert f"supremix search --resume {driver.run}" in said
    assert "Traceback" not in said
    driver.wait_for_processes_to_end()
    trials = read_table(str(driver.run), "trials")
    begun = [e for e in events_of(driver.run) if e["event"] == "trial"]
    assert trials.height == len(begun) < 300
    assert (driver.run / "summary.md").is_file()
