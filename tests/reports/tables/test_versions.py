"""Tables of earlier schema versions are read as this one has them; newer ones are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from supremix_reports import SCHEMA_VERSION, SCHEMAS, SchemaError, collect, read_table
from supremix_reports.tables import schema
from supremix_reports.tables.migrations import (
    STEPS,
    Step,
    changes,
    check_version,
    migrated,
    version_of,
)

VERSION_1 = Path(__file__).parent / "version1"
SOURCE = {"dataset": "hc18", "method": "l1"}
TRIAL: dict[str, Any] = {
    "run": "old", **SOURCE, "trial": 0, "state": "finished", "error": 2.5, "mae": 2.5,
    "rmse": None, "r2": None, "pearson": None, "epochs": 3, "seconds": 1.5, "seed": 7,
    "replicate_of": None, "reason": None, "config": '{"lr": 0.01}', "unit": "mm",
}  # fmt: skip
MAE: dict[str, Any] = {
    **SOURCE, "split": "test", "metric": "mae", "value": 2.0, "low": 1.5, "high": 2.5, "n": 30,
    "groups": 20, "seeds": 1, "unit": "mm",
}  # fmt: skip
ROWS = {"trials": [TRIAL], "mae": [MAE, MAE | {"split": "val", "seeds": 3}]}
TYPES = {
    "trial": pa.int32(), "epochs": pa.int32(), "seed": pa.int64(), "replicate_of": pa.int32(),
    "n": pa.int64(), "groups": pa.int64(), "seeds": pa.int32(),
    **dict.fromkeys(("error", "mae", "rmse", "r2", "pearson", "seconds"), pa.float64()),
    **dict.fromkeys(("value", "low", "high"), pa.float64()),
}  # fmt: skip


def write_version_1(folder: Path) -> None:
    """The committed files were written by this; the second test says so."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in ROWS.items():
        fields = [pa.field(column, TYPES.get(column, pa.string())) for column in rows[0]]
        version = {b"supremix_schema": b"1"}
        table = pa.Table.from_pylist(rows, schema=pa.schema(fields, metadata=version))
        parquet.write_table(table, folder / f"{name}.parquet", compression="zstd")


def test_the_files_of_version_1_are_what_they_were(tmp_path: Path) -> None:
    write_version_1(tmp_path)

    for name in ROWS:
        kept = parquet.read_table(VERSION_1 / f"{name}.parquet")
        assert kept.equals(parquet.read_table(tmp_path / f"{name}.parquet"), check_metadata=True)


def test_what_did_not_change_is_read_as_it_is() -> None:
    assert read_table(str(VERSION_1), "trials").to_dicts() == [TRIAL]


def test_intervals_of_several_seeds_were_of_patients_alone_and_are_none_now() -> None:
    one, several = read_table(str(VERSION_1), "mae").to_dicts()

    assert one == MAE | {"run": None}
    assert several == MAE | {"run": None, "split": "val", "seeds": 3, "low": None, "high": None}


def test_validation_intervals_of_old_comparisons_are_none() -> None:
    numbers = {"val": 3.0, "val_low": 2.0, "val_high": 4.0, "test_low": 1.0, "test_high": 5.0}
    table = pa.Table.from_pylist([numbers, numbers])
    table = table.replace_schema_metadata({schema.VERSION_KEY: b"1"})

    rows = migrated(table, "comparison", "x").to_pylist()

    assert rows == [numbers | {"val_low": None, "val_high": None}] * 2


def test_a_collection_takes_old_tables_and_says_what_became_of_them() -> None:
    found = collect(str(VERSION_1))

    assert found.trials.collect().to_dicts() == [TRIAL]
    assert found.mae.collect()["low"].to_list() == [1.5, None]
    assert [run.name for run in found.runs] == ["old"]
    told = [problem.reason for problem in found.problems if problem.what == "mae.parquet"]
    assert len(told) == 1
    assert "over patients alone" in told[0]


def test_old_tables_of_which_no_row_changes_are_no_problem(tmp_path: Path) -> None:
    write_version_1(tmp_path)
    old = parquet.read_table(tmp_path / "mae.parquet")
    parquet.write_table(old.slice(0, 1), tmp_path / "mae.parquet")

    found = collect(str(tmp_path))

    assert found.mae.collect()["low"].to_list() == [1.5]
    assert "mae.parquet" not in {problem.what for problem in found.problems}


def with_version(version: bytes | None) -> Any:
    metadata = None if version is None else {schema.VERSION_KEY: version}
    return pa.table({"a": [1, 2]}).replace_schema_metadata(metadata)


def doubled(table: Any) -> Any:
    return pa.table({"a": [2 * v for v in table["a"].to_pylist()]})


def test_steps_are_taken_in_order_and_say_the_new_version() -> None:
    def renamed(table: Any) -> Any:
        return table.rename_columns(["b"])

    steps = {4: {"trials": Step(doubled, "twice")}, 5: {"trials": Step(renamed, "b")}, 6: {}}

    result = migrated(with_version(b"4"), "trials", "x", newest=7, steps=steps)

    assert result.to_pydict() == {"b": [2, 4]}
    assert result.schema.metadata == {schema.VERSION_KEY: b"7"}
    assert changes(4, "trials", newest=7, steps=steps) == ["twice", "b"]
    assert changes(5, "trials", newest=7, steps=steps) == ["b"]
    assert changes(4, "mae", newest=7, steps=steps) == []


def test_a_table_of_this_version_is_left_alone() -> None:
    table = with_version(str(SCHEMA_VERSION).encode())

    assert migrated(table, "trials", "x") is table


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (b"99", r"version 99, but this supremix knows versions up to \d+.*a newer one"),
        (b"0", r"nothing leads from version 0 to 1"),
        (b"two", r"no schema version of supremix \(found 'two'\)"),
        (None, r"no schema version of supremix \(found 'none'\)"),
    ],
)
def test_unknown_versions_are_refused(version: bytes | None, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        migrated(with_version(version), "trials", "trials.parquet")


def test_a_newer_table_is_left_out_of_a_collection_in_plain_words(tmp_path: Path) -> None:
    write_version_1(tmp_path / "run")
    newer = parquet.read_table(tmp_path / "run" / "trials.parquet")
    newer = newer.replace_schema_metadata({schema.VERSION_KEY: b"99"})
    parquet.write_table(newer, tmp_path / "run" / "trials.parquet")

    found = collect(str(tmp_path))

    assert found.trials.collect().height == 0
    assert found.mae.collect().height == 2
    (reason,) = (p.reason for p in found.problems if p.what == "trials.parquet")
    assert "schema version 99" in reason
    assert "left out" in reason
    assert str(tmp_path) not in reason


def test_from_every_version_a_way_leads_to_this_one() -> None:
    for version in range(1, SCHEMA_VERSION + 1):
        check_version(version, "x")
    assert {name for step in STEPS.values() for name in step} <= set(SCHEMAS)
    assert version_of({schema.VERSION_KEY: b"1"}, "x") == 1
