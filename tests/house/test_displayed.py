"""What the interface gives shows itself in a shell and in a notebook."""

from __future__ import annotations

import inspect

import supremix
from supremix._display import Displayed, shown_values

PLAIN = {"EncoderSpec", "Explanation", "Progress"}
"""Settings, rows and news, whose fields are all there is to show."""


def test_every_public_object_shows_its_facts() -> None:
    classes = [
        found
        for name in supremix.__all__
        if name not in PLAIN and inspect.isclass(found := getattr(supremix, name))
    ]
    assert [one.__name__ for one in classes if not issubclass(one, Displayed)] == []
    assert len(classes) >= 10


def test_facts_are_a_line_in_a_shell_and_a_table_in_a_notebook() -> None:
    status = supremix.Status(
        run="runs/a<b", kind="search", state="running", dataset="ixi", method="l1",
        unit="years", trials={"finished": 3}, best_error=5.25, best_basis="on validation",
    )  # fmt: skip
    assert repr(status).startswith("<Status run: runs/a<b, state: running")
    assert "best: 5.25 years on validation" in repr(status)
    assert "<td>runs/a&lt;b</td>" in status._repr_html_()
    assert shown_values({"lr": 0.000123456, "head": "probe"}) == "lr=0.0001235, head=probe"


def test_the_tab_key_lists_the_interface_without_loading_it() -> None:
    assert {"Search", "load", "predict"} - set(dir(supremix)) == {"predict"}
    assert set(dir(supremix)) == set(supremix.__all__)
