"""What every dataset is made of: a card, a reader of the official layout, perhaps a phantom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .card import Card
from .sample import Scan

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decoded image in canonical orientation, still on the grid of its file.

    Args:
        pixels: ``spatial`` or ``(channels, *spatial)``, any real dtype.
        spacing: Size of a pixel in mm per spatial axis, None where the file does not say.
    """

    pixels: Array
    spacing: tuple[float, ...] | None = None

    @classmethod
    def of(cls, image: Decoded | Array) -> Decoded:
        """A bare array is an image whose file does not tell the spacing."""
        return image if isinstance(image, Decoded) else cls(np.asarray(image))


@runtime_checkable
class Reader(Protocol):
    """Reads one official layout. Has to be picklable: decoding happens in other processes."""

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

        Raises:
            DecodeError: the file is missing, damaged or not an image of this kind.
        """
        ...


PhantomWriter = Callable[[Path, int, int, tuple[int, int]], None]
"""``write(folder, n, seed, (part, parts))``: writes every ``parts``-th image from ``part`` on;
part 0 writes the tables too. All parts together are the folder of n samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phantom:
    """Synthetic data in the official layout, so that the dataset's own reader runs on them.

    Args:
        write: Writes the folder, see :data:`PhantomWriter`; picklable.
        version: To be raised when the same seed would write other files.
        samples: How many are made when nobody says otherwise.
        shape: Grid that is plenty for them, instead of the card's; None keeps the card's.
        spacing: See ``shape``.
    """

    write: PhantomWriter
    version: int = 1
    samples: int = 192
    shape: tuple[int, ...] | None = None
    spacing: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """A card with the reader of its files and, where there is one, its phantom generator."""

    card: Card
    reader: Reader
    phantom: Phantom | None = None

    @property
    def name(self) -> str:
        """Name of the card."""
        return self.card.name

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
