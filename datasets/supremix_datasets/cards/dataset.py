"""What every dataset is made of: a card, a reader of the official layout, perhaps a phantom."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from supremix_datasets.cards.card import Card
from supremix_datasets.cards.sample import Scan, check_sample
from supremix_datasets.errors import CardError, SourceError
from supremix_datasets.own_objects import takes

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decoded image in canonical orientation, still on the grid of its file.

    Args:
        pixels: ``spatial`` or ``(channels, *spatial)``, any real dtype.
        spacing: Size of a pixel in mm per spatial axis, None where the file does not say.
        affine: Indices to mm along right, anterior and superior, ``(4, 4)``, of a volume; None
            where the file does not say where it lies.
    """

    pixels: Array
    spacing: tuple[float, ...] | None = None
    affine: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, image: Decoded | Array) -> Decoded:
        """A bare array is an image whose file does not give the spacing."""
        return image if isinstance(image, Decoded) else cls(np.asarray(image))


@runtime_checkable
class Reader(Protocol):
    """Reads one official layout. Has to be picklable: decoding happens in other processes.

    A store is known by the dataset's name, the reader's version and, where the reader is a
    dataclass, by its fields; not by the reader's class or module, which may move.
    """

    @property
    def version(self) -> int:
        """To be raised when the same files would be read differently; old stores are then left."""
        ...

    def scan(self, source: str) -> Scan:
        """List the samples of the folder at an fsspec address without touching a pixel.

        Raises:
            SourceError: the folder is missing, empty or in another layout.
            LabelTableError: the table of labels cannot be used.
        """
        ...

    def decode(self, address: str) -> Decoded | Array:
        """Decode one file in canonical orientation.

        Args:
            address: As `scan` gave it, but of a file of this machine its path, not its URL.

        Raises:
            DecodeError: the file is missing, damaged or not an image of this kind.
        """
        ...


PhantomWriter = Callable[[Path, int, int, tuple[int, int]], None]
"""``write(folder, samples, seed, (part, parts))``: writes every ``parts``-th image from ``part`` on
into an existing folder; part 0 writes the tables too. All parts together are the folder of so many
samples. The same seed writes the same folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phantom:
    """Synthetic data in the official layout, so that the dataset's own reader runs on them.

    Args:
        write: Writes the folder, see :data:`PhantomWriter`; picklable.
        version: Number to raise when the same seed would write other files.
        samples: Number of samples by default.
        shape: Grid that is plenty for them, instead of the card's; None keeps the card's.
        spacing: Spacing in mm that is plenty for them; None keeps the card's.
    """

    write: PhantomWriter
    version: int = 1
    samples: int = 192
    shape: tuple[int, ...] | None = None
    spacing: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """A card with the reader of its files and, where there is one, its phantom generator.

    Args:
        card: Constant facts of the dataset.
        reader: Reader of the files; picklable.
        phantom: Generator of synthetic data, if any.
        locate: For a dataset whose card depends on its source (the user's own table): gives the
            dataset of a source, see :meth:`at`. None: the card is the same for every source.
        reader_for: With ``locate``: gives the reader that decodes files for a card that was
            located earlier, by its channels; :meth:`reading` asks it.
        root: Of a dataset that was located: the folder that holds its files, where the source may
            have named a file in it.
        family: Name of the dataset that this one was located by, or its import path; empty for
            neither.

    Raises:
        CardError: the card is no card, or the reader no reader.
    """

    card: Card
    reader: Reader
    phantom: Phantom | None = None
    locate: Callable[[str], Dataset] | None = None
    reader_for: Callable[[Card], Reader] | None = None
    root: str | None = None
    family: str = ""

    def __post_init__(self) -> None:
        card: Any = self.card
        reader: Any = self.reader
        if not isinstance(card, Card):
            raise CardError(
                f"a dataset's card has to be a Card, found {type(card).__name__}: {card!r}"
            )
        if isinstance(reader, type):
            raise CardError(
                f"the reader of dataset {card.name!r} has to be an object, found the class "
                f"{reader.__name__}; make one: reader={reader.__name__}()"
            )
        known = isinstance(reader, Reader)
        if not (known and takes(reader.scan, "source") and takes(reader.decode, "address")):
            raise CardError(
                f"the reader of dataset {card.name!r} has to have version, scan(source) and "
                f"decode(address), found {type(reader).__name__}"
            )

    def scan(self, source: str) -> Scan:
        """List the samples of a folder by the reader, and check what it gives.

        Args:
            source: Folder at an fsspec address; `root` wins where it is known.

        Raises:
            DatasetError: the folder cannot be read, or the reader of the user's own does not give
                a scan of samples that fit the card.
        """
        scan: Any = self.reader.scan(self.root or source)
        if not isinstance(scan, Scan):
            raise SourceError(
                f"the reader of dataset {self.name!r} has to give a Scan of samples, "
                f"Scan.of([Sample(...), ...]); its scan gave {type(scan).__name__}"
            )
        for sample in scan.samples:
            check_sample(sample, self.name)
        ids = Counter(sample.id for sample in scan.samples)
        if twice := [name for name, count in ids.items() if count > 1]:
            raise SourceError(
                f"the reader of dataset {self.name!r} has to name each image once; "
                f"{len(twice)} names are there several times, for instance {twice[0]!r}"
            )
        return scan

    @property
    def name(self) -> str:
        """Name of the card."""
        return self.card.name

    @property
    def known_as(self) -> str:
        """Name by which the reader of its files is found again."""
        return self.family or self.name

    def reading(self, card: Card) -> Reader:
        """The reader that decodes single files for a card of this dataset, without the source."""
        return self.reader if self.reader_for is None else self.reader_for(card)

    def at(self, source: str | None) -> Dataset:
        """The dataset for a source: itself, unless its card depends on the source.

        Args:
            source: Folder or file at any fsspec address; None where there is none to look at.

        Raises:
            DatasetError: the source says nothing of the dataset, or contradicts itself.
        """
        if self.locate is None or source is None:
            return self
        return dataclasses.replace(self.locate(source), family=self.known_as)

    def card_for(
        self,
        *,
        phantom: bool = False,
        shape: Sequence[int] | None = None,
        spacing: Sequence[float] | None = None,
    ) -> Card:
        """The card on the grid that is asked for; phantoms are small unless one asks.

        Raises:
            CardError: the grid does not fit the card.
        """
        if phantom and self.phantom is not None and shape is None and spacing is None:
            shape, spacing = self.phantom.shape, self.phantom.spacing
        return self.card.with_shape(shape, spacing)
