"""Two processes that write runs into one store, while it is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl

from supremix_reports import collect
from supremix_reports.catalog.collection import TABLES

WRITER = """
import sys
from supremix_reports import read_table, write_table
store, name, source = sys.argv[1:]
names = "trials", "curves", "predictions", "mae", "measures", "cohort"
tables = {t: read_table(source, t) for t in names}
for number in range(2):
    folder = f"{store}/{name}-{number}"
    for table, rows in tables.items():
        own = rows.to_dicts()
        write_table(folder, table, [row | {"run": f"{name}-{number}"} for row in own])
"""


def write_at_once(store: str, source: Path) -> list[int]:
    """Two processes write two runs each into one store; it is read meanwhile, time and again.

    Returns how many runs each reading found.
    """
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, store, name, str(source)]) for name in "ab"
    ]
    found: list[int] = []
    try:
        while any(writer.poll() is None for writer in writers):
            collection = collect(store)
            damaged = [p for p in collection.problems if "damaged" in p.reason]
            assert damaged == []
            assert collection.trials.collect().height % 8 == 0
            found.append(len(collection.runs))
    finally:
        codes = [writer.wait(60) for writer in writers]
    assert codes == [0, 0]
    return found


def check_written(store: str, source: Path) -> None:
    names = [f"{name}-{number}" for name in "ab" for number in range(2)]
    whole = collect(store)
    alone = collect(str(source))
    assert [run.name for run in whole.runs] == names
    for table in TABLES:
        rows = whole.table(table).collect()
        own = alone.table(table).collect().drop("run")
        assert rows["run"].unique(maintain_order=True).to_list() == names
        assert rows.drop("run").equals(pl.concat([own] * len(names)))
