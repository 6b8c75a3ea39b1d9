"""A table is read as it was meant, or refused with its line; pandas is the other reader."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workbook import workbook

from supremix_datasets import LabelTableError
from supremix_datasets.sources.numbers import to_number
from supremix_datasets.sources.tables import LINE, check_numbers, read_columns

COLUMNS = {"file": ["file"], "target": ["target"], "group": ["group"]}
CELLS = st.text(st.sampled_from(list('ab,;"\n 1._é')), max_size=6)


def written(tmp_path: Path, text: str | bytes, name: str = "t.csv") -> str:
    (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return str(tmp_path / name)


@settings(
    deadline=None, max_examples=60, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=5))
def test_a_table_is_read_as_pandas_reads_it_or_refused(
    rows: list[list[str]], tmp_path: Path
) -> None:
    text = "file,target,group\n" + "\n".join(
        ",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows
    )
    wide = any(len(row) > 3 and any(c.strip() for c in row) for row in rows)
    address = written(tmp_path, text)
    if wide:
        with pytest.raises(LabelTableError, match="cells, the header 3"):
            read_columns(address, COLUMNS)
        return
    narrow = [row for row in rows if len(row) <= 3]
    if len(narrow) < len(rows):
        return
    found = read_columns(address, COLUMNS).drop(LINE).rows()
    frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, index_col=False)
    cells = [[str(c).strip() for c in row] for row in frame.fillna("").to_numpy()]
    expected = [tuple(c or None for c in row) for row in cells if any(row)]
    assert [tuple(None if c in (None, ".") else c for c in row) for row in found] == [
        tuple(None if c in (None, ".") else c for c in row) for row in expected if any(row)
    ]


@pytest.mark.parametrize("text", ["1_5", "60,5", "1.000,5", "٣", "0x1f", "1e", "--1", "1 5", ""])
def test_what_float_would_make_a_number_of_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        to_number(text)


@given(value=st.floats(allow_nan=False))
def test_every_number_is_read(value: float) -> None:
    assert to_number(repr(value)) == value


def test_cells_beyond_the_header_are_refused_with_their_line(tmp_path: Path) -> None:
    address = written(tmp_path, "file,group,target\na,p,1\n\nb,q,60,5\n")
    with pytest.raises(LabelTableError, match="line 4: the row has 4 cells, the header 3"):
        read_columns(address, COLUMNS)


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    address = written(tmp_path, 'file,target,group\n\n,,\n"a\nb",1,p\nc,x,q\n')
    frame = read_columns(address, COLUMNS)
    assert frame[LINE].to_list() == [4, 6]
    with pytest.raises(LabelTableError, match="line 6: 'x'"):
        check_numbers(frame, "target", "target", address)


def test_text_of_another_encoding_is_refused_unless_it_is_declared(tmp_path: Path) -> None:
    text = "file,target,group\na,1,Bär\n"
    with pytest.raises(LabelTableError, match="not written in utf-8"):
        read_columns(written(tmp_path, text.encode("latin-1")), COLUMNS)
    address = written(tmp_path, text.encode("latin-1"))
    assert read_columns(address, COLUMNS, encoding="latin-1")["group"].to_list() == ["Bär"]
    with pytest.raises(LabelTableError, match="no encoding 'latin-99'"):
        read_columns(address, COLUMNS, encoding="latin-99")
    decomposed = written(tmp_path, "\ufefffile,target,group\na,1,Ba\u0308r\n")
    assert read_columns(decomposed, COLUMNS)["group"].to_list() == ["Bär"]


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelTableError, match="2 columns 'target'"):
        read_columns(written(tmp_path, "file,target,group,target\na,1,p,2\n"), COLUMNS)


@pytest.mark.parametrize(("sign", "name"), [(";", "semicolon"), ("\t", "tab"), ("|", "bar")])
def test_the_likely_separator_is_named(sign: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(LabelTableError, match=f"probably a .*{name}"):
        read_columns(written(tmp_path, f"file{sign}target{sign}group\na{sign}1{sign}p\n"), COLUMNS)


def test_a_hidden_sheet_before_the_visible_one_is_not_read(tmp_path: Path) -> None:
    rows = [("file", "target", "group"), ("a.png", 1.5, "p")]
    old = [("file", "target", "group"), ("a.png", 99, "p")]
    workbook(tmp_path / "labels.xlsx", rows, old, [])
    workbook(tmp_path / "nothing.xlsx", [], old)

    assert read_columns(str(tmp_path / "labels.xlsx"), COLUMNS)["target"].to_list() == ["1.5"]
    with pytest.raises(LabelTableError, match="no visible sheet with anything in it"):
        read_columns(str(tmp_path / "nothing.xlsx"), COLUMNS)
