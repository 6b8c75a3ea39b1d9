"""What the documents say of the code is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from supremix_reports.tables import schema

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    dead = [t for t in LINK.findall(document.read_text()) if not (document.parent / t).exists()]

    assert dead == []


@pytest.mark.parametrize("table", schema.SCHEMAS)
def test_every_column_is_explained(table: str) -> None:
    _, _, section = (
        (REPOSITORY / "docs" / "results.md").read_text().partition(f"`{table}.parquet`\n")
    )
    rows = [line.split(" | ") for line in section.partition("\n#")[0].splitlines()]
    told = {row[0].strip("|` "): row[2].strip(" |") for row in rows if row[0].startswith("| `")}

    assert told == schema.meanings(table)
