"""The tables of columns in `docs/results.md`, written from the schema.

python -m supremix_reports.tables.columns_page docs/results.md
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from supremix_reports.tables import schema

_HEAD = "| column | type | meaning |\n| --- | --- | --- |\n"


def with_columns(page: str) -> str:
    """Return a page in which each table of columns is as the schema has it.

    Args:
        page: Markdown with a heading ``### `NAME.parquet` `` above the columns of each table.
    """
    for name in schema.SCHEMAS:
        old = rf"(### `{name}\.parquet`\n[^#]*?){re.escape(_HEAD)}(?:\|.*\n)*"
        page = re.sub(old, lambda match, name=name: match[1] + _columns(name), page)
    return page


def _columns(table: str) -> str:
    meanings = schema.meanings(table)
    return _HEAD + "".join(
        f"| `{field.name}` | {field.type}{', may be null' * field.nullable} | "
        f"{meanings[field.name]} |\n"
        for field in schema.SCHEMAS[table]
    )


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_columns(path.read_text(encoding="utf-8")), encoding="utf-8")
