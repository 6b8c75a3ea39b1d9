"""The user's own data: a folder of images with a table, described by a small TOML file.

Accepted sources, at any fsspec address::

    <folder>/dataset.toml       names the table and its columns; see docs/datasets/own-data.md
    <file>.toml                 the same under another name; its folder is the root
    <folder> with one table     of columns file, target and group, and no dataset.toml
    <file>.csv (or .parquet …)  such a table

The table has a row per image. Its files are paths below the root; a path to a folder is a DICOM
series. What is not in the table is no part of the dataset.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from supremix_datasets.cards.card import Card
from supremix_datasets.cards.dataset import Dataset, Decoded
from supremix_datasets.cards.sample import Scan
from supremix_datasets.decoding.images import decode_file
from supremix_datasets.errors import LabelTableError, SourceError
from supremix_datasets.readers.own_table.card import card_of
from supremix_datasets.readers.own_table.rows import Layout, read_rows
from supremix_datasets.readers.own_table.spec import (
    COMPULSORY,
    PATTERN,
    ROLES,
    SPEC,
    TableSpec,
    read_spec,
)
from supremix_datasets.sources.cells import PARQUET, WORKBOOKS
from supremix_datasets.sources.files import filesystem, list_files
from supremix_datasets.sources.numbers import to_number
from supremix_datasets.sources.tables import check_numbers, header, read_columns

TABLES = (".csv", ".tsv", ".tab", ".txt", *WORKBOOKS, *PARQUET)

CARD = Card(
    name="table",
    title="Your own images with a table",
    modality="2-D, 3-D or video",
    target="your target",
    unit="its unit",
    label_bin=1.0,
    label_scale=1.0,
    window=5.0,
    label_range=(0.0, 100.0),
    shape=(128, 128),
    licence="your own",
    home="docs/datasets/own-data.md",
)
"""Stands for the dataset where no source is known; :func:`locate` gives the real card."""


_LINES = "[columns]\n" + "\n".join(
    f'{role:<6} = "…"    # {meaning}'
    for role, meaning in zip(
        COMPULSORY,
        ('its path, or a pattern like "{ID}_a.jpg"', "the label", "the patient"),
        strict=True,
    )
)


@dataclass(frozen=True)
class TableReader:
    """Reads what a table lists; see the module's text for what it accepts.

    Args:
        layout: Where the table and the images are; None to find out from the source.
        channels: Channels of still pictures: 1 grey, 3 colour.
        version: Version of what the reader makes of the same files.
    """

    layout: Layout | None = None
    channels: int = 1
    version: int = 2

    def scan(self, source: str) -> Scan:
        """Pair the rows of the table with the files; touches no pixel.

        Args:
            source: Folder or file, see the module; with a layout the folder itself.

        Raises:
            SourceError: no such folder, or no table in it.
            CardError: the description contradicts itself.
            LabelTableError: a column is missing, or holds something that is not a number.
        """
        if self.layout is None:
            located = locate(source)
            return located.reader.scan(located.root or source)
        listing = list_files(source)
        info = listing.get(self.layout.table)
        if info is None:
            raise SourceError(f"the table {self.layout.table!r} is no longer in {source!r}.")
        table = str(info["address"])
        frame = _columns(table, self.layout)
        return read_rows(frame, self.layout, listing, source, table)

    def decode(self, address: str) -> Decoded:
        """One image of any supported format, see :func:`decode_file`.

        Raises:
            DecodeError: the file is missing, damaged or of no supported format.
        """
        return decode_file(address, channels=self.channels)


def locate(source: str) -> Dataset:
    """The dataset that a folder, its description or its table describes.

    Args:
        source: Address as the module's text describes it.

    Raises:
        SourceError: nothing there describes a dataset.
        CardError: the description contradicts itself.
        LabelTableError: the table cannot be used.
    """
    root, name = split_source(source)
    spec = read_spec(f"{root}/{name}") if name.endswith(".toml") else TableSpec()
    path = table_path(root, name, spec)
    layout = Layout(
        table=path,
        images=spec.images,
        columns=tuple((role, tuple(spec.column_names(role))) for role in ROLES),
        covariates=spec.covariates,
        encoding=spec.encoding,
    )
    frame = _columns(f"{root}/{path}", layout)
    labels = [number for text in frame["target"] if (number := to_number(text)) is not None]
    files = [text for text in frame["file"].to_list() if text]
    folder = root.rstrip("/").rsplit("/", 1)[-1]
    card = card_of(spec, folder, labels, files, f"{root}/{path}")
    known = layout.with_card(card.label_range, card.unit)
    return Dataset(card=card, reader=TableReader(known, card.channels), root=root)


def reader_for(card: Card) -> TableReader:
    """The reader that decodes single files as they were decoded for a card."""
    return TableReader(channels=card.channels)


def _columns(table: str, layout: Layout) -> pl.DataFrame:
    """The columns of the table as text, by role; covariates by ``covariate <name>``."""
    frame = read_columns(table, layout.wanted(), encoding=layout.encoding, remedy=_remedy)
    if frame.is_empty():
        raise LabelTableError(
            f"the table {table} has a header and no rows. It needs one row for each image."
        )
    frame = layout.with_files(frame)
    check_numbers(frame, "target", " or ".join(dict(layout.columns)["target"]), table)
    return frame


def _remedy(column: str) -> str:
    """The lines of dataset.toml that name an absent column."""
    kind, _, name = column.partition(" ")
    if kind == "cell":
        return "The pattern of columns.file may name these columns only."
    if kind == "covariate":
        return f'Write into {SPEC} which column it is:\n\n[covariates.{name}]\ncolumn = "…"'
    return f"Write into {SPEC}, in the folder, which columns these are:\n\n{_LINES}"


def split_source(source: str) -> tuple[str, str]:
    """The root's address, and the file in it that describes the dataset (empty if none)."""
    fs, path = filesystem(source)
    if not fs.exists(path):
        raise SourceError(
            f"no folder or file at {source!r}. Give the folder that holds {SPEC} and the images."
        )
    if fs.isdir(path):
        found = fs.exists(f"{path.rstrip('/')}/{SPEC}")
        return str(fs.unstrip_protocol(path)).rstrip("/"), SPEC if found else ""
    root, _, name = str(fs.unstrip_protocol(path)).rpartition("/")
    if not name.lower().endswith((".toml", *TABLES)):
        raise SourceError(
            f"{source!r} is neither a folder, nor a .toml that describes one, nor a table "
            f"({', '.join(TABLES)})."
        )
    return root, name


def table_path(root: str, name: str, spec: TableSpec) -> str:
    """Path of the table, relative to the root."""
    if spec.table is not None:
        path = str(Path(spec.table.replace("\\", "/")))
        fs, location = filesystem(f"{root}/{path}")
        if not fs.exists(location):
            raise SourceError(f"{name} names the table {spec.table!r}, which is not in {root!r}.")
        return path
    if name and not name.endswith(".toml"):
        return name
    return _only_table(root, spec)


def _only_table(root: str, spec: TableSpec) -> str:
    """The one table at the top of the root, or the one of several with the compulsory columns."""
    tables = [p for p in list_files(root) if "/" not in p and p.lower().endswith(TABLES)]
    if len(tables) == 1:
        return tables[0]
    fitting = [path for path in tables if _fits(f"{root}/{path}", spec)]
    if len(fitting) == 1:
        return fitting[0]
    wanted = ", ".join(" or ".join(map(repr, spec.column_names(role)[:2])) for role in COMPULSORY)
    if not tables:
        raise SourceError(
            f"no table in {root!r}: expected one file ({', '.join(TABLES)}) with the columns "
            f"{wanted}, or a {SPEC} that names table and columns."
        )
    raise SourceError(
        f"{len(fitting)} of the tables {tables} in {root!r} have the columns {wanted}, where one "
        f"is expected. Name the table and its columns in {SPEC}: table = …, [columns] file = …"
    )


def _fits(table: str, spec: TableSpec) -> bool:
    try:
        have = set(header(table, spec.encoding))
    except LabelTableError:  # a text file that is no table at all
        return False
    names = {role: spec.column_names(role) for role in COMPULSORY}
    cells = PATTERN.findall(names["file"][0])
    if cells:
        names["file"] = cells
    return set(cells) <= have and all(have & set(wanted) for wanted in names.values())


DATASET = Dataset(card=CARD, reader=TableReader(), locate=locate, reader_for=reader_for)
