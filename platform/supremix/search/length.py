"""The length of a search's trials: as it is asked for, or as it follows from effort and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supremix.runs.folder import RunFolder, read_json
from supremix.search.request.effort import EFFORTS
from supremix.search.spec import SearchSpec
from supremix.storage.retry import storage_errors
from supremix.training import Stage, get_method, make_config
from supremix.training.length import Length, epochs_to_see, trial_length
from supremix_datasets import Card


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedImages:
    """The training images of a dataset, and the hyperparameters whose length counts.

    Args:
        spec: Specification of a search on the dataset.
        config: The default hyperparameters.
        card: The card of the dataset.
        images: Number of training images.
    """

    spec: SearchSpec
    config: Mapping[str, Any]
    card: Card
    images: int

    def stages(self, epochs: int) -> Sequence[Stage]:
        """The stages of a trial of so many epochs."""
        method = get_method(self.spec.method)
        return method.stages(make_config(method, self.config), epochs=epochs, card=self.card)

    def length(self, epochs: int) -> Length:
        """The length of a trial of so many epochs."""
        return trial_length(self.stages(epochs), self.images)

    def images_to_see(self, effort: str | None = None) -> int:
        """Images that a trial is to see where no epochs are given; see `choose_epochs`."""
        asked = self.spec.images_seen
        if asked is not None and effort is None:
            return asked
        return EFFORTS[effort or self.spec.effort].images_of(self.images)


def choose_epochs(parts: Sequence[TrainedImages], effort: str | None = None) -> int:
    """The epochs of a trial, as many as it takes to see the images that are asked for.

    Args:
        parts: The datasets that a trial is trained on, for the same number of epochs each; of
            several the sum is what is asked for.
        effort: Name of another effort than that of the specification, in place of what it asks for.
    """
    asked = parts[0].spec.epochs
    if asked is not None and effort is None:
        return asked
    return epochs_of(parts, sum(part.images_to_see(effort) for part in parts))


def epochs_of(parts: Sequence[TrainedImages], images_seen: int) -> int:
    """The fewest epochs in which a trial sees so many images, on all its datasets together."""
    images = sum(part.images for part in parts)
    return epochs_to_see(images_seen, lambda epochs: length_of(parts, epochs), images)


def length_of(parts: Sequence[TrainedImages], epochs: int) -> Length:
    """The length of a trial of so many epochs on each dataset, on all of them together."""
    return sum((part.length(epochs) for part in parts), Length())


def kept_length(run: RunFolder) -> dict[str, int | None]:
    """The content of a run's `length.json`: epochs, steps, images seen; empty before it has begun.

    Under ``fitted`` and ``final_fitted`` stand the images that a trial and the final training were
    to see, where a budget made trials shorter, under ``final_epochs`` the epochs of the latter, and
    under ``planned_epochs`` those of a trial before it was prolonged.
    """
    with storage_errors(str(run.length)):
        begun = run.length.is_file()
    return read_json(run.length) if begun else {}


def kept_epochs(run: RunFolder) -> int | None:
    """The epochs of a trial as planned, not as prolonged; None before the run has begun."""
    kept = kept_length(run)
    return kept.get("planned_epochs", kept.get("epochs"))
