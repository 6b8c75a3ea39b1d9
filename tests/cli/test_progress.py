"""What is told of a phase of many steps: how far it is, and how long it will take still."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable

import pytest
from rich.console import Console

from supremix.cli.views.progress import Display, ProgressConsole
from supremix.progress.progress import Progress, Steps
from supremix.progress.words import share, times


def told(steps: Iterable[tuple[float, int]], total: int = 100) -> list[Progress]:
    """What is heard of steps done at given times; the clock starts at 0."""
    heard: list[Progress] = []
    now = [0.0]
    tell = Steps("preparing images", heard.append, clock=lambda: now[0])
    for now[0], done in steps:
        tell(done, total)
    return heard


def test_the_time_left_follows_from_the_steps_so_far() -> None:
    first, second, last = told([(1.0, 0), (11.0, 20), (51.0, 100)])
    assert first.left is None
    assert (second.elapsed, second.left) == (11.0, pytest.approx(40.0))
    assert last.left == 0.0


def test_steps_from_before_an_interruption_do_not_count_for_the_pace() -> None:
    _, second = told([(0.5, 60), (10.5, 70)])
    assert second.left == pytest.approx(30.0)


def test_times_are_told_of_images_as_of_trials() -> None:
    _, second = told([(1.0, 0), (61.0, 50)])
    assert times(second) == "1:01 elapsed, about 1:00 left"
    assert share(second) == 0.5
    assert times(Progress(message="starting workers")) == ""


def test_preparing_is_shown_with_its_images_and_times() -> None:
    page = io.StringIO()
    with Display(Console(file=page), "preparing hc18") as display:
        for progress in told([(1.0, 0), (11.0, 20), (51.0, 100)]):
            display(progress)
    assert page.getvalue().splitlines() == [
        "preparing hc18",
        "preparing images 0 of 100 · 0:01 elapsed",
        "preparing images 20 of 100 · 0:11 elapsed, about 0:40 left",
        "preparing images 100 of 100 · 0:51 elapsed, about 0:00 left",
    ]


def test_the_same_step_of_another_part_is_news() -> None:
    page = io.StringIO()
    with Display(Console(file=page), "both") as display:
        for part in ("l1 (1 of 2)", "l1 (1 of 2)", "rnc (2 of 2)"):
            display(Progress(message="retraining", part=part, done=1, total=9))
            display(Progress(message="searching", part=part, done=1, total=9, elapsed=1.0))
    lines = page.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[3] == "rnc (2 of 2): retraining 1 of 9"


def test_work_goes_on_when_the_reader_of_a_pipe_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stderr", pipe)
        with Display(ProgressConsole(), "preparing") as display:
            for done in range(5):
                display(Progress(message="preparing images", done=done, total=5))


@pytest.mark.parametrize("terminal", [False, True])
def test_a_warning_stays_on_the_screen(terminal: bool) -> None:
    page = io.StringIO()
    console = Console(file=page, force_terminal=terminal, width=80, color_system=None)
    with Display(console, "hc18") as display:
        display(Progress(message="24 images occur twice", warning=True))
        display(Progress(message="starting workers"))
    last = page.getvalue().rpartition("24 images occur twice")

    assert last[1]
    assert last[2].startswith("\n")
