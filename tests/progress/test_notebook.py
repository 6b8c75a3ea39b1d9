"""The bar of a notebook, in a kernel that is pretended."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from supremix._display import in_notebook, notebook_steps
from supremix.progress.notebook import NotebookProgress, default_listener
from supremix.progress.progress import SEARCHING, Progress, silent

CONTROL = ("\x1b", "\r", "\b")


class Kernel:
    """What IPython shows: the first drawing, and those that replace it."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.updates: list[str] = []

    def display(self, html: str, *, display_id: bool) -> Any:
        assert display_id
        self.shown.append(html)
        return SimpleNamespace(update=self.updates.append)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    ipython, shown = ModuleType("IPython"), ModuleType("IPython.display")
    vars(ipython)["get_ipython"] = lambda: SimpleNamespace(kernel=object())
    vars(shown).update(HTML=lambda html: html, display=kernel.display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    return kernel


def progress(done: int, **more: Any) -> Progress:
    return Progress(message=SEARCHING, done=done, total=4, elapsed=10.0, unit="mm", **more)


def test_a_bar_is_drawn_once_and_then_replaced(kernel: Kernel) -> None:
    now = [0.0]
    bar = NotebookProgress("searching on <hc18>", clock=lambda: now[0])
    bar(progress(1, best_error=4.5, best_trial=0))
    now[0] = 0.1
    bar(progress(2))  # too soon after the last one
    now[0] = 1.0
    bar(progress(3))
    now[0] = 1.1
    bar(progress(4))  # the last one is always drawn
    assert len(kernel.shown) == 1
    assert len(kernel.updates) == 2
    first, last = kernel.shown[0], kernel.updates[-1]
    assert "searching on &lt;hc18&gt;" in first
    assert "best so far 4.5 mm (trial 0)" in first
    assert 'value="0.2500"' in first
    assert "4 of 4 trials done" in last
    assert not any(sign in html for html in (first, *kernel.updates) for sign in CONTROL)


def test_warnings_stay(kernel: Kernel) -> None:
    bar = NotebookProgress("searching", clock=lambda: 0.0)
    bar(progress(0))
    bar(Progress(message="the disc is full", warning=True))
    bar(progress(4))
    assert "the disc is full" in kernel.updates[-1]


def test_images_that_are_predicted_have_a_bar_in_a_kernel_alone(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = notebook_steps("predicting <images>")
    assert show is not None
    show(16, 64)
    show(64, 64)
    assert "predicting &lt;images&gt;" in kernel.shown[0]
    assert 'value="0.2500"' in kernel.shown[0]
    assert "64 of 64" in kernel.updates[-1]
    monkeypatch.delitem(sys.modules, "IPython")
    assert notebook_steps("predicting images") is None


def test_a_kernel_gets_a_bar_and_a_script_nothing(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert in_notebook()
    assert isinstance(default_listener("searching"), NotebookProgress)
    vars(sys.modules["IPython"])["get_ipython"] = SimpleNamespace  # a shell without a kernel
    assert default_listener("searching") is silent
    monkeypatch.delitem(sys.modules, "IPython")
    assert default_listener("searching") is silent
