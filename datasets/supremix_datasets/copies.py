"""Copies: images of different patients whose pixels are the same."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from supremix_datasets.cards.dataset import Array


def image_hash(pixels: Array) -> str:
    """Hash of an image's pixels as they are stored."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).hexdigest()


def find_copies(groups: Sequence[str], hashes: Sequence[str]) -> list[list[int]]:
    """Find the images that occur under several patients.

    Args:
        groups: (N,) patient of each image.
        hashes: (N,) `image_hash` of each image.

    Returns:
        For each such image the indices of its occurrences, in order.
    """
    same: defaultdict[str, list[int]] = defaultdict(list)
    for index, found in enumerate(hashes):
        same[found].append(index)
    return [rows for rows in same.values() if len({groups[row] for row in rows}) > 1]


def describe_copies(copies: Sequence[Sequence[str]]) -> str:
    """How many images occur under several patients, and an example.

    Args:
        copies: The names of each such image; not empty.
    """
    return (
        f"{len(copies)} images occur under more than one patient, with the same pixels (for "
        f"instance {' and '.join(copies[0][:2])})"
    )


def united_groups(groups: Sequence[str], hashes: Sequence[str]) -> list[str]:
    """The patient of each image, with patients who have an image in common taken for one.

    Args:
        groups: (N,) patient of each image.
        hashes: (N,) `image_hash` of each image.

    Returns:
        (N,) names; of several patients the first in alphabetical order.
    """
    heads = {group: group for group in groups}

    def head(group: str) -> str:
        while heads[group] != group:
            group = heads[group]
        return group

    for rows in find_copies(groups, hashes):
        first, *others = sorted({head(groups[row]) for row in rows})
        heads.update(dict.fromkeys(others, first))
    return [head(group) for group in groups]
