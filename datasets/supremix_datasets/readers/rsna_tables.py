"""The label tables of the RSNA bone age challenge, whose columns have other names in each of them.

    training      id, boneage, male
    validation    Image ID, male, Bone Age (months)
    test          Case ID, Sex; the labels are a sheet of their own
                  (Case ID, Sex, Ground truth bone age (months))

Names are compared without case, spaces and brackets. As the label any column is taken that has
"bone age" in its name and is the only such one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from supremix_datasets.errors import LabelTableError
from supremix_datasets.sources.numbers import to_number
from supremix_datasets.sources.tables import check_numbers, header, lines, merge_rows, read_columns

ENDINGS = (".csv", ".tsv", ".xls", ".xlsx")
IDS = {"id": "train", "imageid": "val", "caseid": "test"}
"""Name of the column of ids, and the table it is used in."""

SEXES = ("male", "sex", "gender")
SEX_WORDS = {
    **dict.fromkeys(("true", "t", "1", "1.0", "m", "male", "yes", "y", "boy"), "1"),
    **dict.fromkeys(("false", "f", "0", "0.0", "female", "no", "n", "girl"), "0"),
    **dict.fromkeys(("u", "unknown", "?"), None),
}


@dataclass(frozen=True)
class BoneAgeRow:
    """What the tables say of one image.

    Args:
        months: Bone age, None where no table has it.
        male: 0 or 1, None where no table says it.
        doubtful: True where rows of this id contradict each other.
    """

    months: float | None
    male: float | None
    doubtful: bool = False


@dataclass(frozen=True)
class LabelTables:
    """All label tables of a folder.

    Args:
        rows: Rows by split and id.
        addresses: Addresses of the tables that were read.
    """

    rows: dict[str, dict[str, BoneAgeRow]]
    addresses: tuple[str, ...]


def read_tables(listing: dict[str, dict[str, Any]]) -> LabelTables:
    """Read every label table of a folder; other tables in it are left alone.

    A table's split is given by its file name (train, valid, test, truth), else by the name of its
    column of ids. LabelTables of one split complete each other. Ids stay text.

    Args:
        listing: Files as :func:`supremix_datasets.sources.files.list_files` gives them.

    Raises:
        LabelTableError: a table has no label where it must, or a value that cannot be read.
    """
    frames: dict[str, list[pl.DataFrame]] = {}
    addresses: list[str] = []
    for path, info in listing.items():
        name = path.rsplit("/", 1)[-1].lower()
        if name.endswith(ENDINGS) and not name.startswith((".", "~$")):
            address = str(info["address"])
            found = _read(name, address)
            if found is not None:
                frames.setdefault(found[0], []).append(found[1])
                addresses.append(address)
    rows = {split: _rows(pl.concat(parts)) for split, parts in frames.items()}
    return LabelTables(rows, tuple(addresses))


def split_of(name: str) -> str | None:
    """The split that the name of a table or folder gives: train, val, test, or None."""
    words = (("train", "train"), ("valid", "val"), ("test", "test"), ("truth", "test"))
    return next((split for word, split in words if word in name.lower()), None)


def _read(name: str, address: str) -> tuple[str, pl.DataFrame] | None:
    """Split and ``id, months, male`` of a table; None where it is none of ours."""
    columns = header(address)
    ids = [column for column in columns if _plain(column) in IDS]
    sexes = [column for column in columns if _plain(column) in SEXES]
    labels = _label_columns(columns, address)
    if not ids or not (sexes or labels):
        return None
    split = split_of(name) or IDS[_plain(ids[0])]
    if not labels and split != "test":
        raise LabelTableError(
            f"the table {address} has no column 'boneage' or 'Bone Age (months)'. Its columns are "
            f"{', '.join(map(repr, columns))}. Only the test set's table comes without labels: "
            "take the challenge's own table."
        )
    frame = read_columns(address, {"id": ids, "months?": labels, "male?": sexes})
    if labels:
        check_numbers(frame, "months", labels[0], address)
    months = [_number(value) for value in frame["months"].to_list()]
    males = _sexes(frame, (sexes or ["male"])[0], address)
    names = [None if v is None else _stem(v) for v in frame["id"].to_list()]
    data = {"id": names, "months": months, "male": males}
    return split, pl.DataFrame(data, schema=dict.fromkeys(data, pl.String))


def _label_columns(columns: Sequence[str], address: str) -> list[str]:
    exact = [c for c in columns if _plain(c) in ("boneage", "boneagemonths")]
    if exact:
        return exact[:1]
    like = [c for c in columns if "boneage" in _plain(c)]
    if len(like) > 1:
        raise LabelTableError(
            f"the table {address} has several columns of bone ages, {', '.join(map(repr, like))}. "
            "Name the one with the months 'boneage'."
        )
    return like


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]", "", column.lower())


def _stem(name: str) -> str:
    """An id as the files have it; some copies of the tables add the ending."""
    return re.sub(r"\.(png|jpe?g|dcm)$", "", name, flags=re.IGNORECASE)


def _number(value: str | None) -> str | None:
    """One way of writing each number, so that 120 and 120.0 do not contradict each other."""
    number = to_number(value)
    return None if number is None else repr(number)


def _sexes(frame: pl.DataFrame, column: str, address: str) -> list[str | None]:
    values: list[str | None] = frame["male"].to_list()
    bad = [
        f"line {line}: {value!r}"
        for line, value in zip(lines(frame), values, strict=True)
        if value is not None and value.lower() not in SEX_WORDS
    ]
    if bad:
        raise LabelTableError(
            f"{len(bad)} of {len(values)} values of the column {column!r} in {address} are no sex "
            f"({'; '.join(bad[:3])}). Write True, M or 1 for boys, False, F or 0 for girls, or "
            "leave them empty where it is not known."
        )
    return [None if value is None else SEX_WORDS[value.lower()] for value in values]


def _rows(frame: pl.DataFrame) -> dict[str, BoneAgeRow]:
    merged, doubtful = merge_rows(frame, "id")
    return {
        name: BoneAgeRow(to_number(row["months"]), to_number(row["male"]), name in doubtful)
        for name, row in merged.items()
    }
