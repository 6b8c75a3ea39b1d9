"""A labelled dataset that was no part of a search, and whether a model can be measured on it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import supremix_datasets
from supremix.training import ModelInputError
from supremix_datasets import Card, CovariateError, Dataset, Rejected, Sample
from supremix_datasets.cards.sample import Scan
from supremix_datasets.stores.build import decode_chunk

LEAST = 3
"""Images with a label and a prediction that a model is measured on at least."""

_NO_UNIT, _NO_TARGET = "units", "target"
"""Unit and name of the label of a table of the user's own that names none."""
_TRIED = 3
"""Images that are decoded at most to see that they fit."""


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """The images and labels of a dataset, before any pixel is touched.

    Args:
        dataset: The dataset, with the card of its source.
        source: Its folder or address.
        scan: What its reader finds there.
    """

    dataset: Dataset
    source: str
    scan: Scan

    @classmethod
    def read(cls, dataset: str | Dataset, source: str) -> Cohort:
        """List the images and labels of a folder.

        Args:
            dataset: Name of a dataset, or a `Dataset`.
            source: Its folder or address.

        Raises:
            USER_ERRORS: Of `supremix.errors`: the folder or its labels cannot be read.
        """
        chosen = supremix_datasets.get(dataset).at(source)
        return cls(dataset=chosen, source=source, scan=chosen.scan(source))

    @property
    def card(self) -> Card:
        """Its card."""
        return self.dataset.card

    def is_labelled_like(self, card: Card) -> bool:
        """Whether its label has the name and the unit of a card's, as far as it says them."""
        return self.card.target in (card.target, _NO_TARGET) and self.card.unit in (
            card.unit,
            _NO_UNIT,
        )

    def check(self, card: Card) -> list[str]:
        """Check that it has the label, the covariates and the files that a model takes.

        Args:
            card: The model's card.

        Returns:
            What is to be said of the match.

        Raises:
            ModelInputError: It has not.
        """
        other = self.card
        needed = [one.name for one in card.covariates if one.default is None]
        known = {one.name for one in other.covariates}
        lacking = [name for name in needed if name not in known]
        if lacking:
            raise ModelInputError(
                f"the model needs {', '.join(lacking)} with each image, and {other.name!r} has "
                f"{', '.join(sorted(known)) or 'no covariates'}. Declare the column, for a table "
                f"of your own in dataset.toml: [covariates.{lacking[0]}]."
            )
        remarks = _check_sequences(card, other)
        if other.unit == _NO_UNIT != card.unit:
            return [
                *remarks,
                f"The table names no unit: its labels are taken to be in {card.unit}.",
            ]
        if other.unit != card.unit:
            raise ModelInputError(
                f"the model predicts {card.target} in {card.unit}, and the labels of "
                f"{other.name!r} are {other.target} in {other.unit}. Give labels in {card.unit}."
            )
        return remarks

    def check_images(self, card: Card) -> None:
        """Check, before any model is trained, that images can be brought to a card's grid.

        Args:
            card: The card of the models.

        Raises:
            ModelInputError: Too few images have a label and the covariates, or none of the first
                ones can be decoded.
        """
        matched = self.matched(card)
        samples = [one for one in matched if isinstance(one, Sample)]
        if len(samples) >= LEAST:
            decoded = decode_chunk(self.dataset.reader, card, samples[:_TRIED])
            rejected = [one for one in decoded if isinstance(one, Rejected)]
            if len(rejected) < len(decoded):
                return
            reasons, left = [one.reason for one in rejected], 0
        else:
            reasons = [one.reason for one in matched if isinstance(one, Rejected)]
            left = len(samples)
        raise ModelInputError(self.too_few(reasons, left))

    def matched(self, card: Card) -> list[Sample | Rejected]:
        """Its samples with a model's covariates: categories by their words, not their numbers."""
        return [_matched(sample, self.card, card) for sample in self.scan.samples]

    def too_few(self, reasons: Iterable[str], count: int) -> str:
        """Say that too few images can be predicted.

        Args:
            reasons: Of the images that cannot, besides those that the reader rejected.
            count: Number of those that can.
        """
        known = Counter([*(one.reason for one in self.scan.rejected), *reasons]).most_common(3)
        words = "; ".join(f"{reason} ({times}×)" for reason, times in known)
        return (
            f"only {count} images in {self.source!r} have a prediction and a label, at least "
            f"{LEAST} are needed. Most frequent reasons: {words or 'there are no more images'}."
        )


def _check_sequences(card: Card, other: Card) -> list[str]:
    """Check that a cohort has as many files an image; returns what is to be said of their names."""
    ours, theirs = card.sequences, other.sequences
    if max(1, len(ours)) != max(1, len(theirs)):
        raise ModelInputError(
            f"the model takes {max(1, len(ours))} file(s) an image ({', '.join(ours) or 'any'}), "
            f"and those of {other.name!r} have {max(1, len(theirs))}. Name as many, in that order."
        )
    if len(ours) < 2 or ours == theirs:
        return []
    return [
        f"The files of an image are called {', '.join(theirs)} here and {', '.join(ours)} in the "
        "training data; they are taken in this order."
    ]


def _matched(sample: Sample, theirs: Card, ours: Card) -> Sample | Rejected:
    known = {one.name: one for one in theirs.covariates}
    covariates: dict[str, float] = {}
    try:
        for own in ours.covariates:
            if own.name in sample.covariates:
                value = sample.covariates[own.name]
                word = known[own.name].word(value) if own.name in known else None
                covariates[own.name] = own.number(f"{value:.12g}" if word is None else word)
    except CovariateError as error:
        return Rejected(id=sample.id, reason=str(error), address=sample.address)
    return dataclasses.replace(sample, covariates=covariates)
