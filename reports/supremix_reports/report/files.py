"""The files of a report: what is in each, and how they come to lie where an earlier one lay."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

import polars as pl

from supremix_reports.document.html import render_html
from supremix_reports.document.parts import Report
from supremix_reports.document.text import render_latex, render_markdown
from supremix_reports.errors import ReportError, TableError
from supremix_reports.run_layout import BENCHMARK, COMPARISON, MULTI_DATASET, SPEC
from supremix_reports.tables import storage
from supremix_reports.tables.schema import SCHEMAS
from supremix_reports.tables.tables import write_table

FORMATS: Final = ("html", "md", "tex", "png", "pdf")
"""What a report can be written as: a page, text, tables for a paper, and figures."""

PAGES: Final = {"html": "report.html", "md": "report.md", "tex": "tables.tex"}
INDEX: Final = "report.json"
"""The list of a report's files."""

_OWN: Final = re.compile(r"(?:figures|tables)/[\w-][\w.-]*|report\.html|report\.md|tables\.tex")


def check_target(out: str) -> None:
    """Check that a report can be written into a folder.

    Raises:
        ReportError: it is that of a run, or of several.
    """
    for name in (SPEC, BENCHMARK, COMPARISON, MULTI_DATASET):
        if storage.exists(storage.join(out, name)):
            raise ReportError(
                f"{out} is the folder of a run (it holds {name}), in which a report would be in "
                f"the way. Name another folder, e.g. {storage.join(out, 'report')}."
            )


def files_of(report: Report, formats: Iterable[str]) -> dict[str, bytes]:
    """Return the pages and figures of a report by their names."""
    wanted = set(formats)
    files = {
        f"figures/{picture.name}.{ending}": content
        for picture in report.pictures()
        for ending, content in picture.files.items()
        if ending in wanted
    }
    writers = {
        "html": lambda: render_html(report),
        "md": lambda: render_markdown(report, pictures="png" in wanted),
        "tex": lambda: render_latex(report),
    }
    pages = {PAGES[name]: write().encode() for name, write in writers.items() if name in wanted}
    return files | pages


def put_down(
    out: str, files: Mapping[str, bytes], tables: Mapping[str, pl.DataFrame]
) -> tuple[str, ...]:
    """Write the files of a report, and take away those that an earlier report left there.

    Args:
        out: folder or address of the report.
        files: its pages and figures by their names.
        tables: its tables by their names; those of the schema are written as it has them.

    Returns:
        The names of all files there are now.

    Raises:
        TableError: the list of an earlier report's files is damaged.
    """
    before = _before(out)
    for name, content in files.items():
        storage.write_atomic(storage.join(out, name), content)
    folder = storage.join(out, "tables")
    for name, frame in tables.items():
        if name in SCHEMAS:
            write_table(folder, name, frame.to_dicts())
            continue
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        storage.write_atomic(storage.join(folder, f"{name}.parquet"), buffer.getvalue())
    written = sorted((*files, *(f"tables/{name}.parquet" for name in tables)))
    for name in sorted(before - set(written)):
        # A list that somebody changed must not lead out of the report's own files.
        if _OWN.fullmatch(name):
            storage.discard(storage.join(out, name))
    content = (json.dumps({"files": written}, indent=2) + "\n").encode()
    storage.write_atomic(storage.join(out, INDEX), content)
    return (*written, INDEX)


def _before(out: str) -> set[str]:
    """The files of an earlier report."""
    index = storage.join(out, INDEX)
    if not storage.exists(index):
        return set()
    try:
        return set(map(_name, json.loads(storage.read_bytes(index))["files"]))
    except (ValueError, KeyError, TypeError) as error:
        raise TableError(
            f"{index} is not the list of a report's files: {error}. Take it away, or name another "
            "folder."
        ) from error


def _name(entry: object) -> str:
    if not isinstance(entry, str):
        raise TypeError(f"{entry!r} is not the name of a file")
    return entry
