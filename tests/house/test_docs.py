"""What the documents say of the code is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from supremix_reports.tables import schema
from supremix_reports.tables.columns_page import with_columns

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    dead = [t for t in LINK.findall(document.read_text()) if not (document.parent / t).exists()]

    assert dead == []


def test_every_column_is_explained_as_the_schema_has_it() -> None:
    page = (REPOSITORY / "docs" / "results.md").read_text()

    assert [name for name in schema.SCHEMAS if f"### `{name}.parquet`\n" not in page] == []
    assert page == with_columns(page), (
        "write it with python -m supremix_reports.tables.columns_page docs/results.md"
    )


def test_a_new_column_arrives_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = schema.SCHEMAS["gains"]
    new = columns.field("note").with_name("remark")
    monkeypatch.setattr(schema, "SCHEMAS", {"gains": columns.append(new)})

    page = with_columns((REPOSITORY / "docs" / "results.md").read_text())

    assert page.count("| `remark` | string, may be null | why there is no verdict") == 1
