"""Text from outside in Markdown and LaTeX: shown as it is, whatever it holds."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from supremix_reports.document import markdown
from supremix_reports.document.latex import latex_text
from supremix_reports.document.parts import (
    Cell,
    Code,
    Column,
    Listing,
    Missing,
    Part,
    Report,
    Section,
    Table,
)
from supremix_reports.document.text import render_latex, render_markdown

NAMES = ("[18F]FDG", "VO₂", "γ-GT", "ε", "℃", "Ω", "*best*", "脑 age", "Łódź ễ", "a\n\nb", "10⁻³")


def report(*parts: Part, title: str = "T") -> Report:
    section = Section(key="all", title="<b>All</b>", parts=parts)
    return Report(title=title, date="2026-01-31", version="1", sections=(section,))


def table(names: tuple[str, ...] = NAMES, rows: int = 1) -> Table:
    return Table(
        name="errors",
        caption=f"Errors of {', '.join(names)}.",
        columns=(Column(name=names[0]), Column(name="MAE", number=True)),
        rows=tuple((Cell(text=name), Cell(text="1", detail="(0 to 2)")) for name in names * rows),
        paper=True,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<script>", r"\<script\>"),
        ("*x* and __y__", r"\*x\* and \_\_y\_\_"),
        ("batch_size", "batch_size"),
        ("ends in \\", r"ends in \\"),
        (r"a\|b", r"a\\\|b"),
        ("[here](https://x)", r"\[here\](https://x)"),
        ("[3]", "[3]"),
        ("&lt;b&gt; & c", r"\&lt;b\&gt; & c"),
        ("# head", r"\# head"),
        ("1. first", r"1\. first"),
        ("4.00", "4.00"),
        ("two\nlines", "two lines"),
    ],
)
def test_a_cell_of_markdown_is_read_as_it_was_written(text: str, expected: str) -> None:
    assert markdown.cell(text) == expected


def test_nothing_in_a_report_s_words_becomes_markdown() -> None:
    bad = "<i>x</i>\n# y"
    parts = (Listing(entries=((bad, "v"),)), Missing(title=bad, reason="r"), table((bad, "z\\")))
    text = render_markdown(report(*parts, title=bad), pictures=False)

    assert text.startswith("# \\<i\\>x\\</i\\> # y\n")
    assert "<i>" not in text.replace("\\<i", "")
    assert "<b>" not in text.replace("\\<b", "")
    assert "\n# y" not in text
    assert "| z\\\\ | 1 (0 to 2) |" in text


def test_a_fence_is_longer_than_those_in_its_code() -> None:
    text = render_markdown(report(Code(lines=("supremix report '```'",))), pictures=False)

    assert "````bash\nsupremix report '```'\n````" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[18F]FDG", "{[}18F{]}FDG"),
        ("*best*", "{*}best{*}"),
        ("VO₂", r"VO\textsubscript{2}"),
        ("10⁻³", r"10\textsuperscript{$-$}\textsuperscript{3}"),
        ("γ ε Ω Ω", r"$\gamma$ $\varepsilon$ $\Omega$ $\Omega$"),
        ("37 ℃", r"37 \textdegree{}C"),
        ("脑", "{?}"),
        ("Łódź ễ", "Łódź ê"),
        ("a\n\n\tb", "a b"),
    ],
)
def test_names_of_medicine_are_latex(text: str, expected: str) -> None:
    assert latex_text(text) == expected


def test_no_row_of_a_table_begins_with_what_the_row_before_would_take() -> None:
    lines = render_latex(report(table())).splitlines()
    after = [b for a, b in pairwise(lines) if a.endswith((r"\\", "rule"))]

    assert len(after) > len(NAMES)
    assert not [line for line in after if line.startswith(("[", "*"))]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_the_tables_compile_with_names_of_medicine(tmp_path: Path) -> None:
    tables = render_latex(report(table(), table(rows=5)))
    (tmp_path / "tables.tex").write_text(tables, encoding="utf-8")
    letters = "".join(map(latex_text, map(chr, (*range(33, 0x180), *range(0x370, 0x400)))))
    page = (
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{textcomp,booktabs,graphicx,"
        r"longtable}\begin{document}\input{tables}" + letters + r"\end{document}"
    )
    (tmp_path / "page.tex").write_text(page, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
