"""The user's own data: a folder of images with a table, described by a small TOML file.

Accepted sources, at any fsspec address::

    <folder>/dataset.toml       names the table and its columns; see docs/datasets/own-data.md
    <file>.toml                 the same under another name; its folder is the root
    <folder> with one table     of columns file, target and group, and no dataset.toml
    <folder> in BIDS            participants.tsv and sub-*/; a dataset.toml names the label
    <file>.csv (or .parquet …)  such a table

The table has a row per image, of one file or of one for each channel. Its files are paths below
the root; a path to a folder is a DICOM series. What is not in the table is no part of the dataset.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from supremix_datasets.cards.card import Card
from supremix_datasets.cards.dataset import Dataset, Decoded
from supremix_datasets.cards.sample import Scan
from supremix_datasets.decoding.images import VOLUMES, decode_file
from supremix_datasets.errors import LabelTableError, SourceError
from supremix_datasets.readers.own_table.bids import (
    PARTICIPANTS,
    BidsTable,
    Listing,
    chosen_sequences,
    is_bids,
)
from supremix_datasets.readers.own_table.card import card_of
from supremix_datasets.readers.own_table.layout import Layout, read_table
from supremix_datasets.readers.own_table.rows import read_rows
from supremix_datasets.readers.own_table.spec import (
    COMPULSORY,
    PATTERN,
    ROLES,
    SPEC,
    TableSpec,
    read_spec,
)
from supremix_datasets.sources.cells import PARQUET, WORKBOOKS
from supremix_datasets.sources.files import file_name, filesystem, list_files, parts_of
from supremix_datasets.sources.numbers import to_number
from supremix_datasets.sources.tables import check_numbers, header

TABLES = (".csv", ".tsv", ".tab", ".txt", *WORKBOOKS, *PARQUET)

_PET = tuple(f"_pet{ending}" for ending in VOLUMES)

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
        ("file", *COMPULSORY),
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
    version: int = 3

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
        return read_rows(*_read(self.layout, source), self.layout, source)

    def decode(self, address: str) -> Decoded:
        """One image of any supported format, see :func:`decode_file`.

        Several files, joined by `sources.files.PART`, are its channels, see
        :func:`supremix_datasets.decoding.channels.decode_channels`. The time frames of a NIfTI
        file of PET (by BIDS named ``_pet``) are averaged.

        Raises:
            DecodeError: the file is missing, damaged or of no supported format.
        """
        parts = parts_of(address)
        if len(parts) > 1:
            from supremix_datasets.decoding.channels import decode_channels

            return decode_channels(parts, _decode)
        return _decode(address, self.channels)


def _decode(address: str, channels: int = 1) -> Decoded:
    if file_name(address).lower().endswith(_PET):
        from supremix_datasets.readers.pet_files import decode_pet

        return decode_pet(address)
    return decode_file(address, channels=channels)


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
    layout = layout_of(root, name, spec, tuple(role for role in ROLES if role != "file"))
    table, _ = _read(layout, root)
    labels = [number for text in table.frame["target"] if (number := to_number(text)) is not None]
    names = [f"file {k}" for k in range(len(layout.files))]
    files = [text for name in names for text in table.frame[name].to_list() if text]
    folder = root.rstrip("/").rsplit("/", 1)[-1]
    card = card_of(spec, folder, labels, files, table.tables[0], layout.sequences)
    known = layout.with_card(card.label_range, card.unit)
    return Dataset(card=card, reader=TableReader(known, card.channels), root=root)


def layout_of(root: str, name: str, spec: TableSpec, roles: Sequence[str]) -> Layout:
    """The layout of the table that a folder or its description has.

    Args:
        root: Address of the folder.
        name: File in it that describes the dataset; empty if none.
        spec: Content of that description.
        roles: What columns are needed for, see `spec.ROLES`; not the files.

    Raises:
        SourceError: There is no table, or it is not clear which one.
    """
    listing = list_files(root)
    named = spec.table is not None or bool(spec.files) or name.lower().endswith(TABLES)
    if spec.bids or (not named and is_bids(listing)):
        bids = spec.bids or chosen_sequences(listing, spec.images)
        return Layout.of(spec, PARTICIPANTS, bids, roles)
    return Layout.of(spec, table_path(root, name, spec), (), roles)


def reader_for(card: Card) -> TableReader:
    """The reader that decodes single files as they were decoded for a card."""
    return TableReader(channels=card.channels)


def _read(layout: Layout, root: str) -> tuple[BidsTable, Listing]:
    """The columns of the table as text, by role, and the files of the folder.

    Raises:
        SourceError: The table is not there.
        LabelTableError: It cannot be used.
    """
    listing = list_files(root)
    if layout.table not in listing:
        raise SourceError(
            f"there is no table {layout.table!r} in {root!r}, which has the labels. Put it there."
        )
    remedy = functools.partial(_remedy, bids=layout.bids)
    table = read_table(layout, layout.wanted(), listing, remedy)
    if table.frame.is_empty():
        raise LabelTableError(
            f"the table {table.tables[0]} has a header and no rows. It needs one row for each "
            f"{'patient' if layout.bids else 'image'}."
        )
    column = " or ".join(dict(layout.columns)["target"])
    check_numbers(table.frame, "target", column, table.tables[0])
    return table, listing


def _remedy(column: str, bids: Sequence[str] = ()) -> str:
    """The lines of dataset.toml that name an absent column."""
    if bids and column == "target":
        return f'Write into {SPEC}, in the folder, which column it is:\n\n[columns]\ntarget = "…"'
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
    wanted = ", ".join(
        " or ".join(map(repr, names[:2]))
        for names in (*spec.file_names, *map(spec.column_names, COMPULSORY))
    )
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
    wanted = [*spec.file_names, *(spec.column_names(role) for role in COMPULSORY)]
    cells = [PATTERN.findall(names[0]) for names in wanted]
    return all(
        set(found) <= have if found else bool(have & set(names))
        for names, found in zip(wanted, cells, strict=True)
    )


DATASET = Dataset(card=CARD, reader=TableReader(), locate=locate, reader_for=reader_for)
