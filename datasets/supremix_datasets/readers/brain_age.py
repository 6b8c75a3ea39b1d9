"""Shared by the datasets of brain age: the constants of their cards, and decoding."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from supremix_datasets.cards.augmentation import Augmentation
from supremix_datasets.cards.card import Card
from supremix_datasets.cards.covariate import SEX
from supremix_datasets.cards.dataset import Decoded
from supremix_datasets.decoding.images import decode_nifti
from supremix_datasets.sources.files import read_bytes

brain_age_card = partial(
    Card,
    modality="T1-weighted MRI",
    target="age",
    unit="years",
    label_bin=1.0,
    label_scale=1.0,
    window=5.0,
    label_range=(18.0, 110.0),
    shape=(91, 109, 91),
    spacing=(2.0, 2.0, 2.0),
    covariates=(SEX,),
    intensity="foreground",
    gain=1 / 80,
    augmentation=Augmentation(
        rotation_deg=8.0, translate=0.04, flip_axes=(0,), gain=0.1, gamma=0.1, bias_field=0.05
    ),
)
"""Makes the card of a dataset in MNI space; other values are given by keyword."""


class NiftiReader:
    """Decoding of a reader whose images are NIfTI volumes."""

    def decode(self, address: str) -> Decoded:
        """One volume ``(X, Y, Z)`` in right, anterior, superior order.

        Raises:
            DecodeError: the file is missing, truncated or no volume with 3 axes.
        """
        return decode_nifti(read_bytes(address))


def sex_covariate(text: str | None, codes: Mapping[str, float]) -> dict[str, float]:
    """The covariate of a table's cell; empty where the sex is not known.

    Args:
        text: The cell; case and the ``.0`` of a spreadsheet make no difference.
        codes: Words in lower case, each with 0 for female or 1 for male.
    """
    sex = codes.get((text or "").lower().removesuffix(".0"))
    return {} if sex is None else {"sex": sex}
