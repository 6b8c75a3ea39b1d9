"""A trained model measured on a labelled dataset that was no part of its search."""

from __future__ import annotations

from collections.abc import Callable

from supremix.external.cohort import Cohort
from supremix.external.measure import EVALUATIONS, Evaluation, measure
from supremix.storage.paths import Address
from supremix.training import TrainedModel
from supremix.training.artifacts.calibrated import Calibrating
from supremix.training.artifacts.cohort import BATCH
from supremix.training.artifacts.loading import load
from supremix_datasets import Dataset
from supremix_reports.statistics.conformal.choices import BiasCorrection, IntervalMethod


def evaluate(
    model: Address | TrainedModel,
    dataset: str | Dataset,
    source: str,
    out: Address | None = None,
    *,
    interval: float | None = None,
    interval_method: IntervalMethod = "split",
    correct_bias: BiasCorrection | None = None,
    batch: int = BATCH,
    workers: int | None = None,
    device: str = "cpu",
    ids: bool = False,
    date: str | None = None,
    ensemble: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure a trained model on a labelled dataset, such as the patients of another hospital.

    The images are brought to the model's grid; labels must have its unit. Null models are those of
    the training data; those of an ensemble are the means of its members'.

    Args:
        model: A run folder or a model's folder, or a model that is loaded.
        dataset: Name of a dataset (``"table"`` for your own), or a `Dataset`.
        source: Its folder or address.
        out: Folder to write; None for ``evaluations/NAME`` in the run folder, or in the working
            folder for a model that is loaded.
        interval: Probability with which an interval is to cover, such as 0.9; None for none.
        interval_method: split, normalised or mondrian, see docs/predict.md.
        correct_bias: cole or beheshti: errors after this correction of the bias towards the mean
            are shown next to the uncorrected ones; None for none.
        batch: Images of a forward pass.
        workers: Threads that decode; None for one for each CPU, at most 8.
        device: Where to compute, unless the model is loaded.
        ids: Whether the pages name images.
        ensemble: Whether to measure the mean of the networks of all seeds, as `supremix.load` takes
            it, unless the model is loaded.
        date: The day on the pages; None for today (UTC).
        progress: Called with the numbers of images done and in all; None for a bar in a notebook,
            and nothing elsewhere.

    Returns:
        What was measured.

    Raises:
        ModelInputError: The dataset's label has another unit, it lacks a covariate that the model
            needs, fewer than three images have a prediction, or there are no such intervals or
            correction.
        USER_ERRORS: Of `supremix.errors`: the model or the folder cannot be read.
    """
    trained = (
        model if isinstance(model, TrainedModel) else load(model, device=device, ensemble=ensemble)
    )
    asked = Calibrating(
        interval=interval, interval_method=interval_method, correct_bias=correct_bias
    )
    asked.check(trained.calibration, labels=True)
    cohort = Cohort.read(dataset, source)
    if out is None:
        home = "" if isinstance(model, TrainedModel) else f"{str(model).rstrip('/')}/"
        out = f"{home}{EVALUATIONS}/{cohort.card.name}"
    return measure(
        {"": trained},
        cohort,
        out,
        asked,
        batch=batch,
        workers=workers,
        ids=ids,
        date=date,
        progress=progress,
    )
