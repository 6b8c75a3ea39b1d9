"""The tables of ADNI's amyloid PET: which file is the newest, and what its rows say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from supremix_datasets.errors import LabelTableError, SourceError
from supremix_datasets.sources.numbers import to_number
from supremix_datasets.sources.tables import LINE, check_numbers, read_columns

TABLE = re.compile(r"^UCBERKELEY_AMY_6MM(?P<date>.*)\.csv$", re.IGNORECASE)
TABLE_DATES = ("%d%b%Y", "%Y-%m-%d", "%Y_%m_%d", "%Y%m%d", "%m_%d_%y", "%m_%d_%Y")
SCAN_DATES = ("%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y")

COLUMNS = {
    "rid": ["RID"],
    "ptid": ["PTID"],
    "day": ["SCANDATE"],
    "image": ["LONIUID"],
    "tracer": ["TRACER"],
    "resolution?": ["IMAGE_RESOLUTION"],
    "qc": ["qc_flag"],
    "target": ["SUMMARY_SUVR"],
}


@dataclass(frozen=True)
class AdniRow:
    """One row of the table: one scan.

    Args:
        line: Line of the file.
        rid: Number of the patient, without leading zeros.
        ptid: Site and number of the patient, such as 002_S_0413.
        day: Day of the scan, such as 2012-05-15.
        image: Image id with an "I", which some sheets write as "D" or leave out.
        tracer: Short name in capitals, such as FBP.
        resolution: Resolution of the image in mm, such as 6; None where the table does not say.
        qc: Result of the quality control; 2 is good.
        target: Label, an SUVR.
    """

    line: int
    rid: str
    ptid: str
    day: str | None
    image: str | None
    tracer: str
    resolution: int | None
    qc: float | None
    target: float | None


def newest_table(source: str, listing: Mapping[str, Any]) -> str:
    """Address of the table, the newest where there are several.

    Args:
        source: Folder that the message names.
        listing: Files as :func:`supremix_datasets.sources.files.list_files` gives them.

    Raises:
        SourceError: there is none, or there are several and one has no date in its name.
    """
    found: dict[str, date | None] = {}
    for path in listing:
        match = TABLE.match(path.rsplit("/", 1)[-1])
        if match:
            found[path] = _read_day(match["date"].strip(" _-"), TABLE_DATES)
    if not found:
        raise SourceError(
            f"no UCBERKELEY_AMY_6MM_<date>.csv in {source!r}. Download the table from ADNI "
            "(UC Berkeley amyloid PET, 6 mm) and put it into that folder."
        )
    undated = sorted(path for path, day in found.items() if day is None)
    if len(found) > 1 and undated:
        raise SourceError(
            f"{len(found)} tables UCBERKELEY_AMY_6MM in {source!r}, and the name of {undated[0]!r} "
            "has no date that says which is the newest. Leave only one of them there."
        )
    newest = max(found, key=lambda path: (found[path] or date.min, path))
    return str(listing[newest]["address"])


def _read_day(text: str | None, formats: Sequence[str]) -> date | None:
    for form in formats:
        try:
            return datetime.strptime(text or "", form).date()
        except ValueError:  # written in another of the ways
            continue
    return None


def image_id(text: str) -> str:
    """``I304512`` of an image id, which is also written as D304512 or 304512."""
    return f"I{text.lstrip('IiDd')}"


def _millimetres(text: str | None, table: str, line: int) -> int | None:
    match = re.fullmatch(r"(\d+)(?:\.0*)?\s*(?:mm)?", text or "", re.IGNORECASE)
    if text and match is None:
        raise LabelTableError(
            f"{table}, line {line}: IMAGE_RESOLUTION {text!r} is no resolution. Write it as 6MM."
        )
    return int(match[1]) if match else None


def read_rows(table: str) -> list[AdniRow]:
    """All rows of a table.

    Raises:
        LabelTableError: a column is missing, or a number, date or resolution in it is none.
    """
    frame = read_columns(table, COLUMNS)
    check_numbers(frame, "target", COLUMNS["target"][0], table)
    check_numbers(frame, "qc", COLUMNS["qc"][0], table)
    rows: list[AdniRow] = []
    for row in frame.iter_rows(named=True):
        line = int(row[LINE])
        day = _read_day(row["day"], SCAN_DATES)
        if row["day"] and day is None:
            raise LabelTableError(
                f"{table}, line {line}: SCANDATE {row['day']!r} is no date. Write it as 2012-05-15."
            )
        ptid = str(row["ptid"] or "")
        rows.append(
            AdniRow(
                line=line,
                rid=str(row["rid"] or ptid.rpartition("_")[2]).lstrip("0"),
                ptid=ptid,
                day=day.isoformat() if day else None,
                image=image_id(row["image"]) if row["image"] else None,
                tracer=str(row["tracer"] or "").upper(),
                resolution=_millimetres(row["resolution"], table, line),
                qc=to_number(row["qc"]),
                target=to_number(row["target"]),
            )
        )
    return rows
