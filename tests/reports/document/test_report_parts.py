"""Cells, privacy, Markdown, LaTeX and the page, from plain parts."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from supremix_reports.document.html import render_html
from supremix_reports.document.latex import latex_text
from supremix_reports.document.parts import (
    Cell,
    Code,
    Column,
    Listing,
    Missing,
    Paragraph,
    Picture,
    Report,
    Section,
    Table,
    decimals,
    named_apart,
    number_cell,
    p_cell,
)
from supremix_reports.document.text import render_latex, render_markdown

NASTY = r"a_b & 5 % <script>alert('x')</script> $1 #2 {3} ~ ^ \ | *bold*"
SVG = '<svg role="img" aria-label="a line" xmlns="http://www.w3.org/2000/svg"></svg>'


def table(*, rows: int = 2, paper: bool = True) -> Table:
    return Table(
        name="errors",
        caption=f"Errors of {NASTY}.",
        columns=(Column(name="Method"), Column(name="MAE", number=True)),
        rows=tuple(
            (Cell(text=f"m_{i}", order=f"m_{i}"), number_cell(4.0 + i, 3.5, 4.5, best=i == 0))
            for i in range(rows)
        ),
        note="Notes & more.",
        paper=paper,
    )


def report(*parts: object) -> Report:
    section = Section(key="all", title="All of it", parts=tuple(parts))  # type: ignore[arg-type]
    folded = Section(key="more", title="More", sections=(section,), folded=True)
    return Report(title=NASTY, date="2026-01-31", version="0.1.0", sections=(folded,))


EVERYTHING = (
    table(),
    Picture(name="line", title="A line", caption="It rises.", alt="a line",
            files={"svg": SVG.encode(), "png": b"dots"}),
    Missing(title="A bar", reason="there are no data."),
    Paragraph(text=NASTY, tone="warning"),
    Listing(entries=(("seed", NASTY),)),
    Code(lines=("supremix report runs",)),
)  # fmt: skip


class Outline(HTMLParser):
    """The elements of a page, checked to be closed in order."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_every_element_of_the_page_is_closed_in_order() -> None:
    assert Outline(render_html(report(*EVERYTHING))).open == []


def test_ids_are_there_once_and_every_reference_has_its_target() -> None:
    found = Outline(render_html(report(*EVERYTHING))).found
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    targets = [str(a["href"])[1:] for _, a in found if str(a.get("href", "")).startswith("#")]
    targets += [str(a["aria-labelledby"]) for _, a in found if "aria-labelledby" in a]

    assert len(ids) == len(set(ids))
    assert targets
    assert set(targets) <= set(ids)


def test_landmarks_have_names_of_their_own_where_headings_occur_again() -> None:
    inner = [Section(key=key, title="The model", parts=(table(),)) for key in ("a", "b")]
    outer = [
        Section(key=f"outer-{part.key}", title=part.key, sections=(replace(part, folded=folded),))
        for part, folded in zip(inner, (True, False), strict=True)
    ]
    page = Outline(render_html(replace(report(), sections=tuple(outer))))
    named = [section.get("aria-labelledby") for section in page.named("section")]

    assert named == ["head-outer-a", None, "head-outer-b", None]


def test_the_page_asks_for_nothing_outside_itself() -> None:
    page = Outline(render_html(report(*EVERYTHING)))
    places = [a.get(name) for _, a in page.found for name in ("src", "href") if a.get(name)]

    assert all(str(place).startswith(("data:", "#")) for place in places)
    assert "default-src 'none'" in str(page.named("meta"))


def test_the_page_has_landmarks_a_language_and_a_way_past_the_contents() -> None:
    page = Outline(render_html(report(*EVERYTHING)))

    assert page.named("html")[0]["lang"] == "en"
    assert len(page.named("main")) == len(page.named("nav")) == len(page.named("h1")) == 1
    assert page.named("a")[0]["href"] == "#main"


def test_tables_have_a_caption_and_headings_with_a_scope() -> None:
    page = Outline(render_html(report(table())))

    assert len(page.named("caption")) == 1
    assert [th["scope"] for th in page.named("th")] == ["col", "col", "row", "row"]
    assert [td["data-order"] for td in page.named("td")] == ["4.0", "5.0"]


def test_a_picture_without_a_drawing_has_its_words_as_an_alternative() -> None:
    dots = Picture(name="p", title="T", caption="C", alt="what is seen", files={"png": b"dots"})

    assert Outline(render_html(report(dots))).named("img") == [
        {"src": "data:image/png;base64,ZG90cw==", "alt": "what is seen"}
    ]


def test_what_looks_like_html_stays_text() -> None:
    page = render_html(report(*EVERYTHING))

    assert len(Outline(page).named("script")) == 1
    assert "&lt;script&gt;alert" in page


def test_only_the_date_makes_two_pages_differ() -> None:
    one, other = (
        Report(title="T", date=date, version="1", sections=report(*EVERYTHING).sections)
        for date in ("2026-01-31", "2027-02-28")
    )
    for render in (render_html, lambda r: render_markdown(r, pictures=True), render_latex):
        a, b = render(one).splitlines(), render(other).splitlines()
        differing = [(x, y) for x, y in zip(a, b, strict=True) if x != y]

        assert len(differing) == 1
        assert differing[0][0].replace("2026-01-31", "2027-02-28") == differing[0][1]


def test_markdown_has_every_part_and_keeps_its_cells_apart() -> None:
    text = render_markdown(report(*EVERYTHING), pictures=True)

    assert "![a line](figures/line.png)" in text
    assert "| m_0 | **4.00** (3.50 to 4.50) |" in text
    assert "**A bar** is not shown: there are no data." in text
    assert "figures/" not in render_markdown(report(*EVERYTHING), pictures=False)


def test_latex_makes_commands_harmless() -> None:
    assert latex_text(r"5 % & a_b \ {x} $1 #2 ~ ^ < −1 … R²") == (
        r"5 \% \& a\_b \textbackslash{} \{x\} \$1 \#2 \textasciitilde{} \textasciicircum{} $<$ "
        r"$-$1 \ldots{} R\textsuperscript{2}"
    )


def test_latex_has_the_tables_for_a_paper_with_booktabs() -> None:
    text = render_latex(report(table(), table(paper=False)))

    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    assert r"m\_0 & \textbf{4.00} {\footnotesize (3.50 to 4.50)} \\" in text
    assert r"\begin{tabular}{lr}" in text


def test_a_broad_table_has_its_intervals_below_their_numbers() -> None:
    columns = tuple(Column(name=f"c{i}") for i in range(6))
    row = tuple(number_cell(4.0, 3.5, 4.5) for _ in columns)
    broad = Table(name="b", caption="B.", columns=columns, rows=(row,), paper=True)
    text = render_latex(report(broad))

    small = r"{\footnotesize (3.50 to 4.50)}"
    assert " & ".join(["4.00"] * 6) + r" \\" + "\n" + " & ".join([small] * 6) in text


def test_a_table_of_more_than_a_page_can_be_broken() -> None:
    text = render_latex(report(table(rows=60)))

    assert r"\begin{longtable}{lr}" in text
    assert text.count(r"\\" + "\n" + r"m\_") == 59


@pytest.mark.parametrize(
    ("values", "expected"),
    [([123.4], 0), ([12.3, 1.2], 1), ([4.56], 2), ([0.0123], 4), ([None, float("nan")], 2)],
)
def test_numbers_beside_each_other_are_rounded_alike(
    values: list[float | None], expected: int
) -> None:
    assert decimals(values) == expected


def test_a_number_that_is_none_is_a_dash_and_sorts_last() -> None:
    assert number_cell(None) == number_cell(float("nan")) == Cell(text="–")
    assert number_cell(None).order is None


def test_a_difference_rounded_to_nothing_has_no_sign() -> None:
    assert number_cell(-0.001, digits=2, sign=True).text == "0.00"
    assert number_cell(-1.25, -2.0, 0.5, digits=2, sign=True).whole == "−1.25 (−2.00 to +0.50)"


def test_a_p_value_is_not_told_below_a_thousandth() -> None:
    assert [p_cell(p).text for p in (0.0004, 0.0414, 1.0, None)] == ["< 0.001", "0.041", "1", "–"]


def test_sorting_says_its_direction_and_listens_to_the_keyboard() -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", render_html(report(table())), re.DOTALL)

    assert "aria-sort" in script
    assert 'createElement("button")' in script


def drawing(name: str) -> Picture:
    svg = f'<svg><path id="{name}-p1"/><use href="#{name}-p1" clip-path="url(#{name}-p1)"/></svg>'
    files = {"svg": svg.encode(), "png": b"dots"}
    return Picture(name=name, title="A line", caption="C.", alt="a line", files=files)


def test_names_that_stand_twice_are_numbered_in_their_order_down_to_the_ids() -> None:
    inner = Section(key="search", title="One", parts=(drawing("a"), table(), drawing("a-2")))
    outer = Section(key="search", title="All", parts=(drawing("a"), table()), sections=(inner,))
    made = Report(title="T", date="2026-01-31", version="1", sections=named_apart([outer]))
    found = Outline(render_html(made)).found
    ids = [str(attributes["id"]) for _, attributes in found if "id" in attributes]

    assert [picture.name for picture in made.pictures()] == ["a", "a-2", "a-2-2"]
    assert [one.name for one in made.tables()] == ["errors", "errors-2"]
    assert made.sections[0].sections[0].key == "search-2"
    assert len(ids) == len(set(ids))
    assert {"a-p1", "a-2-p1", "a-2-2-p1"} <= set(ids)
    assert made.pictures()[1].files["svg"] == drawing("a-2").files["svg"]
