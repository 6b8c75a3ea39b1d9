"""Where a user's table is, which of its columns mean what, and how its cells are read."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from supremix_datasets.decoding.images import ending_of
from supremix_datasets.readers.own_table.bids import BidsTable, read_bids
from supremix_datasets.readers.own_table.spec import (
    COMPULSORY,
    PATTERN,
    CovariateColumn,
    TableSpec,
)
from supremix_datasets.sources.cells import UTF8
from supremix_datasets.sources.tables import read_columns

_TRIMMED = re.compile(r"^[\W_]+|[\W_]+$")
"""What is left of a pattern at the ends once its columns are taken out."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a user's table is and which of its columns mean what; nothing here is absolute.

    Args:
        table: Path of the table below the root.
        images: Folder below the root that the table's files are relative to; empty: the root.
        columns: Role and the names its column may have, but for that of files.
        files: For each file of an image the names its column may have, or its pattern.
        bids: Kinds of image of a BIDS folder, one for each channel; empty for another folder.
        covariates: Covariates with their columns.
        label_range: Lowest and highest label; rows outside are excluded.
        unit: Unit of the label, for messages.
        encoding: Encoding of the table, where it is text.
    """

    table: str
    images: str
    columns: tuple[tuple[str, tuple[str, ...]], ...]
    files: tuple[tuple[str, ...], ...]
    bids: tuple[str, ...] = ()
    covariates: tuple[CovariateColumn, ...] = ()
    label_range: tuple[float, float] = (-math.inf, math.inf)
    unit: str = ""
    encoding: str = UTF8

    def with_card(self, label_range: tuple[float, float], unit: str) -> Layout:
        """The same with the card's labels."""
        return dataclasses.replace(self, label_range=label_range, unit=unit)

    @property
    def sequences(self) -> tuple[str, ...]:
        """Names of the channels where each is a file of its own; empty for images of one file."""
        if self.bids or len(self.files) == 1:
            return self.bids
        plain = [_TRIMMED.sub("", PATTERN.sub("", without_ending(one))) for one, *_ in self.files]
        distinct = len(set(plain)) == len(plain) and all(plain)
        return tuple(plain if distinct else (f"file {k}" for k in range(1, len(plain) + 1)))

    @property
    def ungrouped(self) -> bool:
        """Every image is of another patient: ``group = "file"``, be that a column or a pattern."""
        return not self.bids and ("group", ("file",)) in self.columns

    @classmethod
    def of(cls, spec: TableSpec, table: str, bids: tuple[str, ...], roles: Sequence[str]) -> Layout:
        """The layout that a description makes.

        Args:
            spec: The description.
            table: Path of the table.
            bids: Kinds of image of a BIDS folder.
            roles: What columns are needed for, see `spec.ROLES`; not the files.
        """
        chosen = [role for role in roles if not (bids and role == "id")]
        return cls(
            table=table,
            images=spec.images,
            columns=tuple(
                (role, tuple(spec.column_names(role, bids=bool(bids)))) for role in chosen
            ),
            files=tuple((kind,) for kind in bids) or spec.file_names,
            bids=bids,
            covariates=spec.covariates,
            encoding=spec.encoding,
        )

    def wanted(self) -> dict[str, list[str]]:
        """Columns in the form of :func:`read_columns`; those of a pattern by ``cell <name>``."""
        files: dict[str, list[str]] = {}
        for k, names in enumerate(() if self.bids else self.files):
            cells = PATTERN.findall(names[0])
            files |= {f"cell {name}": [name] for name in cells} or {f"file {k}": list(names)}
        roles = {
            role if role in COMPULSORY else f"{role}?": list(names)
            for role, names in self.columns
            if not (role == "group" and self.ungrouped)
        }
        numbers = {f"covariate {c.covariate.name}": [c.column] for c in self.covariates}
        return {**files, **roles, **numbers}

    def with_files(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The table with files made by patterns; null where one of their cells is empty.

        Files are the groups as well where each image is of another patient.
        """
        patterns = {k: names[0] for k, names in enumerate(self.files) if PATTERN.search(names[0])}
        made = {
            f"file {k}": pl.format(
                PATTERN.sub("{}", one), *(f"cell {name}" for name in PATTERN.findall(one))
            )
            for k, one in patterns.items()
        }
        frame = frame.with_columns(**made).select(pl.exclude("^cell .*$"))
        return frame.with_columns(group=pl.col("file 0")) if self.ungrouped else frame

    def name_and_paths(self, row: Mapping[str, str | None]) -> tuple[str, tuple[str, ...]]:
        """The name of a row's image, its first file without the ending, and its files' paths."""
        cells = [row[f"file {k}"] or "" for k in range(len(self.files))]
        files = [cell.replace("\\", "/").removeprefix("./") for cell in cells]
        start = f"{self.images}/" if self.images else ""
        return without_ending(files[0]) or "(no file)", tuple(f and start + f for f in files)


def read_table(
    layout: Layout,
    columns: Mapping[str, Sequence[str]],
    listing: Mapping[str, Mapping[str, Any]],
    remedy: Callable[[str], str],
) -> BidsTable:
    """The cells of a table by role, with the files of each image as ``file 0`` and so on.

    Args:
        layout: Where the table is, and what names the files.
        columns: Columns to take, as `Layout.wanted` gives them.
        listing: Files below the folder, by their path.
        remedy: Gives what to do about an absent column.

    Raises:
        LabelTableError: The table cannot be used, or lacks a column.
    """
    if layout.bids:
        return read_bids(
            listing, layout.bids, layout.images, columns, encoding=layout.encoding, remedy=remedy
        )
    address = str(listing[layout.table]["address"])
    frame = read_columns(address, columns, encoding=layout.encoding, remedy=remedy)
    return BidsTable(layout.with_files(frame), (address,))


def without_ending(file: str) -> str:
    """The name of an image: the path of its file without the ending."""
    stem = file.removesuffix("/")
    return stem[: len(stem) - len(ending_of(stem))]
