"""Plots as files: the same bytes, fit for a page, no trace of the user's parameters."""

from __future__ import annotations

import io
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from PIL import Image

from supremix_reports.figures.plot import (
    COLOURS,
    Plot,
    counted,
    drawing,
    listed,
    number,
    plot_name,
    robust_top,
    round_numbers,
)


def made(name: str = "a-plot", alt: str = 'dots & "lines" <3') -> Plot:
    with drawing() as (figure, (axes,)):
        axes.plot([1, 2, 3], [1, 4, 9], "o-", label="squares")
        axes.fill_between([1, 3], [0, 0], [1, 9], alpha=0.3)
        axes.legend()
        axes.set_xlabel("number")
    data = pl.DataFrame({"x": [1, 2, 3]})
    return Plot(name=name, title="t", caption="c", alt=alt, figure=figure, data=data)


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_the_same_numbers_give_the_same_bytes(kind: str) -> None:
    one, other = made(), made()
    first = getattr(one, kind)()
    assert first == getattr(other, kind)()
    assert first == getattr(one, kind)(), "drawing it twice changes nothing"


def test_no_setting_of_the_users_changes_it() -> None:
    plain = made()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert made().svg() == plain.svg()


def test_an_svg_is_one_element_with_its_words_as_text() -> None:
    text = made().svg()
    root = ET.fromstring(text)
    assert text.startswith("<svg ")
    assert root.get("role") == "img"
    assert not list(root.iter("{http://www.w3.org/2000/svg}style")), "it would style the page"
    assert root.get("aria-label") == 'dots & "lines" <3'
    assert {"number", "squares"} <= {e.text for e in root.iter() if e.tag.endswith("text")}


def test_two_svgs_in_one_page_share_no_id() -> None:
    ids = [
        {e.get("id") for e in ET.fromstring(made(name).svg()).iter() if e.get("id")}
        for name in ("one", "other")
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_every_reference_within_an_svg_is_met() -> None:
    root = ET.fromstring(made().svg())
    ids = {e.get("id") for e in root.iter()}
    used = {
        value.split("#")[1].rstrip(")")
        for e in root.iter()
        for value in e.attrib.values()
        if value.startswith(("#", "url(#"))
    }
    assert used
    assert used <= ids


def test_png_and_pdf_are_what_they_are_called() -> None:
    plot = made()
    with Image.open(io.BytesIO(plot.png(dpi=100))) as image:
        assert image.format == "PNG"
        assert image.size[0] == 640
    assert plot.pdf().startswith(b"%PDF")
    assert b"CreationDate" not in plot.pdf()


def test_colours_differ_in_a_grey_print() -> None:
    def grey(colour: str) -> float:
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        return 0.299 * red + 0.587 * green + 0.114 * blue

    assert abs(grey(COLOURS[0]) - grey(COLOURS[1])) > 60


def test_plotting_opens_no_window_and_importing_waits_for_no_forest() -> None:
    program = (
        "import sys\n"
        "import supremix_reports.figures.search.search\n"
        "import supremix_reports.figures.model.model\n"
        "from supremix_reports.figures.plot import drawing\n"
        "before = 'sklearn' in sys.modules\n"
        "with drawing() as _: pass\n"
        "sys.exit(before or 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.07, 1.0, [0.1, 0.2, 0.5, 1.0]),
        (1e-3, 1e-2, [1e-3, 2e-3, 5e-3, 1e-2]),
        (1e-4, 10, [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]),
        (2.1, 4.9, [2.1, 4.9]),
    ],
)
def test_ticks_are_round_numbers_within_the_range(low: float, high: float, ticks: Any) -> None:
    assert round_numbers(low, high) == pytest.approx(ticks)


def test_any_wide_range_has_few_ticks() -> None:
    assert all(2 <= len(round_numbers(10.0**-k, 10.0**k)) <= 7 for k in range(1, 12))


def test_an_axis_of_errors_reaches_all_of_them_but_a_few_that_are_far_off() -> None:
    usual = np.linspace(5, 12, 50)
    assert robust_top(usual) == 12
    far = np.append(usual, [450.0, 1e6])
    assert 12 < robust_top(far) < 60
    half = np.array([9.0, 11.0, 200.0, 450.0])
    assert 11 < robust_top(half) < 30
    assert robust_top(np.array([7.0, 7.0, 7.0])) == 7


def test_words() -> None:
    assert plot_name("HCP aging", "l1", "by site") == "hcp-aging-l1-by-site"
    assert [number(v) for v in (0, 0.12345, 123456, 1e-7, 1234.5)] == [
        "0", "0.123", "1.2e+05", "1e-07", "1234",
    ]  # fmt: skip
    assert [counted(1, "trial"), counted(2, "trial")] == ["1 trial", "2 trials"]
    assert [listed(["a", "b", "c"][:k]) for k in range(4)] == ["", "a", "a and b", "a, b and c"]
