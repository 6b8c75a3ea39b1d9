"""The store: the prepared images of one dataset, memory-mapped and never changed.

A folder with

    images.bin           the images, or the frames of all videos, row after row, in the card's dtype
    index.parquet        a row per sample: row (the first, of a video), frames (of a video, else 1),
                         id, group, split, target, site, fold, image_hash, covariates, and of
                         each covariate the word or number as it was read (column ``sex as read``),
                         null where not known
    quarantine.parquet   a row per image that was excluded: id, reason, address
    manifest.json        the card, shape, key, what went in, number of copies; written last

It is written under another name and then renamed, so it is there as a whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from supremix_datasets.cache import only_one
from supremix_datasets.cards.card import Card
from supremix_datasets.cards.dataset import Array
from supremix_datasets.copies import describe_copies, find_copies
from supremix_datasets.errors import StoreError
from supremix_datasets.stores.clips import clip_frames

FORMAT = 5
IMAGES, INDEX, QUARANTINE, MANIFEST = (
    "images.bin",
    "index.parquet",
    "quarantine.parquet",
    "manifest.json",
)

IDENTITY = ("key", "format", "card", "reader", "contents", "samples")
"""Entries of the manifest that say what a store was made of."""


def as_read(covariate: str) -> str:
    """Name of the index's column that holds a covariate's word, or its number as read, as text."""
    return f"{covariate} as read"


class Store:
    """A prepared dataset, opened for reading. Opening reads the index and maps the images.

    Attributes:
        path: Folder of the store.
        key: Hash of all that went in; part of the folder's name.
        card: The card on the grid it was prepared on.
        manifest: What was prepared, by which version, from what.
        images: ``(R, channels, *shape)`` read-only, in the card's dtype; of videos the frames,
            ``(R, channels, H, W)``.
        index: One row per sample, columns ``row, frames, id, group, split, target, site,
            fold, image_hash`` (equal for equal pixels), covariates, and each covariate as it was
            read, see :func:`as_read`.
        quarantine: ``id, reason, address`` of what was excluded.
        rows: ``(N,)`` int64, row in ``images`` of each sample; of a video its first frame's.
        lengths: ``(N,)`` int64, number of rows of each sample: frames of a video, else 1.
        targets: ``(N,)`` float64, in the card's unit.
        covariates: ``(N, K)`` float32, logarithm taken where the card says.
    """

    def __init__(self, path: str, manifest: dict[str, Any], images: NDArray[Any]) -> None:
        self.path = path
        self.manifest = manifest
        self.key = str(manifest["key"])
        self.card = Card.from_dict(manifest["card"])
        self.images = images
        self._plain = images.view(np.ndarray)  # without what np.memmap does at each access
        self.index = pl.read_parquet(Path(path) / INDEX)
        self.quarantine = pl.read_parquet(Path(path) / QUARANTINE)
        self.rows: NDArray[np.int64] = self.index["row"].to_numpy().astype(np.int64)
        self.lengths: NDArray[np.int64] = self.index["frames"].to_numpy().astype(np.int64)
        self.targets: NDArray[np.float64] = self.index["target"].to_numpy().astype(np.float64)
        names = [covariate.name for covariate in self.card.covariates]
        self.covariates: NDArray[np.float32] = (
            self.index.select(names).to_numpy().astype(np.float32).reshape(len(self), len(names))
        )

    def __len__(self) -> int:
        return self.index.height

    def __repr__(self) -> str:
        return f"Store({self.card.name}: {len(self)} images {self.card.shape}, {self.path})"

    def __reduce__(self) -> tuple[Any, tuple[str]]:  # stores travel between processes by path
        return Store.open, (self.path,)

    @property
    def name(self) -> str:
        """Name of its folder: the dataset and the beginning of the key."""
        return Path(self.path).name

    @property
    def identity(self) -> dict[str, Any]:
        """The key, and what it follows from: format, card, reader, and hashes of table and files.

        A run keeps it, to be continued with the same data; see `prepare`.
        """
        return {name: self.manifest[name] for name in IDENTITY}

    @cached_property
    def copies(self) -> list[list[int]]:
        """Rows of the index with the same pixels, of each image that several patients have."""
        return find_copies(self.index["group"].to_list(), self.index["image_hash"].to_list())

    def describe_copies(self) -> str:
        """How many images occur under several patients, in words; empty where there are none."""
        ids = self.index["id"].to_list()
        named = [[ids[row] for row in rows] for rows in self.copies]
        return describe_copies(named) if named else ""

    def read(self, positions: NDArray[np.int64], starts: NDArray[np.int64] | None = None) -> Array:
        """Copy samples out of the map, once.

        Args:
            positions: ``(B,)`` rows of the index.
            starts: ``(B,)`` first frame of a clip within each video; None for the very first.

        Returns:
            ``(B, channels, *shape)`` in the card's dtype.
        """
        rows = self.rows[positions]
        if self.card.period is None:
            return self._plain.take(rows, axis=0)
        first = np.zeros_like(rows) if starts is None else starts
        frames = clip_frames(first[:, None], self.lengths[positions][:, None], self.card)
        clips = self._plain.take(rows[:, None] + frames, axis=0)  # (B, frames, channels, H, W)
        return np.ascontiguousarray(np.moveaxis(clips, 2, 1))  # no copy where it is one channel

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Store:
        """Open the store in a folder.

        Raises:
            StoreError: there is none, or it is damaged.
        """
        folder = Path(path)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise StoreError(
                f"no prepared store in {str(folder)!r} (no {MANIFEST}). Prepare the dataset first: "
                "supremix prepare --dataset NAME --source FOLDER"
            ) from error
        except ValueError as error:
            raise StoreError(_damaged(folder, f"{MANIFEST} is not JSON")) from error
        if manifest.get("format") != FORMAT:
            raise StoreError(_damaged(folder, f"its format is {manifest.get('format')!r}"))
        try:
            return cls(str(folder), manifest, _map_images(folder, manifest))
        except (OSError, KeyError, pl.exceptions.PolarsError) as error:
            raise StoreError(_damaged(folder, str(error))) from error

    @classmethod
    def find(cls, cache: str | os.PathLike[str], key: str) -> Store | None:
        """The store with that key under a cache folder, or None."""
        matches = sorted((Path(cache) / "stores").glob(f"*-{key[:16]}"))
        return open_whole(matches[0]) if matches else None


def open_whole(folder: Path) -> Store | None:
    """Open the store in a folder of a cache, whose files may be deleted at any time.

    Returns:
        The store; None where there is none, or where it had lost files: the rest is removed then.
    """
    if not folder.is_dir():
        return None
    try:
        return Store.open(folder)
    except StoreError:
        with only_one(folder):  # another process may have made it again by now
            try:
                return Store.open(folder)
            except StoreError:
                shutil.rmtree(folder, ignore_errors=True)
    return None


def _map_images(folder: Path, manifest: dict[str, Any]) -> NDArray[Any]:
    shape = tuple(int(n) for n in manifest["shape"])
    dtype = np.dtype(manifest["dtype"])
    size = (folder / IMAGES).stat().st_size
    if size != int(np.prod(shape)) * dtype.itemsize:
        raise StoreError(_damaged(folder, f"{IMAGES} has {size} bytes, not {shape} {dtype}"))
    return np.memmap(folder / IMAGES, dtype=dtype, mode="r", shape=shape)


def _damaged(folder: Path, why: str) -> str:
    return f"the store {str(folder)!r} cannot be used: {why}. Remove the folder and prepare again."
