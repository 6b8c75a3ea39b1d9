"""A report as one page of HTML that needs nothing else: no file, no network."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from supremix_reports.document.parts import Picture, Report

TEMPLATES: Final = Path(__file__).parent / "templates"
WIDE: Final = 12
"""Columns above which a table is printed on a page of its own, across."""


def render_html(report: Report) -> str:
    """Return the report as a page; pictures as drawings (svg), where there are, else as png.

    Returns:
        HTML 5 with its style, its script and its pictures inside. The script makes the columns of
        tables sortable; everything can be read without it.
    """
    template = _environment().get_template("report.html")
    return template.render(
        report=report,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "report.js").read_text(encoding="utf-8")),
        wide=WIDE,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def drawing(picture: Picture) -> Markup:
        return Markup(picture.files.get("svg", b"").decode())

    def source(picture: Picture) -> str:
        return f"data:image/png;base64,{base64.b64encode(picture.files['png']).decode()}"

    environment.filters |= {"drawing": drawing, "source": source}
    return environment
