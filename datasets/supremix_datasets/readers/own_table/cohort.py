"""Images without labels, to be predicted: files, a folder of images, or a table with a row each.

A table is read like that of the user's own dataset, but needs no target and no group. Its columns
of covariates have the covariates' names, or those that a ``dataset.toml`` gives them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from supremix_datasets.cards.card import Card
from supremix_datasets.cards.covariate import Covariate
from supremix_datasets.cards.sample import Rejected, Sample
from supremix_datasets.decoding.images import DICOM, ENDINGS, ending_of
from supremix_datasets.errors import CovariateError, SourceError
from supremix_datasets.readers.own_table.bids import PARTICIPANTS, BidsName, is_bids
from supremix_datasets.readers.own_table.dataset import TABLES, layout_of, split_source
from supremix_datasets.readers.own_table.layout import Layout, read_table, without_ending
from supremix_datasets.readers.own_table.rows import FileFinder
from supremix_datasets.readers.own_table.spec import TableSpec, read_spec
from supremix_datasets.sources.files import (
    PART,
    file_name,
    filesystem,
    is_hidden,
    list_files,
    local_path,
    parts_of,
)
from supremix_datasets.stores.conform import covariate_vector

Values = Mapping[str, float | str]
"""Covariates by name, numbers or the card's words."""


@dataclass(frozen=True, slots=True)
class CohortImage:
    """One image of a cohort.

    Args:
        file: Its path as the user knows it: as given, or below the folder, or in the table.
        found: The sample, whose target is NaN, or why there is none.
    """

    file: str
    found: Sample | Rejected


def list_cohort(
    sources: Sequence[str], card: Card, covariates: Values | None = None
) -> list[CohortImage]:
    """List the images of a cohort without decoding any.

    Args:
        sources: Addresses of image files; or of one folder, of one table, or of one
            ``dataset.toml`` or folder that has one; or of a BIDS folder, where the model was
            trained on one.
        card: The card of the model, which names the covariates.
        covariates: Values that hold for every image for which a table has none.

    Returns:
        The images in the order of files or rows; in a folder, sorted by path. DICOM files of one
        folder are one image where the card's images are volumes.

    Raises:
        SourceError: There is no such file or folder, or no image in it; or the model takes several
            files an image, and the source does not say which belong together.
        LabelTableError: The table cannot be used, or lacks a column.
        CovariateError: A covariate is unknown or, where there is no table, missing.
    """
    given = dict(covariates or {})
    if len(sources) == 1:
        (source,) = sources
        fs, path = filesystem(source)
        folder = fs.isdir(path)
        if source.lower().endswith((".toml", *TABLES)) or (folder and split_source(source)[1]):
            _check_given(card, given)
            return _table_images(source, card, given)
        if folder and is_bids(list_files(source)) and all(map(BidsName.of, card.sequences)):
            _check_given(card, given)
            bids = TableSpec(bids=card.sequences)
            return _listed(source, bids, Layout.of(bids, PARTICIPANTS, bids.bids, ()), card, given)
        _check_one_file(card)
        if not (ending_of(source) or fs.exists(path)):
            raise SourceError(
                f"no folder or file at {source!r}. Name a folder of images, a table with a "
                "row an image, or image files."
            )
        if folder:
            return _images(_folder_files(source, card), card, given)
    _check_one_file(card)
    return _images([(file, file) for file in sources], card, given)


def _check_one_file(card: Card) -> None:
    """Raise where an image of the card is several files, which only a table pairs."""
    if len(card.sequences) > 1:
        raise SourceError(
            f"the model takes {len(card.sequences)} files an image, {', '.join(card.sequences)}, "
            "in this order. Name a table with a dataset.toml that says which they are (see "
            "docs/datasets/own-data.md), or a BIDS folder; in Python a tuple of files is one image."
        )


def _check_given(card: Card, given: Values) -> None:
    """Raise where a value is of no covariate of the card, or cannot be one."""
    known = {covariate.name: covariate for covariate in card.covariates}
    for name, value in given.items():
        if name not in known:
            covariate_vector(card, given)  # which says what there is
        _number(known[name], value)


def _images(files: Sequence[tuple[str, str]], card: Card, given: Values) -> list[CohortImage]:
    """Images of files, each a shown path and an address, that have their covariates in common."""
    covariate_vector(card, given)
    numbers = _numbers(card, given)
    return [
        CohortImage(file, _sample(without_ending(file), address, numbers))
        for file, address in files
    ]


def _folder_files(source: str, card: Card) -> list[tuple[str, str]]:
    """The shown path and the address of each image below a folder."""
    series = len(card.shape) == 3 and card.period is None
    found: dict[str, str] = {}
    for path, info in list_files(source).items():
        address, ending = str(info["address"]), ending_of(path)
        if not ending or is_hidden(path):
            continue
        if series and ending in DICOM:
            parent = str(PurePosixPath(path).parent)
            name = file_name(source.rstrip("/")) if parent == "." else parent
            found[name] = address.rsplit("/", 1)[0] + "/"
        else:
            found[path] = address
    if not found:
        raise SourceError(
            f"no image in {source!r}: expected files ending in one of {', '.join(ENDINGS)}. Name "
            "the folder that holds them, or a table with a column of files."
        )
    return sorted(found.items())


def _table_images(source: str, card: Card, given: Values) -> list[CohortImage]:
    root, name = split_source(source)
    spec = read_spec(f"{root}/{name}") if name.endswith(".toml") else TableSpec()
    layout = layout_of(root, name, spec, ("id",))
    files = max(1, len(card.sequences))
    if len(layout.files) != files:
        raise SourceError(
            f"the model takes {files} file(s) an image"
            f"{': ' if card.sequences else ''}{', '.join(card.sequences)}; "
            f"{source!r} names {len(layout.files)}. Write as many into dataset.toml, in this "
            'order: [columns] file = ["…", …], or bids = [… ].'
        )
    return _listed(root, spec, layout, card, given)


def _listed(
    root: str, spec: TableSpec, layout: Layout, card: Card, given: Values
) -> list[CohortImage]:
    """The image of each row of a table."""
    columns = {one.covariate.name: one.column for one in spec.covariates}
    wanted = {
        f"covariate {c.name}{'' if c.default is None and c.name not in given else '?'}": [
            columns.get(c.name, c.name)
        ]
        for c in card.covariates
    }
    listing = list_files(root)
    table = read_table(layout, layout.wanted() | wanted, listing, _remedy)
    finder = FileFinder.of(listing, root)
    images: list[CohortImage] = []
    for row in table.frame.iter_rows(named=True):
        stem, paths = layout.name_and_paths(row)
        address, problem, _ = finder.find_all(paths)
        problem = row.get("problem") or problem
        cells = {c.name: row[f"covariate {c.name}"] for c in card.covariates}
        known = {key: cell for key, cell in cells.items() if cell is not None}
        numbers: dict[str, float] = {}
        try:
            numbers = _numbers(card, {**given, **known})
        except CovariateError as error:
            problem = problem or str(error)
        name = row["id"] or stem
        rejected = Rejected(id=name, reason=problem or "", address=address)
        found = rejected if problem else _sample(name, address, numbers)
        shown = [row[f"file {k}"] or "" for k in range(len(paths))]
        images.append(CohortImage(", ".join(filter(None, shown)), found))
    return images


def _remedy(column: str) -> str:
    kind, _, name = column.partition(" ")
    if kind != "covariate":
        return "Rename the column that holds it."
    return f"Rename the column that holds it, or give one value for all images: {name}=…"


def _sample(name: str, address: str, covariates: Mapping[str, float]) -> Sample:
    # A user's own reader may know paths alone.
    where = PART.join(
        part if (path := local_path(part)) is None else path + "/" * part.endswith("/")
        for part in parts_of(address)
    )
    return Sample(id=name, group=name, target=math.nan, address=where, covariates=covariates)


def _numbers(card: Card, values: Values) -> dict[str, float]:
    """The numbers of an image's values.

    Raises:
        CovariateError: One is missing, or cannot be used.
    """
    for covariate in card.covariates:
        if covariate.name not in values and covariate.default is None:
            raise CovariateError(f"no {covariate.name} in the table")
    return {c.name: _number(c, values[c.name]) for c in card.covariates if c.name in values}


def _number(covariate: Covariate, value: float | str) -> float:
    number = covariate.number(value) if isinstance(value, str) else float(value)
    if not covariate.allows(number):
        raise covariate.refusal(value)
    return number
