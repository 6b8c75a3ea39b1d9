"""A report as Markdown, and its result tables as LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from supremix_reports.document import markdown
from supremix_reports.document.latex import latex_text
from supremix_reports.document.markdown import plain
from supremix_reports.document.parts import (
    Cell,
    Code,
    Flow,
    Headline,
    Listing,
    Missing,
    Paragraph,
    Part,
    Picture,
    Report,
    Section,
    Table,
)

_LATEX_HEAD: Final = r"""% {title}
% supremix {version}
% {date}
% In the preamble: \usepackage{{booktabs,graphicx,longtable}} \usepackage[T1]{{fontenc}}
% \usepackage{{textcomp}}
"""
_LONG: Final = 40  # rows that fit on a page
_BROAD: Final = 90  # characters that fit into a line


def render_markdown(report: Report, *, pictures: bool) -> str:
    """Return the report as Markdown.

    Args:
        report: what is in it.
        pictures: whether `figures/<name>.png` is next to the text; where it does not, the
            caption alone stands for a figure.
    """
    blocks = [f"# {plain(report.title)}", f"supremix {report.version}", f"Written on {report.date}"]
    for section in report.sections:
        blocks += _section(section, 2, pictures=pictures)
    return "\n\n".join(block for block in blocks if block) + "\n"


def section_markdown(section: Section) -> str:
    """Return one section as Markdown, without its pictures."""
    return "\n\n".join(filter(None, _section(section, 2, pictures=False)))


def _section(section: Section, depth: int, *, pictures: bool) -> list[str]:
    blocks = [f"{'#' * depth} {plain(section.title)}"]
    blocks += [_block(part, pictures=pictures) for part in section.parts]
    for child in section.sections:
        blocks += _section(child, depth + 1, pictures=pictures)
    return blocks


def _block(part: Part, *, pictures: bool) -> str:
    if isinstance(part, Picture):
        image = f"![{plain(part.alt)}](figures/{part.name}.png)\n\n" if pictures else ""
        return f"{image}**{plain(part.title)}.** {plain(part.caption)}"
    writers: dict[type, Callable[[Any], str]] = {
        Headline: _headline,
        Flow: _flow,
        Table: _table,
        Missing: lambda it: f"**{plain(it.title)}** is not shown: {plain(it.reason)}",
        Paragraph: _paragraph,
        Listing: lambda it: "\n".join(f"- **{plain(k)}**: {plain(v)}" for k, v in it.entries),
        Code: lambda it: markdown.code(it.lines),
    }
    return writers[type(part)](part)


def _headline(part: Headline) -> str:
    detail = f" ({plain(part.detail)})" if part.detail else ""
    facts = "; ".join(plain(f"{name} {cell.whole}") for name, cell in part.facts)
    return f"{plain(part.title)}: **{plain(part.text)}**{detail}; {facts}."


def _flow(part: Flow) -> str:
    lines = [f"**{plain(part.title)}**", ""]
    for number, step in enumerate(part.steps, 1):
        lines.append(f"{number}. {plain(step.text)}")
        lines += [f"   - {plain(text)}" for text in step.aside]
    lines += [f"   - {plain(text)}" for text in part.ends]
    return "\n".join(lines)


def _paragraph(part: Paragraph) -> str:
    text = plain(part.text)
    if part.tone == "plain":
        return text
    return f"**{text}**" if part.tone == "strong" else f"> {text}"


def _table(part: Table) -> str:
    def cell(one: Cell) -> str:
        text, detail = markdown.cell(one.text), markdown.cell(one.detail)
        return f"**{text}** {detail}".strip() if one.best else f"{text} {detail}".strip()

    rows = [[cell(one) for one in row] for row in part.rows]
    head = [markdown.cell(column.name) for column in part.columns]
    written = markdown.grid(head, rows) if rows else ""
    note = f"*{plain(part.note)}*" if part.note else ""
    return "\n\n".join(filter(None, (f"**{plain(part.caption)}**", written, note)))


def render_latex(report: Report) -> str:
    r"""Return the tables of results as LaTeX, with the rules of the package booktabs.

    Args:
        report: what is in it; its tables for a paper are written, in their order.

    Returns:
        Floats to be put into a document by ``\input``; a table of more than a page is a
        `longtable`. A table that is too wide is shrunk to the text's width.
    """
    head = _LATEX_HEAD.format(
        title=" ".join(report.title.split()), version=report.version, date=report.date
    )
    tables = [_latex_table(table) for table in report.tables() if table.paper and table.rows]
    return head + "\n" + "\n".join(tables)


def _latex_table(part: Table) -> str:
    columns = "".join("r" if column.number else "l" for column in part.columns)
    head = " & ".join(latex_text(column.name) for column in part.columns) + r" \\"
    stacked = _width(part) > _BROAD
    rows = [line for row in part.rows for line in _latex_row(row, stacked=stacked)]
    caption = rf"\caption{{{latex_text(f'{part.caption} {part.note}'.strip())}}}"
    label = rf"\label{{tab:{part.name}}}"
    if len(part.rows) > _LONG:
        begin = [r"\begingroup\footnotesize", rf"\begin{{longtable}}{{{columns}}}"]
        top = [caption + label + r"\\", r"\toprule", head, r"\midrule", r"\endfirsthead"]
        again = [r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"]
        end = [r"\end{longtable}", r"\endgroup", ""]
        return "\n".join([*begin, *top, *again, *rows, *end])
    inner = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows]
    inner += [r"\bottomrule", r"\end{tabular}%"]
    return "\n".join(
        [
            r"\begin{table}[htbp]",
            r"\centering\small",
            caption,
            label,
            r"\smallskip",
            "",
            r"\sbox0{%",
            *inner,
            "}%",
            r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi",
            r"\end{table}",
            "",
        ]
    )


def _width(part: Table) -> int:
    """How many characters the widest row would have, all its columns as wide as they have to be."""
    rows = [[column.name for column in part.columns]]
    rows += [[cell.whole for cell in row] for row in part.rows]
    return sum(max(map(len, column)) for column in zip(*rows, strict=True))


def _latex_row(row: Sequence[Cell], *, stacked: bool) -> list[str]:
    """One line of a table; two where details stand below their cells, to save width."""
    shown = [(latex_text(cell.text), latex_text(cell.detail), cell.best) for cell in row]
    texts = [rf"\textbf{{{text}}}" if best else text for text, _, best in shown]
    details = [rf"{{\footnotesize {detail}}}" if detail else "" for _, detail, _ in shown]
    if stacked and any(details):
        return [" & ".join(texts) + r" \\", " & ".join(details) + r" \\[2pt]"]
    cells = [f"{text} {detail}".strip() for text, detail in zip(texts, details, strict=True)]
    return [" & ".join(cells) + r" \\"]
