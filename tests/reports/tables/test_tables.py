"""What is written is read, what does not fit is refused, nothing is left half-made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from supremix_reports import (
    SCHEMA_VERSION,
    SCHEMAS,
    SchemaError,
    TableError,
    column_names,
    config_text,
    has_table,
    meanings,
    read_table,
    read_tables,
    write_table,
)
from supremix_reports.tables import (
    schema,
    storage,
)

Row = dict[str, Any]


def trial_row(**changes: object) -> Row:
    row: Row = {
        "run": "r",
        "dataset": "hc18",
        "method": "l1",
        "trial": 0,
        "state": "finished",
        "error": 5.0,
        "epochs": 9,
        "seconds": 1.5,
        "seed": 0,
        "config": config_text({"lr": 1e-3}),
        "unit": "mm",
    }
    return row | changes


# The stored form: columns may be added at the end if they may be null; nothing else may change
# without a new SCHEMA_VERSION.
FROZEN = {
    "trials": "run dataset method trial:int32 state error?:double mae?:double rmse?:double "
    "r2?:double pearson?:double epochs:int32 seconds:double seed:int64 replicate_of?:int32 "
    "reason? config unit",
    "curves": "run dataset method trial:int32 epoch:int32 stage error?:double loss?:double "
    "mae?:double rmse?:double r2?:double pearson?:double probe_mae?:double lr?:double "
    "seconds:double",
    "predictions": "run dataset method trial:int32 seed:int64 split id group target:double "
    "prediction:double site? sex?",
    "mae": "dataset method split metric value?:double low?:double high?:double n:int64 "
    "groups:int64 seeds:int32 unit run?",
    "comparison": "dataset method run trial?:int32 val?:double val_low?:double val_high?:double "
    "test?:double test_low?:double test_high?:double difference?:double difference_low?:double "
    "difference_high?:double n?:int64 groups?:int64 finished:int32 pruned:int32 stopped:int32 "
    "failed:int32 epochs:int32 seconds:double seed?:int64 reason? unit",
    "measures": "run dataset method trial:int32 epoch:int32 stage split measure value?:double",
    "embedding": "run dataset method trial:int32 split first:double second:double "
    "first_share:double second_share:double target:double unit",
    "cohort": "run dataset split? kind name? category? n:int64 groups?:int64 mean?:double "
    "sd?:double median?:double low?:double high?:double",
    "intervals": "run dataset method split interval level:double region coverage?:double "
    "coverage_low?:double coverage_high?:double width?:double n:int64 groups:int64 "
    "calibration_groups:int64 exact:bool unit note?",
    "gains": "dataset method reference difference?:double difference_low?:double "
    "difference_high?:double gain?:double gain_low?:double gain_high?:double p?:double "
    "p_bootstrap?:double p_adjusted?:double significant?:bool seeds?:int32 groups?:int64 n?:int64 "
    "unit? note?",
}
_NUMBERS = " ".join(
    f"{name}{end}?:double"
    for name in (
        "test", "mae", "null_mae", "linear_mae", "skill", "calibration_slope",
        "calibration_intercept", "bias",
    )
    for end in ("", "_low", "_high")
)  # fmt: skip
FROZEN["external"] = (
    f"cohort dataset method {_NUMBERS} n?:int64 groups?:int64 seeds?:int32 excluded?:int64 unit "
    "reference difference?:double difference_low?:double difference_high?:double gain?:double "
    "gain_low?:double gain_high?:double p?:double p_bootstrap?:double p_adjusted?:double "
    "significant?:bool note? warnings? reason?"
)
FROZEN["defaults"] = f"run trial:int32 split {FROZEN['gains']}"


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_stored_form(name: str) -> None:
    words = [
        f"{field.name}{'?' * field.nullable}{'' if field.type == pa.string() else f':{field.type}'}"
        for field in SCHEMAS[name]
    ]
    frozen = FROZEN[name].split()
    assert (SCHEMA_VERSION, words[: len(frozen)]) == (1, frozen)
    assert all("?" in word for word in words[len(frozen) :]), "a new column may be null"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_has_a_meaning_and_a_constant(name: str) -> None:
    constants = {v for k, v in vars(schema).items() if k.isupper() and isinstance(v, str)}
    assert all(len(meaning) > 10 for meaning in meanings(name).values())
    assert set(column_names(name)) <= constants


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "new" / "run")
    return f"memory://{tmp_path.name}/run"


def test_what_is_written_is_read(folder: str) -> None:
    rows = [trial_row(), trial_row(trial=1, state="failed", error=None, reason="out of memory")]
    assert not has_table(folder, "trials")
    write_table(folder, "trials", rows)
    assert has_table(folder, "trials")
    frame = read_table(folder, "trials")
    assert tuple(frame.columns) == column_names("trials")
    empty = dict.fromkeys(column_names("trials"))
    assert frame.to_dicts() == [empty | row for row in rows]


def test_a_second_write_replaces_the_first(folder: str) -> None:
    write_table(folder, "trials", [trial_row(), trial_row(trial=1)])
    write_table(folder, "trials", [trial_row(trial=2)])
    assert read_table(folder, "trials")["trial"].to_list() == [2]
    filesystem, path = fsspec.core.url_to_fs(folder)
    assert [Path(p).name for p in filesystem.ls(path, detail=False)] == ["trials.parquet"]


def test_a_write_that_dies_leaves_the_old_table(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(folder, "trials", [trial_row()])
    filesystem, path = fsspec.core.url_to_fs(folder)

    def die(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(type(filesystem), "mv", die)
        with pytest.raises(OSError, match="disk full"):
            write_table(folder, "trials", [trial_row(trial=7)])
    assert read_table(folder, "trials")["trial"].to_list() == [0]
    assert len(filesystem.ls(path)) == 1


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_table("run", "trials", [trial_row()])
    assert (tmp_path / "run" / "trials.parquet").is_file()


def test_an_empty_table_keeps_its_columns(folder: str) -> None:
    write_table(folder, "curves", [])
    frame = read_table(folder, "curves")
    assert frame.shape == (0, len(column_names("curves")))
    assert frame.schema["epoch"] == pl.Int32


def test_nan_becomes_null(folder: str) -> None:
    values = [float("nan"), np.float64("nan"), np.float32("nan"), 0.5]
    write_table(folder, "trials", [trial_row(trial=i, r2=v) for i, v in enumerate(values)])
    assert read_table(folder, "trials")["r2"].to_list() == [None, None, None, 0.5]


def test_other_readers_find_the_meaning_and_version(tmp_path: Path) -> None:
    address = write_table(str(tmp_path), "trials", [trial_row()])
    stored = parquet.read_schema(address)
    assert stored.metadata[schema.VERSION_KEY] == b"1"
    assert stored.field("unit").metadata[schema.MEANING_KEY].startswith(b"unit of the target")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            trial_row(eror=1.0),
            r"'eror' that the schema lacks\. Did you mean 'error'\? Columns: run",
        ),
        (trial_row(unit=None), r"Row 0 of 'trials' has no 'unit'.*unit of the target"),
        (trial_row(seconds=float("nan")), "no 'seconds'"),
        (trial_row(trial="one"), "Column 'trial' of 'trials' takes values of type int32"),
        (trial_row(config={"lr": 1}), "Column 'config'"),
        (trial_row(trial=2**40), "Column 'trial'"),
        (trial_row(state="done"), "state 'done'; legal: finished, pruned, stopped, failed"),
    ],
)
def test_rows_that_do_not_fit_are_refused(folder: str, row: Row, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        write_table(folder, "trials", [row])
    assert not has_table(folder, "trials")


def test_unknown_and_missing_tables(folder: str) -> None:
    with pytest.raises(SchemaError, match=r"Unknown table 'trails'\. Tables: trials, curves"):
        write_table(folder, "trails", [])
    with pytest.raises(TableError, match=r"no table 'curves' at .*run/curves\.parquet"):
        read_table(folder, "curves")
    with pytest.raises(TableError, match="No run folder"):
        read_tables([], "curves")


def test_a_file_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "trials.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(TableError, match="not a Parquet file"):
        read_table(str(tmp_path), "trials")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace_schema_metadata({}), "schema version none, and this supremix reads"),
        *(
            (
                lambda t, text=text: t.replace_schema_metadata({schema.VERSION_KEY: text}),
                f"schema version {text.decode()}, and this supremix reads version 1 alone",
            )
            for text in (b"0", b"2", b"two")
        ),
        (lambda t: t.drop_columns("unit"), "lacks the column 'unit'"),
    ],
)
def test_a_table_of_another_schema_is_refused(
    tmp_path: Path, change: Callable[[Any], Any], message: str
) -> None:
    address = write_table(str(tmp_path), "trials", [trial_row()])
    parquet.write_table(change(parquet.read_table(address)), address)
    with pytest.raises(SchemaError, match=message):
        read_table(str(tmp_path), "trials")


def test_a_column_younger_than_the_file_is_null(tmp_path: Path) -> None:
    address = write_table(str(tmp_path), "trials", [trial_row(mae=1.0)])
    parquet.write_table(parquet.read_table(address).drop_columns("mae"), address)
    assert read_table(str(tmp_path), "trials")["mae"].to_list() == [None]


def test_tables_of_several_runs_are_put_together(tmp_path: Path) -> None:
    folders = [str(tmp_path / name) for name in "ab"]
    for name in folders:
        write_table(name, "trials", [trial_row(run=Path(name).name)])
    assert read_tables(folders, "trials")["run"].to_list() == ["a", "b"]


def test_config_text_is_json_and_nothing_else() -> None:
    config = {"lr": 1e-3, "weights": True, "max_pairs": None, "head": "probe"}
    assert json.loads(config_text(config)) == config
    with pytest.raises(ValueError, match="JSON"):
        config_text({"lr": float("nan")})


def test_write_atomic_replaces_a_file(tmp_path: Path) -> None:
    address = str(tmp_path / "a" / "summary.md")
    storage.write_atomic(address, b"old")
    storage.write_atomic(address, b"new")
    assert storage.read_bytes(address) == b"new"
