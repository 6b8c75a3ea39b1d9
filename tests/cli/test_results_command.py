"""`supremix results`: the rows on standard output or in a file, what is wrong beside them."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from benchmark_folder import write_cell

import supremix
from supremix import cli
from supremix.errors import RunFolderError
from supremix_reports import QueryError, TableError, collect

Ask = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "runs"
    for method in ("l1", "rnc"):
        write_cell(folder / method, method=method, seeds=2, patients=6)
    return folder


@pytest.fixture
def runs(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder "runs" of two searches, beside which the commands are given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return Path(shutil.copytree(pristine, tmp_path / "runs"))


@pytest.fixture
def ask(capfdbinary: pytest.CaptureFixture[bytes]) -> Ask:
    def asked(*words: str, code: int = 0) -> tuple[str, str]:
        with pytest.raises(SystemExit, match=f"^{code}$"):
            cli.main(["results", *words])
        heard = capfdbinary.readouterr()
        return heard.out.decode(), heard.err.decode()

    return asked


def test_without_words_the_errors_of_all_runs_are_shown(runs: Path, ask: Ask) -> None:
    out, err = ask()

    head, *lines = out.splitlines()
    assert head.split() == [
        *("dataset", "method", "split", "metric", "value", "low", "high"),
        *("n", "groups", "seeds", "unit", "run", "label_low", "label_high", "folds"),
    ]
    assert len(lines) == 2 * 2 * 7
    assert lines[0].split()[:4] == ["brains", "l1", "val", "mae"]
    assert err == ""


def test_csv_json_and_parquet_hold_the_same_rows(runs: Path, ask: Ask) -> None:
    words = ("--table", "trials", "--where", "error < 8", "--columns", "run, trial, error, reason")

    csv, _ = ask("runs", *words, "--format", "csv")
    plain, _ = ask("runs", *words, "--format", "json")
    out, err = ask("runs", *words, "--out", "new/rows.parquet")

    rows = collect("runs").trials.filter(pl.col("error") < 8)
    expected = rows.select("run", "trial", "error", "reason").collect()
    assert 0 < expected.height < 16
    assert pl.read_csv(io.StringIO(csv), schema=expected.schema).equals(expected)
    assert json.loads(plain) == expected.to_dicts()
    assert pl.read_parquet("new/rows.parquet").equals(expected)
    assert (out, err) == ("", f"{expected.height} rows in new/rows.parquet\n")


def test_a_whole_query_is_answered(runs: Path, ask: Ask) -> None:
    query = "SELECT method, count(*) AS trials FROM trials GROUP BY method ORDER BY method"

    out, _ = ask("--sql", query, "--format", "csv")

    assert out.splitlines() == ["method,trials", "l1,8", "rnc,8"]


def test_a_table_goes_to_a_file_as_to_the_screen(runs: Path, ask: Ask) -> None:
    words = ("--table", "runs", "--columns", "run, dataset")
    shown, _ = ask(*words)
    ask(*words, "--format", "table", "--out", "rows.txt")

    assert Path("rows.txt").read_text() == shown
    assert [line.split() for line in shown.splitlines()] == [
        ["run", "dataset"], ["l1", "brains"], ["rnc", "brains"],
    ]  # fmt: skip


def test_what_is_wrong_is_said_beside_the_rows_once(runs: Path, ask: Ask) -> None:
    for method in ("l1", "rnc"):
        (runs / method / "measures.parquet").unlink()
    (runs / "rnc" / "mae.parquet").write_bytes(b"damaged")

    out, err = ask("--format", "csv")

    assert set(pl.read_csv(io.StringIO(out))["run"]) == {"l1"}
    first, second = sorted(err.splitlines())
    assert first.startswith("l1, rnc: measures: There is no measures.parquet")
    assert second.startswith("rnc: mae.parquet: 'mae.parquet' cannot be read as Parquet")

    out, err = ask("--table", "problems", "--format", "csv")
    assert sorted(pl.read_csv(io.StringIO(out))["run"]) == ["l1", "rnc", "rnc"]
    assert err == ""


def test_a_narrow_screen_names_the_columns_that_it_has_no_room_for(
    runs: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the output for a terminal then

    out, _ = ask("--table", "trials")

    assert "more columns:" in out
    assert out.index("run") < out.index("more columns:") < out.index("config")


def test_long_tables_say_how_much_more_there_is(runs: Path, ask: Ask) -> None:
    out, _ = ask("--table", "curves", "--columns", "run, epoch")
    count = collect("runs").curves.collect().height

    assert out.splitlines()[-1] == f"{count - 50} more rows: --format csv has them all"
    assert len(out.splitlines()) == 52
    assert ask("--where", "false")[0].splitlines()[-1] == "no rows"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--where", "datset = 'x'"], 'column "datset" not found'),
        (["--sql", "DROP VIEW mae"], "one SELECT; the store is read, never changed"),
        (["--table", "trails"], "There is no table 'trails'"),
        (["--sql", "SELECT 1", "--where", "x"], "leave out --table, --where and --columns"),
        (
            ["--sql", "SELECT list(run) AS runs FROM mae", "--format", "csv"],
            "for the values of runs",
        ),
        (["--sql", "SELECT 'a'::BLOB AS b", "--format", "json"], "for the values of b"),
        (["--sql", "SELECT INTERVAL 1 DAY"], "a type that tables here do not have"),
        (["--out", "rows.xlsx"], "ends in none of csv, json, parquet"),
        (["--format", "parquet"], "name it with --out"),
        (["nowhere"], "There is no folder of runs at"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    runs: Path, ask: Ask, words: list[str], message: str
) -> None:
    out, err = ask(*words, code=2)

    assert out == ""
    assert message in " ".join(err.replace("│", " ").split())


def test_from_python_one_address_or_several(runs: Path) -> None:
    whole = supremix.results().collect()
    parts = supremix.results([runs / "l1", "runs/rnc"]).collect()

    assert whole.equals(parts)
    one = supremix.results(runs / "l1", "trials", "trial < 2", ["trial"]).collect()
    assert one["trial"].to_list() == [0, 1]
    with pytest.raises(QueryError, match="no table 'x'"):
        supremix.results(table="x")
    with pytest.raises(TableError, match="no folder of runs"):
        supremix.results("elsewhere")
    with pytest.raises(RunFolderError, match="nosuch"):
        supremix.results("nosuch://bucket/runs")
